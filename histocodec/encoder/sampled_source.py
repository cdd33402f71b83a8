"""Parts of a slide that are sources themselves, so that the stages of an encode run on them unchanged."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from ..geometry import Grid, Image, Region, Size
from ..runtime.file_state import FileState
from ..source import Source


class PartialSource:
    """A Source whose pixels are some of another's, and whose statements are all of the other's. It closes nothing."""

    def __init__(self, whole: Source, size: Size, read: Callable[[Region], Image]) -> None:
        """Take what is read of. read: gives a region within `size`."""
        self.size, self._whole, self._read = size, whole, read
        self.path, self.mpp, self.objective_power = whole.path, whole.mpp, whole.objective_power
        self.vendor, self.background, self.icc_profile = whole.vendor, whole.background, whole.icc_profile
        self.properties, self.associated = whole.properties, whole.associated
        self.files: tuple[Path, ...] = ()
        self.states: tuple[FileState, ...] = ()
        self.lossy_methods, self.size_bytes, self.notes = whole.lossy_methods, whole.size_bytes, whole.notes

    @property
    def damaged(self) -> tuple[Region, ...]:
        """Nothing: places of the whole slide have no meaning here."""
        return ()

    def read(self, region: Region) -> Image:
        """Read a region of the part, as `Source.read` does."""
        region.check_within(self.size)
        return self._read(region)

    def close(self) -> None:
        """Do nothing: the whole slide's owner closes it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def cut_of(source: Source, region: Region) -> PartialSource:
    """Return a region of a slide, within it, as a source."""
    region.check_within(source.size)

    def read(part: Region) -> Image:
        return source.read(Region(region.x + part.x, region.y + part.y, part.width, part.height))

    return PartialSource(source, Size(region.width, region.height), read)


def mosaic_of(source: Source, cells: Sequence[Region]) -> PartialSource:
    """Return square cells of a slide, of one size and within it, side by side as a source.

    They fill a square, line by line; where their number is none, the last ones are left out.
    """
    side, columns = cells[0].width, math.isqrt(len(cells))
    grid = Grid(Size(columns * side, columns * side), side)

    def read(region: Region) -> Image:
        image = np.empty((region.height, region.width, 3), np.uint8)
        for address in grid.touching(region):
            place, cell = grid.region(*address), cells[grid.index(*address)]
            part = region.overlap(place)
            wanted = Region(cell.x + part.x - place.x, cell.y + part.y - place.y, part.width, part.height)
            y, x = part.y - region.y, part.x - region.x
            image[y : y + part.height, x : x + part.width] = source.read(wanted)
        return image

    return PartialSource(source, grid.size, read)
