"""Finds the reader for a file: each is asked in turn, the one with the most knowledge of the format first."""

from __future__ import annotations

from pathlib import Path

from ..errors import SettingsError, UnreadableSource
from ._directories import check_directories, is_tiff
from ._flat import open_flat, reads_tiff
from ._openslide import detected_vendor, open_openslide
from ._reader import OnDamage, Reader
from ._tiff import PLAIN_VENDORS, read_tiff
from ._tiled import open_tiled


def open_reader(path: Path, mpp: float | None, series: int | None, on_damage: OnDamage) -> Reader:
    """Open a file with the first reader that takes it. Raises as `open_source`."""
    return _opened_tiff(path, mpp, series, on_damage) if is_tiff(path) else _opened_other(path, mpp, series, on_damage)


def _opened_tiff(path: Path, mpp: float | None, series: int | None, on_damage: OnDamage) -> Reader:
    """Open a TIFF: by OpenSlide, tifffile or libvips, whichever reads all that its directories say."""
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
        # libvips might read it, but would give a tile that is too short whatever pixels lay in memory.
        raise UnreadableSource(
            path, "cut off, damaged or unsupported: a TIFF header, but no reader can make out the image behind it"
        )
    return reader


def _opened_other(path: Path, mpp: float | None, series: int | None, on_damage: OnDamage) -> Reader:
    """Open any other file: by OpenSlide, else libvips or Pillow."""
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
