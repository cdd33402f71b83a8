"""JPEG streams come back from JPEG XL, and what is no such stream is refused before it costs anything."""

from __future__ import annotations

import imagecodecs
import numpy as np
import pytest

from histocodec.demo.synthetic import tissue
from histocodec.geometry import Size
from histocodec.pixels.jpeg_xl import MAX_JPEG_PIXELS, as_file, stated_size, to_jpeg, to_jpeg_xl
from histocodec.pixels.tile_codecs import MAX_SCANS, TileError


def jpeg(width: int, height: int, **options: object) -> bytes:
    return bytes(imagecodecs.jpeg_encode(np.ascontiguousarray(tissue(Size(width, height), seed=1)), **options))  # type: ignore[arg-type]


@pytest.mark.parametrize("subsampling", ["420", "422", "444"])
@pytest.mark.parametrize("size", [(256, 256), (240, 240), (77, 100), (300, 200), (1280, 431), (512, 256)])
def test_it_comes_back_and_states_its_size(size: tuple[int, int], subsampling: str) -> None:
    data = jpeg(*size, level=80, subsampling=subsampling)
    found = to_jpeg_xl(data)
    assert found is not None
    coded, recipe = found
    assert to_jpeg(coded, len(data), recipe) == data
    assert stated_size(coded) == size == stated_size(as_file(coded, recipe))
    assert imagecodecs.jpegxl_decode(coded).shape == (size[1], size[0], 3)
    bare = imagecodecs.jpegxl_encode(np.zeros((size[1], size[0], 3), np.uint8), usecontainer=False)
    assert stated_size(bytes(bare)) == size


def test_bytes_behind_the_stream_come_back_too() -> None:
    data = jpeg(64, 64) + b"\0\0"
    coded, recipe = to_jpeg_xl(data) or (b"", b"")
    assert to_jpeg(coded, len(data), recipe) == data


def test_streams_of_one_scanner_share_their_recipe() -> None:
    images = [np.ascontiguousarray(tissue(Size(256, 256), seed=seed)) for seed in range(4)]
    streams = [bytes(imagecodecs.jpeg_encode(image, level=80)) for image in images]
    found = [to_jpeg_xl(stream) or (b"", b"") for stream in streams]
    (data,) = {data for _, data in found}
    boxed = [len(imagecodecs.jpegxl_encode_jpeg(stream)) for stream in streams]
    assert all(length - len(coded) > len(data) for length, (coded, _) in zip(boxed, found, strict=True))


def test_a_stream_with_exif_is_a_whole_file() -> None:
    bare = jpeg(64, 64)
    exif = b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0"
    data = bare[:2] + b"\xff\xe1" + (2 + len(exif)).to_bytes(2, "big") + exif + bare[2:]
    coded, recipe = to_jpeg_xl(data) or (b"", b"")
    assert (coded[4:8], recipe) == (b"JXL ", b"")
    assert to_jpeg(coded, len(data)) == data


@pytest.mark.parametrize("data", [b"", b"\xff\xd8\xff\xd9", b"no JPEG", bytes(1000)])
def test_what_is_no_stream_is_left_alone(data: bytes) -> None:
    assert to_jpeg_xl(data) is None


def test_a_stream_of_too_many_pixels_is_left_alone() -> None:
    side = int(MAX_JPEG_PIXELS**0.5) + 1
    huge = bytes(imagecodecs.jpeg_encode(np.zeros((side, side, 3), np.uint8), level=1, subsampling="420"))
    assert to_jpeg_xl(huge) is None


def test_lies_are_refused() -> None:
    data = jpeg(64, 64)
    coded, recipe = to_jpeg_xl(data) or (b"", b"")
    with pytest.raises(TileError):
        to_jpeg(coded, len(data) - 1, recipe)
    with pytest.raises(TileError, match="expected a JPEG stream of"):
        to_jpeg(coded, len(data) + 1, recipe)
    with pytest.raises(TileError):
        to_jpeg(coded, len(data), recipe[:-20])
    with pytest.raises(TileError, match="damaged JPEG XL"):
        to_jpeg(coded, len(data))
    for broken in (b"", coded[:12], coded[:60], b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(40)):
        with pytest.raises(TileError):
            to_jpeg(broken, len(data))
    with pytest.raises(TileError, match="damaged JPEG XL"):
        to_jpeg(bytes(imagecodecs.jpegxl_encode(np.zeros((8, 8, 3), np.uint8))), 100)


def test_a_recipe_of_more_scans_than_any_jpeg_has_is_refused_before_it_is_followed() -> None:
    data = jpeg(64, 64)
    coded, recipe = to_jpeg_xl(data) or (b"", b"")
    bits = int.from_bytes(recipe, "little")
    assert bits & 1 == 0
    assert bits >> 1 & 63 == 0x20  # APP0: the markers begin behind the first bit
    for scans, said in ((MAX_SCANS, "damaged"), (MAX_SCANS + 1, "at most 100 scans")):
        markers = sum(marker << 1 + 6 * place for place, marker in enumerate([*[0x1A] * scans, 0x19]))
        with pytest.raises(TileError, match=said):
            to_jpeg(coded, len(data), markers.to_bytes(200, "little"))
    with pytest.raises(TileError, match="at most 100 scans"):  # markers without an end
        to_jpeg(coded, len(data), bytes(600))
