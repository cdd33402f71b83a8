"""Sources and generators that the tests of encoding share."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from histocodec.encoder import EncodeSettings
from histocodec.errors import (
    SourceReadError,
)
from histocodec.generators.bicubic import BicubicGenerator
from histocodec.geometry import Image, Region, Size

BICUBIC = BicubicGenerator(4)
QUICK = EncodeSettings(verify="none")


@dataclass
class ArraySource:
    """A Source of pixels in memory that fails after a number of reads."""

    image: Image
    size_bytes: int = 1_000_000
    mpp: float = 0.25
    reads_left: int | None = None
    associated: dict[str, Image] = field(default_factory=dict)
    path: Path = Path("array.svs")
    objective_power: float | None = 40.0
    vendor: str = "aperio"
    background: tuple[int, int, int] = (255, 255, 255)
    icc_profile: bytes | None = None
    properties: dict[str, str] = field(default_factory=dict)
    lossy_methods: tuple[str, ...] = ("ISO_10918_1",)
    notes: tuple[str, ...] = ()
    damaged: tuple[Region, ...] = ()

    @property
    def size(self) -> Size:
        return Size(self.image.shape[1], self.image.shape[0])

    @size.setter
    def size(self, size: Size) -> None:
        raise AttributeError(size)

    def read(self, region: Region) -> Image:
        if self.reads_left is not None:
            if self.reads_left == 0:
                raise SourceReadError(self.path, "cannot read: the disk was pulled out")
            self.reads_left -= 1
        return self.image[region.y : region.bottom, region.x : region.right].copy()

    def close(self) -> None:
        pass

    def __enter__(self) -> ArraySource:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


def names(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}
