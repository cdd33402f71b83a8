"""A 40x slide of any size, made of real tiles: about half tissue in irregular islands, half glass.

    python -m benchmarks.mosaic OUT.tif --size 16384 [--seed 1] [--data DIR]

Written as a scanner would: 256 px tiles, JPEG quality 80 in 4:2:0, levels of 1, 4, 16 ... in the main chain of a
BigTIFF, 0.25 um/px. Memory holds the real tiles and a few rows of tiles, whatever the size.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray

from histocodec import Region, Size
from histocodec.geometry import Grid, Image
from histocodec.pixels.downsample import downsample
from histocodec.runtime.parallel import core_count

CELL = 1000
"""Side of the squares that are either tissue or glass, px."""
TILE = 256
REDUCTION = 4
JPEG_QUALITY = 80
MPP = 0.25
GLASS_RGB = (242, 240, 243)


def default_data() -> Path:
    """Return the data folder: $HISTOCODEC_DATA, else `shared/data` beside the checkout."""
    given = os.environ.get("HISTOCODEC_DATA")
    return Path(given) if given else Path(__file__).resolve().parents[2] / "shared" / "data"


def tissue_tiles(size: int, seed: int) -> NDArray[np.bool_]:
    """Return the cells of `CELL` px that are tissue, (rows, columns) bool: half of the area, to within a cell.

    size: side of the mosaic in px. The islands are where a smooth random field is high, so they hang together.
    """
    side = -(-size // CELL)
    rng = np.random.default_rng((seed, 1))
    y, x = np.mgrid[:side, :side] * 1.0
    # Waves a third to one and a half of a large slide long, and shorter ones that fray the outline.
    height = 0.25 * rng.standard_normal((side, side))
    for wavelength in rng.uniform(0.33, 1.5, 24) * min(max(side, 4), 24):
        angle, phase = rng.uniform(0, 2 * np.pi, 2)
        height += np.cos((np.cos(angle) * x + np.sin(angle) * y) * 2 * np.pi / wavelength + phase) / 3
    shown = np.minimum(size - CELL * np.arange(side), CELL) / CELL
    area = np.outer(shown, shown).ravel()
    order = np.argsort(-height, axis=None)
    chosen = np.cumsum(area[order]) <= area.sum() / 2 + 0.5
    tissue = np.zeros(side * side, np.bool_)
    tissue[order[chosen]] = True
    return tissue.reshape(side, side)


@dataclass(frozen=True)
class Mosaic:
    """The pixels of a mosaic before they are coded; any region can be read in any order."""

    size: int
    """Side, px."""
    tissue: NDArray[np.bool_]
    """(rows, columns) bool: the cells that are tissue, see `tissue_tiles`."""
    pictures: dict[int, Image]
    """The real tiles that are used, and patches of glass; each at least CELL x CELL x 3."""
    _choices: NDArray[np.int64] = field(repr=False)
    """rows x columns x 5: picture, row offset, column offset, quarter turns, mirrored."""

    @classmethod
    def of(cls, size: int, *, seed: int, data: Path) -> Mosaic:
        """Lay out a mosaic of the tiles under `data`/dev. Raises FileNotFoundError if there are none."""
        tissue = tissue_tiles(size, seed)
        paths = sorted(data.glob("dev/*/*.jxl"))
        if not paths:
            raise FileNotFoundError(f"{data}: no tiles under dev/*/*.jxl")
        rng = np.random.default_rng((seed, 2))
        kinds = np.where(tissue, rng.integers(len(paths), size=tissue.shape), -1 - rng.integers(6, size=tissue.shape))
        pictures = {kind: _glass(rng) for kind in range(-6, 0)}
        used = [int(kind) for kind in np.unique(kinds) if kind >= 0]
        with ThreadPoolExecutor(core_count()) as pool:
            pictures |= dict(zip(used, pool.map(_picture, [paths[kind] for kind in used]), strict=True))
        choices = np.empty((*tissue.shape, 5), np.int64)
        for row, column in np.ndindex(tissue.shape):
            height, width = pictures[int(kinds[row, column])].shape[:2]
            offsets = rng.integers(0, height - CELL + 1), rng.integers(0, width - CELL + 1)
            choices[row, column] = (kinds[row, column], *offsets, rng.integers(4), rng.integers(2))
        return cls(size, tissue, pictures, choices)

    def read(self, region: Region) -> Image:
        """Read (height, width, 3) uint8 RGB. Beyond the mosaic, up to the edge of its last cell, it continues."""
        out = np.empty((region.height, region.width, 3), np.uint8)
        cells = Grid(Size(*self.tissue.shape[::-1]), 1)
        for column, row in Grid(Size(*(CELL * n for n in cells.size)), CELL).touching(region):
            part = Region(column * CELL, row * CELL, CELL, CELL)
            x, y = max(part.x, region.x), max(part.y, region.y)
            right, bottom = min(part.right, region.right), min(part.bottom, region.bottom)
            cell = self._cell(column, row)
            out[y - region.y : bottom - region.y, x - region.x : right - region.x] = cell[
                y - part.y : bottom - part.y, x - part.x : right - part.x
            ]
        return out

    def _cell(self, column: int, row: int) -> Image:
        """Return a view of CELL x CELL x 3."""
        index, top, left, turns, mirrored = (int(n) for n in self._choices[row, column])
        cell = np.rot90(self.pictures[index][top : top + CELL, left : left + CELL], turns)
        return cell[:, ::-1] if mirrored else cell


def build_mosaic(
    path: str | Path,
    size: int,
    *,
    seed: int = 1,
    data: str | Path | None = None,
    progress: Callable[[float], None] | None = None,
) -> None:
    """Write a mosaic of `size` x `size` px to `path`, replacing what is there once it is complete.

    data: the folder that holds `dev/*/*.jxl`, see `default_data`. progress: called with the finished fraction.
    Raises FileNotFoundError if there are no tiles, ValueError if `size` is not positive.
    """
    if size < 1:
        raise ValueError(f"the side of a mosaic must be positive, found {size} px")
    mosaic = Mosaic.of(size, seed=seed, data=Path(data) if data is not None else default_data())
    path = Path(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with ExitStack() as stack:
            pool = stack.enter_context(ThreadPoolExecutor(core_count()))
            levels = _reduced_levels(Size(size, size), path.parent, pool, stack)
            tiff = stack.enter_context(tifffile.TiffWriter(partial, bigtiff=True))
            _write_level(tiff, _full_tiles(mosaic, levels, pool, progress), Size(size, size), reduction=1)
            for level in levels:
                _write_level(tiff, level.tiles(), level.size, reduction=level.reduction)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _full_tiles(
    mosaic: Mosaic, levels: list[_ReducedLevel], pool: ThreadPoolExecutor, progress: Callable[[float], None] | None
) -> Iterator[bytes]:
    """Yield the codestreams of level 0 in row-major order; feed the reduced levels on the way."""
    for y in range(0, mosaic.size, TILE):
        height = min(TILE, mosaic.size - y)
        rows = mosaic.read(Region(0, y, mosaic.size, height))
        codestreams = _coded(rows, pool)
        # Before the tiles are handed out: a writer that has its last tile does not come back.
        if levels:
            levels[0].add(rows)
        if y + height == mosaic.size:
            for level in levels:
                level.finish()
        yield from codestreams
        if progress is not None:
            progress((y + height) / mosaic.size)


@dataclass
class _ReducedLevel:
    """One reduced level, fed with rows of the level above it; its codestreams wait in a file of their own."""

    size: Size
    reduction: int
    """Full pixels per pixel of this level, each axis."""
    pool: ThreadPoolExecutor
    spool: IO[bytes]
    below: _ReducedLevel | None
    _rows: list[Image] = field(default_factory=list)
    _tile_bytes: list[int] = field(default_factory=list)

    def add(self, rows: Image) -> None:
        """Take the next TILE rows of the level above, or fewer at its end."""
        self._rows.append(downsample(rows, REDUCTION))
        if len(self._rows) == REDUCTION:
            self._flush()

    def finish(self) -> None:
        """Code the last row: the level above is complete."""
        if self._rows:
            self._flush()

    def tiles(self) -> Iterator[bytes]:
        """Yield the codestreams in row-major order."""
        self.spool.seek(0)
        for size in self._tile_bytes:
            yield self.spool.read(size)

    def _flush(self) -> None:
        rows = np.concatenate(self._rows)
        self._rows.clear()
        for codestream in _coded(rows, self.pool):
            self.spool.write(codestream)
            self._tile_bytes.append(len(codestream))
        if self.below is not None:
            self.below.add(rows)


def _reduced_levels(size: Size, folder: Path, pool: ThreadPoolExecutor, stack: ExitStack) -> list[_ReducedLevel]:
    """Return the levels below `size`, finest first, until one fits into four tiles; none is made of less."""
    sizes = []
    while max(size) > 2 * TILE:
        size = size.divided(REDUCTION)
        sizes.append(size)
    levels: list[_ReducedLevel] = []
    for index in reversed(range(len(sizes))):
        spool = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (the stack closes it)
        stack.callback(spool.close)
        below = levels[0] if levels else None
        levels.insert(0, _ReducedLevel(sizes[index], REDUCTION ** (index + 1), pool, spool, below))
    return levels


def _coded(rows: Image, pool: ThreadPoolExecutor) -> Iterator[bytes]:
    """Code one row of tiles as JPEG; what reaches beyond the right and bottom edges repeats the last column and row."""

    def code(left: int) -> bytes:
        tile = rows[:, left : left + TILE]
        short_y, short_x = TILE - tile.shape[0], TILE - tile.shape[1]
        if short_y or short_x:
            tile = np.pad(tile, ((0, short_y), (0, short_x), (0, 0)), mode="edge")
        return bytes(imagecodecs.jpeg_encode(np.ascontiguousarray(tile), level=JPEG_QUALITY, subsampling="420"))

    return pool.map(code, range(0, rows.shape[1], TILE))


def _write_level(tiff: tifffile.TiffWriter, tiles: Iterator[bytes], size: Size, *, reduction: int) -> None:
    per_cm = 1e4 / (MPP * reduction)
    tiff.write(
        tiles,
        shape=(size.height, size.width, 3),
        dtype=np.uint8,
        photometric="ycbcr",
        subsampling=(2, 2),
        compression="jpeg",
        tile=(TILE, TILE),
        subfiletype=int(reduction > 1),
        resolution=(per_cm, per_cm),
        resolutionunit="CENTIMETER",
        metadata=None,
        software="histocodec benchmarks.mosaic",
    )


def _picture(path: Path) -> Image:
    """Read a real tile, mirrored at its edges where it does not fill a cell."""
    picture: Image = imagecodecs.jpegxl_decode(path.read_bytes(), numthreads=1)
    short_y, short_x = (max(CELL - side, 0) for side in picture.shape[:2])
    return np.pad(picture, ((0, short_y), (0, short_x), (0, 0)), mode="symmetric") if short_y or short_x else picture


def _glass(rng: np.random.Generator) -> Image:
    """Make an empty slide under the lamp, CELL x CELL x 3: a gentle tint, a sensor's noise of about one step."""
    shared, own = rng.standard_normal((CELL, CELL, 1)), rng.standard_normal((CELL, CELL, 3))
    return np.clip(np.rint(np.array(GLASS_RGB) + 0.6 * shared + 0.8 * own), 0, 255).astype(np.uint8)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mosaic", description="Build a 40x mosaic slide.")
    parser.add_argument("output", type=Path)
    parser.add_argument("--size", type=int, default=16384, help="side, px")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--data", type=Path, default=None, help="folder that holds dev/*/*.jxl")
    options = parser.parse_args(arguments)
    try:
        build_mosaic(
            options.output,
            options.size,
            seed=options.seed,
            data=options.data,
            progress=lambda done: print(f"\r{options.output.name}: {done:4.0%}", end="", file=sys.stderr, flush=True),
        )
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    print(file=sys.stderr)
    print(f"{options.output}: {options.output.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
