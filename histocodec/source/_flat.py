"""Reads flat images (PNG, JPEG, stripped TIFF, WebP and so on) through libvips, which spools large ones to disk."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import SettingsError, UnreadableSource
from ..geometry import Image, Region, Size
from ._decoded import decoded
from ._reader import OnDamage, Reader, over
from ._resolution import resolved_mpp
from ._segments import LONGEST_SEGMENT_PX
from ._tiff import TiffMetadata

_LINE_BY_LINE = (1, 8, 32946)
"""TIFF compressions of which libtiff need not hold a whole strip: none, deflate by both its numbers."""
_TIFF_COMPRESSIONS = (*_LINE_BY_LINE, 5, 7, 32773, 50001)
"""TIFF compressions that every libvips reads: those, LZW, JPEG, PackBits, WebP. It may have been built with more, and
says so when it is too late."""
_LONGEST_SEGMENT_BYTES = 40 << 20
"""Most stored bytes of a tile or strip; libvips allows libtiff 50 MiB in all."""

_PX_PER_BYTE = 1000
"""Most pixels that a byte of a file can stand for. Deflate gives 1032 bytes for one, so PNG a third of that in pixels,
and JPEG needs a bit for each of six blocks of 16 x 16 px."""

_LOSSY_METHODS = {
    "jpegload_source": "ISO_10918_1",
    "jp2k": "ISO_15444_1",
    "webpload_source": "WEBP",
}
"""Lossy compressions in the terms of DICOM, by libvips' name of the loader."""


@dataclass(kw_only=True, eq=False)
class FlatReader(Reader):
    """An image that libvips reads."""

    image: Any = field(repr=False)
    """pyvips.Image, 3 or 4 bands of uchar."""
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def _pixels(self, region: Region) -> Image:
        import pyvips

        with self._lock:
            fetched = pyvips.Region.new(self.image).fetch(region.x, region.y, region.width, region.height)
        pixels = np.frombuffer(fetched, np.uint8).reshape(region.height, region.width, self.image.bands)
        return over(pixels, self.background) if self.image.bands == 4 else pixels

    def _release(self) -> None:
        self.image = None


def open_flat(
    path: Path, tiff: TiffMetadata | None, mpp: float | None, series: int | None, on_damage: OnDamage
) -> FlatReader | None:
    """Open an image, or return None if libvips knows no loader for its content.

    series: which of several images, for what is no TIFF. Raises UnreadableSource, MissingResolution and
    UnsupportedResolution.
    """
    image = decoded(path) if tiff is None else None
    if image is None:
        image = _loaded(path, None if tiff is None else tiff.pages[0], series)
    if image is None:
        return None
    if image.format != "uchar" or image.interpretation not in ("srgb", "rgb") or image.bands not in (3, 4):
        raise UnreadableSource(
            path, f"expected 8-bit RGB, found {image.bands} x {image.format} per pixel ({image.interpretation})"
        )
    _check_proportion(path, Size(image.width, image.height))
    image = image.autorot()  # cameras note how they were held
    loader = image.get("vips-loader")
    lossy = _LOSSY_METHODS.get(loader)
    return FlatReader(
        path=path,
        size=Size(image.width, image.height),
        mpp=resolved_mpp(path, mpp, [] if tiff is None else [tiff.ome_spacing, tiff.tag_spacing]),
        objective_power=None if tiff is None else tiff.objective_power,
        vendor="image" if tiff is None else tiff.vendor,
        icc_profile=image.get("icc-profile-data") if image.get_typeof("icc-profile-data") else None,
        properties={"vips-loader": loader} if tiff is None else tiff.properties,
        associated={} if tiff is None else tiff.associated,
        lossy_methods=tiff.lossy_methods if tiff is not None else () if lossy is None else (lossy,),
        files=(path,),
        on_damage=on_damage,
        cell=tiff.segment_size if tiff is not None and tiff.tiled else None,
        image=image,
    )


def _loaded(path: Path, page_number: int | None, series: int | None) -> Any:
    """Open a file, or one directory of a TIFF, as a pyvips.Image; None if libvips knows no loader."""
    import pyvips  # starts libvips, which vendor slides never need

    # By content, not by name: in names, libvips reads brackets as options and suffixes as formats.
    def page(options: dict[str, int]) -> Any:
        source = pyvips.Source.new_from_file(os.fsencode(path))
        return pyvips.Image.new_from_source(source, "", access="random", fail_on="error", **options)

    try:
        if page_number is not None:
            return page({"page": page_number})
        image = page({})
        count = image.get_n_pages()
        if count > 1 and series is None:
            raise UnreadableSource(path, f"expected one image, found {count}; choose one with --series, from 0")
        if not 0 <= (series or 0) < count:
            raise SettingsError(f"{path}: there is no series {series}: expected 0 to {count - 1}")
        return page({"page": series}) if series else image
    except pyvips.Error:
        return None


def _check_proportion(path: Path, size: Size) -> None:
    """Raise UnreadableSource if a large image cannot be in so small a file: libvips would spool it all the same."""
    size_bytes = path.stat().st_size
    if size.area > max(LONGEST_SEGMENT_PX, _PX_PER_BYTE * size_bytes):
        raise UnreadableSource(
            path,
            f"cut off or damaged: its header states {size.width} x {size.height} px, its {size_bytes} bytes hold less",
        )


def reads_tiff(tiff: TiffMetadata) -> bool:
    """Tell whether libvips decodes the picture of a TIFF, within bounds of memory."""
    if tiff.compression not in _TIFF_COMPRESSIONS or tiff.is_grey or tiff.contradicts:
        return False
    if tiff.longest_segment_bytes > _LONGEST_SEGMENT_BYTES:
        return False
    return tiff.compression in _LINE_BY_LINE or tiff.segment_size.area <= LONGEST_SEGMENT_PX
