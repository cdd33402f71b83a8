// The page: its panes, its bar of buttons, its keys, and the address that links to what is shown.

import { Pane } from "./pane.js";
import { fill } from "./panel.js";
import * as address from "./place.js";
import { around, regionsOf } from "./regions.js";
import { make, WAY_NAMES } from "./text.js";
import { timings } from "./tiles.js";

const byId = id => document.getElementById(id);
const WAYS = Object.keys(WAY_NAMES);
const state = {
  way: "", against: "bicubic", divided: false, peek: false, share: 0.5, quality: false, regions: true, step: true,
  several: false,
};
const panes = [];
const shown = () => panes.filter(pane => pane.shows);
let active = null, offsets = new Map(), places = [], writing = 0;

const on = {
  active(pane) {
    if (pane === active) return;
    active = pane;
    for (const one of panes) one.element.classList.toggle("active", one === pane);
    refresh();
  },
  opened(pane) {
    const place = places[panes.indexOf(pane)] || (places.length === 1 && state.step && pane === active ? places[0] : null);
    if (place) pane.go(place, true);
    if (state.quality) pane.showQuality(true);
    pane.showRegions(state.regions).then(refresh);
    if (shown().every(one => one.isOpen)) {
      align();
      if (active) follow(active);
    }
  },
  resized() {
    if (active && active.shows) follow(active);
  },
  moved(pane) {
    if (pane === active) follow(pane);
    note();
  },
  divided(share) {
    state.share = share;
    update();
  },
  worst: showWorst,
  region(pane, region) {
    on.active(pane);
    pane.fit(around(region));
  },
  fetched,
  regions: async pane => regionsOf(await fetched(`slide/${pane.slide.name}/regions.json`)),
};

async function fetched(place) {
  const answer = await fetch(place), found = await answer.json();
  if (!answer.ok) throw new Error(found.error);
  return found;
}

// Several files in step: the same part of each at the same size, as far apart as they were when they were put in step.
const micrometres = (pane, place) => ({ x: place.x * pane.slide.mpp, y: place.y * pane.slide.mpp });

function align() {
  const [first] = shown();
  if (!first) return;
  const extent = pane => ({ x: pane.width * pane.slide.mpp, y: pane.height * pane.slide.mpp });
  const whole = extent(first);
  for (const pane of shown()) {
    const its = extent(pane), is_alike = Math.abs(its.x / whole.x - 1) < 0.01 && Math.abs(its.y / whole.y - 1) < 0.01;
    offsets.set(pane, is_alike ? { x: 0, y: 0 } : { x: (its.x - whole.x) / 2, y: (its.y - whole.y) / 2 });
  }
}

function realign() {
  for (const pane of shown()) offsets.set(pane, micrometres(pane, pane.current()));
}

function follow(leader) {
  if (!state.step || !leader.isOpen) return;
  const place = leader.current(), here = micrometres(leader, place), from = offsets.get(leader);
  for (const pane of shown()) {
    const to = offsets.get(pane);
    if (pane === leader || !pane.isOpen || !to || !from) continue;
    const { mpp } = pane.slide;
    pane.go({ x: (here.x + to.x - from.x) / mpp, y: (here.y + to.y - from.y) / mpp,
      zoom: (place.zoom * mpp) / leader.slide.mpp }, true);
  }
}

function note() {
  clearTimeout(writing);
  writing = setTimeout(() => {
    if (shown().length && shown().every(pane => pane.isOpen))
      history.replaceState(null, "", address.written(state, panes.map(pane => (pane.shows ? pane.place() : { x: 0, y: 0, zoom: 1 }))));
  }, 200);
}

function update() {
  for (const pane of shown()) {
    pane.update();
    pane.sifted = 0;
    pane.sift();
  }
  note();
  buttons();
}

function setWay(way, is_against = false) {
  if (!can(way)) return;
  if (is_against) state.against = way;
  else state.way = way;
  update();
}

const can = way => shown().some(pane => pane.ways.get(way) && !pane.ways.get(way).missing);

function toggle(name) {
  state[name] = !state[name];
  if (name === "divided" && state.divided && state.against === state.way) state.against = state.way === "bicubic" ? "base" : "bicubic";
  if (name === "step" && state.step) realign();
  for (const pane of shown()) {
    if (name === "quality") pane.showQuality(state.quality);
    if (name === "regions") pane.showRegions(state.regions);
  }
  update();
}

function showWorst(pane, i) {
  const list = pane.slide.worst;
  if (!list || !list.length) return;
  on.active(pane);
  pane.worst = (i + list.length) % list.length;
  pane.mark = list[pane.worst];
  const { x, y, side } = pane.mark;
  const zoom = Math.min(1, pane.stage.clientWidth / side / 1.3, pane.stage.clientHeight / side / 1.15);
  pane.go({ x: x + side / 2, y: y + side / 2, zoom });
  refresh();
}

const nextWorst = by => active && active.shows && showWorst(active, active.worst === undefined ? (by > 0 ? 0 : -1) : active.worst + by);

function refresh() {
  if (active) fill(byId("side"), active, on);
  buttons();
}

function buttons() {
  const chosen = active && active.shows ? active.way(state.way) : state.way;
  for (const button of byId("ways").children) {
    button.disabled = !can(button.dataset.way);
    button.setAttribute("aria-checked", String(button.dataset.way === chosen));
  }
  for (const option of byId("against").options) option.disabled = !can(option.value);
  byId("against").value = state.against;
  byId("against-label").hidden = !state.divided;
  for (const [id, name] of [["divider", "divided"], ["map", "quality"], ["regions", "regions"], ["step", "step"]])
    byId(id).setAttribute("aria-pressed", String(state[name]));
  for (const [id, has] of [["regions", "has_regions"], ["map", "has_quality_map"]]) {
    byId(id).disabled = !shown().some(pane => pane.slide[has]);
    if (byId(id).disabled) byId(id).setAttribute("aria-pressed", "false");
  }
}

function zoomBy(factor) {
  if (!active || !active.shows) return;
  const place = active.place();
  active.go({ ...place, zoom: place.zoom * factor });
}

function moveBy(x, y) {
  if (!active || !active.shows) return;
  const place = active.place();
  const step = Math.min(active.stage.clientWidth, active.stage.clientHeight) / 4 / place.zoom;
  active.go({ ...place, x: place.x + x * step, y: place.y + y * step });
}

const native = () => active && active.shows && active.go({ ...active.place(), zoom: 1 / (window.devicePixelRatio || 1) });
const home = () => active && active.shows && active.home();

function facts() {
  const side = byId("side");
  side.hidden = !side.hidden;
  byId("panel").setAttribute("aria-pressed", String(!side.hidden));
}

async function copyLink() {
  history.replaceState(null, "", address.written(state, panes.map(pane => (pane.shows ? pane.place() : { x: 0, y: 0, zoom: 1 }))));
  const button = byId("link");
  try {
    await navigator.clipboard.writeText(location.href);
    button.firstChild.textContent = "Copied ";
  } catch {
    button.firstChild.textContent = "See address ";
  }
  setTimeout(() => { button.firstChild.textContent = "Link "; }, 1500);
}

const KEYS = {
  d: () => toggle("divided"), q: () => toggle("quality"), r: () => toggle("regions"), l: () => toggle("step"),
  n: () => nextWorst(1), p: () => nextWorst(-1), 0: home, z: native, "+": () => zoomBy(1.5), "=": () => zoomBy(1.5),
  "-": () => zoomBy(1 / 1.5), arrowleft: () => moveBy(-1, 0), arrowright: () => moveBy(1, 0), arrowup: () => moveBy(0, -1),
  arrowdown: () => moveBy(0, 1), c: copyLink, f: facts, "?": () => byId("keys").showModal(),
};

function listen() {
  addEventListener("keydown", event => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("select, dialog *")) return;
    const digit = /^(?:Digit|Numpad)([1-5])$/.exec(event.code);
    if (event.key === " ") {
      if (!event.repeat) { state.peek = true; update(); }
    } else if (digit) setWay(WAYS[digit[1] - 1], event.shiftKey);
    else if (KEYS[event.key.toLowerCase()]) KEYS[event.key.toLowerCase()]();
    else return;
    event.preventDefault();
  });
  addEventListener("keyup", event => {
    if (event.key === " ") { state.peek = false; update(); }
  });
  addEventListener("blur", () => { if (state.peek) { state.peek = false; update(); } });
  addEventListener("hashchange", () => {
    places = address.read(location.hash, state);
    shown().forEach(pane => {
      const place = places[panes.indexOf(pane)];
      if (place) pane.go(place);
      pane.showQuality(state.quality);
      pane.showRegions(state.regions);
    });
    update();
  });
  const clicks = { divider: "divided", map: "quality", regions: "regions", step: "step" };
  for (const [id, name] of Object.entries(clicks)) byId(id).addEventListener("click", () => toggle(name));
  const others = { home, native, link: copyLink, panel: facts, help: () => byId("keys").showModal() };
  for (const [id, does] of Object.entries(others)) byId(id).addEventListener("click", does);
  byId("against").addEventListener("change", event => setWay(event.target.value, true));
  byId("bar").addEventListener("click", event => event.target.closest("button")?.blur()); // keys go to the slide
}

async function begin() {
  OpenSeadragon.console = { ...console, error() {}, warn() {}, assert() {} }; // tiles that fail are told on the page
  listen();
  const told = await fetched("slides.json");
  state.several = told.slides.length > 1;
  for (const slide of told.slides) panes.push(new Pane(slide, told.format, state, on));
  const first = panes.find(pane => !pane.slide.error) || panes[0];
  state.way = first.slide.best || "reconstructed";
  places = address.read(location.hash, state);
  WAYS.forEach((way, i) => {
    const button = make("button", "", `${WAY_NAMES[way]} `);
    button.append(make("kbd", "", String(i + 1)));
    button.dataset.way = way;
    button.setAttribute("role", "radio");
    const known = first.ways && first.ways.get(way);
    button.title = known ? known.missing || known.statement : "";
    button.addEventListener("click", () => setWay(way));
    byId("ways").append(button);
    const option = make("option", "", WAY_NAMES[way]);
    option.value = way;
    byId("against").append(option);
  });
  byId("panes").append(...panes.map(pane => pane.element));
  byId("panes").className = ["", "", "two several", "three several", "two several"][panes.length] ?? "three several";
  byId("step").hidden = panes.length < 2;
  document.title = `${told.slides.map(slide => slide.title).join(" | ")} - histocodec`;
  for (const pane of panes) pane.begin();
  on.active(first);
}

window.histocodec = { panes, state, timings };
begin().catch(error => {
  const message = make("div", "message");
  message.append(make("h2", "", "The page cannot begin"), make("p", "", String(error.message || error)));
  byId("panes").replaceChildren(message);
});
