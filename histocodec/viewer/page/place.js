// What is shown and where, as the part of the address after `#`: a link to it opens the page there.

export function written(state, places) {
  const words = [`at=${places.map(({ x, y, zoom }) => `${Math.round(x)},${Math.round(y)},${Number(zoom.toPrecision(4))}`).join(";")}`];
  words.push(`show=${state.way}`);
  if (state.divided) words.push(`against=${state.against}`, `divider=${state.share.toFixed(3)}`);
  if (state.quality) words.push("quality=1");
  if (!state.regions) words.push("regions=0");
  return `#${words.join("&")}`;
}

// Takes over into `state` what an address says; returns the places in it. What makes no sense is left out.
export function read(hash, state) {
  const words = new URLSearchParams(hash.slice(1)), ways = ["base", "bicubic", "reconstructed", "bounded", "original"];
  if (ways.includes(words.get("show"))) state.way = words.get("show");
  state.divided = ways.includes(words.get("against"));
  if (state.divided) state.against = words.get("against");
  const share = Number(words.get("divider"));
  if (share > 0 && share < 1) state.share = share;
  state.quality = words.get("quality") === "1";
  state.regions = words.get("regions") !== "0";
  return (words.get("at") || "").split(";").map(text => text.split(",").map(Number))
    .filter(numbers => numbers.length === 3 && numbers.every(Number.isFinite) && numbers[2] > 0)
    .map(([x, y, zoom]) => ({ x, y, zoom }));
}
