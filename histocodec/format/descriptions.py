"""What files and pictures say of themselves in words: one place, so that no output forgets it."""

from __future__ import annotations

import re
from collections.abc import Collection

from ..geometry import Region
from .entries import EnhancementLayer, LossyStep
from .manifest import Manifest
from .origin import BOUNDS

NOTICE = "not for primary diagnosis"
RECONSTRUCTION = "reconstruction"
"""As the method of a step of a lossy history: the source was itself decoded from a histocodec file."""

_PREFIX = "Aperio-compatible histocodec"
_IN_APERIOS_ORDER = "Aperio compatible histocodec"
"""With a space tifffile and tiffslide take the second directory for the thumbnail, and all tiled ones for levels."""
_LONGEST_HISTORY = 4000
_RECONSTRUCTED = "reconstructed by"
_NAMED = re.compile(rf"{_RECONSTRUCTED} ([A-Za-z0-9][A-Za-z0-9._+-]{{0,63}}) (?:sha256|builtin):")
_DIGESTED = re.compile(rf"{_RECONSTRUCTED} .{{1,64}}? (sha256:[0-9a-f]{{64}}|builtin:bicubic-x[24])(?![\w-])")


def generator_label(name: str, digest: str) -> str:
    """`reconstructed by NAME DIGEST`: what everything above the base's resolution carries."""
    return f"{_RECONSTRUCTED} {name} {digest}"


def reconstruction_label(manifest: Manifest, *, bicubic: bool = False) -> str:
    """`generator_label` of the generator that a file names. bicubic: of that, which stood in for it."""
    generator = manifest.prediction.generator
    if bicubic:
        return generator_label(f"bicubic-x{generator.scale}", f"builtin:bicubic-x{generator.scale}")
    return generator_label(generator.name, generator.digest)


def quality_label(manifest: Manifest, *, bicubic: bool = False, enhanced: bool = True) -> str:
    """The measured quality in one clause.

    bicubic: of that, which stood in for the file's generator. enhanced: with the enhancement layer, if there is one.
    """
    quality, layer = manifest.quality, manifest.layers.enhancement
    if layer is not None and enhanced and not bicubic and layer.psnr_db is not None:
        stated = {"tissue": layer.tissue_psnr_db, "tissue and glass": layer.psnr_db}
        parts = [
            f"on all blocks of {name}: mean PSNR {found.mean:.2f} dB, worst {found.worst:.2f} dB"
            for name, found in stated.items()
            if found is not None
        ]
        if layer.lowest_db is not None:
            parts.append(f"worst square of {layer.square} px {layer.lowest_db:.2f} dB")
        return f"measured {', '.join(parts)}"
    if quality is None:
        return "quality not measured"
    measured = f"measured on {'all ' if quality.complete else ''}{quality.blocks} tissue blocks"
    if bicubic:
        return f"{measured}: mean PSNR {quality.bicubic_psnr_db:.2f} dB"
    return (
        f"{measured}: mean PSNR {quality.psnr_db.mean:.2f} dB, {'worst' if quality.complete else 'lowest of these'} "
        f"{quality.psnr_db.worst:.2f} dB, mean SSIM {quality.ssim.mean:.3f}"
    )


def enhancement_label(manifest: Manifest, *, applied: bool) -> list[str]:
    """Of a file with an enhancement layer, whether it was applied, and what it promises; nothing of any other."""
    layer = manifest.layers.enhancement
    if layer is None:
        return []
    if not applied:
        return ["without the file's enhancement layer"]
    return [", ".join(["corrected by the file's enhancement layer", *floors_label(layer)])]


def floors_label(layer: EnhancementLayer) -> list[str]:
    """What an enhancement layer promises, and on what."""
    unit = "block" if layer.square is None else f"square of {layer.square} px"
    return [
        f"no {unit}{of} below {floor_db:g} dB as decoded"
        for of, floor_db in (
            ("", layer.min_psnr_db),
            (" in a block that a region of interest touches", layer.roi_psnr_db),
        )
        if floor_db is not None
    ]


def history_label(manifest: Manifest) -> str:
    """The lossy history, oldest first. What a file says there may be any text: it is made harmless, and kept short."""
    return "lossy history: " + _harmless("; ".join(map(_step, manifest.slide.lossy_history)))[:_LONGEST_HISTORY]


def _step(step: LossyStep) -> str:
    derivation = _origin(step.derivation) if step.method == RECONSTRUCTION else step.derivation
    return f"{step.method} {step.ratio:.1f}:1 ({derivation})" if step.ratio else f"{step.method} ({derivation})"


def stated_reconstruction(description: str, *, known: Collection[str] | None = None) -> str | None:
    """Which generator made an image that `decode` wrote, as the image's description says; None for any other image.

    Of what stands there, only a generator's name and digest are repeated: others may have added to it. known: the names
    that may be repeated; None: any that is one word.
    """
    if not description.startswith((_PREFIX, _IN_APERIOS_ORDER)) or _RECONSTRUCTED not in description:
        return None
    return _origin(description.partition("\n")[2].partition("|")[0], known)


def _origin(text: str, known: Collection[str] | None = None) -> str:
    """`generator_label` as far as a text begins with one; a generator that is not named has none."""
    stated = [match for match in (_NAMED.match(text), _DIGESTED.match(text)) if match]
    words = [match[1] for match in stated if match.re is _DIGESTED or known is None or match[1] in known]
    return " ".join([_RECONSTRUCTED, *words]) if words else f"{_RECONSTRUCTED} a generator that is not named"


def _harmless(text: str) -> str:
    """Printable ASCII, which TIFF demands, without the mark that separates fields."""
    return "".join(c if " " <= c <= "~" and c != "|" else "?" for c in text)


def stored_description(manifest: Manifest, level: int) -> str:
    """ImageDescription of a stored level: what it is, then what OpenSlide and QuPath read from it.

    The word `Aperio` and the form `text|key = value|...` make those readers accept JPEG 2000 tiles.
    """
    slide, base = manifest.slide, manifest.base
    width, height = base.levels[level].size
    downsample = base.scale * base.levels[level].downsample
    text = (
        f"{width}x{height}, 1/{downsample} of a slide of {slide.size[0]}x{slide.size[1]}; "
        f"finer levels are {reconstruction_label(manifest)}; {NOTICE}"
    )
    return f"{_PREFIX} {manifest.version}\r\n{text}{_aperio_keys(manifest, downsample)}"


def is_stored_description(description: str) -> bool:
    """Whether a TIFF's ImageDescription is that of the base in a container."""
    return description.startswith(_PREFIX) and "; finer levels are " in description


def enhancement_description(manifest: Manifest) -> str:
    """ImageDescription of the enhancement layer."""
    return f"histocodec enhancement layer: corrects what is {reconstruction_label(manifest)}; {NOTICE}"


def decoded_description(
    manifest: Manifest,
    downsample: int,
    region: str,
    *,
    written_as: str,
    bounds: Region | None = None,
    bicubic: bool = False,
    enhanced: bool = True,
    has_thumbnail: bool = False,
) -> str:
    """ImageDescription of a decoded level.

    downsample: full pixels per pixel. region: which part of the slide it is. bounds: where its scanned part lies in it,
    in its own pixels. written_as: how the output is compressed,
    which adds to the history if it is lossy. bicubic: whether that stood in for the file's generator. enhanced: whether
    the enhancement layer was applied, if there is one. has_thumbnail: whether the second directory is a thumbnail.
    """
    if downsample < manifest.base.scale:
        what = [reconstruction_label(manifest, bicubic=bicubic), *enhancement_label(manifest, applied=enhanced)]
        what.append(quality_label(manifest, bicubic=bicubic, enhanced=enhanced))
    else:
        made = manifest.base.downsampling
        what = [f"the stored base, {f'made from the slide by {made.name}' if made else 'averaged from the slide'}"]
    text = "; ".join([*what, f"{history_label(manifest)}, then written as {written_as}", NOTICE, region])
    prefix = _IN_APERIOS_ORDER if has_thumbnail else _PREFIX
    scanned = () if bounds is None else (bounds.x, bounds.y, bounds.width, bounds.height)
    kept = "".join(f"|openslide.{name} = {value}" for name, value in zip(BOUNDS, scanned, strict=False))
    return f"{prefix} {manifest.version}\r\n{text}{_aperio_keys(manifest, downsample)}{kept}"


def associated_description(manifest: Manifest, name: str, width: int, height: int) -> str:
    """ImageDescription of an associated image: readers of Aperio files find its name in the second line."""
    return f"{_PREFIX} {manifest.version}\r\n{name} {width}x{height}"


def described_numbers(manifest: Manifest, level: int) -> dict[str, float]:
    """What the ImageDescription of a stored level states as `key = value`."""
    return _aperio_numbers(manifest, manifest.base.scale * manifest.base.levels[level].downsample)


def _aperio_numbers(manifest: Manifest, downsample: int) -> dict[str, float]:
    power = manifest.slide.objective_power or 10.0 / manifest.slide.mpp
    return {"AppMag": power / downsample, "MPP": manifest.slide.mpp * downsample}


def _aperio_keys(manifest: Manifest, downsample: int) -> str:
    return "".join(f"|{key} = {value:.6g}" for key, value in _aperio_numbers(manifest, downsample).items())
