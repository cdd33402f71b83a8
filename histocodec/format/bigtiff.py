"""A strict reader of BigTIFF directories: the subset that a histocodec file uses, and nothing else.

tifffile writes the container; reading is done here because a file from elsewhere must be refused with a reason, before
memory is asked for, whatever its bytes are. Every number is checked against the file's length before it is believed,
and a tag's value is read when it is asked for, by a caller who knows how long it must be.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .pieces import HEADER_BYTES, Damaged, ReadAt

MAX_DIRECTORIES = 64
MAX_ENTRIES = 64

_NUMBERS = {1: "u1", 3: "<u2", 4: "<u4", 13: "<u4", 16: "<u8", 18: "<u8"}
"""BYTE, SHORT, LONG, IFD (TIFF 6.0, section 2), LONG8, IFD8 (BigTIFF)."""
_RATIONAL = 5
ELEMENT_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
"""Length of a value by its type."""
_BYTES = (1, 2, 7)
"""BYTE, ASCII, UNDEFINED."""


class BigTiffError(Damaged):
    """The bytes are not a BigTIFF of the kind that is read here."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """An entry of a directory, as it is stored."""

    kind: int
    count: int
    inline: bytes
    """The value if it fits into these eight bytes, else its offset."""


@dataclass(frozen=True, slots=True)
class Directory:
    """One image file directory. Every accessor raises BigTiffError if the tag does not hold what is asked for."""

    offset: int
    _entries: dict[int, _Entry]
    _read_at: ReadAt

    @property
    def tags(self) -> tuple[int, ...]:
        """The tags that it has, ascending."""
        return tuple(sorted(self._entries))

    def number(self, tag: int, default: int | None = None) -> int:
        """Return the value of a tag that holds one whole number; `default` if there is no such tag."""
        if default is not None and tag not in self._entries:
            return default
        return self.numbers(tag, 1)[0]

    def numbers(self, tag: int, count: int) -> tuple[int, ...]:
        """Return the `count` whole numbers of a tag."""
        return tuple(self.array(tag, count).tolist())

    def rational(self, tag: int) -> tuple[int, int]:
        """Return numerator and denominator of a tag that holds one rational."""
        entry = self._entry(tag)
        if entry.kind != _RATIONAL or entry.count != 1:
            raise self._unexpected(tag, entry, "one rational")
        top, bottom = struct.unpack("<2I", entry.inline)
        return top, bottom

    def count(self, tag: int) -> int:
        """Return the number of values that a tag says it holds; 0 if there is no such tag."""
        return self._entries[tag].count if tag in self._entries else 0

    def array(self, tag: int, count: int) -> NDArray[np.uint64]:
        """Return the `count` whole numbers of a tag as an array of (count,) uint64."""
        entry = self._entry(tag)
        if entry.kind not in _NUMBERS or entry.count != count:
            raise self._unexpected(tag, entry, f"{count} whole numbers")
        element = np.dtype(_NUMBERS[entry.kind])
        return np.frombuffer(self._value(tag, entry, element.itemsize), element).astype(np.uint64)

    def data(self, tag: int, limit: int) -> bytes | None:
        """Return the value of an ASCII, BYTE or UNDEFINED tag, at most `limit` bytes; None without such a tag."""
        if tag not in self._entries:
            return None
        entry = self._entry(tag)
        if entry.kind not in _BYTES or entry.count > limit:
            raise self._unexpected(tag, entry, f"at most {limit} bytes")
        return self._value(tag, entry, 1)

    def stored(self) -> dict[int, tuple[int, bytes]]:
        """Return type and value of every tag, as they are stored: for a directory that is no stranger's."""
        entries = self._entries.items()
        return {tag: (entry.kind, self._value(tag, entry, ELEMENT_BYTES[entry.kind])) for tag, entry in entries}

    def _entry(self, tag: int) -> _Entry:
        if tag not in self._entries:
            raise BigTiffError(f"directory at {self.offset}: tag {tag} is missing")
        return self._entries[tag]

    def _unexpected(self, tag: int, entry: _Entry, wanted: str) -> BigTiffError:
        found = f"{entry.count} values of type {entry.kind}"
        return BigTiffError(f"directory at {self.offset}: tag {tag}: expected {wanted}, found {found}")

    def _value(self, tag: int, entry: _Entry, element_bytes: int) -> bytes:
        length = entry.count * element_bytes
        if length <= 8:
            return entry.inline[:length]
        data = self._read_at(struct.unpack("<Q", entry.inline)[0], length)
        if len(data) < length:
            raise BigTiffError(f"directory at {self.offset}: tag {tag}: its {length} bytes lie outside the file")
        return data


def first_offset(read_at: ReadAt) -> int:
    """Return where a little-endian BigTIFF says that its first directory lies. Raises BigTiffError."""
    head = read_at(0, HEADER_BYTES)
    if len(head) < HEADER_BYTES or head[:8] != b"II\x2b\0\x08\0\0\0":
        raise BigTiffError("not a little-endian BigTIFF")
    (offset,) = struct.unpack_from("<Q", head, 8)
    return int(offset)


def read_directories(read_at: ReadAt) -> list[Directory]:
    """Return the main chain of directories of a little-endian BigTIFF. Raises BigTiffError."""
    offset = first_offset(read_at)
    directories: list[Directory] = []
    while offset:
        if len(directories) == MAX_DIRECTORIES:
            raise BigTiffError(f"more than {MAX_DIRECTORIES} directories, or a loop of them")
        directory, offset = read_directory(read_at, offset)
        directories.append(directory)
    return directories


def read_directory(read_at: ReadAt, offset: int) -> tuple[Directory, int]:
    """Return the directory at `offset`, and the offset of the next one (0: none). Raises BigTiffError."""
    head = read_at(offset, 8)
    if offset < HEADER_BYTES or len(head) < 8:
        raise BigTiffError(f"a directory at {offset} lies outside the file")
    (count,) = struct.unpack("<Q", head)
    if not 1 <= count <= MAX_ENTRIES:
        raise BigTiffError(f"directory at {offset}: expected 1 to {MAX_ENTRIES} entries, found {count}")
    body = read_at(offset + 8, 20 * count + 8)
    if len(body) < 20 * count + 8:
        raise BigTiffError(f"directory at {offset}: cut off")
    entries: dict[int, _Entry] = {}
    last = -1
    for number in range(count):
        tag, kind, values = struct.unpack_from("<HHQ", body, 20 * number)
        if tag <= last:
            raise BigTiffError(f"directory at {offset}: tags are not in ascending order")
        last = tag
        entries[tag] = _Entry(kind, values, body[20 * number + 12 : 20 * number + 20])
    return Directory(offset, entries, read_at), struct.unpack_from("<Q", body, 20 * count)[0]
