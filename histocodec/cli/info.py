"""States what people and programs read about a file: facts as JSON values, and those as aligned text."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ..encoder import EncodeReport
from ..errors import CorruptContainer
from ..format.descriptions import NOTICE, Rendition, floors_label
from ..format.entries import spread
from ..format.manifest import Manifest
from ..format.reader import Container
from ..generators.licences import ANY_USE, use_of
from ..generators.package import Package, PackageCard
from ..pixels.downsample import BoxDownsampler
from ..pixels.residual import Mode

_NAMES = {
    "ratio_to_source": "ratio to the source file",
    "ratio_to_raw": "ratio to 24-bit raw",
    "mpp": "um/px",
    "percentile_5": "5th percentile",
    "measured_blocks": "measured blocks of tissue",
    "psnr_db": "PSNR dB",
    "everything_psnr_db": "PSNR dB of tissue and glass",
    "tissue_psnr_db": "PSNR dB of tissue",
    "lowest_square_db": "PSNR dB of the lowest square",
    "worst_blocks": "lowest blocks",
    "worst_block": "lowest block",
    "square": "side of a square px",
    "rest_loss_db": "lost outside the regions dB",
    "without_enhancement": "before the enhancement layer",
    "bicubic_psnr_db": "PSNR dB of bicubic, mean",
    "ssim": "SSIM",
    "psnr_half_width_db": "mean PSNR known to within dB",
    "percentile_95": "95th percentile",
    "consistency_db": "consistency dB",
    "colour_error": "colour error, delta E*ab",
    "min_psnr_db": "floor dB",
    "roi_psnr_db": "floor of the regions dB",
    "icc_profile_bytes": "ICC profile bytes",
    "generator_use": "use of the generator's weights",
    "complete": "read without another file",
    "damaged": "damaged in the source, background here",
}
"""Text for people of keys that need one; the others are shown with spaces for underscores."""

_OF_PREDICTIONS = ("ssim", "bicubic_psnr_db", "psnr_half_width_db", "colour_error", "consistency_db", "worst_block")
"""Keys that have a value where the prediction was measured."""

_OF_LAYERS = ("everything_psnr_db", "lowest_square_db", "square", "floors", "rest_loss_db", "without_enhancement")
"""Keys that have a value with an enhancement layer."""

_OF_ORIGINALS = ("original_bytes", "bytes_without_original")
"""Keys that have a value where the original is kept."""

_LEFT_OUT = frozenset(_OF_PREDICTIONS + _OF_LAYERS + _OF_ORIGINALS)
"""Keys that are not shown to people when their value is None."""


def encode_info(report: EncodeReport) -> dict[str, object]:
    """Return the facts about a finished encode, by the keys of `encode --json`."""
    manifest = report.manifest
    facts: dict[str, object] = {
        "output": str(report.path),
        **_sizes(manifest, report.size_bytes, report.original_bytes),
        "base": _base(manifest),
        "downsampling": _downsampling(manifest),
        "level_0": Rendition(manifest).label,
        **_generator(manifest),
        **_quality(manifest),
    }
    if report.notes:
        facts["notes"] = list(report.notes)
    return facts


def container_info(container: Container) -> dict[str, object]:
    """Return the facts about a container, by the keys of `info --json`, from its manifest and directories alone."""
    manifest = container.manifest
    slide, levels, original = manifest.slide, range(len(manifest.base.levels)), _original(container)
    return {
        "file": str(container.path),
        "format": f"{manifest.format} {manifest.version}",
        "software": manifest.software,
        "tier": manifest.tier,
        "size": list(slide.size),
        "mpp": slide.mpp,
        "objective_power": slide.objective_power,
        "vendor": slide.vendor,
        **_sizes(manifest, container.size_bytes, original["bytes"] if original else 0),
        "base": _base(manifest),
        "downsampling": _downsampling(manifest),
        "base_bytes": container.tile_bytes(0),
        "reduced_levels": [list(level.size) for level in manifest.base.levels[1:]],
        "reduced_levels_bytes": sum(container.tile_bytes(level) for level in levels[1:]),
        "blocks": container.tissue_map.size,
        "tissue_share": round(float(container.tissue_map.mean()), 4),
        "level_0": Rendition(manifest).label,
        **_generator(manifest),
        **_quality(manifest),
        "quality_map": None if container.quality_map is None else f"{int(container.quality_map.measured.sum())} blocks",
        "enhancement": _enhancement(container),
        "original": original,
        "source": _source(manifest),
        "lossy_history": [dataclasses.asdict(step) for step in slide.lossy_history],
        "associated_images": list(manifest.associated),
        "icc_profile_bytes": len(container.icc_profile) if container.icc_profile else None,
        "deidentified": slide.deidentified,
        "source_properties": len(slide.properties),
        "damaged": damaged_places(manifest),
        "opens_in": "histocodec; other TIFF readers show its reduced levels"
        if manifest.base.codec == "av1"
        else "OpenSlide, QuPath, tifffile, at the base's resolution",
        "notice": NOTICE,
    }


def damaged_places(manifest: Manifest) -> list[dict[str, int]]:
    """Return the rectangles, in full pixels, where the source could not be read and the background stands."""
    return [dict(zip(("x", "y", "width", "height"), place, strict=True)) for place in manifest.slide.damaged or ()]


def package_info(package: Package) -> dict[str, object]:
    """Return the facts that a package states about itself, by the keys of `models --json`."""
    card = package.card
    return {
        "digest": package.digest,
        "bytes": len(package.data),
        "scale": card.scale,
        "architecture": card.architecture,
        "hyperparameters": card.hyperparameters,
        "generation": card.generation,
        "licence": card.licence,
        "use": use_of(card.licence),
        "purpose": card.training.get("purpose"),
        "measured": card.measured,
    }


def package_summary(package: Package) -> dict[str, object]:
    """Return `package_info` for people: the digest shortened, the measured quality in a line for each set and base."""
    facts = package_info(package)
    facts["digest"] = package.digest[:23] + "..."
    if "tuned_from" in package.card.training:
        facts["measured"] = package.card.measured
        return facts
    cut = _measured_cut(package.card)
    facts["measured"] = [
        f"{tiles}, {cut}{base}: "
        f"{score['psnr_db']:.2f} dB, {score['psnr_db'] - score['bicubic_psnr_db']:+.2f} over bicubic; "
        f"SSIM {score['ssim']:.3f}, {score['ssim'] - score['bicubic_ssim']:+.3f}"
        for tiles, bases in package.card.measured.items()
        for base, score in bases.items()
    ]
    return facts


def _measured_cut(card: PackageCard) -> str:
    """Return how much of each tile the measures of a card are of, as its training states it; nothing if it does not."""
    crop = (card.training.get("data") or {}).get("measure_crop")
    if crop is None:
        return ""
    return f"middle {crop} px, " if crop else "whole tiles, "


def tuned_info(package: Package, path: Path) -> dict[str, object]:
    """Return the facts about a package tuned to slides, by the keys of `tune --json`. path: where it was written."""
    card = package.card
    held_back = card.measured["held_back"]
    return {
        "output": str(path),
        "name": card.name,
        "bytes": len(package.data),
        "digest": package.digest,
        "steps": card.training["steps"],
        "blocks_learned_from": card.training["blocks"],
        "blocks_held_back": held_back["blocks"],
        "psnr_db_before": held_back["started_from_psnr_db"],
        "psnr_db_after": held_back["psnr_db"],
    }


def render(facts: Mapping[str, object]) -> str:
    """Render facts as aligned `name  value` lines."""
    facts = {key: value for key, value in facts.items() if value is not None or key not in _LEFT_OUT}
    names = {key: _NAMES.get(key, key.replace("_", " ")) for key in facts}
    width = max(map(len, names.values()), default=0)
    lines = []
    for key, value in facts.items():
        if isinstance(value, Mapping) and any(isinstance(inner, Mapping) for inner in value.values()):
            lines += [names[key], *("  " + line for line in render(value).splitlines())]
            continue
        rows = value if isinstance(value, list) and value and not _is_size(value) else [value]
        lines += [f"{'' if i else names[key]:<{width}}  {_text(row)}" for i, row in enumerate(rows)]
    return "\n".join(lines)


def _sizes(manifest: Manifest, size_bytes: int, original_bytes: int) -> dict[str, object]:
    """Return the bytes of a container and their ratios to source and raw pixels."""
    slide = manifest.slide
    full_pixels = slide.size[0] * slide.size[1]
    return {
        "bytes": size_bytes,
        "source_bytes": slide.source_bytes,
        "original_bytes": original_bytes or None,
        "bytes_without_original": size_bytes - original_bytes if original_bytes else None,
        "ratio_to_source": round(slide.source_bytes / size_bytes, 3),
        "ratio_to_raw": round(3 * full_pixels / size_bytes, 3),
        "bits_per_full_pixel": round(8 * size_bytes / full_pixels, 6),
    }


def _base(manifest: Manifest) -> dict[str, object]:
    """Return the facts about the stored base."""
    base = manifest.base
    return {
        "size": list(base.levels[0].size),
        "mpp": manifest.base_mpp,
        "scale": base.scale,
        "codec": base.codec,
        "quality": base.quality,
    }


def _generator(manifest: Manifest) -> dict[str, object]:
    """Return which generator a file needs, whether it lies within, and what its licence permits."""
    needed = manifest.prediction.generator
    is_builtin = needed.digest.startswith("builtin:")
    use = ANY_USE if is_builtin else None if needed.licence is None else use_of(needed.licence)
    return {
        "generator": dataclasses.asdict(needed),
        "generator_use": use,
        "complete": needed.embedded or is_builtin,
    }


def _downsampling(manifest: Manifest) -> dict[str, object]:
    """Return what made the base; of the box average, which a manifest does not name, the same keys."""
    made, box = manifest.base.downsampling, BoxDownsampler(manifest.base.scale)
    return {"name": made.name if made else box.name, "digest": made.digest if made else box.digest}


def _quality(manifest: Manifest) -> dict[str, object]:
    """Return the fidelity of the pixels that a file decodes to; with an enhancement layer, also without it.

    The keys do not depend on what was measured: a program can count on them.
    """
    layer, predicted = manifest.layers.enhancement, _predicted_quality(manifest)
    if layer is None or layer.psnr_db is None:
        return {**predicted, **dict.fromkeys(_OF_LAYERS)}
    return {
        **dict.fromkeys(predicted),
        "measured_blocks": predicted["measured_blocks"],
        "psnr_db": spread(layer.tissue_psnr_db, None, complete=True),
        "everything_psnr_db": spread(layer.psnr_db, None, complete=True),
        "lowest_square_db": layer.lowest_db,
        "square": layer.square,
        "floors": floors_label(layer),
        "rest_loss_db": dataclasses.asdict(layer.rest_loss_db) if layer.rest_loss_db else None,
        "without_enhancement": predicted,
    }


def _predicted_quality(manifest: Manifest) -> dict[str, object]:
    """Return the measured fidelity of the prediction, without the enhancement layer."""
    quality = manifest.quality
    if quality is None:
        return {"measured_blocks": 0, "psnr_db": None, **dict.fromkeys(_OF_PREDICTIONS)}
    measured = partial(spread, count=quality.blocks, complete=quality.complete)
    return {
        "measured_blocks": quality.blocks,
        "psnr_db": measured(quality.psnr_db),
        "ssim": measured(quality.ssim),
        "bicubic_psnr_db": quality.bicubic_psnr_db,
        "psnr_half_width_db": quality.psnr_half_width_db,
        "colour_error": measured(quality.colour_error),
        "consistency_db": measured(quality.consistency_db),
        "worst_block": _worst_place(manifest),
    }


def _worst_place(manifest: Manifest) -> dict[str, int] | None:
    """Return the place of the worst block that was measured, in full pixels; None without one."""
    quality = manifest.quality
    if quality is None or quality.worst_block is None:
        return None
    side = manifest.prediction.block * manifest.base.scale
    column, row = quality.worst_block
    return {"x": column * side, "y": row * side, "side": side}


def _enhancement(container: Container) -> dict[str, object] | None:
    """Return what the enhancement layer holds and promises; None for a file without one."""
    layer, stated = container.enhancement, container.manifest.layers.enhancement
    if layer is None or stated is None:
        return None
    regions = container.regions()
    return {
        "codec": stated.codec,
        "tiles": stated.tiles,
        "of_tiles": layer.grid.count,
        "native_tiles": int((layer.modes == Mode.NATIVE).sum()),
        "tile_bytes": layer.total_bytes,
        "min_psnr_db": stated.min_psnr_db,
        "roi_psnr_db": stated.roi_psnr_db,
        "regions_of_interest": len(regions.features) if regions else 0,
        "regions_counted_from": dict(zip("xy", stated.regions_origin, strict=True)) if stated.regions_origin else None,
    }


def _original(container: Container) -> dict[str, Any] | None:
    """Return how the original is kept; None for a file without one."""
    try:
        original = container.original
    except CorruptContainer as error:
        return {"bytes": 0, "segments": None, "pixels": f"none: {error.problems[0]}"}
    if original is None:
        return None
    tiles = original.layer.tiles
    return {
        "bytes": original.total_bytes,
        "segments": original.count,
        "pixels": f"{tiles.codec} tiles of {tiles.side} px" if tiles else "none: it can be restored, and no more",
    }


def _source(manifest: Manifest) -> dict[str, object] | None:
    """Return what a file states of its source; None if it states nothing."""
    source = manifest.source
    if source is None:
        return None
    return {"encoded": source.encoded, "files": [dataclasses.asdict(file) for file in source.files]}


def _spread_text(value: Mapping[str, object]) -> str:
    """Render a `spread` of the entries in words; it says "worst" only where every block was measured."""
    extreme, count = "lowest" if "lowest" in value else "highest", value["of"]
    shown = {_NAMES.get(key, key): number for key, number in value.items() if key not in ("worst", "of", extreme)}
    last = (
        f"{extreme} of {count}" if value["worst"] is None else f"worst of all {'' if count is None else count}".rstrip()
    )
    return ", ".join(
        [*(f"{name} {_text(number)}" for name, number in shown.items()), f"{last}: {_text(value[extreme])}"]
    )


def _is_size(value: Sequence[object]) -> bool:
    """Tell whether a list is a width and a height."""
    return len(value) == 2 and all(isinstance(side, int) for side in value)


def _text(value: object) -> str:
    """Render one value of a line."""
    if value is None or value in ([], {}):
        return "-"
    match value:
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"
        case list():
            return f"{value[0]} x {value[1]} px" if _is_size(value) else ", ".join(map(_text, value))
        case dict() if {"mean", "worst", "of"} <= value.keys():
            return _spread_text(value)
        case dict():
            return ", ".join(f"{_NAMES.get(key, key.replace('_', ' '))} {_text(v)}" for key, v in value.items())
    return printable(str(value))


def printable(text: str) -> str:
    """Return the text with control characters as escapes: names of files can hold line ends."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
