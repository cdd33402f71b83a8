"""The coded tiles of the levels of an export, made in an order in which nothing is decoded twice."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..decoder import Decoder
from ..geometry import Grid, Image, Region, Size
from ..pixels.downsample import extended
from ..runtime.closing import Closing
from ..runtime.parallel import ordered_map
from ..runtime.progress import StageProgress
from ..runtime.scratch import CodeSpool

TILE = 512
"""Pixels a side of the tiles."""

_Job = tuple[int, int]
"""Number of the level and of the tile in it."""


@dataclass(frozen=True)
class Part:
    """A region of one level, in that level's pixels."""

    level: int
    downsample: int
    region: Region

    @property
    def grid(self) -> Grid:
        """The tiles that it is cut into."""
        return Grid(Size(self.region.width, self.region.height), TILE)


class CodedLevels(Closing):
    """The tiles of each level of an export, coded on all cores.

    Those of the base are made along with those of the full resolution, of the same decoded tiles, and wait on disk.
    """

    def __init__(
        self,
        decoder: Decoder,
        parts: Sequence[Part],
        code: Callable[[Image], bytes],
        folder: Path,
        progress: StageProgress,
    ) -> None:
        """Take the levels, finest first, and what codes (512, 512, 3) uint8 RGB. folder: for scratch files."""
        self._decoder = decoder
        self._parts = parts
        self._code = code
        self._progress = progress
        self._done = 0
        self._total = sum(part.grid.count for part in parts)
        self._keeps_blocks = not _reads_each_block_once(decoder, parts[0])
        together = len(parts) > 1 and parts[0].level == 0
        self._waiting = CodeSpool(parts[1].grid, folder) if together else None
        self._first = self._made(_interleaved(parts[0], parts[1]) if together else _all_of(parts[0], 0))

    def tiles(self, number: int) -> Iterator[bytes]:
        """Yield the tiles of a level in TIFF order; of the first level first."""
        if number == 0:
            for job, data in self._first:
                if job[0] == 0:
                    yield data
                else:
                    self._wait(job, data)
        elif number == 1 and self._waiting is not None:
            for job, data in self._first:
                self._wait(job, data)
            yield from self._waiting
        else:
            yield from (data for _, data in self._made(_all_of(self._parts[number], number)))

    def close(self) -> None:
        """Stop what is being made, and free the disk."""
        self._first.close()
        if self._waiting is not None:
            self._waiting.close()

    def _made(self, jobs: Iterator[_Job]) -> Generator[tuple[_Job, bytes], None, None]:
        """Yield the tiles of jobs, in order. The last one is told before it is yielded: no more may be asked for."""
        for made in ordered_map(self._make, jobs, workers=self._decoder.threads):
            self._done += 1
            self._progress(self._done, self._total)
            yield made

    def _make(self, job: _Job) -> tuple[_Job, bytes]:
        part = self._parts[job[0]]
        covered = part.grid.covered(*part.grid.address(job[1]))
        wanted = Region(part.region.x + covered.x, part.region.y + covered.y, covered.width, covered.height)
        image = self._decoder.read(wanted, part.level, keep=self._keeps_blocks)
        return job, self._code(extended(image, TILE - covered.height, TILE - covered.width))

    def _wait(self, job: _Job, data: bytes) -> None:
        assert self._waiting is not None
        self._waiting.put(job[1], data)


def needed_cache_bytes(decoder: Decoder, part: Part) -> int:
    """Return the bytes of decoded pixels that an export from this part on reads more than once."""
    scale, base = decoder.manifest.base.scale, decoder.container.grids[0]
    width = part.region.width * part.downsample
    rows_ahead = -(-2 * decoder.threads // part.grid.shape.width)  # what `ordered_map` has in flight
    # Base tiles: those under a row of tiles of the base, under what is ahead, and under halos.
    rows = TILE // base.side + rows_ahead * TILE // (scale * base.side) + 3
    columns = min(width // (scale * base.side) + 3, base.shape.width)
    needed = rows * columns * base.side**2 * 3
    if part.level == 0 and not _reads_each_block_once(decoder, part):
        side = decoder.block_size
        needed += (1 + rows_ahead) * (TILE // side + 1) * (width // side + 2) * side**2 * 3
    return needed


def _reads_each_block_once(decoder: Decoder, part: Part) -> bool:
    """Return True if every block of the full resolution lies within one tile."""
    side = decoder.block_size
    return TILE % side == 0 and part.region.x % side == 0 and part.region.y % side == 0


def _all_of(part: Part, number: int) -> Iterator[_Job]:
    return ((number, index) for index in range(part.grid.count))


def _interleaved(full: Part, base: Part) -> Iterator[_Job]:
    """List the tiles of two levels so that a row of the second follows as soon as the first has been there."""
    ratio = base.downsample // full.downsample
    rows, done = base.grid.shape.height, 0
    for row in range(full.grid.shape.height):
        yield from _row_of(full, 0, row)
        while done < rows and (done + 1) * ratio <= row + 1:
            yield from _row_of(base, 1, done)
            done += 1
    for last in range(done, rows):
        yield from _row_of(base, 1, last)


def _row_of(part: Part, number: int, row: int) -> Iterator[_Job]:
    return ((number, part.grid.index(column, row)) for column in range(part.grid.shape.width))
