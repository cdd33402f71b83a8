"""Decodes flat images that libvips does not read (JPEG 2000, BMP) as a whole, by Pillow: they must be small enough."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UnreadableSource
from ._codestream import JPEG_2000_START, read_jpeg_2000_header

LONGEST_PX = 1 << 26
"""Most pixels of such an image: a decoder of JPEG 2000 takes some 16 bytes of memory a pixel, here 1 GB."""

_LONGEST_BYTES = 4 * LONGEST_PX
"""Most bytes of one in JPEG 2000: as many as the samples of the largest have, alpha included."""

_BMP_HEADERS = (12, 40, 52, 56, 64, 108, 124)
"""Bytes of the header in each version of BMP: the two letters at the start alone prove little."""

_TOO_LARGE = "too large for an image that has to be decoded as a whole; convert it to a tiled TIFF"

_STARTS = {
    b"\0\0\0\x0cjP  \r\n\x87\n": "jp2k",
    b"\xff\x4f\xff\x51": "jp2k",
    b"\0\0\0\x0cJXL \r\n\x87\n": "jxl",
    b"\xff\x0a": "jxl",
    b"BM": "bmp",
}
"""Kind of image by its first bytes."""


def decoded(path: Path) -> Any:
    """Decode an image into a pyvips.Image in memory; None if its content is of another kind.

    Raises UnreadableSource if it is too large, or cannot be decoded.
    """
    with path.open("rb") as file:
        start = file.read(18)
    kind = next((kind for magic, kind in _STARTS.items() if start.startswith(magic)), None)
    if kind is None or (kind == "bmp" and int.from_bytes(start[14:18], "little") not in _BMP_HEADERS):
        return None
    if kind == "jxl":
        raise UnreadableSource(path, "JPEG XL is read within a TIFF alone; convert it to PNG, such as with djxl")
    import PIL
    import PIL.Image

    try:
        pixels, profile = _through_pillow(path, kind)
    except UnreadableSource:
        raise
    except PIL.Image.DecompressionBombError as error:
        raise UnreadableSource(path, f"{_TOO_LARGE}: {error}") from error
    except PIL.UnidentifiedImageError as error:
        raise UnreadableSource(path, "cut off or damaged: its header cannot be read") from error
    except Exception as error:  # every decoder raises its own, without a common root
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UnreadableSource(path, f"cut off or damaged: {reason}") from error
    import pyvips

    image = pyvips.Image.new_from_array(np.ascontiguousarray(pixels))
    image = image.copy(interpretation="srgb")
    image.set_type(pyvips.GValue.gstr_type, "vips-loader", kind)
    if profile:
        image.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    return image


def _through_pillow(path: Path, kind: str) -> tuple[NDArray[Any], bytes | None]:
    """Decode an image into (height, width, 3 or 4) uint8 RGB or RGBA, and its ICC profile."""
    import PIL.Image

    data: Path | io.BytesIO = path
    if kind == "jp2k":
        # Of bytes in memory no more can be asked for than there are, whatever length a box states.
        if path.stat().st_size > _LONGEST_BYTES:
            raise UnreadableSource(path, f"{_TOO_LARGE}: expected at most {_LONGEST_BYTES} bytes")
        data = io.BytesIO(path.read_bytes())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PIL.Image.DecompressionBombWarning)  # the size is looked at below
        picture = PIL.Image.open(data, formats=["BMP" if kind == "bmp" else "JPEG2000"])
    with picture:
        _check_size(path, *picture.size)
        if isinstance(data, io.BytesIO):
            _check_depth(path, data.getvalue())
        if picture.mode in ("P", "RGBX"):  # an 8-bit BMP has a palette, as a PNG can have one
            return np.asarray(picture.convert("RGB")), None
        if picture.mode not in ("RGB", "RGBA"):
            raise UnreadableSource(path, f"expected 8-bit RGB, found pixels of kind {picture.mode}")
        return np.asarray(picture), picture.info.get("icc_profile")


def _check_depth(path: Path, data: bytes) -> None:
    """Raise UnreadableSource for JPEG 2000 of more than 8 bits, which Pillow would shorten without a word."""
    header = read_jpeg_2000_header(data[max(data.find(JPEG_2000_START), 0) :])
    if header is not None and header.bits != 8:
        raise UnreadableSource(path, f"expected 8-bit RGB, found {header.bits} bits a sample")


def _check_size(path: Path, width: int, height: int) -> None:
    """Raise UnreadableSource for an image that would take too much memory."""
    if width * height > LONGEST_PX:
        raise UnreadableSource(
            path,
            f"{_TOO_LARGE}: expected at most {LONGEST_PX} px, found {width} x {height}",
        )
