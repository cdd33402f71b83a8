"""What an export writes: a region at several levels, how its tiles are coded, and what stands beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import imagecodecs

from ..decoder import Decoder
from ..errors import RegionError, SettingsError
from ..format.associated import stored_associated
from ..format.descriptions import NOTICE
from ..format.origin import scanned_part
from ..format.writer import AssociatedImage
from ..geometry import Grid, Image, Region, Size
from ..pixels.tile_codecs import QUALITY_SCALES
from ..pixels.tile_coder import TileCoder
from ..runtime.progress import StageProgress
from ..version import software

Compression = Literal["jpeg", "jp2k", "lossless"]
"""Compression of the tiles of an export; what `lossless` is depends on the format."""
Lossless = Literal["deflate", "zstd", "reversible JPEG 2000"]
"""The lossless compression of a format."""
DEFAULT_QUALITY = {"jpeg": 85.0, "jp2k": 40.0}
"""Codec quality that is taken where none is given."""
TILE = 512
"""Pixels a side of the tiles of most formats."""


@dataclass(frozen=True)
class Part:
    """A region of one level, in that level's pixels."""

    level: int
    downsample: int
    region: Region
    side: int = TILE
    """Pixels a side of the tiles that it is cut into."""

    @property
    def size(self) -> Size:
        """Width and height in pixels."""
        return Size(self.region.width, self.region.height)

    @property
    def grid(self) -> Grid:
        """The tiles that it is cut into."""
        return Grid(self.size, self.side)


@dataclass(frozen=True)
class Coding:
    """How the tiles of an export are coded."""

    compression: Compression
    quality: float
    """Codec quality; 0 for lossless."""
    lossless: Lossless

    @property
    def words(self) -> str:
        """The compression in words, as a lossy history has it."""
        return self.lossless if self.compression == "lossless" else f"{self.compression} at quality {self.quality:g}"

    def encode(self, tile: Image) -> bytes:
        """Code one tile, (side, side, 3) uint8 RGB."""
        if self.compression != "lossless":
            return TileCoder(self.compression, jpeg_optimised=False).encode(tile, self.quality)
        if self.lossless == "deflate":
            return bytes(imagecodecs.zlib_encode(tile.tobytes(), level=6))
        assert self.lossless == "reversible JPEG 2000", "zarr codes its own chunks"
        return bytes(imagecodecs.jpeg2k_encode(tile, level=0, reversible=True, mct=True, codecformat="j2k"))


@dataclass(frozen=True)
class Levels:
    """A region of a slide at several levels, finest first: all that a format's writer is given."""

    decoder: Decoder
    parts: tuple[Part, ...]
    coding: Coding
    associated: tuple[AssociatedImage, ...]
    """Thumbnail, label and macro, as far as they are wanted and there."""
    scratch: Path
    """Folder for scratch files, on the disk that is written to."""
    progress: StageProgress

    @property
    def icc_profile(self) -> bytes | None:
        """Colour profile of the pixels."""
        return self.decoder.container.icc_profile

    @property
    def provenance(self) -> dict[str, str]:
        """What the pixels are, of what, and by what, as names and texts."""
        return provenance_of(self.decoder)

    def mpp(self, part: Part) -> float:
        """Return the micrometres per pixel of a part."""
        return self.decoder.mpp * part.downsample

    def description(self, part: Part, *, has_thumbnail: bool = False) -> str:
        """Return the ImageDescription of a part, as readers of Aperio files take it."""
        return described(self.decoder, part, self.coding.words, has_thumbnail=has_thumbnail)

    def statement(self, part: Part) -> str:
        """Return what a part says of itself, for formats with a vocabulary of their own."""
        return self.decoder.rendition.statement(part.downsample, _where(part), written_as=self.coding.words)


def parts_of(decoder: Decoder, level: int, region: Region | None, side: int = TILE) -> tuple[Part, ...]:
    """Return the region at `level` and every coarser level, each rounded outwards and clipped.

    region: in pixels of level 0; None for all. side: of the tiles, in pixels. Raises RegionError.
    """
    if not 0 <= level < len(decoder.levels):
        raise RegionError(f"expected a level of 0 to {len(decoder.levels) - 1}, found {level}")
    full = Region(0, 0, *decoder.levels[0]) if region is None else region
    if not full.within(decoder.levels[0]):
        size = decoder.levels[0]
        raise RegionError(
            f"region {full.x},{full.y},{full.width},{full.height} does not lie within the slide of "
            f"{size.width} x {size.height} px"
        )
    parts = []
    for number in range(level, len(decoder.levels)):
        factor = decoder.downsamples[number]
        x, y = full.x // factor, full.y // factor
        outer = Region(x, y, max(1, -(-full.right // factor) - x), max(1, -(-full.bottom // factor) - y))
        clipped = outer.clipped(decoder.levels[number])
        if clipped is None:
            break
        parts.append(Part(number, factor, clipped, side))
        if max(clipped.width, clipped.height) <= TILE and number > level:
            break
    return tuple(parts)


def associated_of(decoder: Decoder, parts: Sequence[Part], *, whole: bool) -> tuple[AssociatedImage, ...]:
    """Return the images beside the levels, the thumbnail first: readers of Aperio files expect it as second image.

    whole: False for a region, which has a thumbnail of its own.
    """
    is_own = whole and bool(decoder.manifest.associated)
    coarsest = parts[-1]
    thumbnail = None if is_own else decoder.read(coarsest.region, coarsest.level)
    return tuple(stored_associated(decoder.container, thumbnail=thumbnail))


def described(decoder: Decoder, part: Part, written_as: str, *, has_thumbnail: bool = False) -> str:
    """Return the ImageDescription of a part. written_as: the compression, in words."""
    return decoder.rendition.description(
        part.downsample, _where(part), written_as=written_as, bounds=_bounds(decoder, part), has_thumbnail=has_thumbnail
    )


def provenance_of(decoder: Decoder) -> dict[str, str]:
    """Return what the decoded pixels are, of what, and by what, as names and texts."""
    manifest, rendition = decoder.manifest, decoder.rendition
    generator = manifest.prediction.generator
    facts = {
        "notice": NOTICE,
        "label": rendition.label,
        "tier": "original" if decoder.is_original else "bounded" if decoder.is_enhanced else "reconstructed",
        "generator": generator.stated,
        "generator licence": generator.licence or "",
        "quality": rendition.quality_label,
        "enhancement": "; ".join(rendition.enhancement_labels),
        "lossy history": rendition.history.removeprefix("lossy history: "),
        "encoded by": manifest.software,
        "encoded": "" if manifest.source is None else manifest.source.encoded,
        "decoded by": software(),
    }
    return {name: text for name, text in facts.items() if text}


def coding_of(compression: Compression, quality: float | None, lossless: Lossless) -> Coding:
    """Return how to code tiles, with a default quality for None. Raises SettingsError for one out of its range."""
    if compression == "lossless":
        if quality is not None:
            raise SettingsError("lossless takes no quality")
        return Coding(compression, 0.0, lossless)
    checked = QUALITY_SCALES[compression].check(DEFAULT_QUALITY[compression] if quality is None else quality)
    return Coding(compression, checked, lossless)


def _where(part: Part) -> str:
    region = part.region
    return f"region {region.x},{region.y},{region.width},{region.height} of level {part.level}"


def _bounds(decoder: Decoder, part: Part) -> Region | None:
    """Return the slide's scanned part within the image, in its pixels; None if it lies outside or is not stated."""
    scanned = scanned_part(decoder.manifest.slide.properties)
    if scanned is None or min(scanned[2:]) <= 0:
        return None
    left, top = (-(-start // part.downsample) for start in scanned[:2])
    right, bottom = ((scanned[axis] + scanned[axis + 2]) // part.downsample for axis in (0, 1))
    if right <= left or bottom <= top:
        return None
    region = Region(left - part.region.x, top - part.region.y, right - left, bottom - top)
    return region.clipped(part.size)
