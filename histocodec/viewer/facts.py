"""What the page is told of a slide besides its tiles, as values of JSON."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import numpy as np

from ..errors import CorruptContainer
from ..format.descriptions import NOTICE, Rendition, floors_label, history_label
from ..format.manifest import Manifest
from ..format.reader import Container
from .shown import WAYS, Shown

WORST = 24
"""Number of blocks in the list of the worst."""

Rows = list[tuple[str, str]]


def facts_of(shown: Shown) -> dict[str, Any]:
    """Return size and scale of a slide, the ways of showing it, and what is known of it, for people to read."""
    manifest, container = shown.manifest, shown.container
    slide, layer = manifest.slide, container.enhancement
    width, height = slide.size
    return {
        "size": list(slide.size),
        "mpp": slide.mpp,
        "objective_power": slide.objective_power,
        "scale": manifest.base.scale,
        "finest": shown.zoom.finest,
        "best": shown.best,
        "ways": [_way(shown, way) for way in WAYS],
        "notice": NOTICE,
        "summary": f"{width} × {height} px, {width * slide.mpp / 1000:.2f} × {height * slide.mpp / 1000:.2f} mm; "
        + _size(container),
        "has_quality_map": container.quality_map is not None,
        "has_regions": layer is not None and layer.regions is not None,
        "worst": worst_places(shown),
        "sections": [{"title": title, "rows": rows} for title, rows in _sections(container) if rows],
    }


def _way(shown: Shown, way: Any) -> dict[str, Any]:
    if way in shown.missing:
        return {"key": way, "missing": shown.missing[way]}
    said = {"key": way, "statement": shown.statement(way), "quality": ""}
    if way not in ("base", "original"):
        said["quality"] = shown.decoders[way].rendition.quality_label
    return said


def quality_of(shown: Shown) -> dict[str, Any]:
    """Return the quality map: what was measured of each block, and the range of PSNR that colours are spread over."""
    found = shown.container.quality_map
    if found is None:
        return {"blocks": []}
    psnr_db, ssim = found.psnr_db, found.ssim
    places = np.argwhere(found.measured)
    layer, stated = shown.manifest.layers.enhancement, shown.manifest.quality
    low, high = np.percentile(psnr_db[found.measured], (2, 98)) if len(places) else (0.0, 1.0)
    return {
        "side": _side(shown.manifest),
        "range_db": [round(float(low), 3), round(float(max(high, low + 0.1)), 3)],
        "blocks": [
            [int(column), int(row), round(float(psnr_db[row, column]), 2), round(float(ssim[row, column]), 3)]
            for row, column in places
        ],
        "complete": stated is not None and stated.complete,
        "without_layer": layer is not None,
    }


def worst_places(shown: Shown) -> list[dict[str, float]]:
    """Return the measured blocks of lowest PSNR, the lowest first, by their corner in full pixels."""
    found = shown.container.quality_map
    if found is None:
        return []
    psnr_db, ssim, colour = found.psnr_db, found.ssim, found.colour_error
    places = np.argwhere(found.measured)
    side = _side(shown.manifest)
    lowest = places[np.argsort(psnr_db[places[:, 0], places[:, 1]], kind="stable")][:WORST]
    return [
        {
            "x": int(column) * side,
            "y": int(row) * side,
            "side": side,
            "psnr_db": round(float(psnr_db[row, column]), 2),
            "ssim": round(float(ssim[row, column]), 3),
            "colour_error": round(float(colour[row, column]), 2),
        }
        for row, column in lowest
    ]


def regions_of(shown: Shown) -> dict[str, Any]:
    """Return the regions of interest as they were given, GeoJSON in full pixels from the slide's corner.

    Raises CorruptContainer.
    """
    regions = shown.container.regions()
    if regions is None:
        return {"type": "FeatureCollection", "features": []}
    found: dict[str, Any] = json.loads(regions.to_geojson())
    return found


def _side(manifest: Manifest) -> int:
    """Return the full pixels a side of a block."""
    return manifest.prediction.block * manifest.base.scale


def _sections(container: Container) -> list[tuple[str, Rows]]:
    manifest = container.manifest
    return [
        ("Slide", _slide(manifest)),
        ("File", _file(container)),
        ("Reconstruction", _reconstruction(manifest)),
        ("Measured fidelity", _fidelity(manifest)),
        ("Enhancement layer", _enhancement(manifest)),
        ("Provenance", _provenance(manifest)),
    ]


def _slide(manifest: Manifest) -> Rows:
    slide = manifest.slide
    (width, height), mpp = slide.size, slide.mpp
    rows = [
        ("Size", f"{width} × {height} px"),
        ("", f"{width * mpp / 1000:.2f} × {height * mpp / 1000:.2f} mm"),
        ("Resolution", f"{mpp:.4g} µm/px"),
        ("Objective", f"{slide.objective_power:g}×" if slide.objective_power else "not stated"),
        ("Vendor", slide.vendor),
    ]
    if slide.damaged:
        rows.append(("Damaged", f"{len(slide.damaged)} places could not be read; background stands there"))
    return rows


def _file(container: Container) -> Rows:
    manifest = container.manifest
    base, profile = manifest.base, container.icc_profile
    return [
        ("Bytes", _size(container)),
        ("Source", _bytes(manifest.slide.source_bytes)),
        ("Tier", manifest.tier),
        ("Base", f"{manifest.base_mpp:.4g} µm/px, {base.codec} at quality {base.quality:g}"),
        ("Downsampler", base.downsampling.name if base.downsampling else "box average"),
        ("Colour", f"profile of {_bytes(len(profile))}, not applied" if profile else "no profile"),
        ("Original", "kept" if manifest.layers.original else "not kept"),
        ("Software", manifest.software),
    ]


def _size(container: Container) -> str:
    """Return the bytes of a file, and which part they are of the source, the original that is kept not counted."""
    size, source = container.size_bytes, container.manifest.slide.source_bytes
    kept = ""
    with contextlib.suppress(CorruptContainer):  # what else the file has is shown all the same
        if container.original is not None:
            size, kept = size - container.original.total_bytes, ", and its original"
    share = f", 1/{source / size:.1f} of the source" if size > 0 else ""  # segments can lie over all the rest
    return f"{_bytes(size)}{share}{kept}"


def _reconstruction(manifest: Manifest) -> Rows:
    generator = manifest.prediction.generator
    rows = [("Generator", generator.name), ("Digest", generator.digest)]
    if generator.generation is not None:
        rows.append(("Generation", str(generator.generation)))
    if generator.licence:
        rows.append(("Licence", generator.licence))
    return [*rows, ("Embedded", "yes" if generator.embedded else "no")]


def _fidelity(manifest: Manifest) -> Rows:
    quality = manifest.quality
    if quality is None:
        return [("Blocks", "none measured when the file was made")]
    psnr, ssim, last = quality.psnr_db, quality.ssim, "worst" if quality.complete else "lowest of these"
    within = f" ± {quality.psnr_half_width_db:.2f}" if quality.psnr_half_width_db else ""
    rows = [
        ("Blocks", f"{'all ' if quality.complete else ''}{quality.blocks} of tissue, {quality.block_size} px a side"),
        ("PSNR", f"{psnr.mean:.2f}{within} dB, mean"),
        ("", f"{psnr.percentile_5:.2f} dB, 5th percentile"),
        ("", f"{psnr.worst:.2f} dB, {last}"),
        ("By bicubic", f"{quality.bicubic_psnr_db:.2f} dB, mean"),
        ("SSIM", f"{ssim.mean:.3f}, mean"),
        ("", f"{ssim.worst:.3f}, {last}"),
    ]
    if quality.colour_error is not None:
        rows.append(("Colour error", f"{quality.colour_error.mean:.2f} mean, ΔE*ab"))
    return rows


def _enhancement(manifest: Manifest) -> Rows:
    layer = manifest.layers.enhancement
    if layer is None:
        return []
    promises = [("Promise", floor) for floor in floors_label(layer)]
    return [("Blocks", f"{layer.tiles} corrected"), *promises, ("Measured", Rendition(manifest).quality_label)]


def _provenance(manifest: Manifest) -> Rows:
    rows = []
    if manifest.source is not None:
        rows.append(("Encoded", manifest.source.encoded))
        for file in manifest.source.files[:4]:
            rows.append(("From", file.name or "a file whose name is left out"))
            rows.append(("SHA-256", file.sha256))
    rows.append(("History", history_label(manifest).removeprefix("lossy history: ")))
    if manifest.slide.deidentified:
        rows.append(("De-identified", "yes"))
    return rows


def _bytes(count: int) -> str:
    """Return a number of bytes for people.

    Examples:
        >>> _bytes(812), _bytes(81_234), _bytes(2_345_678)
        ('812 bytes', '81.2 kB', '2.35 MB')
    """
    for power, unit in ((3, "GB"), (2, "MB"), (1, "kB")):
        if count >= 1000**power:
            return f"{count / 1000**power:.3g} {unit}"
    return f"{count} bytes"
