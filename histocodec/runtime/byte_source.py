"""Where the bytes of a file come from: a disk, an open file object, or a server. Readers see none of the difference."""

from __future__ import annotations

import io
import os
import re
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any, Protocol
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from ..errors import FileError, MissingFile, SettingsError, file_error
from .closing import Closing

Location = str | bytes | os.PathLike[Any] | IO[bytes]
"""A path, a URL, or an open binary file: what a container can be read from."""

Extent = tuple[int, int]
"""Offset and length of a run of bytes."""

_URL = re.compile(r"(?:[a-z][a-z0-9+.-]*::)*[a-z][a-z0-9+.-]+://", re.IGNORECASE)
"""The beginning of a URL, also of one in another as fsspec chains them: `simplecache::s3://bucket/key`."""


class ByteSource(Protocol):
    """A file of a known size, read at any place by any thread."""

    @property
    def name(self) -> Path | str:
        """What messages call it: the path as it was given, or a URL without anything secret."""

    @property
    def size_bytes(self) -> int:
        """Length of the file."""

    @property
    def location(self) -> Path | str:
        """Where it can be opened again, in another process too. Raises TypeError for a file object."""

    def read_at(self, offset: int, length: int) -> bytes:
        """Return `length` bytes from `offset`, fewer at the file's end. Raises OSError, ValueError after `close`."""

    def expect(self, extents: Iterable[Extent]) -> None:
        """Hear which bytes will be read soon, so that what is far away comes in few requests. Raises as `read_at`."""

    @property
    def is_closed(self) -> bool:
        """True after `close`."""

    def close(self) -> None:
        """Release what is held."""


def is_url(location: object) -> bool:
    """Return whether a location is a URL.

    Examples:
        >>> is_url("s3://bucket/slide.hc.tif"), is_url("slides/a.hc.tif"), is_url("C:/slides/a.hc.tif")
        (True, False, False)
    """
    return isinstance(location, str) and _URL.match(location) is not None


def byte_source(location: Location) -> ByteSource:
    """Open a location. Raises FileError, and SettingsError for what is no location."""
    if isinstance(location, str) and location.lower().startswith("file://"):
        return LocalFile(url2pathname(unquote(urlsplit(location).path)))
    if isinstance(location, str) and is_url(location):
        from .remote_file import RemoteFile  # imports fsspec, which few have a use for

        return RemoteFile(location)
    if isinstance(location, (str, bytes, os.PathLike)):
        return LocalFile(location)
    return FileObject(location)


class LocalFile(Closing):
    """A file on a disk."""

    def __init__(self, path: str | bytes | os.PathLike[Any]) -> None:
        """Open it. Raises FileError."""
        self.name = Path(os.fsdecode(path))
        self.location = self.name.absolute()
        """The path from the root, which holds wherever a process has gone since."""
        if not os.fspath(path):
            raise MissingFile(self.name, "expected the name of a file, found an empty one")
        self._lock = threading.Lock()
        try:
            if self.name.is_fifo():  # opening it would wait for a writer
                raise OSError("expected a file, found a pipe")
            self._file = self.name.open("rb")
        except OSError as error:
            raise file_error(self.name, error) from error
        try:
            self.size_bytes = self._file.seek(0, os.SEEK_END)
        except OSError as error:  # a pipe cannot be sought in
            self._file.close()
            raise file_error(self.name, error) from error

    def read_at(self, offset: int, length: int) -> bytes:
        """Return `length` bytes from `offset`, fewer at the file's end. Raises OSError, ValueError after `close`."""
        if offset > self.size_bytes:
            return b""
        length = min(length, self.size_bytes - offset)
        if hasattr(os, "pread"):  # has no position that threads, or processes after a fork, could disagree about
            return os.pread(self._file.fileno(), length, offset)
        with self._lock:
            self._file.seek(offset)
            return self._file.read(length)

    def expect(self, extents: Iterable[Extent]) -> None:
        """Do nothing: the operating system reads ahead."""

    @property
    def is_closed(self) -> bool:
        """True after `close`."""
        return self._file.closed

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class FileObject(Closing):
    """A binary file that the caller has opened, and closes: of fsspec, of an archive, or in memory."""

    def __init__(self, file: IO[bytes]) -> None:
        """Take a file that can be sought in. Raises SettingsError for anything else, FileError."""
        if not all(hasattr(file, method) for method in ("read", "seek")):
            kind = type(file).__name__
            raise SettingsError(f"expected a path, a URL or a binary file that is open for reading, found {kind}")
        self._file = file
        self._lock = threading.Lock()
        self._is_closed = False
        self._on_disk = isinstance(file, io.BufferedReader) and isinstance(file.raw, io.FileIO)
        named = getattr(file, "name", None) or getattr(file, "path", None)
        self.name = f"<{named if isinstance(named, str) and not is_url(named) else type(file).__name__}>"
        try:
            self.size_bytes = file.seek(0, os.SEEK_END)
            if not isinstance(self.size_bytes, int):  # as of some that wrap a file
                self.size_bytes = file.tell()
            beginning = self.read_at(0, 1)
        except (OSError, ValueError) as error:  # a stream, or closed
            raise FileError(self.name, f"cannot be read at any place: {error}") from error
        if not isinstance(beginning, bytes):
            raise SettingsError(f"{self.name}: expected a file that is open in binary mode, found one of text")

    @property
    def location(self) -> Path | str:
        """Raise TypeError: no other process can be given an open file."""
        raise TypeError(f"{self.name}: read from an open file, which cannot be pickled; give its path or URL")

    def read_at(self, offset: int, length: int) -> bytes:
        """Return `length` bytes from `offset`, fewer at the file's end. Raises OSError, ValueError after `close`."""
        if self._is_closed:
            raise ValueError("read of closed file")
        length = min(length, self.size_bytes - offset)
        if length <= 0:
            return b""
        if self._on_disk and hasattr(os, "pread"):
            return os.pread(self._file.fileno(), length, offset)
        with self._lock:
            self._file.seek(offset)
            data = self._file.read(length)
            while len(data) < length and (more := self._file.read(length - len(data))):  # a raw file may give less
                data += more
            return data

    def expect(self, extents: Iterable[Extent]) -> None:
        """Do nothing: what the object reads ahead is its own affair."""

    @property
    def is_closed(self) -> bool:
        """True after `close`, or when the caller closed the file."""
        return self._is_closed or bool(getattr(self._file, "closed", False))

    def close(self) -> None:
        """Let go of the file; whoever opened it closes it."""
        self._is_closed = True
