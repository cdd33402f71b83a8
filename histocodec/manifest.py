"""The manifest: what a histocodec file says about itself, as frozen values; to JSON and back.

`formats/container/v1/spec.md` is normative. Reading reports every problem, not the first.
"""

from __future__ import annotations

import dataclasses
import json
import math
import types
import typing
from dataclasses import dataclass, field
from typing import Any, Literal

from .codecs import TILE_CODECS, TileCodec
from .errors import HistocodecError
from .version import __version__

FORMAT = "histocodec"
SOFTWARE = f"histocodec {__version__}"
VERSION = 1
MAX_SIDE = 1 << 22
"""Pixels a side that a slide may have: four times what any scanner makes, and small enough for every sum in int64."""
MAX_JSON_BYTES = 16 << 20

KNOWN_FEATURES: frozenset[str] = frozenset()
"""What a file may list under `requires` and this version understands."""


class ManifestError(HistocodecError):
    """A manifest that breaks the specification; `problems` lists every (place, sentence)."""

    def __init__(self, problems: list[tuple[str, str]]) -> None:
        self.problems = problems
        super().__init__("; ".join(f"{place}: {sentence}" for place, sentence in problems))


class LaterVersion(ManifestError):
    """A manifest of a later version of the format, or one that requires a feature that this version lacks."""


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
class SlideFacts:
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


@dataclass(frozen=True, slots=True)
class Level:
    """One stored level of the base pyramid."""

    size: tuple[int, int]
    downsample: int
    """Base pixels per pixel of this level, each axis: 1, 4, 16 ..."""


@dataclass(frozen=True, slots=True)
class BaseFacts:
    """How the base is stored."""

    scale: int
    """Full pixels per base pixel, each axis."""
    codec: TileCodec
    quality: float
    """On the codec's own scale."""
    tile: int
    """Pixels a side of a stored tile, at every level."""
    levels: tuple[Level, ...]


@dataclass(frozen=True, slots=True)
class GeneratorFacts:
    """Which generator predicts the full resolution."""

    name: str
    digest: str
    scale: int
    halo: int
    embedded: bool


@dataclass(frozen=True, slots=True)
class PredictionFacts:
    """How the full resolution is predicted."""

    generator: GeneratorFacts
    block: int
    """Base pixels a side of a block of the canonical grid."""


@dataclass(frozen=True, slots=True)
class Layer:
    """An image in a SubIFD of the first directory."""

    subifd: int
    """Its position in the SubIFDs tag, from 0."""
    size: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Layers:
    """The layers beside the base. A reader that does not know one leaves it alone."""

    tissue_map: Layer | None = None
    quality_map: Layer | None = None
    enhancement: Layer | None = None


@dataclass(frozen=True, slots=True)
class Summary:
    """A measure over the sampled blocks."""

    mean: float
    percentile_5: float
    worst: float


@dataclass(frozen=True, slots=True)
class QualityFacts:
    """Fidelity of the reconstruction to the source, measured when the file was made."""

    method: str
    """`sample`: blocks of tissue drawn at random."""
    blocks: int
    block_size: int
    """Full pixels a side."""
    psnr_db: Summary
    ssim: Summary
    bicubic_psnr_db: float
    """Mean PSNR of plain bicubic enlargement of the same base on the same blocks."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """All of it."""

    software: str
    tier: Literal["reconstructed", "bounded"]
    slide: SlideFacts
    base: BaseFacts
    prediction: PredictionFacts
    layers: Layers
    associated: tuple[str, ...]
    """Names of the associated images in the order of their directories."""
    checksums_sha256: str
    """Hexadecimal SHA-256 of the tile checksums (tag 65303)."""
    quality: QualityFacts | None = None
    requires: tuple[str, ...] = ()
    """Features without which the file must not be decoded."""
    format: str = field(default=FORMAT)
    version: int = field(default=VERSION)

    @property
    def base_mpp(self) -> float:
        """Micrometres per base pixel."""
        return self.slide.mpp * self.base.scale

    def to_json(self) -> bytes:
        """UTF-8 JSON, keys sorted, no insignificant space: the same manifest gives the same bytes."""
        text = json.dumps(dataclasses.asdict(self), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return text.encode()

    @classmethod
    def from_json(cls, data: bytes) -> Manifest:
        """Read and check a manifest.

        Raises LaterVersion for a version or a required feature that is not known here, else ManifestError with every
        problem. Unknown keys are ignored: a minor addition must not break old readers.
        """
        try:
            value = json.loads(data, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            raise ManifestError([("manifest", f"not JSON: {error}")]) from error
        if not isinstance(value, dict) or value.get("format") != FORMAT:
            raise ManifestError([("format", f'expected "{FORMAT}"')])
        version = value.get("version")
        if type(version) is int and version > VERSION:
            raise LaterVersion([("version", f"the file is of version {version}, this reader knows {VERSION}")])
        requires = value.get("requires", [])
        if isinstance(requires, list):
            unknown = [str(name) for name in requires if name not in KNOWN_FEATURES]
            if unknown:
                raise LaterVersion([("requires", f"the file needs features unknown here: {', '.join(unknown)}")])
        problems: list[tuple[str, str]] = []
        manifest = _parse(cls, value, "", problems)
        if not problems:
            problems = list(_contradictions(manifest))
        if problems:
            raise ManifestError(problems)
        assert isinstance(manifest, cls)
        return manifest


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def level_sizes(base_size: tuple[int, int], tile: int) -> tuple[Level, ...]:
    """The levels of a base pyramid: each a quarter of the last, until one fits into a tile."""
    levels = [Level(base_size, 1)]
    while max(levels[-1].size) > tile:
        width, height = levels[-1].size
        levels.append(Level((-(-width // 4), -(-height // 4)), levels[-1].downsample * 4))
    return tuple(levels)


def _contradictions(m: Manifest) -> typing.Iterator[tuple[str, str]]:
    """What is well-formed, but cannot be true."""
    if m.version != VERSION:
        yield "version", f"expected {VERSION}, found {m.version}"
    for side in m.slide.size:
        if not 1 <= side <= MAX_SIDE:
            yield "slide.size", f"expected sides of 1 to {MAX_SIDE} px, found {m.slide.size[0]} x {m.slide.size[1]}"
            return
    if not 0.01 <= m.slide.mpp <= 100:
        yield "slide.mpp", f"expected 0.01 to 100 um/px, found {m.slide.mpp}"
    if not all(0 <= v <= 255 for v in m.slide.background):
        yield "slide.background", "expected three values of 0 to 255"
    if not m.slide.lossy_history:
        yield "slide.lossy_history", "the file's own step is missing"
    scale = m.base.scale
    if scale not in (2, 4):
        yield "base.scale", f"expected 2 or 4, found {scale}"
        return
    if m.base.codec not in TILE_CODECS:
        yield "base.codec", f"expected one of {', '.join(TILE_CODECS)}"
    if m.base.tile not in (128, 256, 512, 1024):
        yield "base.tile", f"expected 128, 256, 512 or 1024, found {m.base.tile}"
        return
    width, height = m.slide.size
    expected = level_sizes((-(-width // scale), -(-height // scale)), m.base.tile)
    if m.base.levels != expected:
        yield "base.levels", f"expected {len(expected)} levels from {expected[0].size}, found other sizes"
    generator, block = m.prediction.generator, m.prediction.block
    if generator.scale != scale:
        yield "prediction.generator.scale", f"expected the base's {scale}, found {generator.scale}"
    if not 0 <= generator.halo <= 64:
        yield "prediction.generator.halo", f"expected 0 to 64, found {generator.halo}"
    if block not in (64, 128, 256):
        yield "prediction.block", f"expected 64, 128 or 256, found {block}"
        return
    blocks = tuple(-(-side // block) for side in expected[0].size)
    if m.layers.tissue_map and m.layers.tissue_map.size != blocks:
        yield "layers.tissue_map.size", f"expected a pixel a block, {blocks[0]} x {blocks[1]}"
    if not _is_hex(m.checksums_sha256):
        yield "checksums_sha256", "expected 64 hexadecimal digits"
    kind, _, rest = generator.digest.partition(":")
    if not (kind == "builtin" and rest) and not (kind == "sha256" and _is_hex(rest)):
        yield "prediction.generator.digest", "expected sha256: and 64 hexadecimal digits, or builtin: and a name"
    if generator.embedded and kind != "sha256":
        yield "prediction.generator.embedded", "a built-in generator has no package to embed"
    if len(set(m.associated)) != len(m.associated) or len(m.associated) > 16:
        yield "associated", "expected at most 16 different names"
    if m.associated and m.associated[0] != "thumbnail":
        yield "associated", 'the first associated image must be "thumbnail"'


def _is_hex(text: str) -> bool:
    return len(text) == 64 and set(text) <= set("0123456789abcdef")


def _parse(hint: Any, value: Any, place: str, problems: list[tuple[str, str]]) -> Any:
    """`value` as the type `hint`; on a mismatch, note the problem and return None."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if dataclasses.is_dataclass(hint):
        return _parse_dataclass(hint, value, place, problems)
    if origin in (types.UnionType, typing.Union):
        if value is None and type(None) in arguments:
            return None
        return _parse(arguments[0], value, place, problems)
    if origin is Literal:
        if value in arguments and isinstance(value, str):
            return value
        problems.append((place, f"expected one of {', '.join(map(str, arguments))}"))
        return None
    if origin is tuple and isinstance(value, list):
        if arguments[-1] is Ellipsis:
            return tuple(_parse(arguments[0], v, f"{place}[{i}]", problems) for i, v in enumerate(value))
        if len(value) == len(arguments):
            pairs = zip(arguments, value, strict=True)
            return tuple(_parse(a, v, f"{place}[{i}]", problems) for i, (a, v) in enumerate(pairs))
    elif origin is dict and isinstance(value, dict):
        return {key: _parse(arguments[1], v, f"{place}.{key}", problems) for key, v in value.items()}
    elif hint is float and type(value) in (int, float) and abs(value) < 1e300 and math.isfinite(value):
        return float(value)
    elif hint in (int, str, bool) and type(value) is hint:
        return value
    problems.append((place, f"expected {_name(hint)}, found {json.dumps(value)[:60]}"))
    return None


def _parse_dataclass(hint: Any, value: Any, place: str, problems: list[tuple[str, str]]) -> Any:
    if not isinstance(value, dict):
        problems.append((place or "manifest", "expected an object"))
        return None
    found = len(problems)
    hints = typing.get_type_hints(hint)
    values: dict[str, Any] = {}
    for item in dataclasses.fields(hint):
        inner = f"{place}.{item.name}" if place else item.name
        if item.name in value:
            values[item.name] = _parse(hints[item.name], value[item.name], inner, problems)
        elif item.default is dataclasses.MISSING:
            problems.append((inner, "missing"))
    return hint(**values) if len(problems) == found else None


def _name(hint: Any) -> str:
    names = {int: "a whole number", float: "a finite number", str: "a string", bool: "true or false"}
    if hint in names:
        return names[hint]
    return "an array" if typing.get_origin(hint) is tuple else "an object"
