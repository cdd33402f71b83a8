"""Pieces of a file: what is read is what was written, or is refused."""

from __future__ import annotations

import zlib

import numpy as np
import pytest

from histocodec.format.pieces import Damaged, StoredPieces, image_crc32, outside

FILE = b"0123456789abcdef" + b"first" + b"second"


def stored(data: bytes) -> StoredPieces:
    sums = np.array([zlib.crc32(b"first"), zlib.crc32(b"second"), 0], np.uint32)
    extents = np.array([[16, 5], [21, 6], [2**64 - 1, 0]], np.uint64)
    return StoredPieces(lambda offset, length: data[offset : offset + length], extents, sums)


def test_pieces_are_read_and_checked() -> None:
    pieces = stored(FILE)
    assert [pieces.data(index) for index in range(3)] == [b"first", b"second", b""]
    assert pieces.total_bytes == 11
    assert pieces.longest == 1
    with pytest.raises(Damaged, match="changed"):
        stored(FILE.replace(b"second", b"Second")).data(1)
    with pytest.raises(Damaged, match="changed"):
        stored(FILE[:-1]).data(1)


def test_the_checksum_of_an_image_is_that_of_its_samples_in_order() -> None:
    image = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    assert image_crc32(image) == zlib.crc32(bytes(range(18)))
    assert image_crc32(image[:, ::-1]) == zlib.crc32(image[:, ::-1].tobytes())


def test_places_outside_the_file_are_found_without_overflow() -> None:
    most = 2**64 - 1
    extents = np.array(
        [[16, 84], [16, 85], [15, 1], [99, 1], [100, 1], [most - 8, 16], [20, most], [100, 0]], np.uint64
    )
    assert outside(extents, 100).tolist() == [False, True, True, False, True, True, True, False]
