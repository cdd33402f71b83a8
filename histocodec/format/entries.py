"""The parts of a manifest: what a file states about slide, base, prediction, layers and measured quality.

Each field says at its place what it may hold; what fields must say together is in `manifest_rules`.
`formats/container/v1/spec.md`, section 4, is normative, and `manifest.schema.json` states the same ranges.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Literal

from ..pixels.tile_codecs import TileCodec
from .strict_json import MAX_WHOLE, Above, OneOf, Pattern, Range
from .tags import MAX_COLOUR, MAX_FILE_NAME, MAX_HALO, MAX_SIDE, MAX_SUBIFDS, MAX_TILE_SIDE

OVERVIEW_CODEC: dict[TileCodec, TileCodec] = {"jp2k": "jp2k", "av1": "jp2k", "jpeg": "jpeg"}
"""Codec of the reduced levels, by that of the base."""

LEVEL_STEP = 8
"""Pixels of a level per pixel of the next, each axis."""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+ -]{0,63}")
"""Names of generators and associated images: they stand in labels, where other readers look for `|` and line ends."""

LICENCE = re.compile(r"[ -~]{1,200}")
"""Licences of weights: a name such as `CC BY 4.0`, or a sentence."""
_PART = r"(?!\.\.?(?:/|$))[^\x00-\x1f\x7f/\\\\:]{1,255}"
FILE_NAME = re.compile(rf"(?=.{{1,{MAX_FILE_NAME}}}$){_PART}(?:/{_PART}){{0,15}}")
"""Names of files, relative to the folder of the first one: none can lead out of it, on any system."""

_SHA256 = "[0-9a-f]{64}"
_DIGEST = f"sha256:{_SHA256}"

Tier = Literal["reconstructed", "bounded", "original"]
"""How far a file goes: to the prediction, to what the enhancement layer makes of it, or to the source itself."""

Name = Annotated[str, Pattern(NAME.pattern, "1 to 64 letters, digits, spaces and ._+-")]
Sha256 = Annotated[str, Pattern(_SHA256, "64 hexadecimal digits")]
FileName = Annotated[str, Pattern(FILE_NAME.pattern, "1 to 16 parts of a path, none of them . or .., without \\ and :")]
Moment = Annotated[
    str,
    Pattern(r"[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9]Z", "a moment like 2026-02-28T09:30:00Z"),
]
"""Year to second, of UTC."""
Digest = Annotated[str, Pattern(_DIGEST, "sha256: and 64 hexadecimal digits")]
GeneratorDigest = Annotated[
    str,
    Pattern(
        f"{_DIGEST}|builtin:bicubic-x[24]",
        "sha256: and 64 hexadecimal digits, or builtin:bicubic-x2 or builtin:bicubic-x4",
    ),
]
Generation = Annotated[int, Range(1, MAX_WHOLE)]
Licence = Annotated[str, Pattern(LICENCE.pattern, "1 to 200 printable characters of ASCII")]
Scale = Annotated[int, OneOf(2, 4)]
Count = Annotated[int, Range(0, MAX_WHOLE)]
SubIfd = Annotated[int, Range(0, MAX_SUBIFDS - 1)]
"""Position in the SubIFDs tag of the first directory, from 0."""
Corner = Annotated[int, Range(0, MAX_SIDE - 1)]
Side = Annotated[int, Range(1, MAX_SIDE)]
Sides = Annotated[tuple[int, int], Range(1, MAX_SIDE)]
"""Width and height."""
Place = tuple[Corner, Corner, Side, Side]
"""x, y, width and height in full pixels."""
Colours = Annotated[tuple[int, ...], Range(-MAX_COLOUR, MAX_COLOUR)]
DECIBELS = Range(0, 100)
Decibels = Annotated[float, DECIBELS]


@dataclass(frozen=True, slots=True)
class LossyStep:
    """One lossy compression that the pixels went through, in the terms of DICOM (0028,2112) and (0028,2114)."""

    method: str
    """`ISO_10918_1` JPEG, `ISO_15444_1` JPEG 2000, `ISO_23000_22` AVIF, or a sentence where DICOM has no term."""
    ratio: Annotated[float, Range(0, float("inf"))] | None
    """Uncompressed 24-bit bytes of the full-resolution slide over compressed bytes; None if unknown."""
    derivation: str
    """The step in words."""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One of the files that the slide was encoded from."""

    bytes: Count
    sha256: Sha256
    """Hexadecimal SHA-256 of the whole file."""
    name: FileName | None = None
    """Name, relative to the folder of the first file; None if it must not be said, or cannot."""
    modified: Moment | None = None
    """Moment of its last change; None if it must not be said."""


@dataclass(frozen=True, slots=True)
class SourceEntry:
    """The tie to the source: what it was, to the bit, and when it was encoded."""

    encoded: Moment
    files: tuple[SourceFile, ...]
    """The file that was opened, then the others by name."""


@dataclass(frozen=True, slots=True)
class SlideEntry:
    """The slide that the file was made from."""

    size: Sides
    """Width and height in full pixels."""
    mpp: Annotated[float, Range(0.01, 100)]
    """Micrometres per full pixel."""
    objective_power: Annotated[float, Above(0)] | None
    """Magnification of the scanner's objective; None if unknown."""
    vendor: str
    """The scanner's vendor, as the source's reader names it."""
    background: Annotated[tuple[int, int, int], Range(0, 255)]
    """RGB of areas that were transparent or missing."""
    source_bytes: Count
    """Bytes of the source's files."""
    deidentified: bool
    """True if everything that can carry identity was left out."""
    properties: dict[str, str]
    """The vendor's properties, as the source's reader gave them."""
    lossy_history: tuple[LossyStep, ...]
    """Lossy steps, oldest first; the last step is this file's own."""
    damaged: tuple[Place, ...] | None = None
    """x, y, width and height in full pixels of the places that could not be read from the source, where the background
    stands instead; None if there are none."""


@dataclass(frozen=True, slots=True)
class Level:
    """One stored level of the base pyramid."""

    size: Sides
    """Width and height in pixels."""
    downsample: Annotated[int, Range(1, MAX_WHOLE)]
    """Base pixels per pixel of this level, each axis: 1, 8, 64 ..."""


@dataclass(frozen=True, slots=True)
class DownsamplingEntry:
    """The downsampler that made the base, where it was not the box average. No decoder depends on it."""

    name: Name
    digest: Digest
    """`sha256:` and the hexadecimal SHA-256 of its package."""


@dataclass(frozen=True, slots=True)
class BaseEntry:
    """The base as it is stored."""

    scale: Scale
    """Full pixels per base pixel, each axis."""
    codec: TileCodec
    quality: Annotated[float, Range(0, 100)]
    """Codec quality: on the codec's own scale."""
    tile: Annotated[int, OneOf(128, 256, 512, 1024)]
    """Pixels a side of a stored tile, at every level."""
    levels: tuple[Level, ...]
    """The stored levels, the base first."""
    subifd: SubIfd | None = None
    """SubIFD of the first directory that holds the base; None if the first directory itself does."""
    colour: Colours | None = None
    """The numbers of `pixels.colour.ColourTransform`; None if tiles are coded in RGB."""
    downsampling: DownsamplingEntry | None = None
    """The downsampler that made the base; None for the box average."""

    @property
    def level_codecs(self) -> tuple[TileCodec, ...]:
        """Codec of each level. A codec that no other reader knows is the base's alone: others show reduced levels."""
        reduced: TileCodec = OVERVIEW_CODEC[self.codec]
        return (self.codec, *[reduced] * (len(self.levels) - 1))


@dataclass(frozen=True, slots=True)
class GeneratorEntry:
    """The generator that predicts the full resolution."""

    name: Name
    digest: GeneratorDigest
    """`sha256:` and the hexadecimal SHA-256 of its package, or the digest of one that the format defines."""
    scale: Scale
    """Full pixels per base pixel, each axis."""
    halo: Annotated[int, Range(0, MAX_HALO)]
    """Base pixels around a block that it sees, on each side."""
    embedded: bool
    """True if the file holds its package."""
    generation: Generation | None = None
    """Generation that its package's card states; None for a built-in one."""
    licence: Licence | None = None
    """Licence of the weights, as that card states it; None for a built-in one."""

    @property
    def stated(self) -> str:
        """Name, digest and generation, as messages have them."""
        return f"{self.name} {self.digest}" + (f" of generation {self.generation}" if self.generation else "")


@dataclass(frozen=True, slots=True)
class PredictionEntry:
    """The prediction of the full resolution."""

    generator: GeneratorEntry
    block: Annotated[int, OneOf(64, 128, 256)]
    """Base pixels a side of a block of the canonical grid."""


@dataclass(frozen=True, slots=True)
class Layer:
    """An image in a SubIFD of the first directory."""

    subifd: SubIfd
    size: Sides
    """Width and height in pixels."""


@dataclass(frozen=True, slots=True)
class Summary:
    """A measure over blocks, of which more is better."""

    mean: float
    percentile_5: float
    worst: float
    """The lowest value that was measured."""


@dataclass(frozen=True, slots=True)
class ErrorSummary:
    """A measure over blocks, of which less is better."""

    mean: float
    percentile_95: float
    worst: float
    """The highest value that was measured."""


SummaryInDecibels = Annotated[Summary, DECIBELS]


@dataclass(frozen=True, slots=True)
class QualityMapLayer:
    """The layer that holds what was measured, block by block; see `format.quality.QualityMap`."""

    subifd: SubIfd
    size: Sides
    """Columns and rows of blocks."""
    checksums_sha256: Sha256
    """Hexadecimal SHA-256 of the layer's own checksum table."""


@dataclass(frozen=True, slots=True)
class EnhancementLayer:
    """Tiles at full resolution that correct the prediction, and what holds with them."""

    subifd: SubIfd
    size: Sides
    """Width and height in full pixels: those of the slide."""
    checksums_sha256: Sha256
    """Hexadecimal SHA-256 of the layer's own checksum table."""
    codec: TileCodec
    tiles: Count
    """Number of tiles that are present: of a mode other than `ABSENT`."""
    min_psnr_db: Decibels | None = None
    """Floor of every square of the decoded file; None without such a promise."""
    roi_psnr_db: Decibels | None = None
    """Floor of every square of a block that touches a region of interest; None without such a promise."""
    psnr_db: SummaryInDecibels | None = None
    """PSNR of all blocks of the decoded file, tissue and glass, on the parts within the slide."""
    colour: Colours | None = None
    """The numbers of two colour transforms, for residual and for native tiles; None if none is transformed."""
    square: Side | None = None
    """Full pixels a side of the squares of a block on which the floors hold; None: on whole blocks."""
    lowest_db: Decibels | None = None
    """PSNR of the worst square of the decoded file."""
    tissue_psnr_db: SummaryInDecibels | None = None
    """PSNR of all blocks of tissue of the decoded file."""
    rest_loss_db: Annotated[ErrorSummary, Range(-100, 100)] | None = None
    """PSNR that blocks of tissue outside the regions of interest lose against the same file without regions."""
    regions_origin: Annotated[tuple[int, int], Range(-MAX_SIDE, MAX_SIDE)] | None = None
    """Full pixels from the slide's corner to the point that the regions were counted from as they were given."""


OriginalCodec = Literal["jpeg", "jp2k", "deflate", "lzw", "none"]
"""Codec of the source's own tiles."""


@dataclass(frozen=True, slots=True)
class OriginalTiles:
    """The tiles of the source's finest level, as they can be read out of the original."""

    side: Annotated[int, Range(1, MAX_TILE_SIDE)]
    """Pixels a side of a tile."""
    codec: OriginalCodec
    colour: Literal["rgb", "ycbcr"]
    """Colours of the codestream. JPEG decoders turn `ycbcr` into RGB themselves."""
    predictor: bool
    """True if each sample of a row is stored less the one before it: TIFF's predictor 2."""


@dataclass(frozen=True, slots=True)
class OriginalLayer:
    """The source's files, whole, in segments; see `format.original`."""

    subifd: SubIfd
    checksums_sha256: Sha256
    """Hexadecimal SHA-256 of the layer's own checksum table."""
    tiles: OriginalTiles | None = None
    """The finest level as pixels; None if the files can be restored and no more."""


AnyLayer = Layer | QualityMapLayer | EnhancementLayer | OriginalLayer


@dataclass(frozen=True, slots=True)
class Layers:
    """The layers beside the base. A reader that does not know one leaves it alone."""

    tissue_map: Layer | None = None
    quality_map: QualityMapLayer | None = None
    enhancement: EnhancementLayer | None = None
    original: OriginalLayer | None = None

    @property
    def present(self) -> tuple[AnyLayer, ...]:
        """The layers that the file has."""
        every = (self.tissue_map, self.quality_map, self.enhancement, self.original)
        return tuple(layer for layer in every if layer is not None)

    @property
    def tier(self) -> Tier:
        """How far a file with these layers goes."""
        if self.original is not None:
            return "original"
        return "reconstructed" if self.enhancement is None else "bounded"


@dataclass(frozen=True, slots=True)
class QualityEntry:
    """Fidelity of the prediction to the source, measured when the file was made; without the enhancement layer."""

    method: str
    """`sample`: blocks of tissue drawn at random; `all`: all of them. At the slide's edges, of what lies within it."""
    blocks: Annotated[int, Range(1, MAX_WHOLE)]
    """Number of blocks that were measured."""
    block_size: Side
    """Full pixels a side."""
    psnr_db: SummaryInDecibels
    ssim: Annotated[Summary, Range(-1, 1)]
    bicubic_psnr_db: Decibels
    """Mean PSNR of bicubic enlargement of the same base on the same blocks."""
    psnr_half_width_db: Decibels | None = None
    """The mean PSNR of all tissue is within this of the sample's, with 95 % confidence; 0 if all of it was measured."""
    colour_error: Annotated[ErrorSummary, Range(0, 1000)] | None = None
    """`pixels.metrics.colour_error` of both averaged down to the base's resolution."""
    consistency_db: SummaryInDecibels | None = None
    """PSNR of the prediction, averaged down to the base's resolution, against the decoded base."""
    worst_block: Annotated[tuple[int, int], Range(0, MAX_SIDE)] | None = None
    """Column and row of the block of the lowest PSNR."""

    @property
    def complete(self) -> bool:
        """True if all of the tissue was measured."""
        return self.method == "all" or self.psnr_half_width_db == 0


def level_sizes(base_size: tuple[int, int], tile: int) -> tuple[Level, ...]:
    """Return the levels of a base pyramid: each an eighth of the last, until one fits into a tile; two at least."""
    levels = [Level(base_size, 1)]
    while max(levels[-1].size) > tile or len(levels) < 2:
        width, height = levels[-1].size
        size = -(-width // LEVEL_STEP), -(-height // LEVEL_STEP)
        levels.append(Level(size, levels[-1].downsample * LEVEL_STEP))
    return tuple(levels)


def spread(
    summary: Summary | ErrorSummary | None, count: int | None, *, complete: bool
) -> dict[str, float | int | None] | None:
    """Return a summary as JSON values; only a measure of all that there is has a `worst`.

    count: number of values, None if nobody knows. complete: True if those are all.
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
