"""Compares what is in the sources with the catalogue: new, changed, moved, or as it was."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..errors import FileError, OutputError
from ..runtime.byte_source import is_url
from ..runtime.digest import sha256_of
from ..runtime.far_folder import split_url
from .catalogue import Catalogue, Row
from .checksums import combined
from .choices import Choices
from .discovery import CONTAINER, Found
from .staging import sha256_at

_SHOWN = 10
"""Clashes that an error lists."""


@dataclass(slots=True)
class Scanned:
    """How many slides of each kind were found."""

    new: int = 0
    changed: int = 0
    """Those whose source, or settings, are not those of the file that is there."""
    moved: int = 0
    """Those that lie elsewhere now, and are the same to the bit."""
    lost: int = 0
    """Those whose file in the archive is gone, or was cut off."""
    unchanged: int = 0
    unreadable: int = 0
    """Those that nobody lets us read; each fails when it is tried."""


@dataclass(frozen=True, slots=True)
class _State:
    """A source as it is now."""

    files: int
    size_bytes: int
    modified_ns: int


def scan(catalogue: Catalogue, found: Iterable[Found], choices: Choices) -> Scanned:
    """Enter what was found, whole or not at all; slides that have to be encoded wait afterwards.

    Nothing is remembered of a slide but in the catalogue. Raises OutputError if two would have one output.
    """
    counts, clashes = Scanned(), list[tuple[Path, str]]()
    with catalogue.writing():
        settings = catalogue.note_choices(choices)
        for each in found:
            try:
                _enter(catalogue, each, settings, counts)
            except _Clash as clash:
                clashes.append((catalogue.folder / clash.output, str(clash)))
                if len(clashes) == _SHOWN:
                    break
        if clashes:
            reasons = "; ".join(reason for _, reason in clashes)
            raise OutputError(clashes[0][0], f"name clashes, nothing was written (--exclude leaves out): {reasons}")
    return counts


class _Clash(Exception):
    """Two slides would have one output."""

    def __init__(self, output: str, reason: str) -> None:
        self.output = output
        super().__init__(reason)


def _enter(catalogue: Catalogue, found: Found, settings: str, counts: Scanned) -> None:
    source = str(found.location)
    if not is_url(source):
        source = os.path.abspath(source)  # noqa: PTH100  (as it was named: links stay)
    now = _state(found)
    if not all(os.access(file, os.R_OK) for file in found.files):
        counts.unreadable += 1
    row = _one(catalogue, "source = ?", source)
    if row is None:
        row = _moved(catalogue, found, now)
        if row is not None:
            _update(catalogue, row, source, now)
            counts.moved += 1
            if row["settings"] != settings:
                _do_again(catalogue, row, settings)
            return
        _insert(catalogue, found, source, now, settings)
        counts.new += 1
        return
    is_same = (row["source_bytes"], row["source_files"]) == (now.size_bytes, now.files)
    if is_same and row["source_modified_ns"] != now.modified_ns:
        is_same = row["source_sha256"] is not None and _digest(found) == row["source_sha256"]
    if row["source_modified_ns"] != now.modified_ns or not is_same:
        _update(catalogue, row, source, now)
    if not is_same or row["settings"] != settings:
        counts.changed += 1
        _do_again(catalogue, row, settings)
    elif row["state"] == "done" and not _is_there(catalogue, row):
        counts.lost += 1
        catalogue.again(row["id"])
    else:
        counts.unchanged += 1


def _state(found: Found) -> _State:
    if is_url(found.location):
        folder, place = split_url(str(found.location))
        far = folder.file(place)
        return _State(1, 0, 0) if far is None else _State(1, far.size_bytes, far.modified_ns)
    statuses = []
    for file in found.files:
        try:
            statuses.append(file.stat())
        except OSError:  # the encode says why
            continue
    return _State(
        len(found.files),
        sum(status.st_size for status in statuses),
        max((status.st_mtime_ns for status in statuses), default=0),
    )


def _one(catalogue: Catalogue, where: str, *values: object) -> Row | None:
    return next(catalogue.rows(where, values), None)


def _moved(catalogue: Catalogue, found: Found, now: _State) -> Row | None:
    """Return the slide that this one was, under another name: of the same bytes, and no longer there."""
    candidates = [
        row
        for row in catalogue.rows(
            "source_bytes = ? AND source_files = ? AND source_sha256 NOT NULL", (now.size_bytes, now.files)
        )
        if not is_url(row["source"]) and not Path(row["source"]).exists()
    ]
    if not candidates:
        return None
    digest = _digest(found)
    return next((row for row in candidates if row["source_sha256"] == digest), None)


def _digest(found: Found) -> str | None:
    try:
        if is_url(found.location):
            return sha256_at(found.location)
        return combined([sha256_of(file) for file in found.files])
    except FileError:
        return None


def _is_there(catalogue: Catalogue, row: Row) -> bool:
    """Return whether a slide's file is there, as long as it was; its bytes are for `verify` to compare."""
    found = catalogue.found(row)
    return found is not None and found.size_bytes == row["output_bytes"]


def _update(catalogue: Catalogue, row: Row, source: str, now: _State) -> None:
    catalogue.database.execute(
        "UPDATE slide SET source = ?, source_files = ?, source_bytes = ?, source_modified_ns = ? WHERE id = ?",
        (source, now.files, now.size_bytes, now.modified_ns, row["id"]),
    )


def _do_again(catalogue: Catalogue, row: Row, settings: str) -> None:
    catalogue.again(row["id"])
    catalogue.database.execute("UPDATE slide SET settings = ? WHERE id = ?", (settings, row["id"]))


def _insert(catalogue: Catalogue, found: Found, source: str, now: _State, settings: str) -> None:
    output = found.output(Path(), CONTAINER).as_posix()
    key = output.casefold()  # one name where a file system does not tell capitals
    try:
        catalogue.database.execute(
            "INSERT INTO slide (output, name_key, source, source_files, source_bytes, source_modified_ns, settings, "
            "state) VALUES (?, ?, ?, ?, ?, ?, ?, 'waiting')",
            (output, key, source, now.files, now.size_bytes, now.modified_ns, settings),
        )
    except sqlite3.IntegrityError:
        other = _one(catalogue, "name_key = ?", key)
        assert other is not None
        gone = "" if is_url(other["source"]) or Path(other["source"]).exists() else ", which is no longer there"
        raise _Clash(
            output, f"{output} is the file of {other['source']}{gone}, and would be that of {source}"
        ) from None
