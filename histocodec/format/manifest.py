"""The manifest: what a histocodec file says about itself, as frozen values; to JSON and back.

`formats/container/v1/spec.md` is normative. Reading reports every problem, not the first.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ..errors import HistocodecError
from .entries import (
    BaseEntry,
    Layers,
    Name,
    PredictionEntry,
    QualityEntry,
    Sha256,
    SlideEntry,
    SourceEntry,
    Tier,
)
from .manifest_rules import (
    associated_problems,
    base_problems,
    layer_problems,
    original_problems,
    prediction_problems,
    quality_problems,
    slide_problems,
    source_problems,
)
from .strict_json import JsonError, load_json, parsed
from .subifds import SubIfds
from .tags import MAX_JSON_BYTES

FORMAT = "histocodec"
VERSION = 1

KNOWN_FEATURES: frozenset[str] = frozenset()
"""Features that a file may list under `requires` and that this version understands: none so far."""

_LEFT_OUT = (
    "subifd",
    "damaged",
    "colour",
    "downsampling",
    "generation",
    "licence",
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
    "original",
    "tiles",
    "source",
    "name",
    "modified",
)
"""Keys that are not written if they are null."""


class ManifestError(HistocodecError):
    """A manifest that breaks the specification; `problems` lists every (place, sentence)."""

    def __init__(self, problems: list[tuple[str, str]]) -> None:
        self.problems = problems
        super().__init__("; ".join(f"{place}: {sentence}" for place, sentence in problems))


class LaterVersion(ManifestError):
    """A manifest of a later version of the format, or one that requires a feature that this version lacks."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """The manifest of one container: every statement that the file makes about itself."""

    software: str
    """Name and version of the program that wrote the file."""
    tier: Tier
    """`original` if the file has the original, else `bounded` if it has an enhancement layer."""
    slide: SlideEntry
    base: BaseEntry
    prediction: PredictionEntry
    layers: Layers
    associated: tuple[Name, ...]
    """Names of the associated images in the order of their directories."""
    checksums_sha256: Sha256
    """Hexadecimal SHA-256 of the checksum table (tag 65303)."""
    quality: QualityEntry | None = None
    """Measured fidelity of the prediction; None if nothing was measured."""
    source: SourceEntry | None = None
    """The tie to the source's files; None in a file that was not made of any."""
    requires: tuple[str, ...] = ()
    """Features without which the file must not be decoded."""
    format: str = field(default=FORMAT)
    version: int = field(default=VERSION)

    @property
    def base_mpp(self) -> float:
        """Micrometres per base pixel."""
        return self.slide.mpp * self.base.scale

    @property
    def subifds(self) -> SubIfds:
        """Positions of base and layers among the SubIFDs."""
        named = self.layers
        layers = (named.tissue_map, named.quality_map, named.enhancement, named.original)
        return SubIfds(self.base.subifd, *(None if layer is None else layer.subifd for layer in layers))

    def to_json(self) -> bytes:
        """Return UTF-8 JSON, keys sorted, no insignificant space: the same manifest gives the same bytes."""
        tables = dataclasses.asdict(self)
        layers, generator = tables["layers"], tables["prediction"]["generator"]
        files = (tables["source"] or {"files": ()})["files"]
        for table in (
            tables,
            *(tables["slide"], tables["base"], generator, tables["quality"] or {}),
            *(layers, layers["enhancement"] or {}, layers["original"] or {}, *files),
        ):
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
            value = load_json(data, MAX_JSON_BYTES)
        except JsonError as error:
            raise ManifestError([("manifest", str(error))]) from error
        _check_version(value)
        manifest, problems = parsed(cls, value, "manifest")
        if manifest is None:
            raise ManifestError(problems)
        if contradictions := manifest.contradictions():
            raise ManifestError(contradictions)
        return manifest

    def contradictions(self) -> list[tuple[str, str]]:
        """Return (place, sentence) for everything that cannot be true together, each field in its range."""
        slide, base, prediction = self.slide, self.base, self.prediction
        return [
            *slide_problems(slide),
            *source_problems(slide, self.source),
            *base_problems(slide, base),
            *prediction_problems(base, prediction),
            *layer_problems(self.tier, slide, base, prediction, self.layers),
            *original_problems(self.source, self.layers),
            *quality_problems(slide, base, prediction, self.quality),
            *associated_problems(self.associated),
        ]


def unknown_keys(stored: Any, known: Any, place: str = "") -> Iterator[str]:
    """Yield the keys of JSON as it is stored that its reader passed over, each with the place that it stands in.

    known: the same as its reader would write it. A key without a value says nothing, whoever knows it.
    """
    if isinstance(stored, dict) and isinstance(known, dict):
        for key, value in stored.items():
            if key in known:
                yield from unknown_keys(value, known[key], f"{place}{key}.")
            elif value is not None:
                yield place + key
    elif isinstance(stored, list) and isinstance(known, list):
        for index, (value, other) in enumerate(zip(stored, known, strict=False)):
            yield from unknown_keys(value, other, f"{place}{index}.")


def _check_version(value: Any) -> None:
    """Raise ManifestError or LaterVersion if no later field may be believed."""
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
