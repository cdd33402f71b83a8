"""The tie to the source: what its files are, to the bit, computed while the slide is read."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from ..errors import SourceReadError
from ..format.entries import FILE_NAME, SourceEntry, SourceFile
from ..format.strict_json import MAX_ITEMS
from ..runtime.closing import Closing
from ..runtime.digest import sha256_of
from ..runtime.file_state import FileState
from ..source import Source

_CHUNK_BYTES = 1 << 20


class SourceTie(Closing):
    """A tie that a thread of its own computes; closing it gives that up."""

    def __init__(self, source: Source, *, deidentify: bool) -> None:
        """Begin. deidentify: leave out what names the files, and when they were written."""
        self._paths, self._deidentify, self._stopped = source.files, deidentify, threading.Event()
        self._opened = source.states
        self._tied_as: dict[Path, FileState] = {}
        """States of the files when their last byte was read."""
        self.notes: tuple[str, ...] = ()
        """Sentences for the user."""
        if len(self._paths) > MAX_ITEMS:
            self.notes = (f"not tied to its source: of {len(self._paths)} files, only {MAX_ITEMS} could be listed",)
            self._paths = ()
        self._encoded = _text_of(_now()) or ""
        thread = ThreadPoolExecutor(1, thread_name_prefix="histocodec-tie")
        self._files = thread.submit(self._compute)
        thread.shutdown(wait=False)

    def result(self) -> SourceEntry | None:
        """Wait for the tie; None for a source that is not on disk. Raises SourceReadError."""
        files = self._files.result()
        self.check()
        return SourceEntry(self._encoded, files) if files else None

    def check(self) -> None:
        """Raise SourceReadError if a file is not as it was when it was opened: the tie is not that of its pixels.

        Slides are read by their names, by several libraries and more than once. Whoever read all of one, and finds it
        as it was, has read what the tie is of.
        """
        for path, file, opened in zip(self._paths, self._files.result(), self._opened, strict=False):
            try:
                now = FileState.of(path)
            except OSError as error:
                raise SourceReadError(path, f"vanished while it was read: {error.strerror or error}") from error
            if now == opened:
                continue
            # Other rights, or a link more, are no other bytes; but a tie that was made after them says nothing.
            is_tied = self._tied_as[path] == opened and not now.is_written_over(opened)
            if not is_tied or sha256_of(path) != file.sha256:
                raise SourceReadError(path, "changed while it was read: nothing was written")

    def close(self) -> None:
        """Stop reading."""
        self._stopped.set()

    def _compute(self) -> tuple[SourceFile, ...]:
        names = [None] * len(self._paths) if self._deidentify else names_of(self._paths)
        return tuple(map(self._tied, self._paths, names))

    def _tied(self, path: Path, name: str | None) -> SourceFile:
        try:
            modified = None if self._deidentify else _text_of(path.stat().st_mtime)
            size, digest = 0, hashlib.sha256()
            with path.open("rb") as file:
                while not self._stopped.is_set() and (data := file.read(_CHUNK_BYTES)):
                    size += len(data)
                    digest.update(data)
            self._tied_as[path] = FileState.of(path)
        except OSError as error:
            raise SourceReadError(path, f"cannot be read: {error.strerror or error}") from error
        return SourceFile(size, digest.hexdigest(), name, modified)


def tie_as_long(source: Source, *, deidentify: bool) -> SourceEntry | None:
    """Return what takes as many bytes in a manifest as the tie of a source, without reading its files."""
    paths = source.files if len(source.files) <= MAX_ITEMS else ()
    files = []
    names = [None] * len(paths) if deidentify else names_of(paths)
    for path, name, state in zip(paths, names, source.states, strict=False):
        digest = hashlib.sha256(str(path).encode()).hexdigest()  # as random as the real one
        modified = None if deidentify else _text_of(state.modified_ns / 1e9)
        files.append(SourceFile(state.size_bytes, digest, name, modified))
    return SourceEntry(_text_of(_now()) or "", tuple(files)) if files else None


def names_of(paths: tuple[Path, ...]) -> list[str | None]:
    """Return the names of files, relative to the folder of the first; None for what a container must not say.

    That is a name that leads elsewhere on some system, or stands for two files on one that does not tell cases apart.
    """
    names = [path.relative_to(paths[0].parent).as_posix() for path in paths]
    alike = [name.casefold() for name in names]
    return [
        name if FILE_NAME.fullmatch(name) and name.isprintable() and alike.count(name.casefold()) == 1 else None
        for name in names
    ]


def _now() -> float:
    """Return the time, or the one that the environment sets for builds that can be repeated."""
    stated = os.environ.get("SOURCE_DATE_EPOCH", "")
    return float(stated) if stated.isdecimal() else time.time()


def _text_of(seconds: float) -> str | None:
    """Return a moment as the manifest has it; None for one that has no year of four digits."""
    try:
        return datetime.fromtimestamp(int(seconds), UTC).isoformat().replace("+00:00", "Z")
    except (OverflowError, ValueError, OSError):
        return None
