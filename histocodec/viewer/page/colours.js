// The colours of measured PSNR: dark blue is low, yellow is high; told apart by every kind of eye, and unlike any stain.

const STOPS = [[8, 29, 88], [34, 94, 168], [65, 182, 196], [199, 233, 180], [255, 255, 204]];

export function colour(share) {
  const at = Math.min(Math.max(share, 0), 1) * (STOPS.length - 1);
  const low = Math.min(Math.floor(at), STOPS.length - 2);
  return STOPS[low].map((value, i) => Math.round(value + (at - low) * (STOPS[low + 1][i] - value)));
}

export function paintBar(canvas) {
  const context = canvas.getContext("2d");
  for (let x = 0; x < canvas.width; x++) {
    context.fillStyle = `rgb(${colour(x / (canvas.width - 1))})`;
    context.fillRect(x, 0, 1, canvas.height);
  }
}
