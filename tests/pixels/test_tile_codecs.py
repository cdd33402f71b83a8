"""The base: exact box average, tile codecs, degrade()."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histocodec.demo.synthetic import tissue
from histocodec.errors import SettingsError
from histocodec.geometry import Image, Size
from histocodec.pixels.degrade import degrade
from histocodec.pixels.downsample import downsample
from histocodec.pixels.metrics import psnr
from histocodec.pixels.tile_codecs import (
    QUALITY_SCALES,
    TILE_CODECS,
    TileCodec,
    TileError,
    decode_tile,
    encode_tile,
    stated_size,
)
from histocodec.pixels.tile_coder import TileCoder, code_image, decode_image


def smooth(height: int, width: int, seed: int = 0) -> Image:
    """Random colours, smooth enough for a codec."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (height // 8 + 2, width // 8 + 2, 3)).astype(np.float64)
    image = coarse.repeat(8, 0).repeat(8, 1)
    for _ in range(3):
        image = (image + np.roll(image, 3, 0) + np.roll(image, 3, 1)) / 3
    return image[:height, :width].astype(np.uint8)


@given(st.integers(1, 30), st.integers(1, 30), st.sampled_from([1, 2, 4]), st.integers(0, 99))
def test_downsample_is_the_rounded_mean_of_each_block(height: int, width: int, scale: int, seed: int) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)
    out = downsample(image, scale)
    assert out.shape == (-(-height // scale), -(-width // scale), 3)
    for y in range(out.shape[0]):
        for x in range(out.shape[1]):
            # Python integers, edge rows and columns repeated.
            rows = [min(y * scale + k, height - 1) for k in range(scale)]
            columns = [min(x * scale + k, width - 1) for k in range(scale)]
            for c in range(3):
                total = sum(int(image[r, q, c]) for r in rows for q in columns)
                assert out[y, x, c] == (total + scale * scale // 2) // (scale * scale)


def test_downsample_rounds_halves_up() -> None:
    image = np.array([[[0, 1, 3]] * 2, [[1, 1, 4]] * 2], np.uint8)
    assert downsample(image, 2).tolist() == [[[1, 1, 4]]]


@pytest.mark.parametrize("codec", TILE_CODECS)
def test_a_tile_survives_its_codec_in_rgb_order(codec: TileCodec) -> None:
    image = np.full((64, 48, 3), (220, 120, 30), np.uint8)
    quality = {"jp2k": 45, "avif": 90, "jpeg": 95}[codec]
    data = encode_tile(image, codec, quality)
    assert stated_size(data, codec) == (64, 48)
    decoded = decode_tile(data, codec, height=64, width=48)
    assert np.abs(decoded.astype(int) - image).max() <= 4
    assert encode_tile(image, codec, quality) == data


@pytest.mark.parametrize("codec", TILE_CODECS)
def test_more_quality_is_more_bytes_and_more_fidelity(codec: TileCodec) -> None:
    image = smooth(256, 256)
    scores = []
    for quality in {"jp2k": (25, 32, 40), "avif": (20, 50, 80), "jpeg": (20, 50, 80)}[codec]:
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
    good = encode_tile(smooth(48, 48), codec, {"jp2k": 30, "avif": 50, "jpeg": 50}[codec])
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


@pytest.mark.parametrize(
    ("codec", "quality"), [("jp2k", 9.9), ("jp2k", 61), ("avif", 50.5), ("avif", 101), ("jpeg", 0)]
)
def test_a_quality_off_the_scale_is_refused(codec: TileCodec, quality: float) -> None:
    with pytest.raises(SettingsError, match="quality"):
        encode_tile(smooth(16, 16), codec, quality)
    assert QUALITY_SCALES[codec].check(50) == 50


def test_degrade_is_downsample_then_codec() -> None:
    image = smooth(256, 320)
    assert np.array_equal(degrade(image, 4, None), downsample(image, 4))
    base = downsample(image, 4)
    coder = TileCoder("jp2k")
    coded = decode_image(code_image(base, coder, 30.0), coder, height=64, width=80)
    assert np.array_equal(degrade(image, 4, "jp2k", 30.0), coded)


def test_the_tissue_of_a_tile_that_is_mostly_glass_is_kept() -> None:
    """OpenJPEG's PSNR is that of the whole tile, which one flat colour reaches where most of it is glass."""
    whole = downsample(tissue(Size(1024, 1024), seed=7), 4)
    tile = np.full((256, 256, 3), 243, np.uint8)
    tile[:, :64] = whole[:, 96:160]
    for quality in (24.0, 28.0):
        coder = TileCoder("jp2k")
        among_glass = coder.decode(coder.encode(tile, quality), height=256, width=256)[:, :64]
        among_tissue = coder.decode(coder.encode(whole, quality), height=256, width=256)[:, 96:160]
        assert psnr(tile[:, :64], among_glass) > psnr(whole[:, 96:160], among_tissue) - 1
