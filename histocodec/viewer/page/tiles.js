// Fetches tiles: what came into view last comes first, and what has left it is cancelled.

const AT_ONCE = 6; // as many as a browser asks one server for; the others wait here, where they can be reordered
const waiting = [];
const flying = new Set();

export const timings = []; // milliseconds from when each tile was wanted until it was there; tests and benchmarks read it

function next() {
  while (flying.size < AT_ONCE && waiting.length) {
    const job = waiting.pop();
    flying.add(job);
    bring(job).finally(() => { flying.delete(job); next(); });
  }
}

async function bring(job) {
  try {
    const answer = await fetch(job.context.src, { signal: job.stop.signal });
    if (!answer.ok) {
      let reason = `the server answered ${answer.status}`;
      try { reason = (await answer.json()).error || reason; } catch { /* not ours */ }
      job.failed(reason, answer.status);
      return;
    }
    const blob = await answer.blob();
    timings.push(performance.now() - job.since);
    job.context.finish(blob, null, "rasterBlob");
  } catch (error) {
    if (job.stop.signal.aborted) job.context.fail("cancelled", null);
    else job.failed("the server cannot be reached: was it stopped?", 0);
  }
}

// A source of OpenSeadragon for one way of showing a slide.
export function source({ name, way, size, finest, coarsest, until = finest, format, pane }) {
  return {
    width: size[0], height: size[1], tileSize: 256, tileOverlap: 0, minLevel: coarsest, maxLevel: until, ready: true,
    getTileUrl(level, x, y) {
      // OpenSeadragon counts levels from a single pixel, as Deep Zoom does.
      return `slide/${name}/${way}_files/${level}/${x}_${y}.${format}`;
    },
    hasTransparency: () => false,
    downloadTileStart(context) {
      const job = { context, pane, since: performance.now(), stop: new AbortController() };
      job.failed = (reason, status) => {
        context.fail(reason, null);
        pane.trouble(context.tile, reason, status);
      };
      context.userData.job = job;
      waiting.push(job);
      next();
    },
    downloadTileAbort(context) { drop(context.userData.job); },
  };
}

function drop(job) {
  const place = waiting.indexOf(job);
  if (place >= 0) {
    waiting.splice(place, 1);
    job.context.fail("cancelled", null);
  } else job.stop.abort();
}

// Cancels what a pane no longer wants. wanted: tells it of a tile.
export function sift(pane, wanted) {
  for (const job of [...waiting, ...flying])
    if (job.pane === pane && !wanted(job.context.tile)) drop(job);
}

export function open(pane) {
  return [...waiting, ...flying].filter(job => job.pane === pane).length;
}
