"""Any slide or image file as regions of full-resolution RGB: `open_source()`.

The readers, in the order in which they are asked: OpenSlide (every vendor format and generic tiled TIFF), tifffile
(TIFF and OME-TIFF with compressions that the others lack, or a layout), libvips and Pillow (flat images).
Headers are not believed before they were looked at: directories that form a loop, several pictures in one file, colours
that contradict the codestream. What none of them can give as 8-bit RGB is refused at opening, in a sentence.
"""

from __future__ import annotations

import stat
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from ..errors import MissingSource, SettingsError, UnreadableSource
from ..geometry import Image, Region, Size
from ._directories import check_directories, is_tiff
from ._flat import open_flat, reads_tiff
from ._openslide import detected_vendor, open_openslide
from ._properties import bounded
from ._reader import OnDamage, Reader
from ._resolution import checked_mpp
from ._tiff import PLAIN_VENDORS, read_tiff
from ._tiled import open_tiled

__all__ = ["OnDamage", "Source", "open_source"]


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
    notes: tuple[str, ...]
    """What opening had to put right or leave out, each in a sentence for the user."""

    @property
    def damaged(self) -> tuple[Region, ...]:
        """Where pixels could not be decoded, as far as they were asked for, and `read` gave the background instead.

        Rectangles of whole tiles that do not overlap, by y and x, in full pixels. Empty unless the source was opened
        with on_damage "fill".
        """
        ...

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


def open_source(
    path: str | Path, *, mpp: float | None = None, series: int | None = None, on_damage: OnDamage = "refuse"
) -> Source:
    """Open a slide or an image file of 8-bit RGB.

    mpp: micrometres per full pixel, finite and > 0; overrides what the file says. Flat images (PNG, JPEG, BMP and so
    on) always need it, as their resolution tells of screens and printers. series: which picture, in a file of several;
    the error that lists them has the numbers, and says that one has to be chosen. on_damage: what `read` does where
    pixels cannot be decoded: raise SourceReadError, or put the background there and note the place in `damaged`.

    Raises SettingsError for an `mpp` or `series` out of its range, UnreadableSource for what is no 8-bit RGB image, is
    cut off, holds several pictures or is a histocodec file already, MissingResolution if nobody states a resolution,
    and UnsupportedResolution if the file states pixels that are not square (more than 2 % off). Whether the resolution
    suits an encoder is not asked here.
    """
    path = Path(path)
    mpp = checked_mpp(mpp)
    if on_damage not in ("refuse", "fill"):
        raise SettingsError(f"on_damage must be refuse or fill, found {on_damage}")
    _check_file(path)
    reader = (
        _opened_tiff(path, mpp, series, on_damage) if is_tiff(path) else _opened_other(path, mpp, series, on_damage)
    )
    # A flat image is decoded from its beginning: that is left to the first read.
    if on_damage == "refuse" and reader.cell is not None:
        try:
            reader.check_decodes()
        except BaseException:
            reader.close()
            raise
    reader.properties, notes = bounded(reader.properties)
    reader.notes += notes
    return reader


def _opened_tiff(path: Path, mpp: float | None, series: int | None, on_damage: OnDamage) -> Reader:
    check_directories(path)
    vendor = detected_vendor(path)
    if vendor not in PLAIN_VENDORS:
        _check_alone(path, series, f"a {vendor} slide")
    tiff = read_tiff(path, vendor, series, is_whole=on_damage == "refuse")
    reader: Reader | None = None
    if vendor is not None:
        reader = open_openslide(path, vendor, tiff, mpp, on_damage)
    if reader is None and tiff is not None:
        # libvips reads strips as a stream, which is faster, but lost behind the first damage.
        flat = reads_tiff(tiff) and not tiff.tiled and on_damage == "refuse"
        reader = None if flat else open_tiled(path, tiff, mpp, on_damage)
        if reader is None and reads_tiff(tiff):
            reader = open_flat(path, tiff, mpp, None, on_damage)
        if reader is None:
            raise UnreadableSource(path, tiff.unread)
    if reader is None:
        reader = open_flat(path, None, mpp, series, on_damage)
    if reader is None:
        raise UnreadableSource(
            path, "cut off, damaged or unsupported: a TIFF header, but no reader can make out the image behind it"
        )
    return reader


def _opened_other(path: Path, mpp: float | None, series: int | None, on_damage: OnDamage) -> Reader:
    vendor = detected_vendor(path)
    reader: Reader | None = None
    if vendor is not None:
        _check_alone(path, series, f"a {vendor} slide")
        reader = open_openslide(path, vendor, None, mpp, on_damage)
    if reader is None:
        reader = open_flat(path, None, mpp, series, on_damage)
    if reader is None:
        raise UnreadableSource(path, "expected a slide or an image file, found neither in its content")
    return reader


def _check_alone(path: Path, series: int | None, kind: str) -> None:
    """Raise SettingsError if another than the only picture is asked for."""
    if series not in (None, 0):
        raise SettingsError(f"{path}: there is no series {series}: {kind} is one picture, series 0")


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
