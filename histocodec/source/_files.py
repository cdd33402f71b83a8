"""Finds the files that make up a slide, for formats that spread over several."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

_DICOM_HEAD_BYTES = 1 << 17
"""Bytes that hold (0020,000E), which stands before the large attributes, such as the ICC profile and the pixels."""


def slide_files(path: Path, vendor: str, properties: Mapping[str, str]) -> tuple[Path, ...]:
    """Return all files of a slide, `path` first, as far as OpenSlide's vendor and properties tell which they are."""
    match vendor:
        case "mirax":
            others = [file for file in path.with_suffix("").rglob("*") if file.is_file()]
        case "dicom":
            others = dicom_series(path, properties.get("dicom.SeriesInstanceUID", ""))[1:]
        case "hamamatsu" if path.suffix.lower() in (".vms", ".vmu"):
            named = {value for name, value in properties.items() if name.startswith("hamamatsu.")}
            beside = (file for file in path.parent.iterdir() if file.name != path.name)
            others = [file for file in beside if file.name in named and file.is_file()]
        case _:
            others = []
    return path, *sorted(others)


def dicom_series(path: Path, uid: str) -> list[Path]:
    """Return `path` and the DICOM files beside it whose Series Instance UID, in explicit VR, is `uid`."""
    element = dicom_element(0x0020, 0x000E, uid)
    files = [path]
    for file in path.parent.iterdir():
        if file.name != path.name and file.is_file():
            head = dicom_head(file)
            if head[128:132] == b"DICM" and element in head:
                files.append(file)
    return files


def dicom_head(path: Path) -> bytes:
    """Read the beginning of a file, up to its large attributes; empty if it cannot be read.

    A file that OpenSlide cannot read either is no part of the slide.
    """
    try:
        with path.open("rb") as opened:
            return opened.read(_DICOM_HEAD_BYTES)
    except OSError:
        return b""


def dicom_element(group: int, element: int, uid: str) -> bytes:
    """Build an attribute that holds a UID, as a file in explicit VR has it."""
    value = uid.encode() + b"\0" * (len(uid) % 2)
    return struct.pack("<HH2sH", group, element, b"UI", len(value)) + value
