// One slide on the page: its pixels in one or two ways, what is drawn over them, and what must be said of them.

import { paintBar } from "./colours.js";
import { draw } from "./marks.js";
import { minimap } from "./minimap.js";
import { LACKS, make, power, rule, sentence, short, WAY_NAMES } from "./text.js";
import { open as openJobs, sift, source } from "./tiles.js";

const { Point, Rect } = OpenSeadragon;

export class Pane {
  // slide: as the server tells it. state: what is shown, the same for all panes. on: what to call.
  constructor(slide, format, state, on) {
    Object.assign(this, { slide, format, state, on, items: new Map(), broken: new Map(), mark: null });
    this.quality = this.drawn = null;
    this.element = make("section", "pane");
    const header = make("header");
    header.append(make("b", "", slide.title));
    this.element.append(header);
    if (slide.error) {
      const message = make("div", "message");
      message.setAttribute("role", "alert");
      message.append(make("h2", "", "This file cannot be shown"), make("p", "", slide.error));
      this.element.append(message);
      return;
    }
    [this.width, this.height] = slide.size;
    this.ways = new Map(slide.ways.map(way => [way.key, way]));
    header.append(make("span", "", slide.summary));
    this.at = header.appendChild(make("span", "at"));
    this.build();
  }

  get shows() { return Boolean(this.viewer); }

  build() {
    const stage = this.stage = make("div", "stage"), view = make("div", "view");
    this.marks = make("canvas", "marks");
    this.left = make("div", "caption"), this.right = make("div", "caption");
    this.grip = make("div", "grip");
    this.grip.setAttribute("role", "slider");
    this.grip.setAttribute("aria-label", "Divider");
    const scale = make("div", "rule"), length = make("div", "length");
    this.power = make("span", "power"), this.of = make("span", "of");
    this.bar = make("div", "bar"), this.length = make("span");
    length.append(this.length, this.bar);
    scale.append(this.power, length, this.of);
    this.waiting = make("div", "waiting"), this.waiting.hidden = true;
    this.legend = this.buildLegend();
    this.notice = make("div", "trouble"), this.notice.hidden = true;
    this.notice.setAttribute("role", "alert");
    this.overview = minimap(this);
    stage.append(view, this.marks, this.left, this.right, this.grip, this.overview.element, scale, this.legend, this.waiting, this.notice);
    this.statement = make("footer", "statement");
    this.what = make("span", "what"), this.measured = make("span", "measured");
    this.statement.append(this.what, this.measured, make("strong", "", sentence(this.slide.notice)));
    this.element.append(stage, this.statement);
    this.view = view;
  }

  // Begins to show, once the element is in the page and has a size.
  begin() {
    if (this.slide.error) return;
    const { name, finest, scale } = this.slide, steps = Math.log2(scale), base = finest - steps;
    this.viewer = OpenSeadragon({
      element: this.view, drawer: "canvas", showNavigationControl: false, showNavigator: false,
      animationTime: 0.35, springStiffness: 9, blendTime: 0, zoomPerScroll: 1.35, zoomPerClick: 1, visibilityRatio: 0.25,
      minZoomImageRatio: 0.7, maxZoomPixelRatio: 8, maxImageCacheCount: 800,
      preserveImageSizeOnResize: true, imageLoaderLimit: 0, timeout: 120000,
      placeholderFillStyle: "#ffffff", keyboardNavEnabled: false,
      gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true },
    });
    const viewer = this.viewer;
    const [width, height] = [Math.ceil(this.width / scale), Math.ceil(this.height / scale)];
    // The stored levels lie under everything: they are there at once, and are what coarse magnifications show.
    this.ground = source({
      name, way: "base", size: [width, height], finest: base, coarsest: Math.max(0, Math.min(8, base)),
      format: this.format, pane: this,
    });
    viewer.addTiledImage({ tileSource: this.ground, width: (width * scale) / this.width, success: () => this.opened() });
    viewer.addHandler("viewport-change", () => this.changed());
    viewer.addHandler("resize", () => requestAnimationFrame(() => {
      this.changed();
      this.on.resized();
    }));
    viewer.addHandler("update-viewport", () => this.drawMarks());
    viewer.addHandler("tile-load-failed", event => {
      if (event.message === "cancelled") this.revive(event.tile, 0);
    });
    viewer.addHandler("canvas-press", () => this.on.active(this));
    viewer.addHandler("canvas-scroll", () => this.on.active(this));
    this.view.addEventListener("pointermove", event => this.pointed(event));
    this.view.addEventListener("pointerleave", () => { this.at.textContent = ""; });
    this.grip.addEventListener("pointerdown", event => {
      this.grip.setPointerCapture(event.pointerId);
      this.on.active(this);
    });
    this.grip.addEventListener("pointermove", event => {
      if (!this.grip.hasPointerCapture(event.pointerId)) return;
      const box = this.stage.getBoundingClientRect();
      this.on.divided(Math.min(Math.max((event.clientX - box.left) / box.width, 0.02), 0.98));
    });
    setInterval(() => this.count(), 250);
  }

  opened() {
    // The first picture is the whole slide, not the square that OpenSeadragon begins with.
    this.home(true);
    this.isOpen = true;
    this.on.opened(this);
    this.update();
  }

  // Where full pixels are on the stage: (x, y) is at ((x - left) * zoom, (y - top) * zoom).
  frame() {
    if (!this.isOpen) return null;
    const bounds = this.viewer.viewport.getBounds(true);
    return { left: bounds.x * this.width, top: bounds.y * this.width, zoom: this.stage.clientWidth / (bounds.width * this.width) };
  }

  // The middle of the stage in full pixels, and pixels of the screen per full pixel, where an animation will end.
  place() {
    const bounds = this.viewer.viewport.getBounds(false), centre = bounds.getCenter();
    return { x: centre.x * this.width, y: centre.y * this.width, zoom: this.stage.clientWidth / (bounds.width * this.width) };
  }

  current() {
    const { left, top, zoom } = this.frame();
    return { x: left + this.stage.clientWidth / zoom / 2, y: top + this.stage.clientHeight / zoom / 2, zoom };
  }

  go({ x, y, zoom }, at_once = false) {
    const viewport = this.viewer.viewport;
    viewport.zoomTo((zoom * this.width) / this.stage.clientWidth, null, at_once);
    viewport.panTo(new Point(x / this.width, y / this.width), at_once);
    if (at_once) this.viewer.forceRedraw();
  }

  // Shows a rectangle of full pixels, at most one to one.
  fit({ x, y, width, height }) {
    const zoom = Math.min(this.stage.clientWidth / width, this.stage.clientHeight / height, 1);
    this.go({ x: x + width / 2, y: y + height / 2, zoom });
  }

  home(at_once = false) {
    const zoom = 0.96 * Math.min(this.stage.clientWidth / this.width, this.stage.clientHeight / this.height);
    this.go({ x: this.width / 2, y: this.height / 2, zoom }, at_once);
  }

  // The way that is shown for a wish: that one if the file can be shown so, else its best.
  way(wish) {
    const known = this.ways.get(wish);
    return known && !known.missing ? wish : this.slide.best;
  }

  changed() {
    if (!this.isOpen) return;
    this.update();
    this.sift();
    this.on.moved(this);
  }

  // Puts clips, captions and sentences to what is shown now.
  update() {
    if (!this.isOpen) return;
    const frame = this.frame(), { slide, state } = this, ratio = window.devicePixelRatio || 1;
    const fine = frame.zoom * ratio * slide.scale > 1.001, has_two = state.divided || state.peek;
    const main = this.way(state.way), against = has_two ? this.way(state.against) : main;
    const share = state.peek ? 0 : state.divided ? state.share : 1;
    const edge = frame.left + (share * this.stage.clientWidth) / frame.zoom;
    const parts = [[main, 0, share < 1 ? edge : this.width], [against, share < 1 ? edge : this.width, this.width]];
    const wanted = new Map();
    for (const [way, from, to] of parts) {
      const left = Math.max(from, 0), right = Math.min(to, this.width);
      if (right > left && fine) wanted.set(way, wanted.has(way) ? [0, this.width] : [left, right]);
    }
    for (const way of wanted.keys()) if (!this.items.has(way)) this.add(way);
    for (const [way, item] of this.items) {
      if (!item.setOpacity) continue; // on its way
      const part = wanted.get(way);
      const clip = part && (part[0] > 0 || part[1] < this.width) ? part.join() : "";
      if (item.clipped !== clip) {
        item.clipped = clip;
        item.setClip(clip ? new Rect(part[0], 0, part[1] - part[0], this.height) : null);
      }
      if (item.getOpacity() !== (part ? 1 : 0)) item.setOpacity(part ? 1 : 0);
    }
    this.say(main, against, fine, share);
    this.showScale(frame);
    this.overview.update(frame);
    this.viewer.forceRedraw();
  }

  // The levels finer than the base, in one way; made when they are first wanted.
  add(way) {
    const { name, finest, scale, size } = this.slide;
    this.items.set(way, {});
    this.viewer.addTiledImage({
      tileSource: source({ name, way, size, finest, coarsest: finest - Math.log2(scale) + 1, format: this.format, pane: this }),
      opacity: 0,
      success: ({ item }) => { this.items.set(way, item); this.update(); },
    });
  }

  say(main, against, fine, share) {
    // Which floors the enhancement layer holds stands in the facts.
    const told = way => {
      const text = short(this.ways.get(way).statement).replace(/(enhancement layer), no .*/, "$1");
      return this.state.several ? text.replace(/ (sha256|builtin):[^ ,.]+/, "") : text; // narrow
    };
    const best = told(this.slide.best), one = share <= 0 ? against : share >= 1 || main === against ? main : null;
    let text;
    if (!fine) text = `At this magnification: the base as it is stored. Finer detail is ${best}.`;
    else if (one) text = `${sentence(told(one))}.${one === "base" ? ` Finer detail would be ${best}.` : ""}`;
    else text = `Left: ${told(main)}. Right: ${told(against)}.`;
    const measured = fine && one ? sentence(this.ways.get(one).quality) : "";
    if (this.what.textContent !== text) this.what.textContent = text;
    if (this.measured.textContent !== measured) this.measured.textContent = this.measured.title = measured;
    const divided = share > 0 && share < 1, middle = share * this.stage.clientWidth;
    this.grip.hidden = this.left.hidden = this.right.hidden = !divided;
    if (!divided) return;
    const name = (way, wish) => `${WAY_NAMES[way]}${way === wish ? "" : ` (no ${LACKS[wish]})`}`;
    const same = fine ? "" : ": here the same base";
    this.grip.style.left = `${middle}px`;
    this.grip.setAttribute("aria-valuenow", String(Math.round(100 * share)));
    this.left.textContent = name(main, this.state.way) + same;
    this.right.textContent = name(against, this.state.against) + same;
    const rest = this.stage.clientWidth - middle;
    Object.assign(this.left.style, { right: `${rest + 14}px`, maxWidth: `${middle - 18}px` });
    Object.assign(this.right.style, { left: `${middle + 14}px`, maxWidth: `${rest - 18}px` });
  }

  showScale({ zoom }) {
    const { mpp, objective_power: objective } = this.slide, screen = mpp / zoom;
    const [pixels, text] = rule(screen, 130);
    this.power.textContent = power((objective || 10 / mpp) * zoom);
    this.length.textContent = text;
    this.bar.style.width = `${pixels}px`;
    this.of.textContent = `${Number(screen.toPrecision(3))} µm/px`;
  }

  drawMarks() { draw(this, this.marks); }

  buildLegend() {
    const legend = make("div", "legend"), bar = make("canvas");
    bar.width = 200, bar.height = 11;
    paintBar(bar);
    this.ends = make("div", "ends"), this.about = make("p");
    legend.append(make("b", "", "PSNR of each block"), bar, this.ends, this.about);
    legend.hidden = true;
    return legend;
  }

  async showQuality(is_on) {
    if (is_on && this.slide.has_quality_map && !this.map) this.map = await this.on.fetched(`slide/${this.slide.name}/quality.json`);
    this.quality = is_on ? this.map || null : null;
    this.legend.hidden = !is_on;
    const { map } = this;
    this.ends.replaceChildren(...(map ? map.range_db.map((db, i) => make("span", "", `${i ? "≥" : "≤"} ${db.toFixed(1)} dB`)) : []));
    this.about.textContent = map
      ? `${map.blocks.length} blocks, measured when the file was made. Bare: ${map.complete ? "glass" : "not measured"}.` +
        (map.without_layer ? " Without the enhancement layer, which corrects blocks." : "")
      : "Nothing was measured when this file was made.";
    this.viewer.forceRedraw();
  }

  async showRegions(is_on) {
    if (is_on && this.slide.has_regions && !this.found) this.found = await this.on.regions(this);
    this.drawn = is_on ? this.found || null : null;
    this.viewer.forceRedraw();
  }

  pointed(event) {
    const frame = this.frame();
    if (!frame) return;
    const box = this.stage.getBoundingClientRect();
    const x = Math.floor(frame.left + (event.clientX - box.left) / frame.zoom);
    const y = Math.floor(frame.top + (event.clientY - box.top) / frame.zoom);
    const inside = x >= 0 && y >= 0 && x < this.width && y < this.height;
    const side = this.map && this.map.side, block = side && this.map.blocks.find(
      ([column, row]) => column === Math.floor(x / side) && row === Math.floor(y / side));
    this.at.textContent = inside ? `${x}, ${y} px${block ? ` · block ${block[2].toFixed(2)} dB` : ""}` : "";
  }

  sift() {
    const now = performance.now();
    if (this.sifted && now - this.sifted < 80) return;
    this.sifted = now;
    const viewport = this.viewer.viewport, there = viewport.getBounds(false), here = viewport.getBounds(true);
    const touches = (a, b) => a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
    sift(this, tile => {
      const seen = (tile.bounds.width / there.width) * this.stage.clientWidth; // pixels of the screen that it would take
      const item = tile.tiledImage;
      return seen > 40 && (touches(tile.bounds, there) || touches(tile.bounds, here)) && (!item || item.getOpacity() > 0);
    });
  }

  // Lets OpenSeadragon ask for a tile again, which it never does for one that failed.
  revive(tile, after) {
    setTimeout(() => {
      tile.exists = true;
      tile.loading = false;
      this.viewer.forceRedraw();
    }, after);
  }

  // Shows that a tile cannot be had. status: 0 if there was no answer.
  trouble(tile, reason, status) {
    const may_pass = status === 0 || status === 502 || status === 503;
    const { bounds } = tile;
    const area = { x: bounds.x, y: bounds.y, width: bounds.width, height: bounds.height };
    for (const side of Object.keys(area)) area[side] *= this.width;
    if (may_pass) this.revive(tile, 3000);
    else this.broken.set(tile.getUrl(), area);
    const count = this.broken.size > 1 ? `${this.broken.size} tiles cannot be shown` : "A tile cannot be shown";
    this.notice.textContent = `${may_pass ? "No tile at the moment" : count}: ${reason}`;
    this.notice.hidden = false;
    this.passing = may_pass;
    this.viewer.forceRedraw();
  }

  count() {
    const open = openJobs(this);
    this.waiting.hidden = !open;
    this.waiting.textContent = `sharpening: ${open} tile${open === 1 ? "" : "s"} to come`;
    if (!open && this.passing && this.isLoaded()) this.notice.hidden = true;
  }

  isLoaded() {
    const world = this.viewer.world;
    for (let i = 0; i < world.getItemCount(); i++) {
      const item = world.getItemAt(i);
      if (item.getOpacity() > 0 && !item.getFullyLoaded()) return false;
    }
    return this.isOpen && !openJobs(this);
  }
}
