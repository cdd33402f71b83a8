"""The coded tiles of an export level by level, for formats that hold one level behind the other."""

from __future__ import annotations

from collections.abc import Iterator

from ..geometry import Image
from ..pixels.downsample import extended
from ..runtime.closing import Closing
from ..runtime.scratch import CodeSpool
from .level_tiles import LevelTiles, Place
from .levels import Levels


class CodedLevels(Closing):
    """The tiles of each level of an export, coded on all cores.

    Those of the base are made along with those of the full resolution, of the same decoded tiles, and wait on disk.
    """

    def __init__(self, levels: Levels) -> None:
        """Take the levels; scratch files lie in their folder."""
        parts, encode = levels.parts, levels.coding.encode

        def coded(place: Place, image: Image) -> bytes:
            side = parts[place.level].side
            return encode(extended(image, side - image.shape[0], side - image.shape[1]))

        self._made = LevelTiles(levels, coded)
        self._first = self._made.first()
        self._waiting = CodeSpool(parts[1].grid, levels.scratch) if self._made.together else None

    def tiles(self, number: int) -> Iterator[bytes]:
        """Yield the tiles of a level in TIFF order; of the first level first."""
        if number == 0:
            for place, data in self._first:
                if place.level == 0:
                    yield data
                else:
                    self._wait(place, data)
        elif number == 1 and self._waiting is not None:
            for place, data in self._first:
                self._wait(place, data)
            yield from self._waiting
        else:
            yield from (data for _, data in self._made.of(number))

    def close(self) -> None:
        """Stop what is being made, and free the disk."""
        self._first.close()
        if self._waiting is not None:
            self._waiting.close()

    def _wait(self, place: Place, data: bytes) -> None:
        assert self._waiting is not None
        self._waiting.put(place.tile, data)
