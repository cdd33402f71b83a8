"""Writers of small slides of every kind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import tifffile

from histocodec.errors import (
    UnreadableSource,
)
from histocodec.geometry import Image, Region, Size
from histocodec.source import Source, open_source

WIDTH, HEIGHT = 401, 299
CM_025: dict[str, Any] = {"resolution": (40000, 40000), "resolutionunit": "CENTIMETER"}  # 0.25 um/px
OME_025 = {
    "axes": "YXS",
    "PhysicalSizeX": 250.0,
    "PhysicalSizeXUnit": "nm",
    "PhysicalSizeY": 250.0,
    "PhysicalSizeYUnit": "nm",
}


def write_tiled(path: Path, image: np.ndarray[Any, Any], **options: Any) -> Path:
    tifffile.imwrite(path, image, **({"tile": (64, 80), "photometric": "rgb", "metadata": None} | options))
    return path


def write_pyramid(path: Path, image: Image, **options: Any) -> Path:
    with tifffile.TiffWriter(path, bigtiff=True) as tiff:
        common: dict[str, Any] = {"tile": (64, 64), "photometric": "rgb", "metadata": None} | options
        tiff.write(image, **common, **CM_025)
        tiff.write(image[::2, ::2], subfiletype=1, **common)
        tiff.write(image[::4, ::4], subfiletype=1, **common)
    return path


def write_ome(path: Path, image: Image, **options: Any) -> Path:
    """The OME way: reduced levels in SubIFDs, micrometres in the XML, a screen's resolution in the tags."""
    with tifffile.TiffWriter(path, ome=True) as tiff:
        common: dict[str, Any] = {"photometric": "rgb"} | options
        tiff.write(image, subifds=1, resolution=(72, 72), resolutionunit="INCH", metadata=OME_025, **common)
        tiff.write(image[::2, ::2], subfiletype=1, **common)
    return path


def write_with_pillow(path: Path, image: np.ndarray[Any, Any], mode: str | None = None, **options: Any) -> Path:
    picture = PIL.Image.fromarray(image)
    (picture if mode is None else picture.convert(mode)).save(path, **options)
    return path


EXACT: dict[str, tuple[str, Callable[[Path, Image], Path]]] = {
    "OpenSlide, tiled": ("generic-tiff", lambda folder, image: write_tiled(folder / "a.tif", image, **CM_025)),
    "OpenSlide, pyramid": ("generic-tiff", lambda folder, image: write_pyramid(folder / "a.tif", image)),
    "OpenSlide, planes": (
        "generic-tiff",
        lambda folder, image: write_tiled(
            folder / "a.tif", np.moveaxis(image, 2, 0).copy(), planarconfig="separate", **CM_025
        ),
    ),
    "OpenSlide, OME": ("generic-tiff", lambda folder, image: write_ome(folder / "a.ome.tif", image, tile=(64, 64))),
    "tifffile, pyramid": ("tiff", lambda folder, image: write_pyramid(folder / "a.tif", image, compression="png")),
    "tifffile, planes": (
        "tiff",
        lambda folder, image: write_tiled(
            folder / "a.tif", np.moveaxis(image, 2, 0).copy(), planarconfig="separate", compression="png", **CM_025
        ),
    ),
    "tifffile, big-endian": (
        "tiff",
        lambda folder, image: write_tiled(folder / "a.tif", image, byteorder=">", compression="png", **CM_025),
    ),
    "tifffile, OME": (
        "ome-tiff",
        lambda folder, image: write_ome(folder / "a.ome.tif", image, tile=(64, 64), compression="png"),
    ),
    "libvips, stripped": (
        "tiff",
        lambda folder, image: write_tiled(folder / "a.tif", image, tile=None, rowsperstrip=7, compression="zlib"),
    ),
    "libvips, stripped OME": ("ome-tiff", lambda folder, image: write_ome(folder / "a.ome.tif", image)),
    "libvips, PNG": ("image", lambda folder, image: write_with_pillow(folder / "a.png", image)),
    "libvips, WebP": ("image", lambda folder, image: write_with_pillow(folder / "a.webp", image, lossless=True)),
    "libvips, brackets in the name": (
        "image",
        lambda folder, image: write_with_pillow(folder / "case [page=3] µ,é.png", image),
    ),
    "libvips, a name that lies": (
        "image",
        lambda folder, image: write_with_pillow(folder / "a.svs", image, format="png"),
    ),
}


def unreadable(path: Path, reason: str) -> None:
    with pytest.raises(UnreadableSource, match=reason) as caught:
        open_source(path, mpp=0.25)
    assert caught.value.path == path
    assert "\n" not in caught.value.reason


TILED: dict[str, Any] = {"tile": (64, 64)}
APERIO = "Aperio Image Library v11\r\n401x299 (64x64) JPEG|AppMag = 40|MPP = 0.25"


def write(path: Path, *pages: tuple[np.ndarray[Any, Any], dict[str, Any]], ome: bool = False, **options: Any) -> Path:
    with tifffile.TiffWriter(path, ome=ome) as tiff:
        for image, own in pages:
            tiff.write(image, **({"photometric": "rgb"} | ({} if ome else {"metadata": None}) | options | own))
    return path


def pixels_of(source: Source) -> Image:
    return source.read(Region(0, 0, *source.size))


def reads(path: Path, expected: Image, *, within: float = 0, **options: Any) -> None:
    with open_source(path, **({"mpp": 0.25} | options)) as source:
        assert source.size == Size(expected.shape[1], expected.shape[0])
        assert np.abs(pixels_of(source).astype(int) - expected).mean() <= within


def refused(path: Path, reason: str, **options: Any) -> None:
    with pytest.raises(UnreadableSource, match=reason):
        open_source(path, **({"mpp": 0.25} | options))
