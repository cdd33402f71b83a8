"""A folder of files, on a disk or on a server that fsspec reaches: listed, fetched, sent, and read back."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import IO, Any

from ..errors import FileError, MissingFile, OutputError
from .byte_source import is_url
from .files import atomic_output, writing_errors
from .transports import CREDENTIALS, file_system_of

_CHUNK_BYTES = 1 << 20
_TIMES = ("mtime", "LastModified", "last_modified", "modified", "updated", "created")
"""What file systems of fsspec call the time at which a file was changed."""


@dataclass(frozen=True, slots=True)
class FarFile:
    """A file in the folder."""

    place: PurePosixPath
    size_bytes: int
    modified_ns: int
    """Time of change in nanoseconds since 1970; 0 if the server states none."""


class FarFolder:
    """Where files are."""

    def __init__(self, location: str | Path) -> None:
        """Take a path or URL. Raises FileError for a URL that no installed package reaches."""
        self.name = str(location)
        self._fs: Any = None
        self._root = self.name.rstrip("/")
        if is_url(location):
            self._fs, self._root = file_system_of(self.name, self.name)

    @property
    def path(self) -> Path | None:
        """The folder, if it is on a disk."""
        return Path(self.name) if self._fs is None else None

    def where(self, place: PurePosixPath) -> str:
        """Return the path or URL of a place."""
        return str(Path(self.name).joinpath(*place.parts)) if self._fs is None else f"{self.name.rstrip('/')}/{place}"

    def file(self, place: PurePosixPath) -> FarFile | None:
        """Return what is at a place now; None if there is no file. Raises FileError."""
        try:
            if self._fs is None:
                status = Path(self.where(place)).stat()
                return FarFile(place, status.st_size, status.st_mtime_ns)
            self._fs.invalidate_cache()
            return _far_file(place, self._fs.info(self._path(place)))
        except FileNotFoundError:
            return None
        except NotADirectoryError:
            return None
        except Exception as error:  # of any of some forty libraries
            raise FileError(self.where(place), f"cannot be looked at: {_words(error)}") from None

    def files(self, *, recursive: bool) -> Iterator[FarFile]:
        """Yield the files of a folder on a server, by their places. Raises FileError."""
        try:
            self._fs.invalidate_cache()
            found = self._fs.find(self._root, maxdepth=None if recursive else 1, detail=True)
        except Exception as error:  # as above
            raise FileError(self.name, f"cannot be listed: {_words(error)}") from None
        root = self._root.rstrip("/")
        for name, facts in sorted(found.items()):
            yield _far_file(PurePosixPath(name.removeprefix(root).lstrip("/")), facts)

    def fetch(self, place: PurePosixPath, target: Path) -> None:
        """Copy a file to a disk, with its time of change where that is known. Raises FileError, OutputError."""
        stated = self.file(place)
        if stated is None:
            raise MissingFile(self.where(place), "No such file or directory")
        try:
            with self._open(place) as read, target.open("wb") as out:
                while data := read.read(_CHUNK_BYTES):
                    with writing_errors(target):
                        out.write(data)
                        out.flush()
        except OutputError:
            raise
        except Exception as error:  # as above
            raise FileError(self.where(place), f"cannot be fetched: {_words(error)}") from None
        if target.stat().st_size != stated.size_bytes:
            raise FileError(self.where(place), f"has {stated.size_bytes} bytes, {target.stat().st_size} arrived")
        if stated.modified_ns:
            os.utime(target, ns=(stated.modified_ns, stated.modified_ns))

    def send(self, file: Path, place: PurePosixPath) -> None:
        """Copy a file to a place in the folder, replacing what is there. Raises OutputError."""
        if self._fs is None:
            target = Path(self.where(place))
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise OutputError(target.parent, f"cannot be made: {error.strerror or error}") from error
            with atomic_output(target, overwrite=True) as out, file.open("rb") as read:
                shutil.copyfileobj(read, out, _CHUNK_BYTES)
            return
        try:
            try:
                self._fs.put_file(str(file), self._path(place))
            except FileNotFoundError:  # of a server that has folders
                self._fs.makedirs(self._path(place).rpartition("/")[0], exist_ok=True)
                self._fs.put_file(str(file), self._path(place))
        except Exception as error:  # as above
            raise OutputError(self.where(place), f"cannot be written: {_words(error)}; {CREDENTIALS}") from None

    def sha256(self, place: PurePosixPath) -> str | None:
        """Read what is at a place, and return its SHA-256; None if there is nothing. Raises OutputError."""
        try:
            if self._fs is not None:
                self._fs.invalidate_cache()
            digest = hashlib.sha256()
            with self._open(place) as file:
                while data := file.read(_CHUNK_BYTES):
                    digest.update(data)
        except FileNotFoundError:
            return None
        except Exception as error:  # as above
            raise OutputError(self.where(place), f"cannot be read back: {_words(error)}") from None
        return digest.hexdigest()

    @contextmanager
    def _open(self, place: PurePosixPath) -> Iterator[IO[bytes]]:
        with Path(self.where(place)).open("rb") if self._fs is None else self._fs.open(self._path(place), "rb") as file:
            yield file

    def _path(self, place: PurePosixPath) -> str:
        return f"{self._root.rstrip('/')}/{place}"


def split_url(url: str) -> tuple[FarFolder, PurePosixPath]:
    """Return the folder of a file's URL, and the file's place in it. Raises FileError."""
    folder, _, name = url.rpartition("/")
    return FarFolder(folder), PurePosixPath(name)


def _far_file(place: PurePosixPath, facts: dict[str, Any]) -> FarFile:
    time = next((facts[key] for key in _TIMES if facts.get(key) is not None), 0)
    if isinstance(time, datetime):
        time = time.timestamp()
    if isinstance(time, str):
        time = datetime.fromisoformat(time).timestamp()
    return FarFile(place, int(facts.get("size") or 0), round(1e9 * float(time)))


def _words(error: BaseException) -> str:
    """Say what went wrong without the library's own text, which can hold a signed URL."""
    return type(error).__name__
