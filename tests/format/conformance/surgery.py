"""BigTIFF taken apart and put together again: how the vectors become what no writer would write."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

ASCII, SHORT, LONG, UNDEFINED, LONG8, IFD8 = 2, 3, 4, 7, 16, 18
TILE_OFFSETS, TILE_LENGTHS, STRIP_OFFSETS, STRIP_LENGTHS, SUBIFDS = 324, 325, 273, 279, 330
MANIFEST, GENERATOR, CHECKSUMS, TILE_MODES, ICC_PROFILE = 65301, 65302, 65303, 65304, 34675
REGIONS, PREDICTION_SUMS, BASE_SUMS = 65305, 65306, 65307

_SIZES = {1: 1, ASCII: 1, SHORT: 2, LONG: 4, 5: 8, UNDEFINED: 1, LONG8: 8, IFD8: 8}


@dataclass
class Directory:
    """One directory with what it points to."""

    tags: dict[int, tuple[int, bytes]]
    """Tag -> type and value, but for the tags that hold offsets and lengths."""
    pieces: list[bytes]
    """Its tiles or strips."""
    subdirectories: list[Directory] = field(default_factory=list)

    def set(self, tag: int, kind: int, *values: int) -> None:
        """Give a tag whole numbers."""
        self.tags[tag] = kind, struct.pack(f"<{len(values)}{ {SHORT: 'H', LONG: 'I', LONG8: 'Q'}[kind] }", *values)

    def number(self, tag: int) -> int:
        """The first number of a tag."""
        return int.from_bytes(self.tags[tag][1][: _SIZES[self.tags[tag][0]]], "little")


def take_apart(data: bytes) -> list[Directory]:
    """The main chain of a sound BigTIFF. Raises ValueError for a loop."""
    directories: list[Directory] = []
    (offset,) = struct.unpack_from("<Q", data, 8)
    while offset:
        if len(directories) == 100:
            raise ValueError("more directories than any file has")
        directory, offset = _directory(data, offset)
        directories.append(directory)
    return directories


def _directory(data: bytes, offset: int) -> tuple[Directory, int]:
    tags = {tag: (kind, data[at : at + size]) for tag, (kind, at, size) in entries(data, offset).items()}
    numbers: dict[int, list[int]] = {}
    for tag in (TILE_OFFSETS, TILE_LENGTHS, STRIP_OFFSETS, STRIP_LENGTHS, SUBIFDS):
        kind, value = tags.pop(tag, (LONG8, b""))
        step = _SIZES[kind]
        numbers[tag] = [int.from_bytes(value[i : i + step], "little") for i in range(0, len(value), step)]
    offsets = numbers[TILE_OFFSETS] + numbers[STRIP_OFFSETS]
    lengths = numbers[TILE_LENGTHS] + numbers[STRIP_LENGTHS]
    pieces = [data[at : at + length] for at, length in zip(offsets, lengths, strict=True)]
    subdirectories = [_directory(data, at)[0] for at in numbers[SUBIFDS]]
    (count,) = struct.unpack_from("<Q", data, offset)
    return Directory(tags, pieces, subdirectories), struct.unpack_from("<Q", data, offset + 8 + 20 * count)[0]


def entries(data: bytes, offset: int) -> dict[int, tuple[int, int, int]]:
    """Tag -> type, place and length in bytes of its value, of the directory at `offset`."""
    found = {}
    (count,) = struct.unpack_from("<Q", data, offset)
    for number in range(count):
        at = offset + 8 + 20 * number
        tag, kind, values = struct.unpack_from("<HHQ", data, at)
        size = values * _SIZES.get(kind, 1)  # a type that does not exist has no length
        found[tag] = kind, at + 12 if size <= 8 else struct.unpack_from("<Q", data, at + 12)[0], size
    return found


def directory_offsets(data: bytes) -> list[int]:
    """Where the directories of the main chain lie."""
    offsets = []
    (offset,) = struct.unpack_from("<Q", data, 8)
    while offset:
        offsets.append(offset)
        (count,) = struct.unpack_from("<Q", data, offset)
        (offset,) = struct.unpack_from("<Q", data, offset + 8 + 20 * count)
    return offsets


def subdirectory_offsets(data: bytes) -> list[int]:
    """Where the SubIFDs of the first directory lie."""
    kind, at, size = entries(data, directory_offsets(data)[0])[SUBIFDS]
    step = _SIZES[kind]
    return [int.from_bytes(data[place : place + step], "little") for place in range(at, at + size, step)]


def change_in_place(data: bytes, directory: int, tag: int, kind: int, value: bytes) -> bytes:
    """Return a file with another value, of more than eight bytes, of a tag: at the end, with all else where it was."""
    (count,) = struct.unpack_from("<Q", data, directory)
    for at in range(directory + 8, directory + 8 + 20 * count, 20):
        if struct.unpack_from("<H", data, at)[0] == tag:
            data += b"\0" * (-len(data) % 8)
            entry = struct.pack("<HHQQ", tag, kind, len(value) // _SIZES[kind], len(data))
            return data[:at] + entry + data[at + 20 :] + value
    raise AssertionError(tag)


def put_together(directories: list[Directory], before: bytes = b"") -> bytes:
    """All pieces and long values first, equal ones once, then the directories, the last one first.

    before: bytes that come first of all, at offset 16, for tags that say themselves where they point to.
    """
    out = bytearray(16) + before
    places: dict[bytes, int] = {}

    def place(value: bytes) -> int:
        if value not in places:
            out.extend(b"\0" * (len(out) % 2))
            places[value] = len(out)
            out.extend(value)
        return places[value]

    def write(directory: Directory, following: int) -> int:
        tags = dict(directory.tags)
        tiled = 322 in tags
        offsets = [place(piece) if piece else 0 for piece in directory.pieces]
        lengths = [len(piece) for piece in directory.pieces]
        if directory.pieces:
            tags[TILE_OFFSETS if tiled else STRIP_OFFSETS] = LONG, struct.pack(f"<{len(offsets)}I", *offsets)
            tags[TILE_LENGTHS if tiled else STRIP_LENGTHS] = LONG, struct.pack(f"<{len(lengths)}I", *lengths)
        if directory.subdirectories:
            subifds = [write(subdirectory, 0) for subdirectory in directory.subdirectories]
            tags[SUBIFDS] = IFD8, struct.pack(f"<{len(subifds)}Q", *subifds)
        body = struct.pack("<Q", len(tags))
        for tag in sorted(tags):
            kind, value = tags[tag]
            inline = value.ljust(8, b"\0") if len(value) <= 8 else struct.pack("<Q", place(value))
            body += struct.pack("<HHQ", tag, kind, len(value) // _SIZES.get(kind, 1)) + inline
        out.extend(b"\0" * (len(out) % 2))
        at = len(out)
        out.extend(body + struct.pack("<Q", following))
        return at

    following = 0
    for directory in reversed(directories):
        following = write(directory, following)
    out[:16] = b"II\x2b\0\x08\0\0\0" + struct.pack("<Q", following)
    return bytes(out)
