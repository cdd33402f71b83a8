"""Keywords of `tifffile.TiffWriter.write` for the images of containers and of what is decoded from them.

Tiles and strips come coded: tifffile writes the directories around them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ..geometry import Grid, Size
from .tags import COMPRESSION_JPEG, COMPRESSION_ZSTD

Keywords = dict[str, Any]

SUBSAMPLING_420 = (2, 2)
SUBSAMPLING_444 = (1, 1)

UNDEFINED = 7
"""TIFF's type of bytes without a meaning of their own."""

SUBFILE_TYPE: Mapping[str, int] = {"label": 1, "macro": 9}
"""NewSubfileType of associated images, as Aperio has it; 0 for others."""


def tiled_image(
    grid: Grid, compression: int, *, mpp: float, subsampling: tuple[int, int] = SUBSAMPLING_420
) -> Keywords:
    """Return the keywords of an RGB image in tiles. mpp: micrometres per pixel. subsampling: of JPEG alone."""
    return {
        **_colour_image(grid.size, compression, subsampling),
        "tile": (grid.side, grid.side),
        "resolution": (10000 / mpp, 10000 / mpp),
        "resolutionunit": "CENTIMETER",
    }


def associated_image(name: str, size: Size) -> Keywords:
    """Return the keywords of a label, macro or thumbnail: one JPEG in one strip."""
    return {
        **_colour_image(size, COMPRESSION_JPEG, SUBSAMPLING_420),
        "rowsperstrip": size.height,
        "subfiletype": SUBFILE_TYPE.get(name, 0),
    }


def map_image(shape: tuple[int, ...], dtype: type[np.generic]) -> Keywords:
    """Return the keywords of a map of blocks: one zstd frame in one strip. shape: rows, columns and any channels."""
    return {
        "shape": shape,
        "dtype": dtype,
        "rowsperstrip": shape[0],
        "photometric": "minisblack",
        "compression": COMPRESSION_ZSTD,
    }


def private_tags(tags: Iterable[tuple[int, bytes | None]]) -> list[tuple[int, int, int, bytes, bool]]:
    """Return tags of type UNDEFINED as `extratags` takes them, but for those without a value."""
    return [(int(tag), UNDEFINED, len(data), data, True) for tag, data in tags if data is not None]


def _colour_image(size: Size, compression: int, subsampling: tuple[int, int]) -> Keywords:
    is_jpeg = compression == COMPRESSION_JPEG
    return {
        "shape": (size.height, size.width, 3),
        "dtype": np.uint8,
        "photometric": "ycbcr" if is_jpeg else "rgb",
        "subsampling": subsampling if is_jpeg else None,
        "planarconfig": "contig",
        "compression": compression,
    }
