// Words and numbers as the page writes them, and elements that hold them: text only, whatever a file says of itself.

export function make(tag, className = "", text = "") {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text) element.textContent = text;
  return element;
}

export const WAY_NAMES = {
  base: "Base", bicubic: "Bicubic", reconstructed: "Reconstructed", bounded: "With layers", original: "Original",
};

// "2 × 10^n", "5 × 10^n" or "10^n" micrometres that take at most `most` pixels: [pixels, text].
export function rule(micrometresPerPixel, most) {
  const longest = most * micrometresPerPixel, unit = 10 ** Math.floor(Math.log10(longest));
  const length = [5, 2, 1].map(n => n * unit).find(n => n <= longest);
  return [length / micrometresPerPixel, length >= 1000 ? `${length / 1000} mm` : `${Number(length.toPrecision(1))} µm`];
}

export function power(value) {
  return `${value >= 9.95 ? value.toFixed(value < 99.5 && Math.abs(value - Math.round(value)) > 0.05 ? 1 : 0)
    : value.toPrecision(2)}×`;
}

export const sentence = text => text.charAt(0).toUpperCase() + text.slice(1);

// A digest of 64 characters says nothing to people in full; the whole one stands in the facts.
export const short = text => text.replace(/(sha256:[0-9a-f]{12})[0-9a-f]{52}/g, "$1");

// What a file lacks that cannot be shown in a way.
export const LACKS = { reconstructed: "generator", bounded: "layer", original: "original" };
