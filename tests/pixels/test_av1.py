"""Bare AV1 pictures: what their headers state, and that the boxes put round them are an AVIF file's."""

from __future__ import annotations

import imagecodecs
import numpy as np
import pytest

from histocodec.demo.synthetic import tissue
from histocodec.geometry import Size
from histocodec.pixels import av1
from histocodec.pixels.tile_codecs import encode_tile
from histocodec.pixels.tile_coder import TileCoder


def planes(height: int, width: int, ten_bits: bool, seed: int = 0) -> av1.Planes:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 1024 if ten_bits else 256, (-(-height // 16), -(-width // 16), 3))
    image = np.kron(coarse, np.ones((16, 16, 1), int))[:height, :width]
    return image.astype(np.uint16) if ten_bits else image.astype(np.uint8)


def noisy(height: int, width: int) -> av1.Planes:
    waves = np.add.outer(np.sin(np.arange(height) / 9), np.cos(np.arange(width) / 13))[..., None] * (200, 60, 20)
    return (512 + waves + np.random.default_rng(0).normal(0, 20, (height, width, 3))).clip(0, 1023).astype(np.uint16)


@pytest.mark.parametrize("ten_bits", [False, True])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (16, 300), (128, 128), (512, 512), (1024, 1024)])
def test_a_picture_states_its_size_and_comes_back(height: int, width: int, ten_bits: bool) -> None:
    image = planes(height, width, ten_bits)
    data = av1.encode(image, 95)
    header = av1.read_header(data)
    assert header is not None
    assert (header.height, header.width, header.bits) == (height, width, 10 if ten_bits else 8)
    decoded = av1.decode(data)
    assert decoded.dtype == image.dtype
    assert np.abs(decoded.astype(int) - image).mean() < (24 if ten_bits else 6)


def test_it_decodes_as_in_the_file_that_it_was_taken_from() -> None:
    image = planes(200, 264, ten_bits=True)
    file = imagecodecs.avif_encode(
        image, level=40, speed=6, bitspersample=10, pixelformat="444", matrix=0, numthreads=1
    )
    data = av1.encode(image, 40)
    assert bytes(file).endswith(data)
    assert np.array_equal(av1.decode(data), imagecodecs.avif_decode(file))


def test_a_coder_hands_the_speed_on() -> None:
    tile = tissue(Size(128, 128), seed=1)
    fast, slow = (TileCoder.fitted("av1", tile, speed=speed) for speed in (9, 6))
    assert slow.colour is not None
    stored = slow.colour.apply(tile)
    assert encode_tile(stored, "av1", 40, speed=9) == av1.encode(stored, 40, 9) != av1.encode(stored, 40)
    assert slow.encode(tile, 40) == TileCoder.fitted("av1", tile).encode(tile, 40)
    assert fast.encode(tile, 40) != slow.encode(tile, 40)


def test_a_slower_speed_comes_closer_for_its_bytes() -> None:
    image = noisy(256, 256)
    bits = {}
    for speed in (8, 4):
        data = av1.encode(image, 40, speed)
        error = np.square(av1.decode(data).astype(int) - image).mean()
        bits[speed] = len(data) * 8 / image.size + np.log2(error) / 2  # six decibels a bit
    assert bits[4] < bits[8]


def test_lossless_is_lossless() -> None:
    image = planes(64, 96, ten_bits=True)
    assert np.array_equal(av1.decode(av1.encode(image, 100)), image)


def test_no_other_program_takes_it_for_a_picture() -> None:
    data = av1.encode(planes(64, 64, ten_bits=True), 50)
    assert b"ftyp" not in data
    with pytest.raises(imagecodecs.AvifError):
        imagecodecs.avif_decode(data)


@pytest.mark.parametrize(
    "change",
    [
        lambda d: b"",
        lambda d: d[:4],
        lambda d: d[1:],
        lambda d: d[:3] + b"\xff" + d[4:],
        lambda d: d[:4] + bytes([d[4] & 0x1F]) + d[5:],  # profile 0
        lambda d: d[:4] + bytes([d[4] & 0xEF]) + d[5:],  # no still picture
        lambda d: d[:4] + bytes(9) + d[13:],
    ],
)
def test_what_is_not_such_a_picture_has_no_header(change: object) -> None:
    data = av1.encode(planes(64, 64, ten_bits=True), 50)
    assert callable(change)
    assert av1.read_header(change(data)) is None


def test_other_colours_than_planes_as_they_are_have_no_header() -> None:
    """YCbCr would become RGB by some library's rounding."""
    file = imagecodecs.avif_encode(planes(64, 64, ten_bits=False), level=50, pixelformat="444", numthreads=1)
    assert av1.read_header(bytes(file[file.index(b"mdat") + 4 :])) is None


def test_a_frame_alone_follows_the_header() -> None:
    """Behind a second header a decoder finds a picture of another size, and a library scales it."""
    whole, small = av1.encode(planes(128, 128, ten_bits=True), 50), av1.encode(planes(64, 64, ten_bits=True), 50)
    head = whole[: 4 + whole[3]]
    assert av1.read_header(head + small[2:]) is None
    assert av1.read_header(whole + small) is None
    for unit in (
        b"\x2a\x01\x00",
        b"\x7a\x00",
        b"\x0a\x80\x80\x80\x80\x80\x80\x80\x80\x80",
    ):  # metadata, padding, no end
        assert av1.read_header(head + unit + whole[len(head) :]) is None
    assert av1.read_header(whole[:-1]) is None
    assert av1.read_header(whole) is not None
