"""What it costs to decode in a sandbox: CPU seconds of this process and its children, with one and without.

    python -m benchmarks.sandbox FILE.hc.tif [--runs 3] [--out benchmarks/results/sandbox.json]

Three ways of reading a file: the stored base alone, which is all codec; the full resolution, block by block as an
export does it, of at most 2048 px a side; and the tiles of 256 px that come into view while somebody pans over the
middle of the slide, coded as the viewer sends them. Runs with and without a sandbox take turns. The start of a child
process is stated by itself: there is one for each core, once.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil

from histocodec.format.reader import Container
from histocodec.geometry import Grid, Region, Size
from histocodec.runtime.parallel import core_count, ordered_map
from histocodec.viewer.shown import Shown

LARGEST = 2048
"""Pixels a side of what is decoded at full resolution."""
PANNED = (5, 30)
"""Rows and columns of tiles that come into view."""


Work = Callable[[Shown], None]


def base(shown: Shown) -> None:
    """Decode every tile of the base."""
    decoder = shown.decoders["base"]
    _every(lambda region: decoder.read(region, 1), Grid(decoder.levels[1], 1024))


def full(shown: Shown) -> None:
    """Decode the full resolution of the slide, or of its middle."""
    decoder = shown.decoders[shown.best]
    side, (width, height) = decoder.block_size, decoder.levels[0]
    left, top = (max(length - LARGEST, 0) // 2 // side * side for length in (width, height))
    part = Grid(Size(min(width, LARGEST), min(height, LARGEST)), side)
    blocks = (part.covered(*part.address(index)) for index in range(part.count))
    moved = [Region(left + block.x, top + block.y, block.width, block.height) for block in blocks]
    _all(lambda block: decoder.read(block, keep=False), moved)


def pan(shown: Shown) -> None:
    """Make the tiles that come into view, on all cores."""
    zoom, (rows, columns) = shown.zoom, PANNED
    grid = Grid(zoom.size, 256).shape
    left, top = max((grid.width - columns) // 2, 0), max((grid.height - rows) // 2, 0)
    places = [(left + column, top + row) for column in range(columns) for row in range(rows)]
    tiles = [tile for place in places if (tile := zoom.tile(zoom.finest, *place)) is not None]
    _all(lambda tile: shown.coded(shown.best, zoom.finest, tile, "jpeg", 92), tiles)


def _every(read: Callable[[Region], object], grid: Grid) -> None:
    _all(read, [grid.covered(*grid.address(index)) for index in range(grid.count)])


def _all(read: Callable[[Region], object], regions: list[Region]) -> None:
    for _ in ordered_map(read, regions, workers=core_count()):
        pass


def used_s() -> float:
    """Return the CPU seconds of this process and its children so far."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    children = psutil.Process().children()
    return own.ru_utime + own.ru_stime + sum(sum(child.cpu_times()[:2]) for child in children)


def cpu_s(work: Work, file: Path, *, sandbox: bool) -> tuple[float, float]:
    """Return the CPU seconds of a piece of work, and of what came before it: opening, and the start of processes."""
    first = used_s()
    with Shown(str(file), sandbox=sandbox) as shown:
        overview = len(shown.container.grids) - 1
        with ThreadPoolExecutor(core_count()) as pool:  # at once, so that each has a process of its own
            list(pool.map(lambda _: shown.container.decoded_tile(overview, 0), range(core_count())))
        began = used_s()
        work(shown)
        return used_s() - began, began - first


def compared(work: Work, file: Path, runs: int) -> dict[str, Any]:
    """Do a piece of work in turns; return medians, and their ratio."""
    cpu_s(work, file, sandbox=False)  # what is loaded once
    plain, apart = zip(
        *((cpu_s(work, file, sandbox=False), cpu_s(work, file, sandbox=True)) for _ in range(runs)), strict=True
    )
    (without, opening), (within, starting) = (
        [statistics.median(part) for part in zip(*each, strict=True)] for each in (plain, apart)
    )
    return {
        "cpu_s": round(without, 3),
        "sandbox_cpu_s": round(within, 3),
        "ratio": round(within / without, 3),
        "start_cpu_s": round((starting - opening) / core_count(), 3),
    }


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    with Container(asked.file, sandbox=True) as container:
        sandbox, codec = container._decoding.sandbox, container.manifest.base.codec
        assert sandbox is not None
        barriers = sorted(sandbox.barriers)
    found = {
        "file_bytes": asked.file.stat().st_size,
        "codec": codec,
        "barriers": barriers,
        "cores": core_count(),
        "load": round(os.getloadavg()[0], 1),
        "processor": platform.processor() or platform.machine(),
        **{work.__name__: compared(work, asked.file, asked.runs) for work in (base, full, pan)},
    }
    text = json.dumps(found, indent=1) + "\n"
    if asked.out is not None:
        asked.out.write_text(text)
    print(text, end="")


if __name__ == "__main__":
    main()
