"""Checks DICOM slides, whose header may say other colours than the codestream of their frames holds."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import openslide
import PIL.Image

from ..errors import UnreadableSource
from ..format.tags import MAX_SIDE
from ..runtime.searched_file import SearchedFile
from ._codestream import read_jpeg_2000_header, read_jpeg_header
from ._files import dicom_element, dicom_head, dicom_series
from ._segments import LONGEST_SEGMENT_PX
from .as_stored import AsStored

_JPEG = ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51")
_JPEG_2000 = ("1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91")
_PIXEL_DATA = b"\xe0\x7f\x10\x00OB\0\0\xff\xff\xff\xff"
_ITEM = b"\xfe\xff\x00\xe0"
_JP2_SIGNATURE = b"\0\0\0\x0cjP  "
_HEADER_BYTES = 1 << 16
"""Bytes of a frame in which its header must be found."""
_TABLE_BYTES = 1 << 16
"""Bytes that are read at a time of a table of offsets."""
_FRAME_BYTES = 8
"""Least bytes of a frame: those of its item's head."""
_MOST_TILES = 1 << 24
"""More tiles than a slide of a million pixels a side has, in tiles of 256 px."""
_FRAMES = 8
"""Most frames that are searched for a header: the first ones may be damaged."""

_ROLES = {b"LABEL": "label", b"OVERVIEW": "macro", b"THUMBNAIL": "thumbnail"}
"""Associated image by the third value of Image Type."""

# A colour that exists has a place in YCbCr; most of YCbCr's places are no colour. Coding strays a little.
_STRAY = 16
"""Grey levels that a colour may lie outside of RGB."""
_ALL = 0.999
"""Least share of pixels that are colours if read as YCbCr, for pixels that are YCbCr."""
_TOO_FEW = 0.99
"""Share up to which they are none."""
_SAMPLES, _SAMPLE_PX = 4, 256
"""Number of places in a row and in a column, and the pixels of each a side, at which colours are counted."""
_ZERO_CHROMA = np.array([0, 128, 128], np.float32)
_TO_RGB = np.array([[1, 0, 1.402], [1, -0.344136, -0.714136], [1, 1.772, 0]], np.float32)
"""YCbCr less `_ZERO_CHROMA` to RGB (ITU-R BT.601, full range)."""

_WAY_OUT = "set PhotometricInterpretation right in a copy, or convert the slide with another tool"

_Verdict = Literal["as the header says", "ycbcr for rgb", "rgb for ycbcr", "no transform", "a file"]


@dataclass(frozen=True, slots=True)
class DicomCorrections:
    """Corrections of what OpenSlide reads."""

    is_ycbcr: bool = False
    """True if OpenSlide gives YCbCr as RGB."""
    left_out: tuple[str, ...] = ()
    """Associated images whose colours would be wrong."""
    notes: tuple[str, ...] = ()
    """Findings, and what was done about them, in sentences for the user."""


def check_dicom(path: Path, slide: openslide.OpenSlide) -> DicomCorrections:
    """Compare the header of a slide with its first frame.

    Raises UnreadableSource if they contradict each other and nobody can be certain, or OpenSlide cannot be put right;
    for several optical paths, of which OpenSlide would give the first without a word; and for frames that are not one
    behind the other, from whose table of offsets libdicom computes lengths below zero, and crashes.
    """
    properties = slide.properties
    if "dicom.OpticalPathSequence[1].OpticalPathIdentifier" in properties:
        raise UnreadableSource(
            path,
            "expected one optical path, found several; write each to a series of its own and encode those",
        )
    syntax = properties.get("dicom.TransferSyntaxUID", "")
    stated = properties.get("dicom.PhotometricInterpretation", "")
    instance = dicom_element(0x0008, 0x0018, properties.get("dicom.SOPInstanceUID", ""))
    left_out, notes = list[str](), list[str]()
    verdict: _Verdict = "as the header says"
    for file in dicom_series(path, properties.get("dicom.SeriesInstanceUID", "")):
        if not _offsets_ascend(file):
            raise UnreadableSource(path, f"damaged: the table of offsets of {file.name} is not in ascending order")
        head = dicom_head(file)
        if instance in head:
            verdict = _verdict(file, syntax, stated)
        elif (role := _role(head)) and _verdict(file, *_statements(head)) != "as the header says":
            left_out.append(role)
            notes.append(f"{role} left out: its header says other colours than its codestream holds")
    said = f"its header says {stated}"
    match verdict:
        case "ycbcr for rgb":
            notes.append(f"{said}, but its frames are YCbCr, and were read as that")
            return DicomCorrections(True, tuple(left_out), tuple(notes))
        case "rgb for ycbcr":
            raise UnreadableSource(path, f"{said}, but its frames are RGB: the colours would be wrong; {_WAY_OUT}")
        case "a file":
            raise UnreadableSource(
                path,
                "expected bare JPEG 2000 codestreams as frames, found JP2 files, which OpenSlide does not read",
            )
        case "no transform":
            share = _share_of_colours(path, slide.dimensions)
            if share is not None and _TOO_FEW < share < _ALL:
                raise UnreadableSource(
                    path,
                    f"{said}, but its codestream was made without that transform, and whether it holds RGB or YCbCr "
                    f"cannot be told; {_WAY_OUT}",
                )
            is_ycbcr = share is not None and share >= _ALL
            held = "YCbCr" if is_ycbcr else "RGB"
            notes.append(f"{said}, but its codestream has no such transform and holds {held}, and was read as that")
            return DicomCorrections(is_ycbcr, tuple(left_out), tuple(notes))
    return DicomCorrections(False, tuple(left_out), tuple(notes))


def check_dicom_sizes(path: Path) -> None:
    """Raise UnreadableSource for a series with sizes that no slide has, before memory is asked for, or hours spent."""
    series = _text(dicom_head(path), 0x0020, 0x000E, b"UI").decode("ascii", "replace")
    for file in dicom_series(path, series):
        head = dicom_head(file)
        rows, columns = (_number(head, 0x0028, element, b"US") for element in (0x0010, 0x0011))
        width, height = (_number(head, 0x0048, element, b"UL") for element in (0x0006, 0x0007))
        frames = _text(head, 0x0028, 0x0008, b"IS").decode("ascii", "replace").removeprefix("+")
        tiles = -(-width // max(columns, 1)) * -(-height // max(rows, 1))
        if rows * columns > LONGEST_SEGMENT_PX or max(width, height) > MAX_SIDE or tiles > _MOST_TILES:
            raise UnreadableSource(
                path, f"damaged: {file.name} states {width} x {height} px in frames of {columns} x {rows} px"
            )
        if frames and not (frames.isdecimal() and int(frames) <= file.stat().st_size // _FRAME_BYTES):
            raise UnreadableSource(path, f"damaged: {file.name} states {frames:.20} frames, more than it has room for")


def as_rgb(image: PIL.Image.Image) -> PIL.Image.Image:
    """Convert an RGBA picture whose first three channels are YCbCr into RGBA (ITU-R BT.601, full range)."""
    pixels = np.array(image)
    rgb = (pixels[..., :3] - _ZERO_CHROMA) @ _TO_RGB.T
    pixels[..., :3] = np.clip(np.rint(rgb), 0, 255)
    return PIL.Image.fromarray(pixels)


def _verdict(file: Path, syntax: str, stated: str) -> _Verdict:
    """Compare what a file states, transfer syntax and photometric interpretation, with the header of a frame."""
    for frame in _frames(file):
        if syntax in _JPEG:
            jpeg = read_jpeg_header(frame)
            if jpeg is not None:
                if stated == "RGB" and jpeg.colours == "ycbcr":
                    return "ycbcr for rgb"
                return "rgb for ycbcr" if stated != "RGB" and jpeg.colours == "rgb" else "as the header says"
        elif syntax in _JPEG_2000:
            if frame.startswith(_JP2_SIGNATURE):
                return "a file"
            jpeg_2000 = read_jpeg_2000_header(frame)
            if jpeg_2000 is not None:
                return "no transform" if stated != "RGB" and not jpeg_2000.has_transform else "as the header says"
    return "as the header says"


def _frames(file: Path) -> Iterator[bytes]:
    """Yield the beginnings of the first fragments of encapsulated pixels; a frame's first fragment has its header."""
    with SearchedFile(file) as data:
        for place, length in itertools.islice(_items(data), 1, _FRAMES + 1):  # the first item is the table of offsets
            yield data.read(place, min(length, _HEADER_BYTES))


def _offsets_ascend(file: Path) -> bool:
    """Tell whether each frame begins behind the one before, as far as a file has a table of offsets."""
    last = -1
    with SearchedFile(file) as data:
        place, length = next(_items(data), (0, 0))
        for start in range(place, place + length, _TABLE_BYTES):
            table = data.read(start, min(_TABLE_BYTES, place + length - start))
            offsets = np.frombuffer(table[: len(table) // 4 * 4], "<u4").astype(np.int64)
            if not (np.diff(offsets, prepend=last) > 0).all():
                return False
            if offsets.size < _TABLE_BYTES // 4:  # of the table, or of the file, whatever length it states
                return True
            last = int(offsets[-1])
    return True


def _items(data: SearchedFile) -> Iterator[tuple[int, int]]:
    """Yield place and length of the items of encapsulated pixels, the table of offsets first."""
    start = data.find(_PIXEL_DATA + _ITEM, 0)
    position = start + len(_PIXEL_DATA) if start >= 0 else len(data)
    while (head := data.read(position, 8))[:4] == _ITEM and len(head) == 8:
        (length,) = struct.unpack_from("<I", head, 4)
        yield position + 8, length
        position += 8 + length


def _role(head: bytes) -> str | None:
    """Return the associated image that a file holds, as its Image Type says; None for another one."""
    values = _text(head, 0x0008, 0x0008).split(b"\\")
    return _ROLES.get(values[2]) if len(values) > 2 else None


def _statements(head: bytes) -> tuple[str, str]:
    """Return the transfer syntax and the photometric interpretation that a file states."""
    found = _text(head, 0x0002, 0x0010, b"UI"), _text(head, 0x0028, 0x0004)
    return found[0].decode("ascii", "replace"), found[1].decode("ascii", "replace")


def _number(head: bytes, group: int, element: int, kind: bytes) -> int:
    """Return the value of the first attribute of a tag that holds a number of kind US or UL; 0 if it is not there."""
    start = head.find(struct.pack("<HH2s", group, element, kind))
    length = {b"US": 2, b"UL": 4}[kind]
    return 0 if start < 0 else int.from_bytes(head[start + 8 : start + 8 + length], "little")


def _text(head: bytes, group: int, element: int, kind: bytes = b"CS") -> bytes:
    """Return the value of the first attribute of a tag, in explicit VR; empty if it is not there."""
    start = head.find(struct.pack("<HH2s", group, element, kind))
    if start < 0 or start + 8 > len(head):
        return b""
    (length,) = struct.unpack_from("<H", head, start + 6)
    return head[start + 8 : start + 8 + length].strip(b"\0 ")


def _share_of_colours(path: Path, dimensions: tuple[int, int]) -> float | None:
    """Return the share of pixels, all over the slide, that are colours if read as YCbCr; None if none can be read."""
    width, height = dimensions
    found, total = 0, 0
    for row in range(_SAMPLES):
        for column in range(_SAMPLES):
            corner = width * column // _SAMPLES, height * row // _SAMPLES
            try:
                with openslide.OpenSlide(AsStored(path)) as own:
                    image = own.read_region(corner, 0, (_SAMPLE_PX, _SAMPLE_PX))
            except openslide.OpenSlideError:  # damaged there
                continue
            pixels = np.asarray(image)
            pixels = pixels[pixels[..., 3] == 255][:, :3].astype(np.float32)
            rgb = (pixels - _ZERO_CHROMA) @ _TO_RGB.T
            found += int(((rgb > -_STRAY) & (rgb < 255 + _STRAY)).all(axis=1).sum())
            total += len(pixels)
    return found / total if total else None
