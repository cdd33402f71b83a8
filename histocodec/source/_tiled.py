"""TIFF and OME-TIFF tile by tile or strip by strip, through tifffile: what OpenSlide and libvips do not read."""

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
from ..errors import UnreadableSource
from ..geometry import Region
from ._reader import OnDamage, Reader, over
from ._resolution import resolved_mpp
from ._tiff import LONGEST_SEGMENT_PX, TiffFacts

_CACHE_BYTES = 64 << 20
_SEPARATE = 2
_ASSOCIATED_ALPHA = 1


@dataclass(kw_only=True, eq=False)
class TiledReader(Reader):
    """A TIFF, of which only the tiles or strips that a region touches are read. Both are called tiles here."""

    file: tifffile.TiffFile = field(repr=False)
    pages: list[tifffile.TiffPage] = field(repr=False)
    """One, or one for each of red, green and blue."""
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)
    _tile: Callable[[int, int], NDArray[np.uint8] | None] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        assert self.cell is not None
        tile_bytes = self.cell.area * (1 if len(self.pages) > 1 else self.pages[0].samplesperpixel)
        self._tile = lru_cache(maxsize=max(len(self.pages), _CACHE_BYTES // tile_bytes))(self._decoded)

    def _pixels(self, region: Region) -> Image:
        page = self.pages[0]
        samples = len(self.pages) if len(self.pages) > 1 else page.samplesperpixel
        apart = page.samplesperpixel if page.planarconfig == _SEPARATE else 1
        ((last_column, last_row),) = self._cells(Region(self.size.width - 1, self.size.height - 1, 1, 1))
        canvas = np.zeros((region.height, region.width, samples), np.uint8)
        if samples == 3:  # what no tile covers; with alpha, zeros stand for it
            canvas[:] = self.background
        for column, row in self._cells(region):
            cell = self._cell_region(column, row)
            x, right = max(region.x, cell.x), min(region.right, cell.right)
            y, bottom = max(region.y, cell.y), min(region.bottom, cell.bottom)
            part = canvas[y - region.y : bottom - region.y, x - region.x : right - region.x]
            for plane in range(max(len(self.pages), apart)):
                of_page, within = (plane, 0) if len(self.pages) > 1 else (0, plane)
                tile = self._tile(of_page, (within * (last_row + 1) + row) * (last_column + 1) + column)
                if tile is not None:
                    channels = slice(None) if tile.shape[2] == samples else slice(plane, plane + 1)
                    part[:, :, channels] = tile[y - cell.y : bottom - cell.y, x - cell.x : right - cell.x]
        if samples == 3:
            return canvas
        return over(canvas, self.background, premultiplied=page.extrasamples == (_ASSOCIATED_ALPHA,))

    def _decoded(self, of_page: int, index: int) -> NDArray[np.uint8] | None:
        """One tile, (height, width, samples) uint8; None if the file leaves it out."""
        page = self.pages[of_page]
        count = page.databytecounts[index]
        if count == 0:
            return None
        with self._lock:
            self.file.filehandle.seek(page.dataoffsets[index])
            data = self.file.filehandle.read(count)
        if len(data) != count:
            raise ValueError(f"the file ends within tile {index}")
        tile = _decode(page, data, index)
        samples = 1 if page.planarconfig == _SEPARATE else page.samplesperpixel
        if tile is None or tile.dtype != np.uint8 or tile.shape[0] != 1 or tile.shape[3] != samples:
            raise ValueError(f"tile {index} is not of {samples} x 8 bit, as its directory says")
        return np.asarray(tile[0], np.uint8)

    def _release(self) -> None:
        self.file.close()


def open_tiled(path: Path, tiff: TiffFacts, mpp: float | None, on_damage: OnDamage) -> TiledReader | None:
    """Open a TIFF, or return None if tifffile has no decoder for it.

    Raises UnreadableSource, MissingResolution and UnsupportedResolution.
    """
    if not tiff.is_rgb_when_decoded:
        return None
    file = tifffile.TiffFile(path)
    try:
        pages = [page for page in (file.pages[place] for place in tiff.pages) if isinstance(page, tifffile.TiffPage)]
        try:
            _decode(pages[0], None, 0)
        except Exception:  # tifffile's way of saying that it has no decoder for this page
            file.close()
            return None
        if tiff.segment_size.area > LONGEST_SEGMENT_PX:
            raise UnreadableSource(
                path,
                f"expected strips of at most {LONGEST_SEGMENT_PX} px, found {tiff.segment_size.width} x "
                f"{tiff.segment_size.height} px, which would have to be held in memory at once; write it with tiles "
                "(tiffcp -t)",
            )
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
            on_damage=on_damage,
            cell=tiff.segment_size,
            file=file,
            pages=pages,
        )
    except BaseException:
        file.close()
        raise


def _decode(page: tifffile.TiffPage, data: bytes | None, index: int) -> NDArray[np.generic] | None:
    tables = {"jpegtables": page.jpegtables} if page.jpegtables is not None else {}
    decoded: NDArray[np.generic] | None = page.decode(data, index, **tables)[0]
    return decoded
