"""Any slide or image file as regions of full-resolution RGB: `open_source()`.

The readers, in the order in which they are asked: OpenSlide (every vendor format and generic tiled TIFF), tifffile
(tiled TIFF and OME-TIFF with compressions that OpenSlide lacks), libvips (flat images).
What none of them can give as 8-bit RGB is refused at opening, in a sentence.
"""

from __future__ import annotations

import stat
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from ..codecs import Image
from ..errors import MissingSource, UnreadableSource
from ..geometry import Region, Size
from ._flat import open_flat
from ._openslide import open_openslide
from ._reader import Reader
from ._resolution import checked_mpp
from ._tiff import is_tiff, read_tiff
from ._tiled import open_tiled

__all__ = ["Source", "open_source"]


class Source(Protocol):
    """An open slide. Also a context manager, which closes it."""

    path: Path
    size: Size
    """Full pixels, the whole extent of the slide's finest level."""
    mpp: float
    """Micrometres per full pixel, > 0, the mean of x and y."""
    objective_power: float | None
    """Magnification of the scanner's objective, e.g. 40.0; None if the file does not say."""
    vendor: str
    """OpenSlide's name of the vendor, or "tiff", "ome-tiff", "image"."""
    background: tuple[int, int, int]
    """RGB, 0..255, that `read` puts where the source is transparent or has no pixels."""
    icc_profile: bytes | None
    """The profile of the full-resolution pixels, as it stands in the file. `read` does not apply it."""
    properties: dict[str, str]
    """What the file says of itself, under the reader's names: all of OpenSlide's properties, or a few TIFF tags."""
    associated: dict[str, Image]
    """"label", "macro", "thumbnail", as far as they are there and readable: (height, width, 3) uint8 RGB."""
    lossy_methods: tuple[str, ...]
    """How the pixels were compressed with loss, in the terms of DICOM (0028,2114); empty if lossless or unknown."""
    size_bytes: int
    """Bytes on disk, of all the files that make up the slide."""

    def read(self, region: Region) -> Image:
        """The pixels of a region, (height, width, 3) uint8 RGB, C-contiguous, in full pixels from the top left.

        Safe to call from several threads. Raises RegionError if `region` is not within `size`, and SourceReadError if
        the source's pixels cannot be read; after that the source may be unusable, so open it anew.
        """
        ...

    def close(self) -> None:
        """Release the file. No `read` may be running; later ones raise SourceReadError."""
        ...

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def open_source(path: str | Path, *, mpp: float | None = None) -> Source:
    """Open a slide or an image file of 8-bit RGB.

    mpp: micrometres per full pixel, finite and > 0; overrides what the file says. Flat images (PNG, JPEG, stripped
    TIFF) always need it, as their resolution tells of screens and printers.

    Raises SettingsError for an `mpp` out of its range, UnreadableSource for what is no 8-bit RGB image, is cut off or
    is a histocodec file already, MissingResolution if nobody states a resolution, and UnsupportedResolution if the file
    states pixels that are not square (more than 2 % off). Whether the resolution suits an encoder is not asked here.
    """
    path = Path(path)
    mpp = checked_mpp(mpp)
    _check_file(path)
    tiff = read_tiff(path)
    reader: Reader | None = open_openslide(path, tiff, mpp)
    if reader is None and tiff is not None:
        reader = open_tiled(path, tiff, mpp)
    if reader is None:
        reader = open_flat(path, tiff, mpp)
    if reader is None and is_tiff(path):
        raise UnreadableSource(
            path, "cut off, damaged or unsupported: a TIFF header, but no reader can make out the image behind it"
        )
    if reader is None:
        raise UnreadableSource(path, "expected a slide or an image file, found neither in its content")
    return reader


def _check_file(path: Path) -> None:
    """Raise UnreadableSource if `path` is no readable file with content."""
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise UnreadableSource(path, "expected an image file, found a directory")
        if not stat.S_ISREG(status.st_mode):
            raise UnreadableSource(path, "expected an image file, found a device, pipe or socket")
        with path.open("rb") as file:
            if not file.read(1):
                raise UnreadableSource(path, "an empty file")
    except FileNotFoundError as error:
        raise MissingSource(path, "no such file") from error
    except OSError as error:
        raise UnreadableSource(path, f"cannot be opened: {error.strerror}") from error
