// The whole slide, small, with a frame around what the stage shows; a click or a drag goes there.

import { make } from "./text.js";

const LONGEST = 150, LONGEST_OF_SEVERAL = 96;
const WHOLE = 8; // the Deep Zoom level whose single tile is the whole slide

export function minimap(pane) {
  const { width, height, slide } = pane, element = make("div", "minimap"), picture = make("img"), frame = make("div");
  const scale = (pane.state.several ? LONGEST_OF_SEVERAL : LONGEST) / Math.max(width, height);
  picture.alt = "The whole slide";
  picture.draggable = false;
  picture.src = `slide/${slide.name}/base_files/${Math.min(WHOLE, slide.finest)}/0_0.${pane.format}`;
  element.style.width = `${width * scale}px`;
  element.style.height = `${height * scale}px`;
  element.append(picture, frame);

  const go = event => {
    const box = element.getBoundingClientRect();
    pane.on.active(pane);
    pane.go({ ...pane.place(), x: (event.clientX - box.left) / scale, y: (event.clientY - box.top) / scale });
  };
  element.addEventListener("pointerdown", event => {
    element.setPointerCapture(event.pointerId);
    go(event);
  });
  element.addEventListener("pointermove", event => { if (element.hasPointerCapture(event.pointerId)) go(event); });

  // Puts the frame around what is shown: (left, top) in full pixels, with so many pixels of the screen for each.
  const update = ({ left, top, zoom }) => {
    const right = Math.min(left + pane.stage.clientWidth / zoom, width), bottom = Math.min(top + pane.stage.clientHeight / zoom, height);
    const [x, y] = [Math.max(left, 0), Math.max(top, 0)];
    frame.hidden = right <= x || bottom <= y;
    Object.assign(frame.style, {
      left: `${x * scale}px`, top: `${y * scale}px`,
      width: `${Math.max((right - x) * scale, 3)}px`, height: `${Math.max((bottom - y) * scale, 3)}px`,
    });
  };
  return { element, update };
}
