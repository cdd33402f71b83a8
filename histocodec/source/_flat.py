"""Flat images (PNG, JPEG, stripped TIFF, WebP and so on) through libvips, which spools large ones to disk."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..codecs import Image
from ..errors import UnreadableSource
from ..geometry import Region, Size
from ._reader import Reader, over
from ._resolution import resolved_mpp
from ._tiff import TiffFacts

_LOSSY_METHODS = {
    "jpegload_source": "ISO_10918_1",
    "jp2kload_source": "ISO_15444_1",
    "webpload_source": "WEBP",
    "jxlload_source": "ISO_18181_1",
}


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


def open_flat(path: Path, tiff: TiffFacts | None, mpp: float | None) -> FlatReader | None:
    """Open an image, or return None if libvips knows no loader for its content.

    Raises UnreadableSource, MissingResolution and UnsupportedResolution.
    """
    import pyvips  # starts libvips, which vendor slides never need

    if tiff is not None:
        tiff.check_unambiguous()
    page = {} if tiff is None else {"page": tiff.page}
    try:
        # By content, not by name: in names, libvips reads brackets as options and suffixes as formats.
        source = pyvips.Source.new_from_file(os.fsencode(path))
        image = pyvips.Image.new_from_source(source, "", access="random", fail_on="error", **page)
    except pyvips.Error:
        return None
    if image.format != "uchar" or image.interpretation not in ("srgb", "rgb") or image.bands not in (3, 4):
        raise UnreadableSource(
            path, f"expected 8-bit RGB, found {image.bands} x {image.format} per pixel ({image.interpretation})"
        )
    pages = image.get_n_pages()
    if tiff is None and pages > 1:
        raise UnreadableSource(path, f"expected one image, found {pages}")
    image = image.autorot()  # cameras note how they were held
    loader = image.get("vips-loader")
    lossy = _LOSSY_METHODS.get(loader)
    return FlatReader(
        path=path,
        size=Size(image.width, image.height),
        mpp=resolved_mpp(path, mpp, [] if tiff is None else [tiff.ome_spacing]),
        objective_power=None if tiff is None else tiff.objective_power,
        vendor="image" if tiff is None else tiff.vendor,
        icc_profile=image.get("icc-profile-data") if image.get_typeof("icc-profile-data") else None,
        properties={"vips-loader": loader} if tiff is None else tiff.properties,
        associated={} if tiff is None else tiff.associated,
        lossy_methods=tiff.lossy_methods if tiff is not None else () if lossy is None else (lossy,),
        size_bytes=path.stat().st_size,
        image=image,
    )
