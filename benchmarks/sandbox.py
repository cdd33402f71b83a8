"""What it costs to decode in a sandbox: CPU seconds of this process and its children, with one and without.

    python -m benchmarks.sandbox FILE.hc.tif [--runs 3] [--out benchmarks/results/sandbox.json]

Three ways of reading a file: the stored base alone, which is all codec; the full resolution, block by block as an
export does it, of at most 4096 px a side; and the tiles of 256 px that come into view while somebody pans over the
middle of the slide, coded as the viewer sends them. Runs with and without a sandbox take turns. The start of the child
processes is counted, and is stated for one of them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

from histocodec.decoder import Decoder
from histocodec.geometry import Grid, Region, Size
from histocodec.runtime.parallel import core_count, ordered_map
from histocodec.viewer.shown import Shown

LARGEST = 4096
"""Pixels a side of what is decoded at full resolution."""
PANNED = (5, 30)
"""Rows and columns of tiles that come into view."""


def started(file: Path, sandbox: bool) -> None:
    """Open a file, and have a process that decodes it."""
    with Decoder(file, sandbox=sandbox) as decoder:
        decoder.container.decoded_tile(len(decoder.container.grids) - 1, 0)


def base(file: Path, sandbox: bool) -> None:
    """Decode every tile of the base."""
    with Decoder(file, sandbox=sandbox) as decoder:
        _every(lambda region: decoder.read(region, 1), Grid(decoder.levels[1], 1024))


def full(file: Path, sandbox: bool) -> None:
    """Decode the full resolution of the slide, or of its middle."""
    with Decoder(file, sandbox=sandbox) as decoder:
        side, (width, height) = decoder.block_size, decoder.levels[0]
        left, top = (max(length - LARGEST, 0) // 2 // side * side for length in (width, height))
        part = Grid(Size(min(width, LARGEST), min(height, LARGEST)), side)
        blocks = (part.covered(*part.address(index)) for index in range(part.count))
        moved = [Region(left + block.x, top + block.y, block.width, block.height) for block in blocks]
        _all(lambda block: decoder.read(block, keep=False), moved)


def pan(file: Path, sandbox: bool) -> None:
    """Make the tiles that come into view, on all cores."""
    with Shown(str(file), sandbox=sandbox) as shown:
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


def cpu_s(work: Callable[[Path, bool], None], file: Path, sandbox: bool) -> float:
    """Return the CPU seconds of a piece of work, those of processes that have ended with it included."""

    def used() -> float:
        found = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return sum(usage.ru_utime + usage.ru_stime for usage in found)

    before = used()
    work(file, sandbox)
    return used() - before


def compared(work: Callable[[Path, bool], None], file: Path, runs: int) -> dict[str, Any]:
    """Do a piece of work in turns; return medians and their ratio."""
    work(file, False)  # what is loaded once
    times = [(cpu_s(work, file, False), cpu_s(work, file, True)) for _ in range(runs)]
    plain, apart = (statistics.median(column) for column in zip(*times, strict=True))
    return {"cpu_s": round(plain, 3), "sandbox_cpu_s": round(apart, 3), "ratio": round(apart / plain, 3)}


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    with Decoder(asked.file, sandbox=True) as decoder:
        sandbox, codec = decoder.container._decoding.sandbox, decoder.manifest.base.codec
        assert sandbox is not None
        barriers = sorted(sandbox.barriers)
    start = statistics.median(cpu_s(started, asked.file, True) - cpu_s(started, asked.file, False) for _ in range(5))
    found = {
        "file_bytes": asked.file.stat().st_size,
        "codec": codec,
        "barriers": barriers,
        "cores": core_count(),
        "load": round(os.getloadavg()[0], 1),
        "processor": platform.processor() or platform.machine(),
        "start_cpu_s": round(start, 3),
        **{work.__name__: compared(work, asked.file, asked.runs) for work in (base, full, pan)},
    }
    text = json.dumps(found, indent=1) + "\n"
    if asked.out is not None:
        asked.out.write_text(text)
    print(text, end="")


if __name__ == "__main__":
    main()
