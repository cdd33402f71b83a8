"""Sources and generators that the tests of encoding share."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from histocodec.decoder import Decoder
from histocodec.encoder import EncodeReport, EncodeSettings, encode
from histocodec.errors import (
    SourceReadError,
)
from histocodec.format.regions import RegionsOfInterest
from histocodec.generators.bicubic import BicubicGenerator
from histocodec.geometry import Grid, Image, Region, Size
from histocodec.pixels.metrics import psnr
from histocodec.runtime.file_state import FileState
from histocodec.source import open_source

BICUBIC = BicubicGenerator(4)
QUICK = EncodeSettings(codec="jp2k", effort="fast", verify="none")


@dataclass
class ArraySource:
    """A Source of pixels in memory that fails after a number of reads."""

    image: Image
    size_bytes: int = 1_000_000
    mpp: float = 0.25
    reads_left: int | None = None
    associated: dict[str, Image] = field(default_factory=dict)
    path: Path = Path("array.svs")
    files: tuple[Path, ...] = ()
    objective_power: float | None = 40.0
    vendor: str = "aperio"
    background: tuple[int, int, int] = (255, 255, 255)
    icc_profile: bytes | None = None
    properties: dict[str, str] = field(default_factory=dict)
    lossy_methods: tuple[str, ...] = ("ISO_10918_1",)
    states: tuple[FileState, ...] = ()
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


FLOOR = 33.0


def encoded(slide: Path, output: Path, **options: object) -> EncodeReport:
    settings = EncodeSettings(**{"codec": "jp2k", "effort": "fast", **options})  # type: ignore[arg-type]
    with open_source(slide) as source:
        return encode(source, output, BicubicGenerator(4), settings)


def square(size: Size, x: int, y: int, side: int) -> RegionsOfInterest:
    ring = [[x, y], [x + side, y], [x + side, y + side], [x, y + side], [x, y]]
    feature = {
        "type": "Feature",
        "properties": {"name": "a nest"},
        "geometry": {"type": "Polygon", "coordinates": [ring]},
    }
    return RegionsOfInterest.from_geojson(json.dumps(feature).encode(), size)


def psnr_by_block(decoder: Decoder, image: Image, side: int | None = None) -> dict[tuple[int, int], float]:
    """side: of squares; None for the blocks."""
    grid = Grid(decoder.levels[0], side or decoder.block_size)
    found = {}
    for index in range(grid.count):
        part = grid.covered(*grid.address(index))
        original = image[part.y : part.bottom, part.x : part.right]
        found[grid.address(index)] = psnr(original, decoder.read(part))
    return found
