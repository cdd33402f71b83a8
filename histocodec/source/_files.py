"""The files that make up a slide, for formats that spread over several."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

# (0020,000E) stands before the large attributes, such as the ICC profile and the pixels.
_DICOM_HEAD_BYTES = 1 << 17


def size_on_disk(path: Path, vendor: str, properties: Mapping[str, str]) -> int:
    """Bytes of all the files of the slide, as far as they can be known from OpenSlide's vendor and properties."""
    match vendor:
        case "mirax":
            files = [path, *(file for file in path.with_suffix("").rglob("*") if file.is_file())]
        case "dicom":
            files = dicom_series(path, properties.get("dicom.SeriesInstanceUID", ""))
        case "hamamatsu" if path.suffix.lower() in (".vms", ".vmu"):
            named = {value for name, value in properties.items() if name.startswith("hamamatsu.")}
            files = [file for file in path.parent.iterdir() if file == path or (file.name in named and file.is_file())]
        case _:
            files = [path]
    return sum(file.stat().st_size for file in files)


def dicom_series(path: Path, uid: str) -> list[Path]:
    """The DICOM files beside `path` (and `path`) whose Series Instance UID, in explicit VR, is `uid`."""
    element = dicom_element(0x0020, 0x000E, uid)
    files = [path]
    for file in path.parent.iterdir():
        if file.name != path.name and file.is_file():
            head = dicom_head(file)
            if head[128:132] == b"DICM" and element in head:
                files.append(file)
    return files


def dicom_head(path: Path) -> bytes:
    """The beginning of a file, with what stands before the large attributes; nothing if it cannot be read.

    What OpenSlide cannot read either is no part of the slide.
    """
    try:
        with path.open("rb") as opened:
            return opened.read(_DICOM_HEAD_BYTES)
    except OSError:
        return b""


def dicom_element(group: int, element: int, uid: str) -> bytes:
    """An attribute that holds a UID, as a file in explicit VR has it."""
    value = uid.encode() + b"\0" * (len(uid) % 2)
    return struct.pack("<HH2sH", group, element, b"UI", len(value)) + value
