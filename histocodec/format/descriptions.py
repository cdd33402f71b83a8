"""Texts by which files and pictures say what they are: one place, so that no output forgets it."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from ..geometry import Region
from .entries import EnhancementLayer, LossyStep
from .manifest import Manifest
from .origin import BOUNDS

NOTICE = "not for primary diagnosis"
RECONSTRUCTION = "reconstruction"
"""Method of a step of a lossy history, where the source was itself decoded from a histocodec file."""

OTHER_BASE = "from a base whose pixels are not those that its encoder measured, since a codec library rounds otherwise"
"""The clause of what was decoded where `Container.base_differs`."""

ORIGINAL = "the pixels of the source as it stored them"
"""The clause of pixels that are no reconstruction."""

_PREFIX = "Aperio-compatible histocodec"
_IN_APERIOS_ORDER = "Aperio compatible histocodec"
"""Prefix of files in Aperio's order: at the space tifffile and tiffslide take the second directory for the thumbnail,
and all tiled ones for levels."""
_STATEMENT = "histocodec decoded: "
"""Beginning of a statement, by which it is found in what other formats hold around it."""
_LONGEST_HISTORY = 4000
"""Characters of a lossy history that are repeated."""
_DESCRIBED = ("tiff.ImageDescription", "ImageDescription", "dicom.DerivationDescription")
"""Properties of a source that may hold what `decode` wrote of itself."""
_RECONSTRUCTED = "reconstructed by"
_NAMED = re.compile(rf"{_RECONSTRUCTED} ([A-Za-z0-9][A-Za-z0-9._+-]{{0,63}}) (?:sha256|builtin):")
_DIGESTED = re.compile(rf"{_RECONSTRUCTED} .{{1,64}}? (sha256:[0-9a-f]{{64}}|builtin:bicubic-x[24])(?![\w-])")


@dataclass(frozen=True, slots=True)
class Rendition:
    """Pixels that are decoded from a file, and what they say of themselves."""

    manifest: Manifest
    bicubic: bool = False
    """True if bicubic stands in for the file's generator."""
    enhanced: bool = True
    """True if the enhancement layer is applied, if the file has one."""
    other_base: bool = False
    """True if the base has other pixels than it had at the encoder."""
    original: bool = False
    """True if full pixels are those of the source, and nothing is reconstructed."""

    @property
    def label(self) -> str:
        """`reconstructed by NAME DIGEST`, by the generator in use, and from which base if it is not the encoder's.

        Of an original that it is one.
        """
        if self.original:
            return f"original: {ORIGINAL}"
        generator = self.manifest.prediction.generator
        name, digest = generator.name, generator.digest
        if self.bicubic:
            name, digest = f"bicubic-x{generator.scale}", f"builtin:bicubic-x{generator.scale}"
        return ", ".join([generator_label(name, digest), *([OTHER_BASE] if self.other_base else [])])

    @property
    def enhancement_labels(self) -> list[str]:
        """One clause on the enhancement layer, applied or not, and its promises; none for a file without a layer."""
        layer = self.manifest.layers.enhancement
        if layer is None or self.original:
            return []
        if not self.enhanced:
            return ["without the file's enhancement layer"]
        return [", ".join(["corrected by the file's enhancement layer", *floors_label(layer)])]

    @property
    def quality_label(self) -> str:
        """The measured quality in one clause."""
        if self.original:
            return "that of the source"
        quality, layer = self.manifest.quality, self.manifest.layers.enhancement
        if layer is not None and self.enhanced and not self.bicubic and layer.psnr_db is not None:
            return _enhanced_quality(layer)
        if quality is None:
            return "quality not measured"
        measured = f"measured on {'all ' if quality.complete else ''}{quality.blocks} tissue blocks"
        if self.bicubic:
            return f"{measured}: mean PSNR {quality.bicubic_psnr_db:.2f} dB"
        return (
            f"{measured}: mean PSNR {quality.psnr_db.mean:.2f} dB, "
            f"{'worst' if quality.complete else 'lowest of these'} "
            f"{quality.psnr_db.worst:.2f} dB, mean SSIM {quality.ssim.mean:.3f}"
        )

    @property
    def history(self) -> str:
        """The lossy history of full pixels: an original's lacks the file's own step."""
        return history_label(self.manifest, own_step=not self.original)

    def description(
        self,
        downsample: int,
        region: str,
        *,
        written_as: str,
        bounds: Region | None = None,
        has_thumbnail: bool = False,
    ) -> str:
        """Return the ImageDescription of a decoded level.

        downsample: full pixels per pixel. region: the part of the slide, in words. written_as: how the output is
        compressed, which adds to the history if it is lossy. bounds: the slide's scanned part, in pixels of the output.
        has_thumbnail: True if the second directory is a thumbnail.
        """
        manifest = self.manifest
        text = self._text(downsample, region, written_as)
        prefix = _IN_APERIOS_ORDER if has_thumbnail else _PREFIX
        scanned = () if bounds is None else (bounds.x, bounds.y, bounds.width, bounds.height)
        kept = "".join(f"|openslide.{name} = {value}" for name, value in zip(BOUNDS, scanned, strict=False))
        return f"{prefix} {manifest.version}\r\n{text}{_aperio_keys(manifest, downsample)}{kept}"

    def statement(self, downsample: int, region: str, *, written_as: str) -> str:
        """Return what a decoded level says of itself in formats that have a place of their own for everything else.

        downsample, region, written_as: as `description` takes them.
        """
        return _STATEMENT + self._text(downsample, region, written_as)

    def _text(self, downsample: int, region: str, written_as: str) -> str:
        manifest = self.manifest
        history = history_label(manifest)
        if downsample < manifest.base.scale:
            history = self.history
            what = [self.label, *self.enhancement_labels, self.quality_label]
        else:
            made = manifest.base.downsampling
            what = [f"the stored base, {f'made from the slide by {made.name}' if made else 'averaged from the slide'}"]
            if self.other_base and downsample == manifest.base.scale:
                what.append(OTHER_BASE)
        return "; ".join([*what, f"{history}, then written as {written_as}", NOTICE, region])


def generator_label(name: str, digest: str) -> str:
    """Return `reconstructed by NAME DIGEST`, which everything above the base's resolution carries."""
    return f"{_RECONSTRUCTED} {name} {digest}"


def _enhanced_quality(layer: EnhancementLayer) -> str:
    stated = {"tissue": layer.tissue_psnr_db, "tissue and glass": layer.psnr_db}
    parts = [
        f"on all blocks of {name}: mean PSNR {found.mean:.2f} dB, worst {found.worst:.2f} dB"
        for name, found in stated.items()
        if found is not None
    ]
    if layer.lowest_db is not None:
        parts.append(f"worst square of {layer.square} px {layer.lowest_db:.2f} dB")
    return f"measured {', '.join(parts)}"


def floors_label(layer: EnhancementLayer) -> list[str]:
    """Return what an enhancement layer promises, and on what, a clause for each floor."""
    unit = "block" if layer.square is None else f"square of {layer.square} px"
    return [
        f"no {unit}{of} below {floor_db:g} dB as decoded"
        for of, floor_db in (
            ("", layer.min_psnr_db),
            (" in a block that a region of interest touches", layer.roi_psnr_db),
        )
        if floor_db is not None
    ]


def history_label(manifest: Manifest, *, own_step: bool = True) -> str:
    """Return the lossy history, oldest first. A file may say anything there: it is made harmless, and kept short.

    own_step: False leaves out the step that made the file.
    """
    steps = manifest.slide.lossy_history if own_step else manifest.slide.lossy_history[:-1]
    return "lossy history: " + (_harmless("; ".join(map(_step, steps)))[:_LONGEST_HISTORY] or "none that is known")


def _step(step: LossyStep) -> str:
    derivation = _origin(step.derivation) if step.method == RECONSTRUCTION else step.derivation
    return f"{step.method} {step.ratio:.1f}:1 ({derivation})" if step.ratio else f"{step.method} ({derivation})"


def stated_reconstruction(description: str, *, known: Collection[str] | None = None) -> str | None:
    """Return which generator made an image that `decode` wrote, as its description says; None for any other image.

    Only a generator's name and digest are repeated: others may have added to the rest. known: the names that may be
    repeated; None: any that is one word.
    """
    if description.startswith((_PREFIX, _IN_APERIOS_ORDER)):
        text = description.partition("\n")[2].partition("|")[0]
    else:  # within the XML of an OME-TIFF, or as it is
        text = description.partition(_STATEMENT)[2].partition("<")[0]
    return _origin(text, known) if _RECONSTRUCTED in text else None


def reconstruction_in(properties: Mapping[str, str], *, known: Collection[str] | None = None) -> str | None:
    """Return what a source's properties state of an earlier reconstruction; None if they state none.

    known: as `stated_reconstruction` takes it.
    """
    described = (properties.get(key, "") for key in _DESCRIBED)
    return next(filter(None, (stated_reconstruction(text, known=known) for text in described)), None)


def _origin(text: str, known: Collection[str] | None = None) -> str:
    """Return `generator_label` as far as a text begins with one; a generator that is not named has none."""
    stated = [match for match in (_NAMED.match(text), _DIGESTED.match(text)) if match]
    words = [match[1] for match in stated if match.re is _DIGESTED or known is None or match[1] in known]
    return " ".join([_RECONSTRUCTED, *words]) if words else f"{_RECONSTRUCTED} a generator that is not named"


def _harmless(text: str) -> str:
    """Return printable ASCII, which TIFF demands, without the mark that separates fields."""
    return "".join(c if " " <= c <= "~" and c != "|" else "?" for c in text)


def stored_description(manifest: Manifest, level: int) -> str:
    """Return the ImageDescription of a stored level: what it is, then what OpenSlide and QuPath read from it.

    The word `Aperio` and the form `text|key = value|...` make those readers accept JPEG 2000 tiles.
    """
    slide, base = manifest.slide, manifest.base
    width, height = base.levels[level].size
    downsample = base.scale * base.levels[level].downsample
    text = (
        f"{width}x{height}, 1/{downsample} of a slide of {slide.size[0]}x{slide.size[1]}; "
        f"finer levels are {Rendition(manifest).label}; {NOTICE}"
    )
    return f"{_PREFIX} {manifest.version}\r\n{text}{_aperio_keys(manifest, downsample)}"


def is_stored_description(description: str) -> bool:
    """Return True if a TIFF's ImageDescription is that of the base in a container."""
    return description.startswith(_PREFIX) and "; finer levels are " in description


def enhancement_description(manifest: Manifest) -> str:
    """Return the ImageDescription of the enhancement layer."""
    return f"histocodec enhancement layer: corrects what is {Rendition(manifest).label}; {NOTICE}"


def original_description(manifest: Manifest) -> str:
    """Return the ImageDescription of the original."""
    width, height = manifest.slide.size
    return f"histocodec original: {width}x{height}, {ORIGINAL}"


def associated_description(manifest: Manifest, name: str, width: int, height: int) -> str:
    """Return the ImageDescription of an associated image: readers of Aperio files find its name in the second line."""
    return f"{_PREFIX} {manifest.version}\r\n{name} {width}x{height}"


def described_numbers(manifest: Manifest, level: int) -> dict[str, float]:
    """Return what the ImageDescription of a stored level states as `key = value`."""
    return _aperio_numbers(manifest, manifest.base.scale * manifest.base.levels[level].downsample)


def _aperio_numbers(manifest: Manifest, downsample: int) -> dict[str, float]:
    power = manifest.slide.objective_power or 10.0 / manifest.slide.mpp
    return {"AppMag": power / downsample, "MPP": manifest.slide.mpp * downsample}


def _aperio_keys(manifest: Manifest, downsample: int) -> str:
    return "".join(f"|{key} = {value:.6g}" for key, value in _aperio_numbers(manifest, downsample).items())
