"""What the headers of a JPEG 2000 codestream say of its parts, before a library takes memory for them."""

from __future__ import annotations

import struct
from typing import Any

import imagecodecs
import numpy as np
import pytest

from histocodec.pixels import jpeg_2000
from histocodec.pixels.tile_codecs import TileError, decode_tile
from tests.pixels.images import smooth

SIDE = 1024


@pytest.fixture(scope="module")
def sound() -> bytes:
    """One tile, six resolutions, no precincts stated, code-blocks of 64 x 64."""
    image = np.full((SIDE, SIDE, 3), 200, np.uint8)
    return with_style(bytes(imagecodecs.jpeg2k_encode(image, level=30, codecformat="j2k", numthreads=1)), b"", 0)


def with_style(data: bytes, change: bytes, at: int, precincts: bytes = b"") -> bytes:
    """Other bytes in COD, and these precincts, or none."""
    place = data.index(b"\xff\x52")
    (length,) = struct.unpack_from(">H", data, place + 2)
    body = bytearray(data[place + 4 : place + 14])
    body[at : at + len(change)] = change
    body[0] = bool(precincts)
    body += precincts
    return data[: place + 2] + struct.pack(">H", len(body) + 2) + bytes(body) + data[place + 2 + length :]


def parts(data: bytes) -> jpeg_2000.Parts:
    found = jpeg_2000.parts_of(data)
    assert found is not None
    return found


def test_parts_are_counted(sound: bytes) -> None:
    assert jpeg_2000.stated_size(sound) == (SIDE, SIDE)
    # 32, 64 ... 1024 px a side, in squares of 64 px
    blocks = 3 * (1 + 1 + 4 + 16 + 64 + 256)
    assert parts(sound) == jpeg_2000.Parts(tiles=1, precincts=3 * 6, blocks=blocks, packets=3 * 6)
    assert parts(with_style(sound, struct.pack(">H", 9), 2)).packets == 3 * 6 * 9
    tiled = sound[:24] + struct.pack(">2I", 256, 512) + sound[32:]
    assert parts(tiled).tiles == 8
    in_squares = with_style(sound, b"", 0, b"\x77" * 6)  # of 128 px
    assert parts(in_squares).precincts == 3 * (1 + 1 + 1 + 4 + 16 + 64)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda data: data[:24] + struct.pack(">2I", 31, 31) + data[32:], "at most 1024 tiles, found 1156"),
        (lambda data: with_style(data, b"", 0, b"\x22" * 6), "at most 65536 precincts, found 262080"),
        (lambda data: with_style(data, struct.pack(">H", 65535), 2, b"\x66" * 6), "at most 16777216 packets"),
    ],
    ids=["tiles", "precincts", "packets"],
)
def test_more_parts_than_pixels_are_worth_are_refused(change: object, said: str, sound: bytes) -> None:
    data = change(sound)  # type: ignore[operator]
    assert "at most" in str(parts(data).too_many)
    with pytest.raises(TileError, match=said):
        decode_tile(data, "jp2k", height=SIDE, width=SIDE)


def test_the_smallest_code_blocks_are_allowed(sound: bytes) -> None:
    data = with_style(sound, b"\0\0", 6)
    assert parts(data).blocks == 262080 <= jpeg_2000.MAX_BLOCKS
    assert parts(data).too_many is None


def test_styles_of_components_and_tile_parts_count_too(sound: bytes) -> None:
    """A decoder takes them as well, so that whoever looked at the main header alone would know nothing."""
    style = bytes([1, 1, 5, 4, 4, 0, 0]) + b"\x22" * 6
    marker = b"\xff\x53" + struct.pack(">H", len(style) + 2) + style
    start = sound.index(b"\xff\x90")
    assert parts(sound[:start] + marker + sound[start:]).precincts == 262080
    at = sound.index(b"\xff\x93")
    stated = struct.pack(">I", struct.unpack_from(">I", sound, start + 6)[0] + len(marker))
    inside = sound[: start + 6] + stated + sound[start + 10 : at] + marker + sound[at:]
    assert parts(inside).precincts == 262080


def test_headers_that_are_not_of_part_1_are_refused(sound: bytes) -> None:
    start, data_at = sound.index(b"\xff\x90"), sound.index(b"\xff\x93")
    for damaged in (
        sound[:start] + b"\xff\x74\0\2" + sound[start:],  # a transform of Part 2
        sound[:60],
        sound[: start + 6] + struct.pack(">I", 12) + sound[start + 10 :],  # a tile part that ends in its header
        sound[: start + 6] + struct.pack(">I", 20) + sound[start + 10 :],  # and one that ends within its data
        sound[:data_at],
        sound[:24] + bytes(8) + sound[32:],
    ):
        assert jpeg_2000.parts_of(damaged) is None or damaged == sound[:data_at]
    with pytest.raises(TileError, match="Part 1"):
        decode_tile(sound[:60], "jp2k", height=SIDE, width=SIDE)


def test_ordinary_tiles_pass() -> None:
    ways: list[dict[str, Any]] = [{"level": 40}, {"level": 0, "reversible": True}, {"level": 35, "resolutions": 1}]
    for options in ways:
        data = bytes(imagecodecs.jpeg2k_encode(smooth(96, 96), codecformat="j2k", **options))
        assert parts(data).too_many is None
