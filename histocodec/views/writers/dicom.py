"""Writes a slide as a folder of DICOM VL Whole Slide Microscopy instances: one a level, and label and overview."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path

from pydicom.dataset import FileDataset

from ...runtime.scratch import CodeSpool
from ..coded_levels import CodedLevels
from ..levels import Levels
from .dicom_header import SlideHeaders

_ITEM, _DELIMITER = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0\0\0\0\0"
_PIXEL_DATA = b"\xe0\x7f\x10\0OB\0\0\xff\xff\xff\xff"
"""Tag, kind and the undefined length of encapsulated pixels."""
_LONGEST_BASIC_TABLE = 1 << 32
"""Bytes of frames that 32-bit offsets can reach."""
_OVERVIEWS = {"label": "LABEL", "macro": "OVERVIEW"}
"""Third value of Image Type by the name of an associated image; the coarsest level is the thumbnail."""


def write(levels: Levels, folder: Path) -> None:
    """Write the levels into a folder that is there.

    A level waits on disk until all of it is coded: its header, which stands first, states the ratio and the offsets.
    """
    headers = SlideHeaders(levels)
    with CodedLevels(levels) as coded:
        for number, part in enumerate(levels.parts):
            with CodeSpool(part.grid, levels.scratch) as frames:
                for index, data in enumerate(coded.tiles(number)):
                    frames.put(index, data)
                sizes = [frames.size(index) for index in range(part.grid.count)]
                header = headers.of_level(number, sum(sizes))
                _write_instance(folder / f"level-{number}.dcm", header, sizes, iter(frames))
    for image in levels.associated:
        if image.name in _OVERVIEWS:
            kind = _OVERVIEWS[image.name]
            header = headers.of_associated(image, kind)
            _write_instance(folder / f"{kind.lower()}.dcm", header, [len(image.jpeg)], iter([image.jpeg]))


def _write_instance(path: Path, header: FileDataset, sizes: list[int], frames: Iterator[bytes]) -> None:
    """Write a file: its header, the table of offsets, and the frames, a fragment each (PS3.5, A.4)."""
    lengths = [size + size % 2 for size in sizes]  # fragments have an even length
    offsets = list(accumulate((8 + length for length in lengths), initial=0))
    table = b""
    if offsets[-1] < _LONGEST_BASIC_TABLE:
        table = struct.pack(f"<{len(sizes)}I", *offsets[:-1])
    else:
        header.ExtendedOffsetTable = struct.pack(f"<{len(sizes)}Q", *offsets[:-1])
        header.ExtendedOffsetTableLengths = struct.pack(f"<{len(sizes)}Q", *lengths)
    with path.open("wb") as file:
        header.save_as(file, enforce_file_format=True)
        file.write(_PIXEL_DATA + _ITEM + struct.pack("<I", len(table)) + table)
        for data, length in zip(frames, lengths, strict=True):
            file.write(_ITEM + struct.pack("<I", length) + data.ljust(length, b"\0"))
        file.write(_DELIMITER)
