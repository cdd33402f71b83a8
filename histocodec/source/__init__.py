"""Reads any slide or image file as regions of full-resolution RGB: `open_source()`.

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
from ..runtime.file_state import FileState
from ._properties import bounded
from ._reader import OnDamage
from ._resolution import checked_mpp
from ._sets import files_together, slides_among

__all__ = ["OnDamage", "Source", "files_together", "open_source", "slides_among"]


class Source(Protocol):
    """An open slide. Also a context manager, which closes it."""

    path: Path
    size: Size
    """Extent of the slide's finest level, in full pixels."""
    mpp: float
    """Micrometres per full pixel, > 0, the mean of x and y."""
    objective_power: float | None
    """Magnification of the scanner's objective, e.g. 40.0; None if the file does not say."""
    vendor: str
    """Name of the format: OpenSlide's name of the vendor, or "tiff", "ome-tiff", "image"."""
    background: tuple[int, int, int]
    """Colour, RGB of 0..255, that `read` puts where the source is transparent or has no pixels."""
    icc_profile: bytes | None
    """ICC profile of the full-resolution pixels, as it stands in the file. `read` does not apply it."""
    properties: dict[str, str]
    """Statements of the file under the reader's names: all of OpenSlide's properties, or a few TIFF tags."""
    associated: dict[str, Image]
    """Images by "label", "macro", "thumbnail", as far as they are there and readable: (height, width, 3) uint8 RGB."""
    lossy_methods: tuple[str, ...]
    """Lossy compressions of the pixels, in the terms of DICOM (0028,2114); empty if lossless or unknown."""
    files: tuple[Path, ...]
    """The files that make up the slide, `path` first; none of a source that is not on disk."""
    size_bytes: int
    """Bytes on disk, of all these files."""
    states: tuple[FileState, ...]
    """The states of these files when they were opened."""
    notes: tuple[str, ...]
    """Corrections and omissions on opening, each a sentence for the user."""

    @property
    def damaged(self) -> tuple[Region, ...]:
        """Places where pixels were asked for that could not be decoded, so that `read` gave the background.

        Rectangles of whole tiles that do not overlap, by y and x, in full pixels. Empty unless the source was opened
        with on_damage "fill".
        """
        ...

    def read(self, region: Region) -> Image:
        """Read a region in full pixels from the top left: (height, width, 3) uint8 RGB, C-contiguous.

        Safe to call from several threads. Raises RegionError if `region` is not within `size`, and SourceReadError if
        the source's pixels cannot be read; after that the source may be unusable, so open it anew.
        """
        ...

    def close(self) -> None:
        """Release the file. No `read` may be running; a later one raises SourceReadError."""
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
    opened = _checked_file(path)
    from ._opening import open_reader  # imports OpenSlide, which reading a container does without

    reader = open_reader(path, mpp, series, on_damage)
    if reader.states[0] != opened:
        reader.close()
        raise UnreadableSource(path, "changed while it was opened")
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


def _checked_file(path: Path) -> FileState:
    """Return the state of a file. Raises UnreadableSource if it is no readable file with content."""
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise UnreadableSource(path, "expected an image file, found a directory")
        if not stat.S_ISREG(status.st_mode):
            raise UnreadableSource(path, "expected an image file, found a device, pipe or socket")
        with path.open("rb") as file:
            if not file.read(1):
                raise UnreadableSource(path, "an empty file")
        return FileState.of(path)
    except FileNotFoundError as error:
        raise MissingSource(path, "no such file") from error
    except OSError as error:
        raise UnreadableSource(path, f"cannot be opened: {error.strerror}") from error
