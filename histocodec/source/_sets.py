"""Tells which files are one slide, from their names and the beginning of some, before any reader opens them."""

from __future__ import annotations

import configparser
from collections.abc import Iterable, Iterator
from pathlib import Path

from ._files import dicom_head, dicom_series

_DICOM = ".dcm"
_SERIES = b"\x20\x00\x0e\x00UI"
"""The beginning of (0020,000E), Series Instance UID, in explicit VR."""


def files_together(path: Path) -> tuple[Path, ...]:
    """Return all files of the slide that `path` belongs to, `path` first: a DICOM series, an MRXS set, a VMS set."""
    match path.suffix.lower():
        case ".mrxs":
            others = [file for file in path.with_suffix("").rglob("*") if file.is_file()]
        case ".vms" | ".vmu":
            named = _named_in(path)
            others = [file for file in path.parent.iterdir() if file.name in named and file != path and file.is_file()]
        case ".dcm":
            uid = series_of(path)
            others = [] if uid is None else dicom_series(path, uid)[1:]
        case _:
            others = []
    return path, *sorted(others)


def slides_among(paths: Iterable[Path]) -> Iterator[tuple[Path, ...]]:
    """Yield the files of each slide among those of one folder, in their order: DICOM files of a series as one."""
    series: dict[str, list[Path]] = {}
    alone: list[Path] = []
    for path in paths:
        uid = series_of(path) if path.suffix.lower() == _DICOM else None
        if uid is None:
            alone.append(path)
        else:
            series.setdefault(uid, []).append(path)
    sets = [files_together(path) for path in alone]
    yield from sorted([*sets, *(tuple(sorted(files)) for files in series.values())])


def series_of(path: Path) -> str | None:
    """Return the Series Instance UID of a DICOM file in explicit VR; None for any other."""
    head = dicom_head(path)
    at = head.find(_SERIES)
    if head[128:132] != b"DICM" or at < 0:
        return None
    length = int.from_bytes(head[at + 6 : at + 8], "little")
    return head[at + 8 : at + 8 + length].rstrip(b"\0 ").decode("ascii", "replace") or None


def _named_in(path: Path) -> set[str]:
    """Return every value of a file of keys and values, which names the others of its set."""
    parsed = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parsed.read_string(path.read_text("utf-8", "replace"))
    except (OSError, configparser.Error):  # the reader says what is wrong with it
        return set()
    return {value for section in parsed.values() for value in section.values()}
