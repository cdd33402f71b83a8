"""Tile codecs: their order of colours, their scales of quality, and tiles that are damaged."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histocodec.errors import SettingsError
from histocodec.pixels.metrics import psnr
from histocodec.pixels.tile_codecs import (
    MAX_SCANS,
    QUALITY_SCALES,
    TILE_CODECS,
    TileCodec,
    TileError,
    decode_tile,
    encode_tile,
    stated_size,
)
from tests.format.conformance.make_vectors.hostile_codestreams import many_scans
from tests.pixels.images import smooth


@pytest.mark.parametrize("codec", TILE_CODECS)
def test_a_tile_survives_its_codec_in_rgb_order(codec: TileCodec) -> None:
    image = np.full((64, 48, 3), (220, 120, 30), np.uint8)
    quality = {"jp2k": 45, "av1": 90, "jpeg": 95}[codec]
    data = encode_tile(image, codec, quality)
    assert stated_size(data, codec) == (64, 48)
    decoded = decode_tile(data, codec, height=64, width=48)
    assert np.abs(decoded.astype(int) - image).max() <= 4
    assert encode_tile(image, codec, quality) == data


@pytest.mark.parametrize("codec", TILE_CODECS)
def test_more_quality_is_more_bytes_and_more_fidelity(codec: TileCodec) -> None:
    image = smooth(256, 256)
    scores = []
    for quality in {"jp2k": (25, 32, 40), "av1": (20, 50, 80), "jpeg": (20, 50, 80)}[codec]:
        data = encode_tile(image, codec, quality)
        scores.append((len(data), psnr(image, decode_tile(data, codec, height=256, width=256))))
    assert scores == sorted(scores)


def test_the_quality_of_jp2k_is_a_psnr_in_db() -> None:
    image = smooth(256, 256)
    for quality in (28.0, 34.5):
        decoded = decode_tile(encode_tile(image, "jp2k", quality), "jp2k", height=256, width=256)
        assert psnr(image, decoded) == pytest.approx(quality, abs=0.8)


@pytest.mark.parametrize("codec", TILE_CODECS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_damaged_tiles_raise_tile_errors_or_decode_to_their_size(codec: TileCodec, data: st.DataObject) -> None:
    good = encode_tile(smooth(48, 48), codec, {"jp2k": 30, "av1": 50, "jpeg": 50}[codec])
    if data.draw(st.booleans()):
        bad = good[: data.draw(st.integers(0, len(good) - 1))]
    else:
        at = data.draw(st.integers(0, len(good) - 1))
        bad = good[:at] + bytes([good[at] ^ data.draw(st.integers(1, 255))]) + good[at + 1 :]
    with contextlib.suppress(TileError):
        assert decode_tile(bad, codec, height=48, width=48).shape == (48, 48, 3)


@pytest.mark.parametrize("codec", TILE_CODECS)
def test_a_tile_of_another_size_is_refused_by_its_head(codec: TileCodec) -> None:
    data = encode_tile(smooth(32, 64), codec, 30)
    with pytest.raises(TileError, match="64 x 32"):
        decode_tile(data, codec, height=64, width=64)
    with pytest.raises(TileError, match="found none"):
        decode_tile(b"II*\0 nonsense", codec, height=64, width=64)


@pytest.mark.parametrize(("codec", "quality"), [("jp2k", 9.9), ("jp2k", 61), ("av1", 50.5), ("av1", 101), ("jpeg", 0)])
def test_a_quality_off_the_scale_is_refused(codec: TileCodec, quality: float) -> None:
    with pytest.raises(SettingsError, match="quality"):
        encode_tile(smooth(16, 16), codec, quality)
    assert QUALITY_SCALES[codec].check(50) == 50


def test_huffman_tables_of_its_own_make_a_jpeg_smaller_and_no_other() -> None:
    tile = np.random.default_rng(3).integers(0, 9, (256, 256, 3)).astype(np.uint8) + smooth(256, 256)
    own, common = (encode_tile(tile, "jpeg", 85, jpeg_optimised=optimised) for optimised in (True, False))
    assert len(own) < len(common) < 1.3 * len(own)
    own_pixels, pixels = (decode_tile(data, "jpeg", height=256, width=256) for data in (own, common))
    assert np.array_equal(own_pixels, pixels)


def test_a_jpeg_is_read_where_its_decoder_reads_it() -> None:
    """Markers without a length, and frames of other kinds, stand nowhere before the frame that counts."""
    data = encode_tile(smooth(64, 64), "jpeg", 50)
    frame = data.index(b"\xff\xc0")
    assert stated_size(data, "jpeg") == (64, 64)
    for marker in (b"\xff\xd0\0\2", b"\xff\x01\0\2", b"\xff\xd8\0\2", b"\xff\xff", data[frame : frame + 19]):
        other = data[:2] + marker.replace(b"\xff\xc0", b"\xff\xc3") + data[2:]
        assert stated_size(other, "jpeg") is None
    twelve = data[: frame + 4] + b"\x0c" + data[frame + 5 :]
    assert stated_size(twelve, "jpeg") is None
    grey = encode_tile(smooth(64, 64), "jpeg", 50).replace(data[frame : frame + 10], data[frame : frame + 9] + b"\1")
    assert stated_size(grey, "jpeg") is None


def test_a_jpeg_of_more_scans_than_any_has_is_refused() -> None:
    for count in (MAX_SCANS, MAX_SCANS + 1):
        data = many_scans(count)
        if count > MAX_SCANS:
            with pytest.raises(TileError, match="at most 100 scans"):
                decode_tile(data, "jpeg", height=128, width=128)
        else:
            assert decode_tile(data, "jpeg", height=128, width=128).shape == (128, 128, 3)
