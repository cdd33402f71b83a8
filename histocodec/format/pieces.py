"""Pieces of a file: runs of bytes with a CRC-32 each, which are checked as they are read."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ..geometry import Image

HEADER_BYTES = 16
"""Length of a BigTIFF's header: no piece lies in it."""

ReadAt = Callable[[int, int], bytes]
"""(offset, length) -> that many bytes; fewer at the file's end."""


class Damaged(ValueError):
    """Bytes of a file are not the ones that were written, or contradict what the file says elsewhere.

    Stays within this room: whoever opens a file turns it into a Problem with a code and a place.
    """

    def within(self, place: str) -> Self:
        """Return the same error with a place before its sentence."""
        return type(self)(f"{place}: {self}")


@dataclass(frozen=True, eq=False)
class StoredPieces:
    """Pieces of one kind in an open file."""

    read_at: ReadAt
    extents: NDArray[np.uint64]
    """(n, 2): offset and length in bytes of each piece; an absent one has neither."""
    checksums: NDArray[np.uint32]
    """(n,): CRC-32 of each piece; 0 for an absent one, as of no bytes."""

    def data(self, index: int) -> bytes:
        """Return the bytes of a piece, b"" for an absent one. Raises Damaged if they changed."""
        offset, length = self.extents[index].tolist()
        return checked(self.read_at(offset, length), int(self.checksums[index]))

    def places(self, indices: Iterable[int]) -> list[tuple[int, int]]:
        """Return offset and length of some pieces, of those that are there."""
        return [(offset, length) for offset, length in self.extents[list(indices)].tolist() if length]

    @property
    def total_bytes(self) -> int:
        """Bytes of all pieces."""
        return int(self.extents[:, 1].sum())

    @property
    def longest(self) -> int:
        """Index of the longest piece."""
        return int(self.extents[:, 1].argmax())


def checked(data: bytes, checksum: int) -> bytes:
    """Return `data` if its CRC-32 is `checksum`, else raise Damaged."""
    if zlib.crc32(data) != checksum:
        raise Damaged("its bytes changed since it was written")
    return data


def crc_table(pieces: Iterable[bytes]) -> bytes:
    """Return the CRC-32 of each piece as little-endian uint32; that of an absent piece is 0."""
    return np.array([zlib.crc32(piece) for piece in pieces], "<u4").tobytes()


def image_crc32(image: Image) -> int:
    """Return the CRC-32 of an image's samples, row by row, R, G, B of each pixel. image: (height, width, 3) uint8."""
    return zlib.crc32(np.ascontiguousarray(image).data)


def outside(extents: NDArray[np.uint64], size_bytes: int) -> NDArray[np.bool_]:
    """Return (n,) True for every piece that does not lie within a file of `size_bytes`, behind its header."""
    offsets, lengths = extents.T
    end = np.uint64(size_bytes)
    found: NDArray[np.bool_] = (offsets < HEADER_BYTES) | (lengths > end) | (offsets > end - np.minimum(lengths, end))
    return found
