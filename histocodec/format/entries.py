"""The parts of a manifest: what a file states about slide, base, prediction, layers and measured quality.

`formats/container/v1/spec.md` is normative.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..pixels.tile_codecs import TileCodec

OVERVIEW_CODEC: dict[TileCodec, TileCodec] = {"jp2k": "jp2k", "avif": "jp2k", "jpeg": "jpeg"}
"""Of the reduced levels, by that of the base."""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+ -]{0,63}")
"""Names of generators and associated images: they stand in labels, where other readers look for `|` and line ends."""


@dataclass(frozen=True, slots=True)
class LossyStep:
    """One lossy compression that the pixels went through, in the terms of DICOM (0028,2112) and (0028,2114)."""

    method: str
    """`ISO_10918_1` JPEG, `ISO_15444_1` JPEG 2000, `ISO_23000_22` AVIF, or a sentence where DICOM has no term."""
    ratio: float | None
    """Uncompressed 24-bit bytes of the full-resolution slide over compressed bytes; None if unknown."""
    derivation: str
    """What was done, in words."""


@dataclass(frozen=True, slots=True)
class SlideEntry:
    """What the file says about the slide that it was made from."""

    size: tuple[int, int]
    """Width and height in full pixels."""
    mpp: float
    """Micrometres per full pixel."""
    objective_power: float | None
    vendor: str
    background: tuple[int, int, int]
    """RGB of areas that were transparent or missing."""
    source_bytes: int
    """Bytes of the source's files."""
    deidentified: bool
    properties: dict[str, str]
    """The vendor's properties, as the source's reader gave them."""
    lossy_history: tuple[LossyStep, ...]
    """Oldest first; the last step is this file's own."""
    damaged: tuple[tuple[int, int, int, int], ...] | None = None
    """x, y, width and height in full pixels of the places that could not be read from the source, where the background
    stands instead; None if there are none."""


@dataclass(frozen=True, slots=True)
class Level:
    """One stored level of the base pyramid."""

    size: tuple[int, int]
    downsample: int
    """Base pixels per pixel of this level, each axis: 1, 8, 64 ..."""


@dataclass(frozen=True, slots=True)
class DownsamplingEntry:
    """What made the base, where it was not the box average. Nothing that a decoder does depends on it."""

    name: str
    digest: str
    """`sha256:` and the hexadecimal SHA-256 of its package."""


@dataclass(frozen=True, slots=True)
class BaseEntry:
    """How the base is stored."""

    scale: int
    """Full pixels per base pixel, each axis."""
    codec: TileCodec
    quality: float
    """On the codec's own scale."""
    tile: int
    """Pixels a side of a stored tile, at every level."""
    levels: tuple[Level, ...]
    subifd: int | None = None
    """Of the first directory: which one holds the base. None: the first directory itself does."""
    colour: tuple[int, ...] | None = None
    """The numbers of `pixels.colour.ColourTransform`; None if tiles are coded in RGB."""
    downsampling: DownsamplingEntry | None = None
    """None: the box average."""

    @property
    def level_codecs(self) -> tuple[TileCodec, ...]:
        """Of each level. What no other reader knows is left to the base: the reduced levels are for all of them."""
        reduced: TileCodec = OVERVIEW_CODEC[self.codec]
        return (self.codec, *[reduced] * (len(self.levels) - 1))


@dataclass(frozen=True, slots=True)
class GeneratorEntry:
    """Which generator predicts the full resolution."""

    name: str
    digest: str
    scale: int
    halo: int
    embedded: bool


@dataclass(frozen=True, slots=True)
class PredictionEntry:
    """How the full resolution is predicted."""

    generator: GeneratorEntry
    block: int
    """Base pixels a side of a block of the canonical grid."""


@dataclass(frozen=True, slots=True)
class Layer:
    """An image in a SubIFD of the first directory."""

    subifd: int
    """Its position in the SubIFDs tag, from 0."""
    size: tuple[int, int]
    """Pixels."""


@dataclass(frozen=True, slots=True)
class Summary:
    """A measure over blocks, of which more is better."""

    mean: float
    percentile_5: float
    worst: float
    """The lowest that was measured."""


@dataclass(frozen=True, slots=True)
class ErrorSummary:
    """A measure over blocks, of which less is better."""

    mean: float
    percentile_95: float
    worst: float
    """The highest that was measured."""


def spread(
    summary: Summary | ErrorSummary | None, count: int | None, *, complete: bool
) -> dict[str, float | int | None] | None:
    """A summary as JSON values: only what was measured of all that there is has a `worst`.

    count: of how many values it is, None if nobody knows. complete: whether those are all.
    """
    match summary:
        case None:
            return None
        case Summary(mean, percentile, extreme):
            names = ("percentile_5", "lowest")
        case ErrorSummary(mean, percentile, extreme):
            names = ("percentile_95", "highest")
    values: dict[str, float | int | None] = {"mean": mean, names[0]: percentile}
    return {**values, "worst": extreme if complete else None, names[1]: extreme, "of": count}


@dataclass(frozen=True, slots=True)
class QualityMapLayer:
    """What was measured, block by block; see `format.quality.QualityMap`."""

    subifd: int
    size: tuple[int, int]
    """Blocks."""
    checksums_sha256: str
    """Hexadecimal SHA-256 of the layer's own checksum table."""


@dataclass(frozen=True, slots=True)
class EnhancementLayer:
    """Tiles at full resolution that correct the prediction, and what holds with them."""

    subifd: int
    size: tuple[int, int]
    """Full pixels: that of the slide."""
    checksums_sha256: str
    codec: TileCodec
    tiles: int
    """Of them that are there."""
    min_psnr_db: float | None = None
    """No square of the decoded file is below; None: no such promise."""
    roi_psnr_db: float | None = None
    """No square of a block that touches a region of interest is below."""
    psnr_db: Summary | None = None
    """Of all blocks of the decoded file, tissue and glass, on the parts within the slide."""
    colour: tuple[int, ...] | None = None
    """The numbers of two colour transforms, for residual and for native tiles; None if none is transformed."""
    square: int | None = None
    """Full pixels a side of the squares of a block on which the floors hold; None: on whole blocks."""
    lowest_db: float | None = None
    """PSNR of the square of the decoded file that is worst."""
    tissue_psnr_db: Summary | None = None
    """Of all its blocks of tissue."""
    rest_loss_db: ErrorSummary | None = None
    """What its blocks of tissue outside the regions of interest lose against the same file without regions."""
    regions_origin: tuple[int, int] | None = None
    """Full pixels from the slide's corner to the point that the regions were counted from as they were given."""


@dataclass(frozen=True, slots=True)
class Layers:
    """The layers beside the base. A reader that does not know one leaves it alone."""

    tissue_map: Layer | None = None
    quality_map: QualityMapLayer | None = None
    enhancement: EnhancementLayer | None = None

    @property
    def present(self) -> tuple[Layer | QualityMapLayer | EnhancementLayer, ...]:
        """Those that the file has."""
        return tuple(layer for layer in (self.tissue_map, self.quality_map, self.enhancement) if layer is not None)


@dataclass(frozen=True, slots=True)
class QualityEntry:
    """Fidelity of the prediction to the source, measured when the file was made; without the enhancement layer."""

    method: str
    """`sample`: blocks of tissue drawn at random; `all`: all of them. At the slide's edges, of what lies within it."""
    blocks: int
    block_size: int
    """Full pixels a side."""
    psnr_db: Summary
    ssim: Summary
    bicubic_psnr_db: float
    """Mean PSNR of plain bicubic enlargement of the same base on the same blocks."""
    psnr_half_width_db: float | None = None
    """The mean PSNR of all tissue is within this of the sample's, with 95 % confidence; 0 if all of it was measured."""
    colour_error: ErrorSummary | None = None
    """`pixels.metrics.colour_error` of both averaged down to the base's resolution."""
    consistency_db: Summary | None = None
    """PSNR of the prediction, averaged down to the base's resolution, against the decoded base."""
    worst_block: tuple[int, int] | None = None
    """Column and row of the block of the lowest PSNR."""

    @property
    def complete(self) -> bool:
        """Whether all of the tissue was measured."""
        return self.method == "all" or self.psnr_half_width_db == 0


LEVEL_STEP = 8
"""Pixels of a level per pixel of the next, each axis."""


def level_sizes(base_size: tuple[int, int], tile: int) -> tuple[Level, ...]:
    """The levels of a base pyramid: each an eighth of the last, until one fits into a tile; two at least."""
    levels = [Level(base_size, 1)]
    while max(levels[-1].size) > tile or len(levels) < 2:
        width, height = levels[-1].size
        size = -(-width // LEVEL_STEP), -(-height // LEVEL_STEP)
        levels.append(Level(size, levels[-1].downsample * LEVEL_STEP))
    return tuple(levels)
