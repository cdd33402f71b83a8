"""The tiles of several levels, made on all cores in an order in which nothing is decoded twice."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import Generic, NamedTuple, TypeVar

from ..decoder import Decoder
from ..geometry import Image, Region
from ..runtime.parallel import ordered_map
from .levels import Levels, Part

T = TypeVar("T")


class Place(NamedTuple):
    """Where a tile belongs."""

    level: int
    """Position of its level among those that are written."""
    tile: int
    """Position in its level, row by row."""


class LevelTiles(Generic[T]):
    """What is made of each tile, those of the first two levels together if the first is the full resolution."""

    def __init__(self, levels: Levels, work: Callable[[Place, Image], T]) -> None:
        """Take the levels, and what to make of a tile: its pixels within the level, uint8 RGB."""
        self._decoder = levels.decoder
        self._parts = levels.parts
        self._work = work
        self._progress = levels.progress
        self._done = 0
        self._total = sum(part.grid.count for part in self._parts)
        self._keeps_blocks = not _reads_each_block_once(self._decoder, self._parts[0])

    @property
    def together(self) -> bool:
        """True if the first two levels come together: the tiles of the base are decoded for both."""
        return len(self._parts) > 1 and self._parts[0].level == 0

    def first(self) -> Generator[tuple[Place, T], None, None]:
        """Yield what is made of the first level, or of the first two; of each in TIFF order."""
        return self._made(_interleaved(*self._parts[:2]) if self.together else _all_of(self._parts[0], 0))

    def of(self, number: int) -> Generator[tuple[Place, T], None, None]:
        """Yield what is made of one of the other levels, in TIFF order."""
        return self._made(_all_of(self._parts[number], number))

    def every(self) -> Generator[tuple[Place, T], None, None]:
        """Yield what is made of all levels."""
        yield from self.first()
        for number in range(2 if self.together else 1, len(self._parts)):
            yield from self.of(number)

    def _made(self, places: Iterator[Place]) -> Generator[tuple[Place, T], None, None]:
        """Yield what is made, in order. The last one is told before it is yielded: no more may be asked for."""
        for made in ordered_map(self._make, places, workers=self._decoder.threads):
            self._done += 1
            self._progress(self._done, self._total)
            yield made

    def _make(self, place: Place) -> tuple[Place, T]:
        part = self._parts[place.level]
        covered = part.grid.covered(*part.grid.address(place.tile))
        wanted = Region(part.region.x + covered.x, part.region.y + covered.y, covered.width, covered.height)
        image = self._decoder.read(wanted, part.level, keep=self._keeps_blocks)
        return place, self._work(place, image)


def needed_cache_bytes(decoder: Decoder, part: Part) -> int:
    """Return the bytes of decoded pixels that an export from this part on reads more than once."""
    scale, base = decoder.manifest.base.scale, decoder.container.grids[0]
    width = part.region.width * part.downsample
    rows_ahead = -(-2 * decoder.threads // part.grid.shape.width)  # what `ordered_map` has in flight
    # Base tiles: those under a row of tiles of the base, under what is ahead, and under halos.
    rows = part.side // base.side + rows_ahead * part.side // (scale * base.side) + 3
    columns = min(width // (scale * base.side) + 3, base.shape.width)
    needed = rows * columns * base.side**2 * 3
    if part.level == 0 and not _reads_each_block_once(decoder, part):
        side = decoder.block_size
        needed += (1 + rows_ahead) * (part.side // side + 1) * (width // side + 2) * side**2 * 3
    return needed


def _reads_each_block_once(decoder: Decoder, part: Part) -> bool:
    """Return True if every block of the full resolution lies within one tile."""
    side = decoder.block_size
    return part.side % side == 0 and part.region.x % side == 0 and part.region.y % side == 0


def _all_of(part: Part, number: int) -> Iterator[Place]:
    return (Place(number, index) for index in range(part.grid.count))


def _interleaved(full: Part, base: Part) -> Iterator[Place]:
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


def _row_of(part: Part, number: int, row: int) -> Iterator[Place]:
    return (Place(number, part.grid.index(column, row)) for column in range(part.grid.shape.width))
