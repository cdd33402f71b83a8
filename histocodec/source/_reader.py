"""The base of all readers: the attributes of a Source, the checks around `read`, blending."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import RegionError, SourceReadError, UnreadableSource
from ..geometry import Image, Region, Size
from ..runtime.closing import Closing
from ..runtime.file_state import FileState
from ._segments import cells_of

WHITE = (255, 255, 255)

OnDamage = Literal["refuse", "fill"]
"""Behaviour of a read where pixels cannot be decoded: raise an error, or put the background there."""

WAY_PAST_DAMAGE = "; --on-damage fill puts background in the place of what is damaged"
"""End of the message about damage that can be passed over."""

_TRIED = 16
"""Number of tiles that are tried before a source is given up as one that cannot be decoded."""


@dataclass(kw_only=True, eq=False)
class Reader(Closing):
    """A Source, whose documentation holds for every member, but for the pixels."""

    path: Path
    size: Size
    mpp: float
    objective_power: float | None = None
    vendor: str
    background: tuple[int, int, int] = WHITE
    icc_profile: bytes | None = field(repr=False)
    properties: dict[str, str] = field(repr=False)
    associated: dict[str, Image] = field(repr=False)
    lossy_methods: tuple[str, ...]
    files: tuple[Path, ...]
    size_bytes: int = field(init=False)
    states: tuple[FileState, ...] = field(init=False, repr=False)
    notes: tuple[str, ...] = ()
    on_damage: OnDamage = "refuse"
    cell: Size | None
    """Size of the tiles or strips, from the top left corner, to which damage is confined. None: to nothing; a stream is
    lost behind it."""
    _damaged: set[tuple[int, int]] = field(default_factory=set, init=False, repr=False)
    _closed: bool = field(default=False, init=False, repr=False)

    def __post_init__(self) -> None:
        self.states = tuple(FileState.of(file) for file in self.files)
        self.size_bytes = sum(state.size_bytes for state in self.states)

    @abstractmethod
    def _pixels(self, region: Region) -> Image:
        """Read a region that lies within the size; may raise anything."""

    @abstractmethod
    def _release(self) -> None:
        """Close files and free memory; called once."""

    def read(self, region: Region) -> Image:
        """Read a region; as `Source.read`."""
        if not region.within(self.size):
            raise RegionError(f"{self.path}: {_named(region)} is not within {self.size.width} x {self.size.height} px")
        if self._closed:
            raise SourceReadError(self.path, f"cannot read {_named(region)}: the source is closed")
        try:
            if not self._is_damaged(region):
                return self._pixels(region)
        except (MemoryError, SourceReadError):
            raise
        except Exception as error:  # every library raises its own, without a common root
            if self.on_damage == "refuse" or self.cell is None:
                reason = _reason(error)
                way_out = WAY_PAST_DAMAGE if self.cell else "; it is one stream, and what lies behind damage is lost"
                raise SourceReadError(self.path, f"cannot read {_named(region)}: {reason}{way_out}") from error
        return self._sound_pixels(region)

    def check_decodes(self) -> None:
        """Raise UnreadableSource if none of some tiles all over the source can be decoded: that is more than damage."""
        width, height = self.cell or self.size
        columns, rows = -(-self.size.width // width), -(-self.size.height // height)
        count = min(_TRIED, columns * rows)
        for k in range(count):
            # From the middle, where tissue is, to the end and then from the start.
            index = (columns * rows // 2 + k * columns * rows // count) % (columns * rows)
            cell = self._cell_region(index % columns, index // columns)
            try:
                self._pixels(Region(cell.x, cell.y, 1, 1))
            except MemoryError:
                raise
            except Exception as error:
                reason = _reason(error)
            else:
                return
        raise UnreadableSource(
            self.path, f"no tile can be decoded of {count} that were tried: {reason}; convert it with another program"
        )

    @property
    def damaged(self) -> tuple[Region, ...]:
        """The damaged places; as `Source.damaged`."""
        rows: list[Region] = []
        for row, column in sorted((row, column) for column, row in self._damaged.copy()):
            cell = self._cell_region(column, row)
            if rows and (rows[-1].right, rows[-1].y) == (cell.x, cell.y):
                rows[-1] = Region(rows[-1].x, cell.y, rows[-1].width + cell.width, cell.height)
            else:
                rows.append(cell)
        found: dict[tuple[int, int, int], Region] = {}
        """Rectangles by left edge, width and bottom, to which the next row may be added."""
        for run in rows:
            above = found.pop((run.x, run.width, run.y), None)
            whole = Region(run.x, above.y, run.width, run.bottom - above.y) if above else run
            found[run.x, run.width, run.bottom] = whole
        return tuple(sorted(found.values(), key=lambda place: (place.y, place.x)))

    def _cells(self, region: Region) -> Iterator[tuple[int, int]]:
        """Yield (column, row) of every cell that a region touches."""
        return cells_of(self.cell or self.size, region)

    def _cell_region(self, column: int, row: int) -> Region:
        """Return the part of a cell within the source."""
        width, height = self.cell or self.size
        cell = Region(column * width, row * height, width, height).clipped(self.size)
        assert cell is not None
        return cell

    def _is_damaged(self, region: Region) -> bool:
        """Tell whether a region touches a cell that could not be read before."""
        return bool(self._damaged) and any(address in self._damaged for address in self._cells(region))

    def _sound_pixels(self, region: Region) -> Image:
        """Read a region cell by cell, with the background where a cell cannot be read; note those."""
        canvas = np.empty((region.height, region.width, 3), np.uint8)
        for column, row in self._cells(region):
            cell = self._cell_region(column, row)
            x, right = max(region.x, cell.x), min(region.right, cell.right)
            y, bottom = max(region.y, cell.y), min(region.bottom, cell.bottom)
            part = canvas[y - region.y : bottom - region.y, x - region.x : right - region.x]
            part[:] = self.background
            if (column, row) not in self._damaged:
                # All of the cell: which part of a damaged tile can be read must not depend on who asks for what.
                try:
                    pixels = self._pixels(cell)
                except (MemoryError, SourceReadError):
                    raise
                except Exception:
                    self._damaged.add((column, row))
                else:
                    part[:] = pixels[y - cell.y : bottom - cell.y, x - cell.x : right - cell.x]
        return canvas

    def close(self) -> None:
        """Release the file; a second time does nothing."""
        if not self._closed:
            self._closed = True
            self._release()


def over(rgba: NDArray[np.uint8], background: tuple[int, int, int], *, premultiplied: bool = False) -> Image:
    """Lay (height, width, 4) uint8 RGBA over one colour: (height, width, 3) uint8 RGB, C-contiguous.

    premultiplied: the colours hold their share of the result already (TIFF's associated alpha).
    """
    if rgba[..., 3].min() == 255:
        opaque = np.empty((*rgba.shape[:2], 3), np.uint8)
        for channel in range(3):  # a fifth of the time that numpy takes to drop a channel at once
            opaque[..., channel] = rgba[..., channel]
        return opaque
    colour, alpha = rgba[..., :3], rgba[..., 3:].astype(np.uint16)
    behind = np.array(background, np.uint16) * (255 - alpha)
    if premultiplied:
        # The sum passes 255 only where a file holds more colour than its alpha allows.
        return np.minimum(colour + (behind + 127) // 255, 255).astype(np.uint8)
    return ((colour * alpha + behind + 127) // 255).astype(np.uint8)


def _reason(error: Exception) -> str:
    """Return the message of an error on one line, or its name if it has none."""
    return " ".join(str(error).split()) or type(error).__name__


def _named(region: Region) -> str:
    """Name a region in a sentence."""
    return f"the region of {region.width} x {region.height} px at ({region.x}, {region.y})"
