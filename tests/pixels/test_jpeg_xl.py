"""JPEG streams come back from JPEG XL, and what is no such stream is refused before it costs anything."""

from __future__ import annotations

import imagecodecs
import numpy as np
import pytest

from histocodec.demo.synthetic import tissue
from histocodec.geometry import Size
from histocodec.pixels.jpeg_xl import MAX_JPEG_PIXELS, stated_size, to_jpeg, to_jpeg_xl
from histocodec.pixels.tile_codecs import TileError


def jpeg(width: int, height: int, **options: object) -> bytes:
    return bytes(imagecodecs.jpeg_encode(np.ascontiguousarray(tissue(Size(width, height), seed=1)), **options))  # type: ignore[arg-type]


@pytest.mark.parametrize("subsampling", ["420", "422", "444"])
@pytest.mark.parametrize("size", [(256, 256), (240, 240), (77, 100), (300, 200), (1280, 431), (512, 256)])
def test_it_comes_back_and_states_its_size(size: tuple[int, int], subsampling: str) -> None:
    data = jpeg(*size, level=80, subsampling=subsampling)
    coded = to_jpeg_xl(data)
    assert coded is not None
    assert to_jpeg(coded, len(data)) == data
    assert stated_size(coded) == size
    bare = imagecodecs.jpegxl_encode(np.zeros((size[1], size[0], 3), np.uint8), usecontainer=False)
    assert stated_size(bytes(bare)) == size


def test_bytes_behind_the_stream_come_back_too() -> None:
    data = jpeg(64, 64) + b"\0\0"
    assert to_jpeg(to_jpeg_xl(data) or b"", len(data)) == data


@pytest.mark.parametrize("data", [b"", b"\xff\xd8\xff\xd9", b"no JPEG", bytes(1000)])
def test_what_is_no_stream_is_left_alone(data: bytes) -> None:
    assert to_jpeg_xl(data) is None


def test_a_stream_of_too_many_pixels_is_left_alone() -> None:
    side = int(MAX_JPEG_PIXELS**0.5) + 1
    huge = bytes(imagecodecs.jpeg_encode(np.zeros((side, side, 3), np.uint8), level=1, subsampling="420"))
    assert to_jpeg_xl(huge) is None


def test_lies_are_refused() -> None:
    data = jpeg(64, 64)
    coded = to_jpeg_xl(data) or b""
    with pytest.raises(TileError):
        to_jpeg(coded, len(data) - 1)
    with pytest.raises(TileError, match="expected a JPEG stream of"):
        to_jpeg(coded, len(data) + 1)
    for broken in (b"", coded[:12], coded[:60], b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(40)):
        with pytest.raises(TileError):
            to_jpeg(broken, len(data))
    with pytest.raises(TileError, match="damaged JPEG XL"):
        to_jpeg(bytes(imagecodecs.jpegxl_encode(np.zeros((8, 8, 3), np.uint8))), 100)
