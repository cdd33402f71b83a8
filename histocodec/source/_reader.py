"""What the readers have in common: the attributes of a Source, the checks around `read`, blending."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ..codecs import Image
from ..errors import RegionError, SourceReadError
from ..geometry import Region, Size

WHITE = (255, 255, 255)


@dataclass(kw_only=True, eq=False)
class Reader(ABC):
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
    size_bytes: int
    _closed: bool = field(default=False, init=False, repr=False)

    @abstractmethod
    def _pixels(self, region: Region) -> Image:
        """`read`, for a region within the size; may raise anything."""

    @abstractmethod
    def _release(self) -> None:
        """Close files and free memory; called once."""

    def read(self, region: Region) -> Image:
        if not region.within(self.size):
            raise RegionError(f"{self.path}: {_named(region)} is not within {self.size.width} x {self.size.height} px")
        if self._closed:
            raise SourceReadError(self.path, f"cannot read {_named(region)}: the source is closed")
        try:
            return self._pixels(region)
        except MemoryError:
            raise
        except Exception as error:  # every library raises its own, without a common root
            reason = " ".join(str(error).split()) or type(error).__name__
            raise SourceReadError(self.path, f"cannot read {_named(region)}: {reason}") from error

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def over(rgba: NDArray[np.uint8], background: tuple[int, int, int], *, premultiplied: bool = False) -> Image:
    """Lay (height, width, 4) uint8 RGBA over one colour: (height, width, 3) uint8 RGB, C-contiguous.

    premultiplied: the colours hold their share of the result already (TIFF's associated alpha).
    """
    colour, alpha = rgba[..., :3], rgba[..., 3:].astype(np.uint16)
    if alpha.min() == 255:
        return np.ascontiguousarray(colour)
    behind = np.array(background, np.uint16) * (255 - alpha)
    if premultiplied:
        # The sum passes 255 only where a file holds more colour than its alpha allows.
        return np.minimum(colour + (behind + 127) // 255, 255).astype(np.uint8)
    return ((colour * alpha + behind + 127) // 255).astype(np.uint8)


def _named(region: Region) -> str:
    return f"the region of {region.width} x {region.height} px at ({region.x}, {region.y})"
