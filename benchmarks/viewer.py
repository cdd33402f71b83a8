"""A user who pans at 40x, in a real browser: how long until each tile is there.

    python -m benchmarks.viewer FILE.hc.tif [--seconds 20] [--runs 3] [--out benchmarks/results/viewer.json]
    python -m benchmarks.viewer FILE.hc.tif --picture docs/viewer.jpg --at 1536,700,1 --against original

Serves the file, opens the page in Chromium, and drags the slide at 40x to tissue that was not shown yet. The time of a
tile is counted by the page: from when it came into view (so with the time that it waited for others) until its bytes
were there. Tiles that left the view before that were cancelled, and have no time. CPU seconds are those of the server
and of this script, not of the browser, which shares the machine's cores.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage
from playwright.sync_api import Page, sync_playwright

from histocodec.decoder import Decoder
from histocodec.geometry import Region
from histocodec.runtime.parallel import core_count
from histocodec.viewer.app import Served, application
from histocodec.viewer.server import LOOPBACK, bound, make_server, url_of
from histocodec.viewer.shown import Shown
from histocodec.viewer.slides import Slides

SCREEN = {"width": 1500, "height": 900}
VIEW = (1190, 800)
"""Pixels of the screen that show the slide."""
STEP = 240
"""Pixels of the screen in a drag, which takes a quarter of a second: a brisk user."""
_LOADED = "Boolean(window.histocodec && histocodec.panes.length && histocodec.panes.every(pane => pane.isLoaded()))"


@contextmanager
def served(file: Path) -> Iterator[str]:
    """Serve a file from a thread of this process; yield the address of the page."""
    began, app = threading.Event(), application(Served(Slides.opened([str(file)], Shown)))
    with bound(LOOPBACK, 0) as taken:
        server = make_server(app, LOOPBACK, ready=began.set)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [taken]})
        thread.start()
        try:
            began.wait(60)
            yield url_of(taken)
        finally:
            server.should_exit = True
            thread.join()


def settle(page: Page) -> None:
    """Wait until all that is wanted is there."""
    calm = 0
    while calm < 5:
        time.sleep(0.1)
        calm = calm + 1 if page.evaluate(_LOADED) else 0


@dataclass
class Walk:
    """A user who goes where there is tissue that was not looked at yet."""

    tissue: NDArray[np.bool_]
    """(rows, columns), one a block."""
    side: int
    """Full pixels a side of a block."""

    @classmethod
    def over(cls, file: Path) -> Walk:
        """Begin in the middle of the tissue of a file."""
        with Decoder(file) as decoder:
            side = decoder.manifest.prediction.block * decoder.manifest.base.scale
            return cls(decoder.container.tissue_map > 0, side)

    def __post_init__(self) -> None:
        places = np.argwhere(self.tissue)
        row, column = places[np.abs(places - places.mean(0)).sum(1).argmin()]
        self.x, self.y = (column + 0.5) * self.side, (row + 0.5) * self.side
        self.unseen = self.tissue.copy()
        self.direction = (1, 0)

    def step(self) -> tuple[int, int]:
        """Return the next direction of the view, (1, 0) for right, and take it."""
        ways = [self.direction, *(d for d in ((1, 0), (0, 1), (-1, 0), (0, -1)) if d != self.direction)]
        self.direction = max(ways, key=lambda d: sum(self.unseen[self._seen(d, far)].sum() / far for far in (1, 3, 9)))
        self.x, self.y = self.x + self.direction[0] * STEP, self.y + self.direction[1] * STEP
        self.unseen[self._seen((0, 0), 1)] = False
        return self.direction

    def _seen(self, direction: tuple[int, int], steps: int) -> tuple[slice, slice]:
        """Return the blocks of which the view shows something after some steps."""
        x, y = self.x + direction[0] * steps * STEP, self.y + direction[1] * steps * STEP
        left, right = (int(max(x + way * VIEW[0] / 2, 0) // self.side) for way in (-1, 1))
        top, bottom = (int(max(y + way * VIEW[1] / 2, 0) // self.side) for way in (-1, 1))
        return slice(top, bottom + 1), slice(left, right + 1)


def pan(page: Page, walk: Walk, seconds: float) -> None:
    """Drag the slide for a time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        dx, dy = walk.step()
        x, y = 600 + dx * STEP / 2, 450 + dy * STEP / 2
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x - dx * STEP, y - dy * STEP, steps=8)
        page.mouse.up()
        time.sleep(0.1)
    settle(page)


def measured(file: Path, seconds: float) -> dict[str, Any]:
    """Pan over a file; return what its tiles took."""
    walk = Walk.over(file)
    with served(file) as url, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        page = browser.new_page(viewport=SCREEN)  # type: ignore[arg-type]
        page.goto(url)
        settle(page)
        page.evaluate("([x, y]) => histocodec.panes[0].go({x, y, zoom: 1}, true)", [walk.x, walk.y])
        settle(page)
        page.evaluate("histocodec.timings.length = 0")
        before, began = time.process_time(), time.monotonic()
        pan(page, walk, seconds)
        used, took = time.process_time() - before, time.monotonic() - began
        times = np.array(page.evaluate("histocodec.timings"))
        browser.close()
    return {
        "file_bytes": file.stat().st_size,
        "screen": SCREEN,
        "tiles": len(times),
        "seconds": round(took, 1),
        "median_ms": round(float(np.median(times)), 1),
        "percentile_95_ms": round(float(np.percentile(times, 95)), 1),
        "cpu_ms_per_tile": round(1000 * used / len(times), 1),
        "cores": core_count(),
        "load": round(os.getloadavg()[0], 1),
        "processor": platform.processor() or platform.machine(),
    }


def picture(file: Path, out: Path, at: str, against: str) -> None:
    """Draw the page as a user sees it: reconstructed on the left of the divider, something else on its right."""
    with served(file) as url, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 760})
        page.goto(f"{url}#at={at}&show=reconstructed&against={against}&divider=0.5&quality=0")
        settle(page)
        shot = out.with_suffix(".shot.png")
        page.screenshot(path=shot)
        browser.close()
    PILImage.open(shot).convert("RGB").save(out, quality=86)
    shot.unlink()


def chromium() -> str:
    """The browser that is installed."""
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        raise SystemExit("no Chromium here: apt install chromium")
    return found


def cold_cell_ms(file: Path, count: int = 24) -> float:
    """CPU milliseconds of a cell of 256 px of tissue that nobody asked for before, mean: what a new tile costs."""
    with Decoder(file, tier="reconstructed") as decoder:
        places, side = np.argwhere(decoder.container.tissue_map)[: count + 4].tolist(), decoder.block_size
        cells = [Region(column * side, row * side, 256, 256) for row, column in places]
        for cell in cells[:4]:
            decoder.read(cell)
        began = time.process_time()
        for cell in cells[4:]:
            decoder.read(cell)
        return round(1000 * (time.process_time() - began) / len(cells[4:]), 1)


def main() -> None:
    """Measure, or draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--at", default="1536,700,1", help="x,y,zoom of the picture")
    parser.add_argument("--against", default="original")
    asked = parser.parse_args()
    if asked.picture is not None:
        picture(asked.file, asked.picture, asked.at, asked.against)
        return
    runs = [measured(asked.file, asked.seconds) for _ in range(asked.runs)]
    found = {"runs": runs, "cold_cell_cpu_ms": cold_cell_ms(asked.file)}
    text = json.dumps(found, indent=1) + "\n"
    if asked.out is not None:
        asked.out.write_text(text)
    print(text, end="")


if __name__ == "__main__":
    main()
