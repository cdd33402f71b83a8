// The panel beside the slides: facts, worst places, regions of interest of the pane that is in use.

import { make } from "./text.js";

export function fill(panel, pane, on) {
  panel.replaceChildren(make("h3", "", pane.slide.title));
  if (pane.slide.error) {
    panel.append(make("p", "", pane.slide.error));
    return;
  }
  const { slide } = pane, [first, ...others] = order(slide.sections);
  section(panel, first);
  worst(panel, pane, on);
  regions(panel, pane, on);
  for (const one of others) section(panel, one);
  if (slide.text) {
    const more = make("details");
    more.append(make("summary", "", "All that histocodec info says"), make("pre", "", slide.text));
    panel.append(more);
  }
}

const order = sections => [...sections].sort((a, b) => (b.title === "Measured fidelity") - (a.title === "Measured fidelity"));

function section(panel, { title, rows }) {
  const list = make("dl");
  for (const [name, value] of rows) list.append(make("dt", "", name), make("dd", "", value));
  panel.append(make("h2", "", title), list);
}

function worst(panel, pane, on) {
  const { slide } = pane;
  panel.append(make("h2", "", "Worst measured places"));
  if (!slide.worst.length) {
    panel.append(make("p", "", "Nothing was measured when this file was made."));
    return;
  }
  const list = make("ol", "places long");
  slide.worst.forEach((place, i) => {
    const button = make("button");
    button.append(make("span", "n", String(i + 1)), make("span", "value", `${place.psnr_db.toFixed(2)} dB`),
      make("span", "", `SSIM ${place.ssim.toFixed(2)}`), make("span", "place", `${place.x}, ${place.y}`));
    button.addEventListener("click", () => on.worst(pane, i));
    if (pane.worst === i) button.setAttribute("aria-current", "true");
    const item = make("li");
    item.append(button);
    list.append(item);
  });
  panel.append(list);
  const current = list.querySelector('[aria-current="true"]');
  if (current) list.scrollTop = current.offsetTop - list.offsetTop - 60;
}

function regions(panel, pane, on) {
  if (!pane.slide.has_regions || !pane.found) return;
  panel.append(make("h2", "", `Regions of interest (${pane.found.length})`));
  const list = make("ol", "places long");
  pane.found.slice(0, 500).forEach((region, i) => {
    const button = make("button");
    button.append(make("span", "n", String(i + 1)), make("span", "", region.name), make("span", "place", region.geometry.type));
    button.addEventListener("click", () => on.region(pane, region));
    const item = make("li");
    item.append(button);
    list.append(item);
  });
  panel.append(list);
}
