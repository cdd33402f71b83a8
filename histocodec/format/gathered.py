"""A TIFF whose directories and values lie in one run behind its pieces: who reads it from afar has them in one request.

tifffile puts each directory before its own pieces, so all over the file. Here it lays the directories out in memory,
over pieces of one byte, and they are moved: tags and values are tifffile's, places are ours.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Any, Self

import numpy as np
import tifffile

from .bigtiff import ELEMENT_BYTES, Directory, read_directories, read_directory
from .pieces import HEADER_BYTES
from .tags import Tag

_HEADER = b"II\x2b\0\x08\0\0\0"
_LONG, _LONG8 = 4, 16
_LAST = (Tag.Generator,)
"""Values that opening a file does not need."""

_Place = tuple[int, int]
"""Offset and length of a piece."""
_Late = tuple[bool, bytes, int]
"""Whether it comes last, a value, and where in the tail its offset is to stand."""


@dataclass(frozen=True, slots=True)
class _Written:
    """An image whose pieces are written, or whose only one waits for the values."""

    places: list[_Place]
    waiting: bytes | None = None


class GatheredTiff:
    """Writes images as `tifffile.TiffWriter` does; the directories follow when the block ends without an exception."""

    def __init__(self, file: IO[bytes]) -> None:
        """Take a file that is empty and can be sought in."""
        self._file = file
        self._directories = io.BytesIO()
        self._tiff = tifffile.TiffWriter(self._directories, bigtiff=True, byteorder="<")
        self._images: list[_Written] = []
        file.write(bytes(HEADER_BYTES))

    def write(self, pieces: Iterable[bytes], **keywords: Any) -> None:
        """Write an image. pieces: its coded tiles or strips; b"" for an absent one. keywords: tifffile's."""
        self._add(_Written([self._put(piece) for piece in pieces]), keywords)

    def write_beside(self, piece: bytes, **keywords: Any) -> None:
        """Write an image of one strip that is read whenever the file is opened: it stands among the values."""
        self._add(_Written([(0, len(piece))], piece), keywords)

    def _add(self, image: _Written, keywords: dict[str, Any]) -> None:
        self._images.append(image)
        self._tiff.write((b"\0" if length else b"" for _, length in image.places), **keywords)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tiff.close()
        if kind is None:
            self._write_directories()

    def _put(self, piece: bytes) -> _Place:
        if not piece:
            return 0, 0
        offset = self._file.tell()
        self._file.write(piece)
        return offset, len(piece)

    def _write_directories(self) -> None:
        """Write all directories, then their values and the strips that wait, short ones first; then the header."""
        chain, inner = self._read_back()
        contents = [directory.stored() for directory in (chain[0], *inner, *chain[1:])]  # in the order of `write`
        self._file.write(bytes(self._file.tell() % 2))
        start = self._file.tell()
        *offsets, end = np.cumsum([start, *(16 + 20 * len(content) for content in contents)]).tolist()
        following = dict(zip([0, *range(1 + len(inner), len(offsets))], [*offsets[1 + len(inner) :], 0], strict=True))
        if inner:
            contents[0][Tag.SubIFDs] = contents[0][Tag.SubIFDs][0], _numbers(offsets[1 : 1 + len(inner)], "<u8")
        tail, late = bytearray(end - start), list[_Late]()
        for number, (image, content, offset) in enumerate(zip(self._images, contents, offsets, strict=True)):
            is_tiled = Tag.TileOffsets in content
            index = Tag.TileOffsets if is_tiled else Tag.StripOffsets
            content[index] = _LONG8, _numbers([at for at, _ in image.places], "<u8")
            lengths = _numbers([length for _, length in image.places], "<u4")
            content[Tag.TileByteCounts if is_tiled else Tag.StripByteCounts] = _LONG, lengths
            at = offset - start
            struct.pack_into("<Q", tail, at, len(content))
            at += 8
            for tag, (kind, value) in sorted(content.items()):
                struct.pack_into("<HHQ", tail, at, tag, kind, len(value) // ELEMENT_BYTES[kind])
                tail[at + 12 : at + 20] = value[:8].ljust(8, b"\0")
                if image.waiting is not None and tag == index:
                    late.append((False, image.waiting, at + 12))
                elif len(value) > 8:
                    late.append((tag in _LAST, value, at + 12))
                at += 20
            struct.pack_into("<Q", tail, at, following.get(number, 0))
        for _, value, place in sorted(late, key=lambda item: (item[0], len(item[1]))):
            struct.pack_into("<Q", tail, place, start + len(tail))
            tail += value + b"\0" * (len(value) % 2)
        self._file.write(tail)
        self._file.seek(0)
        self._file.write(_HEADER + struct.pack("<Q", start))
        self._file.seek(0, io.SEEK_END)

    def _read_back(self) -> tuple[list[Directory], list[Directory]]:
        """Return the main chain and the SubIFDs of its first directory, as tifffile has laid them out."""
        data = self._directories.getvalue()

        def read_at(offset: int, length: int) -> bytes:
            return data[offset : offset + length]

        chain = read_directories(read_at)
        count = chain[0].count(Tag.SubIFDs)
        inner = chain[0].array(Tag.SubIFDs, count).tolist() if count else []
        return chain, [read_directory(read_at, offset)[0] for offset in inner]


def _numbers(values: list[int], kind: str) -> bytes:
    return np.array(values, np.uint64).astype(kind).tobytes()
