"""Recipes of the golden files: what each one holds, by name."""

from __future__ import annotations

import dataclasses
import json

from histocodec.encoder import EncodeSettings
from histocodec.format.regions import RegionsOfInterest
from histocodec.geometry import Size

SIZE = Size(1060, 560)
"""Full pixels: two base tiles at 10x and six at 20x, and at the right and below blocks that the slide's edge cuts."""
SMALL = Size(530, 390)
"""Full pixels, where all of the source's file is kept."""


@dataclasses.dataclass(frozen=True)
class Recipe:
    """One golden file: synthetic tissue, encoded as a user encodes a slide."""

    note: str
    settings: EncodeSettings
    generator: str | None = None
    """Name of the generator; None for the default one."""
    size: Size = SIZE
    has_all_images: bool = False
    """True if the source has a label, a macro and a colour profile."""


def _settings(**chosen: object) -> EncodeSettings:
    return EncodeSettings(**{"ratio": None, "verify": "none", **chosen})  # type: ignore[arg-type]


def _nest(size: Size) -> RegionsOfInterest:
    """One region of interest in the middle of a slide."""
    x, y = size.width // 4, size.height // 3
    ring = [[x, y], [x + 150, y], [x + 150, y + 120], [x, y + 120], [x, y]]
    feature = {"type": "Feature", "properties": {}, "geometry": {"type": "Polygon", "coordinates": [ring]}}
    return RegionsOfInterest.from_geojson(json.dumps(feature).encode(), size)


RECIPES: dict[str, Recipe] = {
    "av1-10x": Recipe(
        "the default: AV1 of 10 bits at 10x, `av1-x4`; a quality map, thumbnail, label, macro and a colour profile",
        _settings(base="10x", quality=50, verify="all"),
        has_all_images=True,
    ),
    "av1-20x": Recipe("AV1 at 20x, `av1-x2`", _settings(base="20x", quality=45)),
    "jp2k-10x": Recipe("JPEG 2000 at 10x, `jp2k-x4`", _settings(base="10x", codec="jp2k", quality=34)),
    "jp2k-20x": Recipe(
        "JPEG 2000 at 20x, with `jp2k-x2` embedded", _settings(base="20x", codec="jp2k", quality=33, archive=True)
    ),
    "jpeg-10x": Recipe("JPEG at 10x, `bicubic-x4`", _settings(base="10x", codec="jpeg", quality=70), "bicubic-x4"),
    "av1-10x-bounded": Recipe(
        "an enhancement layer in AV1 over `av1-x4`: floors for all and for a region of interest, a quality map",
        _settings(base="10x", quality=55, min_psnr_db=33, regions=_nest(SIZE), roi_psnr_db=42, verify="all"),
    ),
    "av1-20x-bounded": Recipe(
        "an enhancement layer in AV1 over `av1-x2`",
        _settings(base="20x", quality=45, min_psnr_db=36),
        size=SMALL,
    ),
    "jp2k-10x-bounded": Recipe(
        "an enhancement layer in JPEG 2000 over `jp2k-x4`",
        _settings(base="10x", codec="jp2k", quality=34, min_psnr_db=33),
    ),
    "jpeg-20x-bounded": Recipe(
        "a base and an enhancement layer in JPEG, over `jp2k-x2`",
        _settings(base="20x", codec="jpeg", quality=60, min_psnr_db=38, enhancement_codec="jpeg"),
        size=SMALL,
    ),
    "av1-10x-original": Recipe(
        "every tier: reconstructed, bounded, and the source's own file, whose JPEG tiles are JPEG XL with one recipe",
        _settings(base="10x", quality=50, min_psnr_db=31, keep_original=True),
        size=SMALL,
    ),
    "jp2k-20x-original": Recipe(
        "the source's own file over JPEG 2000 at 20x and `bicubic-x2`",
        _settings(base="20x", codec="jp2k", quality=30, keep_original=True),
        "bicubic-x2",
        size=SMALL,
    ),
}
