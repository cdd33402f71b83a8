"""Recipes of the valid vectors: what each file holds, by name."""

from __future__ import annotations

import dataclasses
import json

from histocodec.format.entries import DownsamplingEntry
from histocodec.pixels.tile_codecs import TileCodec

TILE, BLOCK = 128, 64
"""Sides of a tile and of a block, in base pixels."""
SMALLEST = "jp2k-x4-520x16"
"""The valid file that most hostile ones are made from, and that the specification walks through."""
OTHER_WRITER = "other-writer"
"""The same slide with all layers: those with a hostile layer are made from it."""
LATER_REVISION = "later-revision"
"""The file with all that readers pass over."""


@dataclasses.dataclass(frozen=True)
class Enhancement:
    """The enhancement layer of a valid vector."""

    codec: TileCodec
    modes: tuple[int, ...]
    """Of each block, row by row."""
    regions: bytes | None = None
    min_psnr_db: float | None = None
    roi_psnr_db: float | None = None
    colour: tuple[int, ...] | None = None
    """Of residual tiles and of native ones."""


@dataclasses.dataclass(frozen=True)
class Recipe:
    """A valid vector."""

    size: tuple[int, int]
    scale: int
    codec: TileCodec
    note: str
    associated: tuple[str, ...] = ()
    profile: bool = False
    tissue_map: bool = True
    generator: str = "bicubic"
    generation: int | None = None
    """That its card and the manifest state; None for neither."""
    colour: tuple[int, ...] | None = None
    enhancement: Enhancement | None = None
    measured: tuple[tuple[int, int], ...] = ()
    """Blocks of which the quality map has numbers; without any there is no map."""
    downsampling: DownsamplingEntry | None = None
    damaged: tuple[tuple[int, int, int, int], ...] | None = None
    original: str | None = None
    """Which of `originals.ORIGINALS` the file keeps."""


LAYER_COLOUR = (15000, 750, -2250, 128 << 16, -500, 16384, 4000, 129 << 16, 1750, -3000, 17500, 8400001)
"""Of residual tiles."""

REGIONS_OF_INTEREST = json.dumps(
    {
        "type": "FeatureCollection",
        "features": [
            {
                "type": "Feature",
                "geometry": {"type": "Polygon", "coordinates": [[[20, 8], [300.5, 8], [300.5, 40], [20, 8]]]},
                "properties": {"name": "µ: a region\n|AppMag = 99"},
            },
            {"type": "Feature", "geometry": {"type": "Point", "coordinates": [70, 12]}, "properties": None},
        ],
    },
    ensure_ascii=False,
).encode()
COLOUR = (17500, -2250, 3000, 128 << 16, 1250, 16000, -7500, 120 << 16, -10000, 2000, 16384, 9000001)
"""Of an AV1 base; some colours leave 0 to 255."""
AS_PAINTED = (16384, 0, 0, 128 << 16, 0, 16384, 0, 128 << 16, 0, 0, 16384, 128 << 16)
"""Of an AV1 base whose samples are those of RGB, times four."""

RECIPES = {
    SMALLEST: Recipe(
        (520, 16),
        4,
        "jp2k",
        "two tiles and a reduced level; a tissue map with glass; thumbnail and label; an ICC profile",
        ("thumbnail", "label"),
        profile=True,
    ),
    "jp2k-x4-560x520": Recipe((560, 520), 4, "jp2k", "base of 2 x 2 tiles, a reduced level, glass at the right"),
    "jp2k-x2-300x200": Recipe(
        (300, 200), 2, "jp2k", "scale 2; two tiles side by side; all associated images", ("thumbnail", "label", "macro")
    ),
    "jpeg-x4-300x200": Recipe((300, 200), 4, "jpeg", "one JPEG tile; a thumbnail alone", ("thumbnail",), profile=True),
    "jpeg-x2-3x1025": Recipe((3, 1025), 2, "jpeg", "a slide three pixels wide, sides that 2 does not divide"),
    "av1-x4-300x200": Recipe(
        (300, 200), 4, "av1", "one AV1 tile in its SubIFD", ("thumbnail", "label"), profile=True, colour=AS_PAINTED
    ),
    "av1-x2-1x1": Recipe((1, 1), 2, "av1", "a slide of one pixel", colour=AS_PAINTED),
    "jp2k-x4-1025x3": Recipe((1025, 3), 4, "jp2k", "a base one pixel high", tissue_map=False),
    "jp2k-x4-embedded": Recipe(
        (540, 60), 4, "jp2k", "an embedded `plain` network, two blocks of tissue, one of glass", generator="plain"
    ),
    "av1-x2-embedded": Recipe(
        (300, 140),
        2,
        "av1",
        "an embedded `plain` network of an odd number of channels, whose weights, shifts and sums are the largest that "
        "there may be",
        generator="plain-x2",
        colour=COLOUR,
    ),
    "jp2k-x4-rrdb": Recipe(
        (540, 60),
        4,
        "jp2k",
        "an embedded `rrdb` network; a native tile over its prediction, a residual one over glass",
        generator="rrdb",
        enhancement=Enhancement("jp2k", (2, 0, 1)),
    ),
    "av1-x4-colour": Recipe(
        (300, 200),
        4,
        "av1",
        "a base whose colours are transformed back; some leave 0 to 255",
        colour=COLOUR,
    ),
    "jp2k-x4-bounded": Recipe(
        (1077, 60),
        4,
        "jp2k",
        "an enhancement layer over an embedded network and glass: residual, native and absent tiles of both; a quality "
        "map; regions of interest; both floors; edge tiles reach beyond the slide",
        generator="plain",
        enhancement=Enhancement("jp2k", (1, 2, 0, 1, 0), REGIONS_OF_INTEREST, min_psnr_db=34.0, roi_psnr_db=38.5),
        measured=((0, 0), (2, 0), (3, 0)),
    ),
    "av1-x2-bounded": Recipe(
        (300, 200),
        2,
        "av1",
        "an enhancement layer in AV1 over bicubic; three columns and two rows of blocks; no floor, no quality map",
        colour=AS_PAINTED,
        enhancement=Enhancement("av1", (1, 0, 2, 0, 1, 1)),
    ),
    "av1-x4-colour-bounded": Recipe(
        (70, 30),
        4,
        "av1",
        "an enhancement layer in JPEG of one tile, most of it beyond the slide, over a base of transformed colours",
        tissue_map=False,
        colour=COLOUR,
        enhancement=Enhancement("jpeg", (1,), min_psnr_db=30.0),
    ),
    "jp2k-x4-layer-colour": Recipe(
        (300, 24),
        4,
        "jp2k",
        "an enhancement layer in AV1 whose colours are transformed back: a residual tile and a native one",
        tissue_map=False,
        enhancement=Enhancement("av1", (1, 2), min_psnr_db=30.0, colour=(*LAYER_COLOUR, *COLOUR)),
    ),
    "jp2k-x4-downsampling": Recipe(
        (70, 30),
        4,
        "jp2k",
        "a base that says what made it, which no reader has or needs",
        tissue_map=False,
        downsampling=DownsamplingEntry("vector-downsampler-x4", f"sha256:{'0123456789abcdef' * 4}"),
    ),
    "jp2k-x4-damaged": Recipe(
        (70, 30),
        4,
        "jp2k",
        "a slide of which two tiles could not be read, as its manifest says",
        tissue_map=False,
        damaged=((0, 0, 16, 16), (64, 16, 6, 14)),
    ),
    "jp2k-x4-generation": Recipe(
        (70, 30),
        4,
        "jp2k",
        "an embedded network whose generation and licence its card and the manifest state",
        tissue_map=False,
        generator="plain",
        generation=2,
    ),
    "jp2k-x4-original": Recipe(
        (70, 30),
        4,
        "jp2k",
        "an original of one file: JPEG tiles that share their tables, in JPEG XL and verbatim, in another order than "
        "in the picture, a frame, and a few bytes",
        original="jpeg",
    ),
    "jp2k-x4-original-rgb": Recipe(
        (120, 62),
        4,
        "jp2k",
        "an original of JPEG tiles of R, G and B in JPEG XL, two of which are one segment, and which other readers "
        "show; the file's name is not ASCII",
        original="rgb",
    ),
    "jpeg-x2-original-deflate": Recipe(
        (64, 32), 2, "jpeg", "an original of two deflate tiles with a predictor", original="deflate"
    ),
    "av1-x2-original-set": Recipe(
        (300, 200),
        2,
        "av1",
        "an original of four files, one of them empty, that cannot be read as pixels; an enhancement layer as well",
        colour=AS_PAINTED,
        enhancement=Enhancement("av1", (0, 0, 2, 0, 0, 0)),
        original="set",
    ),
}
