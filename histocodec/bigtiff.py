"""A strict reader of BigTIFF directories: the subset that a histocodec file uses, and nothing else.

tifffile writes the container; reading is done here because a file from elsewhere must be refused with a reason, before
memory is asked for, whatever its bytes are. Every number is checked against the file's length before it is believed.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

MAX_DIRECTORIES = 64
MAX_ENTRIES = 64
MAX_VALUE_BYTES = 256 << 20

_TYPES = {1: "B", 2: "s", 3: "H", 4: "I", 5: "II", 7: "B", 13: "I", 16: "Q", 18: "Q"}
"""TIFF 6.0, section 2, and BigTIFF: BYTE, ASCII, SHORT, LONG, RATIONAL, UNDEFINED, IFD, LONG8, IFD8."""

ReadAt = Callable[[int, int], bytes]
"""(offset, length) -> that many bytes; fewer at the file's end."""


class BigTiffError(ValueError):
    """The bytes are not a BigTIFF of the kind that is read here."""


@dataclass(frozen=True, slots=True)
class Directory:
    """One image file directory: tag number -> value."""

    offset: int
    tags: dict[int, tuple[int, ...] | bytes]

    def number(self, tag: int, default: int | None = None) -> int:
        """The value of a tag that holds one whole number."""
        value = self.tags.get(tag)
        if value is None and default is not None:
            return default
        if not isinstance(value, tuple) or len(value) != 1:
            raise BigTiffError(f"directory at {self.offset}: tag {tag} is not one number")
        return value[0]

    def numbers(self, tag: int) -> tuple[int, ...]:
        """The value of a tag that holds whole numbers (a rational is two)."""
        value = self.tags.get(tag)
        if not isinstance(value, tuple):
            raise BigTiffError(f"directory at {self.offset}: tag {tag} is missing or no list of numbers")
        return value

    def data(self, tag: int) -> bytes | None:
        """The value of an ASCII, BYTE or UNDEFINED tag."""
        value = self.tags.get(tag)
        if value is not None and not isinstance(value, bytes):
            raise BigTiffError(f"directory at {self.offset}: tag {tag} is not a string of bytes")
        return value


def read_directories(read_at: ReadAt, size_bytes: int) -> list[Directory]:
    """The main chain of directories of a little-endian BigTIFF. Raises BigTiffError."""
    head = read_at(0, 16)
    if len(head) < 16 or head[:8] != b"II\x2b\0\x08\0\0\0":
        raise BigTiffError("not a little-endian BigTIFF")
    (offset,) = struct.unpack_from("<Q", head, 8)
    directories: list[Directory] = []
    while offset:
        if len(directories) == MAX_DIRECTORIES:
            raise BigTiffError(f"more than {MAX_DIRECTORIES} directories, or a loop of them")
        directory, offset = read_directory(read_at, size_bytes, offset)
        directories.append(directory)
    return directories


def read_directory(read_at: ReadAt, size_bytes: int, offset: int) -> tuple[Directory, int]:
    """The directory at `offset`, and the offset of the next one (0: none). Raises BigTiffError."""
    count_bytes = read_at(offset, 8)
    if not 16 <= offset < size_bytes or len(count_bytes) < 8:
        raise BigTiffError(f"a directory at {offset} lies outside the file of {size_bytes} bytes")
    (count,) = struct.unpack("<Q", count_bytes)
    if not 1 <= count <= MAX_ENTRIES:
        raise BigTiffError(f"directory at {offset}: {count} entries")
    body = read_at(offset + 8, 20 * count + 8)
    if len(body) < 20 * count + 8:
        raise BigTiffError(f"directory at {offset}: cut off")
    tags: dict[int, tuple[int, ...] | bytes] = {}
    last = 0
    for entry in range(count):
        tag, kind, number = struct.unpack_from("<HHQ", body, 20 * entry)
        if tag <= last:
            raise BigTiffError(f"directory at {offset}: tags are not in ascending order")
        last = tag
        tags[tag] = _value(read_at, size_bytes, body[20 * entry + 12 : 20 * entry + 20], tag, kind, number)
    return Directory(offset, tags), struct.unpack_from("<Q", body, 20 * count)[0]


def _value(
    read_at: ReadAt, size_bytes: int, inline: bytes, tag: int, kind: int, number: int
) -> tuple[int, ...] | bytes:
    code = _TYPES.get(kind)
    if code is None:
        raise BigTiffError(f"tag {tag}: type {kind}")
    length = number * struct.calcsize("<" + code)
    if length > min(size_bytes, MAX_VALUE_BYTES):
        raise BigTiffError(f"tag {tag}: {length} bytes in a file of {size_bytes}")
    if length <= 8:
        data = inline[:length]
    else:
        data = read_at(struct.unpack("<Q", inline)[0], length)
        if len(data) < length:
            raise BigTiffError(f"tag {tag}: its value lies outside the file")
    if code in "sB" and (kind in (2, 7) or number > 4):
        return data
    return struct.unpack(f"<{number * len(code)}{code[0]}", data)
