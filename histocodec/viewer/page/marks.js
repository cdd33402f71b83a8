// What is drawn over a slide: the quality map, regions of interest, the place that was jumped to, tiles that failed.

import { colour } from "./colours.js";

export function draw(pane, canvas) {
  // A canvas over the whole stage costs time at every step, drawn on or not.
  canvas.hidden = !(pane.quality || (pane.drawn && pane.drawn.length) || pane.mark || pane.broken.size);
  if (canvas.hidden) return;
  const ratio = window.devicePixelRatio || 1;
  const { clientWidth: width, clientHeight: height } = canvas;
  if (canvas.width !== Math.round(width * ratio)) canvas.width = Math.round(width * ratio);
  if (canvas.height !== Math.round(height * ratio)) canvas.height = Math.round(height * ratio);
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  const frame = pane.frame(); // full pixel (x, y) is at ((x - left) * zoom, (y - top) * zoom)
  if (!frame) return;
  if (pane.quality) drawQuality(context, pane.quality, frame, width, height);
  if (pane.drawn) drawRegions(context, pane.drawn, frame, width, height);
  if (pane.mark) drawMark(context, pane.mark, frame);
  for (const tile of pane.broken.values()) drawBroken(context, tile, frame);
}

function drawQuality(context, quality, { left, top, zoom }, width, height) {
  const side = quality.side * zoom, [low, high] = quality.range_db;
  const named = side >= 96; // near enough to read numbers: then the tissue is left alone, but for a frame
  context.font = "600 12px system-ui, sans-serif";
  for (const [column, row, psnr, ssim] of quality.blocks) {
    const x = (column * quality.side - left) * zoom, y = (row * quality.side - top) * zoom;
    if (x > width || y > height || x + side < 0 || y + side < 0) continue;
    const rgb = colour((psnr - low) / (high - low));
    if (!named) {
      context.fillStyle = `rgba(${rgb}, 0.72)`;
      context.fillRect(x, y, Math.max(side, 2), Math.max(side, 2));
      continue;
    }
    context.strokeStyle = `rgb(${rgb})`;
    context.lineWidth = 4;
    context.strokeRect(x + 3, y + 3, side - 6, side - 6);
    const text = `${psnr.toFixed(1)} dB${side < 170 ? "" : `  SSIM ${ssim.toFixed(2)}`}`;
    context.fillStyle = "rgba(255, 255, 255, 0.88)";
    context.fillRect(x + 6, y + 6, context.measureText(text).width + 10, 18);
    context.fillStyle = "#1f2933";
    context.fillText(text, x + 11, y + 19);
  }
}

function drawRegions(context, drawn, { left, top, zoom }, width, height) {
  const margin = 8 / zoom;
  const is_seen = ({ box }) => box.x < left + width / zoom + margin && box.x + box.width > left - margin &&
    box.y < top + height / zoom + margin && box.y + box.height > top - margin;
  const place = ([x, y]) => [(x - left) * zoom, (y - top) * zoom];
  const line = (points, closed) => {
    points.forEach((point, i) => context[i ? "lineTo" : "moveTo"](...place(point)));
    if (closed) context.closePath();
  };
  const trace = geometry => {
    const given = geometry.coordinates;
    switch (geometry.type) {
      case "Point": dot(place(given)); break;
      case "MultiPoint": given.forEach(point => dot(place(point))); break;
      case "LineString": line(given, false); break;
      case "MultiLineString": given.forEach(points => line(points, false)); break;
      case "Polygon": given.forEach(ring => line(ring, true)); break;
      case "MultiPolygon": given.forEach(rings => rings.forEach(ring => line(ring, true))); break;
      case "GeometryCollection": geometry.geometries.forEach(trace); break;
    }
  };
  const dot = ([x, y]) => { context.moveTo(x + 5, y); context.arc(x, y, 5, 0, 7); };
  for (const region of drawn.filter(is_seen)) {
    context.beginPath();
    trace(region.geometry);
    context.lineWidth = 5; // a white line under the coloured one, to be seen on any stain
    context.strokeStyle = "rgba(255, 255, 255, 0.85)";
    context.stroke();
    context.lineWidth = 2.5;
    context.strokeStyle = region.colour;
    context.stroke();
  }
}

function drawMark(context, mark, { left, top, zoom }) {
  const x = (mark.x - left) * zoom, y = (mark.y - top) * zoom, side = mark.side * zoom;
  context.lineWidth = 4;
  context.strokeStyle = "#fff";
  context.strokeRect(x - 3, y - 3, side + 6, side + 6);
  context.lineWidth = 2;
  context.strokeStyle = "#d00028";
  context.strokeRect(x - 3, y - 3, side + 6, side + 6);
}

function drawBroken(context, tile, { left, top, zoom }) {
  const x = (tile.x - left) * zoom, y = (tile.y - top) * zoom, width = tile.width * zoom, height = tile.height * zoom;
  context.save();
  context.beginPath();
  context.rect(x, y, width, height);
  context.clip();
  context.fillStyle = "rgba(251, 238, 240, 0.8)";
  context.fill();
  context.strokeStyle = "#9b1c2e";
  context.lineWidth = 1;
  context.beginPath();
  for (let offset = -height; offset < width; offset += 12) {
    context.moveTo(x + offset, y + height);
    context.lineTo(x + offset + height, y);
  }
  context.stroke();
  context.restore();
}
