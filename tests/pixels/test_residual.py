"""The enhancement layer's arithmetic: residuals, and the smallest tile that reaches a floor."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from histocodec.demo.synthetic import tissue
from histocodec.errors import SettingsError
from histocodec.geometry import Image, Size
from histocodec.pixels.metrics import psnr
from histocodec.pixels.residual import (
    EnhancementCoder,
    Mode,
    add_residual,
    enhance_to,
    residual,
)
from histocodec.pixels.tile_codecs import TileCodec, decode_tile

SIDE = 128
SOURCE = tissue(Size(SIDE, SIDE), seed=3)
BLURRED: Image = np.clip(
    SOURCE.reshape(SIDE // 4, 4, SIDE // 4, 4, 3).mean((1, 3)).repeat(4, 0).repeat(4, 1) + 2, 0, 255
).astype(np.uint8)


@given(st.integers(0, 255), st.integers(0, 255))
def test_a_residual_gives_the_source_back_where_it_is_not_clamped(source: int, prediction: int) -> None:
    a, b = np.full((1, 1, 3), source, np.uint8), np.full((1, 1, 3), prediction, np.uint8)
    restored = int(add_residual(b, residual(a, b))[0, 0, 0])
    expected = source if -128 <= source - prediction <= 127 else prediction + (127 if source > prediction else -128)
    assert restored == expected


def _restored(prediction: Image, mode: Mode, data: bytes, codec: TileCodec) -> Image:
    tile = decode_tile(data, codec, height=prediction.shape[0], width=prediction.shape[1])
    return tile if mode is Mode.NATIVE else add_residual(prediction, tile)


@pytest.mark.parametrize("codec", ["jp2k", "av1", "jpeg"])
@pytest.mark.parametrize("floor_db", [30.0, 36.0])
def test_a_tile_reaches_its_floor_and_hardly_more(codec: TileCodec, floor_db: float) -> None:
    tile = enhance_to(SOURCE, BLURRED, floor_db, EnhancementCoder(codec))
    restored = _restored(BLURRED, tile.mode, tile.data, codec)
    assert psnr(SOURCE, restored) == pytest.approx(tile.psnr_db)
    assert floor_db <= tile.psnr_db < floor_db + (0.3 if codec == "jp2k" else 2.0)  # the others have whole steps


def test_a_higher_floor_takes_more_bytes() -> None:
    sizes = [
        len(enhance_to(SOURCE, BLURRED, floor_db, EnhancementCoder("jp2k")).data)
        for floor_db in (28.0, 32.0, 36.0, 40.0)
    ]
    assert sizes == sorted(sizes)
    assert sizes[-1] > 1.5 * sizes[0]


def test_the_better_of_residual_and_native_is_taken() -> None:
    assert enhance_to(SOURCE, BLURRED, 32.0, EnhancementCoder("jp2k")).mode is Mode.RESIDUAL
    unrelated = np.random.default_rng(5).integers(0, 256, SOURCE.shape).astype(np.uint8)
    assert enhance_to(SOURCE, unrelated, 32.0, EnhancementCoder("jp2k")).mode is Mode.NATIVE


def test_over_a_prediction_that_is_not_defined_to_the_bit_tiles_are_native() -> None:
    coder = EnhancementCoder("jp2k", modes=(Mode.NATIVE,))
    tile = enhance_to(SOURCE, BLURRED, 32.0, coder)
    assert tile.mode is Mode.NATIVE
    assert psnr(SOURCE, _restored(BLURRED, tile.mode, tile.data, "jp2k")) == pytest.approx(tile.psnr_db)
    assert len(tile.data) > len(enhance_to(SOURCE, BLURRED, 32.0, EnhancementCoder("jp2k")).data)


def test_only_the_part_within_the_slide_counts() -> None:
    part = SOURCE[:70, :33]
    tile = enhance_to(part, BLURRED, 34.0, EnhancementCoder("jp2k"))
    restored = _restored(BLURRED, tile.mode, tile.data, "jp2k")[:70, :33]
    assert psnr(part, restored) >= 34.0
    whole = enhance_to(SOURCE, BLURRED, 34.0, EnhancementCoder("jp2k"))
    assert len(tile.data) < 0.8 * len(whole.data)


def test_a_floor_beyond_the_codec_is_an_error() -> None:
    noise = np.random.default_rng(6).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    with pytest.raises(SettingsError, match="cannot be reached"):
        enhance_to(noise, noise[::-1].copy(), 50.0, EnhancementCoder("jpeg"))
