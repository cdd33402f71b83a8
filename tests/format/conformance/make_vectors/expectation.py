"""What a decoder must get from a valid vector."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from histocodec.decoder import Decoder
from histocodec.format.reader import Container
from histocodec.geometry import Image, Region
from tests.format.conformance.make_vectors.editing import (
    sha256,
)
from tests.format.conformance.make_vectors.painting import (
    png,
)


def expectation(path: Path, note: str) -> dict[str, Any]:
    """What a decoder must get from a valid file; level 0 goes to a PNG beside it."""
    with Decoder(path) as decoder:
        levels = []
        for level, size in enumerate(decoder.levels):
            pixels = decoder.read(Region(0, 0, *size), level)
            if level == 0:
                path.with_name(path.name.removesuffix(".hc.tif") + ".png").write_bytes(png(pixels))
            digest = hashlib.sha256(pixels.tobytes()).hexdigest()
            levels.append({"size": list(size), "downsample": decoder.downsamples[level], "sha256": digest})
        container = decoder.container
        return {
            "what": note,
            "mpp": decoder.mpp,
            "codec": decoder.manifest.base.codec,
            "generator": decoder.manifest.prediction.generator.name,
            "level_0_rounding": 0 if decoder.generator.is_exact else 1,
            "levels": levels,
            "tissue_map": container.tissue_map.tolist(),
            "associated": {name: _size(container.associated_image(name)) for name in decoder.manifest.associated},
            "icc_profile_sha256": None if container.icc_profile is None else sha256(container.icc_profile),
            "tier": decoder.manifest.tier,
            "quality_map": None if container.quality_map is None else container.quality_map.values.tolist(),
            "enhancement": _enhancement_expectation(path, container),
            **_original_expectation(path, container),
        }


def _original_expectation(path: Path, container: Container) -> dict[str, Any]:
    """What comes out of an original; no key for a file without one."""
    original, source = container.original, container.manifest.source
    if original is None or source is None:
        return {}
    found: dict[str, Any] = {"files": [{"name": file.name, "sha256": file.sha256} for file in source.files]}
    if original.grid is not None:
        with Decoder(path, tier="original") as decoder:
            pixels = decoder.read(Region(0, 0, *decoder.levels[0]))
        found["pixels_sha256"] = hashlib.sha256(pixels.tobytes()).hexdigest()
    return {"original": found}


def _enhancement_expectation(path: Path, container: Container) -> dict[str, Any] | None:
    layer, stated = container.enhancement, container.manifest.layers.enhancement
    if layer is None or stated is None:
        return None
    regions = container.regions()
    with Decoder(path, enhancement=False) as decoder:
        predicted = decoder.read(Region(0, 0, *decoder.levels[0]))
    return {
        "codec": stated.codec,
        "modes": layer.modes.tolist(),
        "min_psnr_db": stated.min_psnr_db,
        "roi_psnr_db": stated.roi_psnr_db,
        "regions": 0 if regions is None else len(regions.features),
        "level_0_without_sha256": sha256(predicted.tobytes()),
    }


def _size(image: Image) -> list[int]:
    return [image.shape[1], image.shape[0]]
