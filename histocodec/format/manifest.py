"""The manifest: what a histocodec file says about itself, as frozen values; to JSON and back.

`formats/container/v1/spec.md` is normative. Reading reports every problem, not the first.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from ..errors import HistocodecError
from ..version import __version__
from .entries import (
    NAME,
    BaseEntry,
    EnhancementLayer,
    ErrorSummary,
    Layer,
    Layers,
    PredictionEntry,
    QualityEntry,
    QualityMapLayer,
    SlideEntry,
    Summary,
    level_sizes,
)
from .strict_json import MAX_WHOLE, load_json, parsed
from .tags import MAX_ASSOCIATED, MAX_COLOUR, MAX_HALO, MAX_SIDE, MAX_SUBIFDS

FORMAT = "histocodec"
SOFTWARE = f"histocodec {__version__}"
VERSION = 1

KNOWN_FEATURES: frozenset[str] = frozenset()
"""What a file may list under `requires` and this version understands: nothing so far."""

_LEFT_OUT = (
    "subifd",
    "damaged",
    "colour",
    "downsampling",
    "psnr_half_width_db",
    "colour_error",
    "consistency_db",
    "worst_block",
    "square",
    "min_psnr_db",
    "roi_psnr_db",
    "lowest_db",
    "tissue_psnr_db",
    "rest_loss_db",
    "regions_origin",
)
"""Keys that are not written if they are null."""

_BUILTIN = {"builtin:bicubic-x2": ("bicubic-x2", 2, 2), "builtin:bicubic-x4": ("bicubic-x4", 4, 2)}
"""Digest -> name, scale and halo of the generators that the format defines."""


class ManifestError(HistocodecError):
    """A manifest that breaks the specification; `problems` lists every (place, sentence)."""

    def __init__(self, problems: list[tuple[str, str]]) -> None:
        self.problems = problems
        super().__init__("; ".join(f"{place}: {sentence}" for place, sentence in problems))


class LaterVersion(ManifestError):
    """A manifest of a later version of the format, or one that requires a feature that this version lacks."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """All of it."""

    software: str
    tier: Literal["reconstructed", "bounded"]
    slide: SlideEntry
    base: BaseEntry
    prediction: PredictionEntry
    layers: Layers
    associated: tuple[str, ...]
    """Names of the associated images in the order of their directories."""
    checksums_sha256: str
    """Hexadecimal SHA-256 of the checksum table (tag 65303)."""
    quality: QualityEntry | None = None
    requires: tuple[str, ...] = ()
    """Features without which the file must not be decoded."""
    format: str = field(default=FORMAT)
    version: int = field(default=VERSION)

    @property
    def base_mpp(self) -> float:
        """Micrometres per base pixel."""
        return self.slide.mpp * self.base.scale

    @property
    def checked_layers(self) -> dict[str, QualityMapLayer | EnhancementLayer]:
        """By name, the layers with a checksum table of their own."""
        found = {"quality_map": self.layers.quality_map, "enhancement": self.layers.enhancement}
        return {name: layer for name, layer in found.items() if layer is not None}

    def to_json(self) -> bytes:
        """UTF-8 JSON, keys sorted, no insignificant space: the same manifest gives the same bytes."""
        tables = dataclasses.asdict(self)
        for table in (tables["slide"], tables["base"], tables["quality"] or {}, tables["layers"]["enhancement"] or {}):
            for key in [key for key in _LEFT_OUT if table.get(key, 0) is None]:
                del table[key]
        text = json.dumps(tables, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return text.encode()

    @classmethod
    def from_json(cls, data: bytes) -> Manifest:
        """Read and check a manifest.

        Raises LaterVersion for a version or a required feature that is not known here, else ManifestError with every
        problem. Unknown keys are ignored: a minor addition must not break old readers.
        """
        try:
            value = load_json(data)
        except ValueError as error:
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
        manifest, problems = parsed(cls, value, "manifest")
        if manifest is None:
            raise ManifestError(problems)
        problems = [*_out_of_range(manifest)] or [*_contradictions(manifest)]
        if problems:
            raise ManifestError(problems)
        return manifest


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
    if base.subifd is not None:
        bounds.append(("base.subifd", base.subifd, 0, MAX_SUBIFDS - 1))
    for x, y, width, height in slide.damaged or ():
        bounds += [("slide.damaged", corner, 0, MAX_SIDE - 1) for corner in (x, y)]
        bounds += [("slide.damaged", side, 1, MAX_SIDE) for side in (width, height)]
    if base.colour is not None:
        bounds += [("base.colour", number, -MAX_COLOUR, MAX_COLOUR) for number in base.colour]
    for name in ("tissue_map", "quality_map", "enhancement"):
        layer: Layer | QualityMapLayer | EnhancementLayer | None = getattr(m.layers, name)
        if layer is not None:
            bounds.append((f"layers.{name}.subifd", layer.subifd, 0, MAX_SUBIFDS - 1))
            bounds += [(f"layers.{name}.size", side, 1, MAX_SIDE) for side in layer.size]
    enhancement = m.layers.enhancement
    if enhancement is not None:
        bounds.append(("layers.enhancement.tiles", enhancement.tiles, 0, MAX_WHOLE))
        bounds += [("layers.enhancement.colour", v, -MAX_COLOUR, MAX_COLOUR) for v in enhancement.colour or ()]
        stated: dict[str, float | None] = {
            "min_psnr_db": enhancement.min_psnr_db,
            "roi_psnr_db": enhancement.roi_psnr_db,
            "lowest_db": enhancement.lowest_db,
        }
        bounds += [(f"layers.enhancement.{key}", value, 0, 100) for key, value in stated.items() if value is not None]
        for key in ("psnr_db", "tissue_psnr_db", "rest_loss_db"):
            summary: Summary | ErrorSummary | None = getattr(enhancement, key)
            least = -100.0 if key == "rest_loss_db" else 0
            bounds += [
                (f"layers.enhancement.{key}", v, least, 100) for v in (dataclasses.astuple(summary) if summary else ())
            ]
        if enhancement.square is not None:
            bounds.append(("layers.enhancement.square", enhancement.square, 1, MAX_SIDE))
        bounds += [
            ("layers.enhancement.regions_origin", v, -MAX_SIDE, MAX_SIDE) for v in enhancement.regions_origin or ()
        ]
    if m.quality is not None:
        psnr, ssim = dataclasses.astuple(m.quality.psnr_db), dataclasses.astuple(m.quality.ssim)
        bounds += [("quality.psnr_db", value, 0, 100) for value in (*psnr, m.quality.bicubic_psnr_db)]
        bounds += [("quality.ssim", value, -1, 1) for value in ssim]
        bounds += [("quality.blocks", m.quality.blocks, 1, MAX_WHOLE)]
        bounds += [("quality.block_size", m.quality.block_size, 1, MAX_SIDE)]
        bounds += [("quality.psnr_half_width_db", m.quality.psnr_half_width_db or 0, 0, 100)]
        bounds += [("quality.worst_block", number, 0, MAX_SIDE) for number in m.quality.worst_block or ()]
        if m.quality.colour_error:
            errors = dataclasses.astuple(m.quality.colour_error)
            bounds += [("quality.colour_error", value, 0, 1000) for value in errors]
        if m.quality.consistency_db:
            agreement = dataclasses.astuple(m.quality.consistency_db)
            bounds += [("quality.consistency_db", value, 0, 100) for value in agreement]
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
    for place, digits in [
        ("checksums_sha256", m.checksums_sha256),
        *((f"layers.{name}.checksums_sha256", own.checksums_sha256) for name, own in m.checked_layers.items()),
    ]:
        if not _is_hex(digits):
            yield place, "expected 64 hexadecimal digits"
    if not _is_digest(generator.digest) and generator.digest not in _BUILTIN:
        yield "prediction.generator.digest", f"expected sha256: and 64 hexadecimal digits, or {' or '.join(_BUILTIN)}"
    if base.downsampling is not None and not _is_digest(base.downsampling.digest):
        yield "base.downsampling.digest", "expected sha256: and 64 hexadecimal digits"
    for place, name in [
        ("prediction.generator.name", generator.name),
        *(("associated", name) for name in m.associated),
        *([("base.downsampling.name", base.downsampling.name)] if base.downsampling else []),
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
    for place in m.slide.damaged or ():
        if place[0] + place[2] > width or place[1] + place[3] > height:
            yield "slide.damaged", f"expected a place within {width} x {height} px, found {place}"
    if len(base.colour or ()) != (12 if base.codec == "avif" else 0):
        yield "base.colour", f"expected twelve numbers for avif, else none, found {len(base.colour or ())}"
    if (base.subifd is not None) != (base.codec == "avif"):
        yield "base.subifd", "an avif base lies in a SubIFD, and no other"
    if generator.scale != base.scale:
        yield "prediction.generator.scale", f"expected the base's {base.scale}, found {generator.scale}"
    blocks = tuple(-(-side // m.prediction.block) for side in expected[0].size)
    for name, layer in (("tissue_map", m.layers.tissue_map), ("quality_map", m.layers.quality_map)):
        if layer and layer.size != blocks:
            yield f"layers.{name}.size", f"expected a pixel a block, {blocks[0]} x {blocks[1]}"
    if m.layers.enhancement and m.layers.enhancement.size != m.slide.size:
        yield "layers.enhancement.size", f"expected that of the slide, {width} x {height}"
    square, side = m.layers.enhancement.square if m.layers.enhancement else None, m.prediction.block * base.scale
    if square is not None and side % square:
        yield "layers.enhancement.square", f"expected squares that make up a block of {side} px, found {square}"
    layer_colour = m.layers.enhancement.colour if m.layers.enhancement else None
    if m.layers.enhancement and layer_colour is not None:
        codec = m.layers.enhancement.codec
        if len(layer_colour) != 24 or codec != "avif":
            yield "layers.enhancement.colour", f"expected 24 numbers and avif, found {len(layer_colour)} and {codec}"
    if (m.tier == "bounded") != (m.layers.enhancement is not None):
        yield "tier", '"bounded" goes with an enhancement layer, and only with it'
    subifds = [layer.subifd for layer in m.layers.present] + ([] if base.subifd is None else [base.subifd])
    if len(set(subifds)) != len(subifds):
        yield "layers", "two of base and layers in one SubIFD"
    worst = m.quality.worst_block if m.quality else None
    if worst and not (worst[0] < blocks[0] and worst[1] < blocks[1]):
        yield "quality.worst_block", f"expected one of {blocks[0]} x {blocks[1]} blocks, found {worst}"
    builtin = _BUILTIN.get(generator.digest)
    if builtin and (generator.name, generator.scale, generator.halo) != builtin:
        yield "prediction.generator", "expected {}, scale {}, halo {} for {}".format(*builtin, generator.digest)
    if builtin and generator.embedded:
        yield "prediction.generator.embedded", "a built-in generator has no package to embed"


def _is_digest(text: str) -> bool:
    kind, _, digits = text.partition(":")
    return kind == "sha256" and _is_hex(digits)


def _is_hex(text: str) -> bool:
    return len(text) == 64 and set(text) <= set("0123456789abcdef")
