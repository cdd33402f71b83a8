"""Tiled TIFF and OME-TIFF that OpenSlide does not read, through tifffile."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

from ..codecs import Image
from ..geometry import Region
from ._reader import Reader, over
from ._resolution import resolved_mpp
from ._tiff import TiffFacts

_CACHE_BYTES = 64 << 20
_SEPARATE = 2
_ASSOCIATED_ALPHA = 1


@dataclass(kw_only=True, eq=False)
class TiledReader(Reader):
    """A tiled TIFF, of which only the tiles that a region touches are read."""

    file: tifffile.TiffFile = field(repr=False)
    page: tifffile.TiffPage = field(repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)
    _tile: Callable[[int], NDArray[np.uint8] | None] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        tile_bytes = self.page.tilewidth * self.page.tilelength * self.page.samplesperpixel
        self._tile = lru_cache(maxsize=max(1, _CACHE_BYTES // tile_bytes))(self._decoded)

    def _pixels(self, region: Region) -> Image:
        page = self.page
        planes = page.samplesperpixel if page.planarconfig == _SEPARATE else 1
        columns, rows = -(-self.size.width // page.tilewidth), -(-self.size.height // page.tilelength)
        canvas = np.zeros((region.height, region.width, page.samplesperpixel), np.uint8)
        if page.samplesperpixel == 3:  # what no tile covers; with alpha, zeros stand for it
            canvas[:] = self.background
        for row in range(region.y // page.tilelength, (region.bottom - 1) // page.tilelength + 1):
            for column in range(region.x // page.tilewidth, (region.right - 1) // page.tilewidth + 1):
                left, top = column * page.tilewidth, row * page.tilelength
                x, right = max(region.x, left), min(region.right, left + page.tilewidth)
                y, bottom = max(region.y, top), min(region.bottom, top + page.tilelength)
                for plane in range(planes):
                    tile = self._tile((plane * rows + row) * columns + column)
                    if tile is not None:
                        channels = slice(plane, plane + 1) if planes > 1 else slice(None)
                        canvas[y - region.y : bottom - region.y, x - region.x : right - region.x, channels] = tile[
                            y - top : bottom - top, x - left : right - left
                        ]
        if page.samplesperpixel == 3:
            return canvas
        return over(canvas, self.background, premultiplied=page.extrasamples == (_ASSOCIATED_ALPHA,))

    def _decoded(self, index: int) -> NDArray[np.uint8] | None:
        """One tile, (height, width, samples) uint8; None if the file leaves it out."""
        count = self.page.databytecounts[index]
        if count == 0:
            return None
        with self._lock:
            self.file.filehandle.seek(self.page.dataoffsets[index])
            data = self.file.filehandle.read(count)
        if len(data) != count:
            raise ValueError(f"the file ends within tile {index}")
        tile = _decode(self.page, data, index)
        samples = 1 if self.page.planarconfig == _SEPARATE else self.page.samplesperpixel
        if tile is None or tile.dtype != np.uint8 or tile.shape[0] != 1 or tile.shape[3] != samples:
            raise ValueError(f"tile {index} is not of {samples} x 8 bit, as its directory says")
        return np.asarray(tile[0], np.uint8)

    def _release(self) -> None:
        self.file.close()


def open_tiled(path: Path, tiff: TiffFacts, mpp: float | None) -> TiledReader | None:
    """Open a tiled TIFF, or return None if it is left to libvips.

    Raises UnreadableSource, MissingResolution and UnsupportedResolution.
    """
    if not tiff.tiled or not tiff.is_rgb_when_decoded:
        return None
    tiff.check_unambiguous()
    file = tifffile.TiffFile(path)
    try:
        page = file.pages[tiff.page]
        assert isinstance(page, tifffile.TiffPage)
        try:
            _decode(page, None, 0)
        except Exception:  # tifffile's way of saying that it has no decoder for this page
            file.close()
            return None
        return TiledReader(
            path=path,
            size=tiff.size,
            mpp=resolved_mpp(path, mpp, [tiff.ome_spacing, tiff.tag_spacing]),
            objective_power=tiff.objective_power,
            vendor=tiff.vendor,
            icc_profile=tiff.icc_profile,
            properties=tiff.properties,
            associated=tiff.associated,
            lossy_methods=tiff.lossy_methods,
            size_bytes=path.stat().st_size,
            file=file,
            page=page,
        )
    except BaseException:
        file.close()
        raise


def _decode(page: tifffile.TiffPage, data: bytes | None, index: int) -> NDArray[np.generic] | None:
    tables = {"jpegtables": page.jpegtables} if page.jpegtables is not None else {}
    decoded: NDArray[np.generic] | None = page.decode(data, index, **tables)[0]
    return decoded
