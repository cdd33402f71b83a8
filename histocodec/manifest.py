"""The manifest: what a histocodec file says about itself, as frozen values; to JSON and back.

`formats/container/v1/spec.md` is normative. Reading reports every problem, not the first.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import re
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from .codecs import TileCodec
from .errors import HistocodecError
from .version import __version__

FORMAT = "histocodec"
SOFTWARE = f"histocodec {__version__}"
VERSION = 1
MAX_SIDE = 1 << 22
"""Pixels a side that a slide may have: four times what any scanner makes, and small enough for every sum in int64."""
MAX_JSON_BYTES = 16 << 20
MAX_HALO = 64
MAX_COLOUR = 1 << 26
MAX_SUBIFDS = 16
MAX_ITEMS = 1000
"""Of an array."""
MAX_ASSOCIATED = 16
MAX_WHOLE = 1 << 53
"""Beyond it a reader that holds numbers as float64 would see another number."""
MAX_PROBLEMS = 100
"""A manifest that is wrong in more places is not searched further."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+ -]{0,63}")
"""Names of generators and associated images: they stand in labels, where other readers look for `|` and line ends."""

COLOUR = "colour"
"""The feature of a base whose colours have to be transformed back."""

KNOWN_FEATURES: frozenset[str] = frozenset({COLOUR})
"""What a file may list under `requires` and this version understands."""

_BUILTIN = {"builtin:bicubic-x2": ("bicubic-x2", 2, 2), "builtin:bicubic-x4": ("bicubic-x4", 4, 2)}
"""Digest -> name, scale and halo of the generators that the format defines."""
_HALF_OF_A_PAIR = re.compile("[\ud800-\udfff]")


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
    colour: tuple[int, ...] | None = None
    """The numbers of `colour.ColourTransform`; None if tiles are coded in RGB."""


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
    """Pixels."""


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
    """`sample`: blocks of tissue drawn at random; `all`: all of them that lie within the slide entirely."""
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
    """Hexadecimal SHA-256 of the checksum table (tag 65303)."""
    quality: QualityFacts | None = None
    requires: tuple[str, ...] = ()
    """Features without which the file must not be decoded."""
    format: str = field(default=FORMAT)
    version: int = field(default=VERSION)

    @property
    def base_mpp(self) -> float:
        """Micrometres per base pixel."""
        return self.slide.mpp * self.base.scale

    @property
    def ignored_layers(self) -> tuple[str, ...]:
        """Names of the layers that the file has and this version leaves alone: what it decodes is without them."""
        reserved = {"quality_map": self.layers.quality_map, "enhancement": self.layers.enhancement}
        return tuple(name for name, layer in reserved.items() if layer is not None)

    def to_json(self) -> bytes:
        """UTF-8 JSON, keys sorted, no insignificant space: the same manifest gives the same bytes."""
        tables = dataclasses.asdict(self)
        if self.base.colour is None:
            del tables["base"]["colour"]
        text = json.dumps(tables, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return text.encode()

    @classmethod
    def from_json(cls, data: bytes) -> Manifest:
        """Read and check a manifest.

        Raises LaterVersion for a version or a required feature that is not known here, else ManifestError with every
        problem. Unknown keys are ignored: a minor addition must not break old readers.
        """
        try:
            value = json.loads(data.decode(), parse_constant=_refuse_constant, object_pairs_hook=_unique_keys)
        except (ValueError, RecursionError) as error:
            raise ManifestError([("manifest", f"not JSON: {error}")]) from error
        if not isinstance(value, dict) or value.get("format") != FORMAT:
            raise ManifestError([("format", f'expected "{FORMAT}"')])
        version = value.get("version")
        if type(version) is not int or version < VERSION:
            raise ManifestError([("version", f"expected a whole number of at least {VERSION}")])
        if version > VERSION:
            raise LaterVersion([("version", f"the file is of version {version}, this reader knows {VERSION}")])
        requires = value.get("requires", [])
        if isinstance(requires, list):
            unknown = [name for name in requires if isinstance(name, str) and name not in KNOWN_FEATURES]
            if unknown:
                listed = ", ".join(ascii(name[:40]) for name in unknown[:10])
                raise LaterVersion([("requires", f"the file needs features unknown here: {listed}")])
        problems: list[tuple[str, str]] = []
        manifest = _parse(cls, value, "", problems)
        if not problems:
            problems = [*_out_of_range(manifest)] or [*_contradictions(manifest)]
        if problems:
            raise ManifestError(problems)
        assert isinstance(manifest, cls)
        return manifest


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Two readers could take different ones of two equal keys."""
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key appears twice in an object")
    return value


def level_sizes(base_size: tuple[int, int], tile: int) -> tuple[Level, ...]:
    """The levels of a base pyramid: each a quarter of the last, until one fits into a tile."""
    levels = [Level(base_size, 1)]
    while max(levels[-1].size) > tile:
        width, height = levels[-1].size
        levels.append(Level((-(-width // 4), -(-height // 4)), levels[-1].downsample * 4))
    return tuple(levels)


def _out_of_range(m: Manifest) -> Iterator[tuple[str, str]]:
    """Values that no reader has to cope with, each looked at alone; `manifest.schema.json` states the same ranges."""
    slide, base, generator = m.slide, m.base, m.prediction.generator
    bounds: list[tuple[str, float, float, float]] = [
        *(("slide.size", side, 1, MAX_SIDE) for side in slide.size),
        ("slide.mpp", slide.mpp, 0.01, 100),
        *(("slide.background", value, 0, 255) for value in slide.background),
        ("slide.source_bytes", slide.source_bytes, 0, MAX_WHOLE),
        *(("slide.lossy_history.ratio", step.ratio or 0, 0, math.inf) for step in slide.lossy_history),
        ("base.quality", base.quality, 0, 100),
        ("prediction.generator.halo", generator.halo, 0, MAX_HALO),
    ]
    if base.colour is not None:
        bounds += [("base.colour", number, -MAX_COLOUR, MAX_COLOUR) for number in base.colour]
    for name in ("tissue_map", "quality_map", "enhancement"):
        layer: Layer | None = getattr(m.layers, name)
        if layer is not None:
            bounds.append((f"layers.{name}.subifd", layer.subifd, 0, MAX_SUBIFDS - 1))
            bounds += [(f"layers.{name}.size", side, 1, MAX_SIDE) for side in layer.size]
    if m.quality is not None:
        psnr, ssim = dataclasses.astuple(m.quality.psnr_db), dataclasses.astuple(m.quality.ssim)
        bounds += [("quality.psnr_db", value, 0, 100) for value in (*psnr, m.quality.bicubic_psnr_db)]
        bounds += [("quality.ssim", value, -1, 1) for value in ssim]
        bounds += [("quality.blocks", m.quality.blocks, 1, MAX_WHOLE)]
        bounds += [("quality.block_size", m.quality.block_size, 1, MAX_SIDE)]
    for place, value, low, high in bounds:
        if not low <= value <= high:
            yield place, f"expected {low:.12g} to {high:.12g}, found {value:.12g}"
    if slide.objective_power is not None and slide.objective_power <= 0:
        yield "slide.objective_power", "expected a number above 0"
    if not slide.lossy_history:
        yield "slide.lossy_history", "the file's own step is missing"
    choices: list[tuple[str, int, tuple[int, ...]]] = [
        ("base.scale", base.scale, (2, 4)),
        ("base.tile", base.tile, (128, 256, 512, 1024)),
        ("prediction.generator.scale", generator.scale, (2, 4)),
        ("prediction.block", m.prediction.block, (64, 128, 256)),
    ]
    for place, found, allowed in choices:
        if found not in allowed:
            yield place, f"expected one of {', '.join(map(str, allowed))}, found {found:.12g}"
    if not _is_hex(m.checksums_sha256):
        yield "checksums_sha256", "expected 64 hexadecimal digits"
    kind, _, rest = generator.digest.partition(":")
    if not (kind == "sha256" and _is_hex(rest)) and generator.digest not in _BUILTIN:
        yield "prediction.generator.digest", f"expected sha256: and 64 hexadecimal digits, or {' or '.join(_BUILTIN)}"
    for place, name in [
        ("prediction.generator.name", generator.name),
        *(("associated", name) for name in m.associated),
    ]:
        if not NAME.fullmatch(name):
            yield place, f"expected 1 to 64 letters, digits and ._+- found {name[:80]!a}"
    if len(set(m.associated)) != len(m.associated) or len(m.associated) > MAX_ASSOCIATED:
        yield "associated", f"expected at most {MAX_ASSOCIATED} different names"
    if m.associated and m.associated[0] != "thumbnail":
        yield "associated", 'the first associated image must be "thumbnail"'


def _contradictions(m: Manifest) -> Iterator[tuple[str, str]]:
    """Values that are in range, but cannot be true together."""
    base, generator = m.base, m.prediction.generator
    width, height = m.slide.size
    expected = level_sizes((-(-width // base.scale), -(-height // base.scale)), base.tile)
    if base.levels != expected:
        yield "base.levels", f"expected {len(expected)} levels from {expected[0].size}, found other sizes"
    if base.colour is not None and (len(base.colour) != 12 or base.codec != "avif"):
        yield "base.colour", f"expected twelve numbers and avif, found {len(base.colour)} and {base.codec}"
    if (base.colour is not None) != (COLOUR in m.requires):
        yield "requires", f'"{COLOUR}" goes with base.colour, and only with it'
    if generator.scale != base.scale:
        yield "prediction.generator.scale", f"expected the base's {base.scale}, found {generator.scale}"
    blocks = tuple(-(-side // m.prediction.block) for side in expected[0].size)
    if m.layers.tissue_map and m.layers.tissue_map.size != blocks:
        yield "layers.tissue_map.size", f"expected a pixel a block, {blocks[0]} x {blocks[1]}"
    builtin = _BUILTIN.get(generator.digest)
    if builtin and (generator.name, generator.scale, generator.halo) != builtin:
        yield "prediction.generator", "expected {}, scale {}, halo {} for {}".format(*builtin, generator.digest)
    if builtin and generator.embedded:
        yield "prediction.generator.embedded", "a built-in generator has no package to embed"


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
        return _note(problems, place, f"expected one of {', '.join(map(str, arguments))}")
    if origin is tuple and isinstance(value, list):
        if arguments[-1] is Ellipsis:
            if len(value) > MAX_ITEMS:
                return _note(problems, place, f"expected at most {MAX_ITEMS} items, found {len(value)}")
            return tuple(_parse(arguments[0], v, f"{place}[{i}]", problems) for i, v in enumerate(value))
        if len(value) == len(arguments):
            pairs = zip(arguments, value, strict=True)
            return tuple(_parse(a, v, f"{place}[{i}]", problems) for i, (a, v) in enumerate(pairs))
    elif origin is dict and isinstance(value, dict):
        for key, text in value.items():
            if _HALF_OF_A_PAIR.search(key) or not isinstance(text, str) or _HALF_OF_A_PAIR.search(text):
                _note(problems, f"{place}.{key[:40]!a}", "expected two strings, without half a surrogate pair")
        return value
    elif hint is float and type(value) in (int, float) and abs(value) < 1e300 and math.isfinite(value):
        return float(value)
    elif (hint is int and type(value) is int and abs(value) <= MAX_WHOLE) or (hint is bool and type(value) is bool):
        return value
    elif hint is str and isinstance(value, str):
        if _HALF_OF_A_PAIR.search(value):
            return _note(problems, place, "half of a surrogate pair is not text")
        return value
    return _note(problems, place, f"expected {_name(hint)}, found {type(value).__name__} {ascii(value)[:60]}")


def _note(problems: list[tuple[str, str]], place: str, sentence: str) -> None:
    problems.append((place, sentence))
    if len(problems) == MAX_PROBLEMS:
        raise ManifestError(problems)


def _parse_dataclass(hint: Any, value: Any, place: str, problems: list[tuple[str, str]]) -> Any:
    if not isinstance(value, dict):
        return _note(problems, place or "manifest", "expected an object")
    found = len(problems)
    hints = _type_hints(hint)
    values: dict[str, Any] = {}
    for item in dataclasses.fields(hint):
        inner = f"{place}.{item.name}" if place else item.name
        if item.name in value:
            values[item.name] = _parse(hints[item.name], value[item.name], inner, problems)
        elif item.default is dataclasses.MISSING:
            _note(problems, inner, "missing")
    return hint(**values) if len(problems) == found else None


_type_hints = functools.cache(typing.get_type_hints)


def _name(hint: Any) -> str:
    names = {int: "a whole number of at most 2^53", float: "a finite number", str: "a string", bool: "true or false"}
    if hint in names:
        return names[hint]
    return "an array" if typing.get_origin(hint) is tuple else "an object"
