"""A file that is searched as if it were in memory; one that is cut off meanwhile ends, and no process with it."""

from __future__ import annotations

import re
from pathlib import Path

from .byte_source import LocalFile
from .closing import Closing

_CHUNK_BYTES = 1 << 20


class SearchedFile(Closing):
    """A file of this disk, read a piece at a time, for one thread."""

    def __init__(self, path: Path) -> None:
        """Open it. Raises FileError."""
        self._file = LocalFile(path)
        self._start, self._piece = 0, b""

    def __len__(self) -> int:
        return self._file.size_bytes

    def read(self, start: int, length: int) -> bytes:
        """Return bytes from a place, at most a mebibyte; fewer at the file's end. Raises OSError."""
        if not self._start <= start <= start + length <= self._start + len(self._piece):
            self._start, self._piece = start, self._file.read_at(start, _CHUNK_BYTES)
        return self._piece[start - self._start :][:length]

    def find(self, sought: bytes, start: int) -> int:
        """Return the first place from `start` on that has these bytes; -1 if none has. Raises OSError."""
        found = self.search(re.compile(re.escape(sought)), len(sought), start, len(self))
        return -1 if found is None else found

    def search(self, pattern: re.Pattern[bytes], length: int, start: int, end: int) -> int | None:
        """Return the first place from `start` on, and before `end`, that fits; None if none does. Raises OSError.

        length: bytes of whatever fits.
        """
        while start + length <= end:
            if not self._start <= start <= self._start + len(self._piece) - length:
                self.read(start, _CHUNK_BYTES)
                if len(self._piece) < length:
                    return None
            found = pattern.search(self._piece, start - self._start, end - self._start)
            if found is not None:
                return self._start + found.start()
            start = self._start + len(self._piece) - length + 1
        return None

    def close(self) -> None:
        """Close the file."""
        self._file.close()
