"""What must hold after a command that ended in the middle: nothing is lost, nothing is half, nothing is left."""

from __future__ import annotations

import hashlib
import re
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pydicom

from histocodec.archive.catalogue import NAME, Catalogue
from tests.archive.inputs import lasting

from .children import Ended

Units = dict[str, str]
"""What people see in a folder: a digest by name, of a file, or of a folder that appears as a whole."""

_TEMPORARY = re.compile(
    r"\..+\.partial(\.lock|\.former)?|\.histocodec-estimate-.+|histocodec-[a-z-]+-.+|(tmp)?[a-z0-9_]{8}"
)
"""Names of what a killed process may leave, as docs/robustness.md has them."""
_OF_ARCHIVE = re.compile(r"\.?histocodec-archive\..+")
_LOG = re.compile(r"log\.(txt|jsonl)")
_A_PATH = re.compile(r"\b(out|tmp|slides|archived|\w+\.(tif|dcm))\b")
"""A file or folder of those that commands are run on."""
_WHOLE = (".zarr", ".dcm")
"""Ends of the names of folders that appear as a whole."""


@dataclass(frozen=True)
class Seen:
    """A folder of outputs as it is."""

    units: Units
    temporary: frozenset[str]
    """Names of temporary files and folders."""
    catalogue: list[dict[str, Any]] | None
    """What the catalogue of an archive says, but for times and attempts."""

    @property
    def is_clean(self) -> bool:
        """True if nothing temporary is there."""
        return not self.temporary


def look(folder: Path) -> Seen:
    """Look at what a command has written, and left. Raises ValueError for a catalogue that is damaged."""
    paths = list(_shown(folder / "out")) if (folder / "out").is_dir() else []
    temporary = {path for path in paths if _TEMPORARY.fullmatch(path.name)} | set((folder / "tmp").glob("*"))
    units = {
        path.relative_to(folder).as_posix(): digest(path)
        for path in paths
        if path not in temporary and not _OF_ARCHIVE.fullmatch(path.name) and not _LOG.fullmatch(path.name)
    }
    return Seen(units, frozenset(path.name for path in temporary), _catalogued(folder / "out"))


def digest(path: Path) -> str:
    """Return what is the same for two outputs that are the same to a reader."""
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
        told = "".join(f"{file.relative_to(path)} {digest(file)}\n" for file in files)
        return hashlib.sha256(told.encode()).hexdigest()
    data = path.read_bytes()
    if path.suffix == ".dcm" and data[128:132] == b"DICM":  # whose header has the time, and numbers drawn anew
        data = pydicom.dcmread(path).PixelData
    return hashlib.sha256(data).hexdigest()


def problems(ended: Ended, before: Seen, after: Seen, whole: Seen, *, may_leave: bool = False) -> Iterator[str]:
    """Yield what is wrong after a command was stopped. whole: what it gives when nobody stops it.

    may_leave: it could not take away what it had begun.
    """
    for name in before.units.keys() | after.units.keys() | whole.units.keys():
        found = after.units.get(name)
        if name.endswith("SHA256SUMS") and ended.code == 3:  # of what arrived
            continue
        if found not in (before.units.get(name), whole.units.get(name)):
            yield f"{name} is {'gone' if found is None else 'neither as it was nor whole'}"
    yield from (
        f"{name} is left, which is no temporary name" for name in after.temporary if not _TEMPORARY.fullmatch(name)
    )
    if ended.was_killed:
        return
    if ended.code == 0 and after.units != whole.units:
        yield "it said that all was done, and that is not so"
    if after.temporary and not may_leave:
        yield f"left {', '.join(sorted(after.temporary))}"
    yield from problems_of_message(ended)


def problems_of_message(ended: Ended) -> Iterator[str]:
    """Yield what is wrong with the exit code, and with the message of a command that failed."""
    if ended.code not in (0, 1, 3):
        yield f"ended with {ended.code}"
    if "Traceback" in ended.said:
        yield f"a traceback: {ended.said.strip().splitlines()[-1]}"
    elif ended.code:
        said = [line for line in ended.said.splitlines() if line.startswith(("histocodec: ", "  "))]
        if not said:
            yield f"no message: {ended.said[-200:]!r}"
        elif not any(_A_PATH.search(line) for line in said):
            yield f"a message that names no file: {' | '.join(said)}"


def problems_after(ended: Ended, stopped: Seen, after: Seen, whole: Seen) -> Iterator[str]:
    """Yield what is wrong once the same command was called again, and nobody stopped it."""
    refused = ended.code == 1 and "exists already" in ended.said and stopped.units == whole.units
    if ended.code and not refused:
        yield f"the next run ended with {ended.code}: {ended.said.strip().splitlines()[-1:]}"
    if after.units != whole.units:
        yield "the next run did not make it whole"
    if after.catalogue != whole.catalogue:
        yield "the catalogue is not that of a run that nobody stopped"
    left = {name for name in after.temporary if name.startswith(".")}
    if left and not refused:
        yield f"the next run left {', '.join(sorted(left))}"


def _shown(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.name.endswith(_WHOLE) and not _TEMPORARY.fullmatch(path.name):
            yield from _shown(path)
        else:
            yield path


def _catalogued(folder: Path) -> list[dict[str, Any]] | None:
    if not (folder / NAME).is_file():
        return None
    root = str(folder.parent)
    with tempfile.TemporaryDirectory(prefix="looked-at-") as copied:
        for name in (NAME, f"{NAME}-wal"):  # which cannot be opened where the disk is full
            if (folder / name).exists():
                shutil.copy(folder / name, copied)
        return _rows(Path(copied), root)


def _rows(folder: Path, root: str) -> list[dict[str, Any]] | None:
    """Return what a catalogue says of sources, counted from a folder; None if it was just begun."""
    with closing(sqlite3.connect(folder / NAME)) as database:
        found = database.execute("PRAGMA integrity_check").fetchone()[0]
        if found != "ok":
            raise ValueError(f"the catalogue is damaged: {found}")
        if not database.execute("PRAGMA user_version").fetchone()[0]:
            return None
    with Catalogue.open(folder) as catalogue:
        rows: list[dict[str, Any]] = [dict(pairs) for pairs in cast(list[list[tuple[str, Any]]], lasting(catalogue))]
    for row in rows:
        del row["attempts"]
        row["source"] = row["source"].removeprefix(root)
    return rows
