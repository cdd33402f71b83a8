"""Latency and fidelity of single tiles of a mosaic."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import openslide

import histocodec
from histocodec.geometry import Image
from histocodec.pixels.metrics import psnr

from ..mosaic import CELL, tissue_tiles

READ_SIDE = 256
"""Side of a tile whose latency is measured, px."""
FIDELITY_SIDE = 512
"""Side of a tile whose fidelity is measured, px."""


def tissue_positions(size: int, seed: int, side: int, count: int) -> list[tuple[int, int]]:
    """Draw top left corners of `count` squares of `side` px, each within a tissue cell of the mosaic of `size` px."""
    tissue = tissue_tiles(size, seed)
    # The last cells of a row or column may be cut off by the edge of the mosaic.
    whole = size // CELL
    cells = np.argwhere(tissue[:whole, :whole])
    if len(cells) == 0:
        raise ValueError(f"a mosaic of {size} px holds no whole cell of tissue")
    rng = np.random.default_rng((seed, side))
    corners = cells[rng.integers(len(cells), size=count)] * CELL + rng.integers(0, CELL - side + 1, (count, 2))
    return [(int(x), int(y)) for y, x in corners]


class _Slide(Protocol):
    def read_region(self, location: tuple[int, int], level: int, size: tuple[int, int]) -> object: ...
    def close(self) -> None: ...


def latency_rows(
    size: int, reader: str, open_slide: Callable[[], _Slide], positions: Iterable[tuple[int, int]]
) -> list[dict[str, Any]]:
    """Open a slide anew for each position and read the same tile of level 0 twice. Milliseconds."""
    taken: dict[str, list[float]] = {"open": [], "cold": [], "warm": []}
    positions = list(positions)
    for x, y in (positions[0], *positions):  # the first is run twice: code and libraries are loaded once per process
        start = time.perf_counter()
        slide = open_slide()
        opened = time.perf_counter()
        slide.read_region((x, y), 0, (READ_SIDE, READ_SIDE))
        cold = time.perf_counter()
        slide.read_region((x, y), 0, (READ_SIDE, READ_SIDE))
        warm = time.perf_counter()
        slide.close()
        for state, seconds in (("open", opened - start), ("cold", cold - opened), ("warm", warm - cold)):
            taken[state].append(1e3 * seconds)
    return [
        {
            "size_px": size,
            "reader": reader,
            "state": state,
            "reads": len(values) - 1,
            "p50_ms": round(float(np.percentile(values[1:], 50)), 3),
            "p95_ms": round(float(np.percentile(values[1:], 95)), 3),
        }
        for state, values in taken.items()
    ]


def fidelity(size: int, seed: int, slide: Path, container: Path, count: int) -> dict[str, Any]:
    """Return the PSNR of tissue tiles over the source's pixels: as the file decodes, and by bicubic from its base."""
    rows = []
    with (
        openslide.OpenSlide(slide) as source,
        histocodec.Decoder(container) as decoder,
        histocodec.Decoder(container, generator="bicubic") as bicubic,
    ):
        generator = decoder.generator.name
        for x, y in tissue_positions(size, seed, FIDELITY_SIDE, count):
            region = histocodec.Region(x, y, FIDELITY_SIDE, FIDELITY_SIDE)
            wanted = _pixels(source, region)
            rows.append(
                {
                    "x": x,
                    "y": y,
                    "psnr_db": round(psnr(decoder.read(region), wanted), 3),
                    "bicubic_psnr_db": round(psnr(bicubic.read(region), wanted), 3),
                }
            )
    return {
        "size_px": size,
        "generator": generator,
        "tile_px": FIDELITY_SIDE,
        "tiles": len(rows),
        "mean_psnr_db": round(statistics.fmean(row["psnr_db"] for row in rows), 3),
        "mean_bicubic_psnr_db": round(statistics.fmean(row["bicubic_psnr_db"] for row in rows), 3),
        "fraction_better": round(statistics.fmean(row["psnr_db"] > row["bicubic_psnr_db"] for row in rows), 4),
        "rows": rows,
    }


def _pixels(slide: openslide.AbstractSlide, region: histocodec.Region) -> Image:
    picture = slide.read_region((region.x, region.y), 0, (region.width, region.height))
    return np.asarray(picture.convert("RGB"))
