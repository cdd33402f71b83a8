"""A preview says what an encode then gives."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

import histocodec.encoder.preview
from histocodec.decoder import Decoder
from histocodec.demo.synthetic import tissue, write_slide
from histocodec.encoder import EncodeSettings, encode
from histocodec.encoder.preview import Previewed, Refused, preview
from histocodec.errors import RegionError, SettingsError
from histocodec.generators.bicubic import BicubicGenerator
from histocodec.geometry import Region, Size
from histocodec.pixels.metrics import psnr, ssim
from histocodec.pixels.tile_codecs import TileCodec
from histocodec.source import open_source

BICUBIC = BicubicGenerator(4)


@pytest.mark.parametrize("codec", ["jp2k", "av1"])
def test_a_small_slide_is_foretold_exactly(tissue_slide_path: Path, tmp_path: Path, codec: TileCodec) -> None:
    settings = EncodeSettings(codec=codec, effort="fast")
    with open_source(tissue_slide_path) as source:
        found = preview(source, tmp_path, BICUBIC, settings, ratios=(16,))
        original = source.read(found.place)
        assert found.sampled_share == 1
        np.testing.assert_array_equal(found.original, original)
        for row in found.rows:
            assert isinstance(row, Previewed)
            path = tmp_path / f"{row.ratio}.hc.tif"
            report = encode(source, path, BICUBIC, dataclasses.replace(settings, ratio=row.ratio))
            with Decoder(path) as decoder:
                np.testing.assert_array_equal(decoder.read(found.place), row.field)
            assert row.quality == report.manifest.base.quality
            assert row.slide == report.manifest.quality
            assert row.size_bytes == pytest.approx(report.size_bytes, rel=0.01)
            assert row.psnr_db == psnr(original, row.field)
            assert row.ssim == ssim(original, row.field)
            assert 0 < row.field_bytes < row.size_bytes


def test_a_sample_stands_for_a_large_slide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Glass beside tissue, and three eighths of it looked at: within three percent."""
    image = np.full((4096, 6144, 3), 240, np.uint8)
    image[:, :3584] = np.tile(tissue(Size(1792, 1024), seed=5), (4, 2, 1))
    write_slide(tmp_path / "slide.tif", image)
    monkeypatch.setattr(histocodec.encoder.preview, "_SAMPLE_PIXELS", 9 << 16)
    with open_source(tmp_path / "slide.tif") as source:
        found = preview(source, tmp_path, BICUBIC, EncodeSettings(codec="jp2k"), ratios=(16,))
        assert found.sampled_share == pytest.approx(9 / 24)
        for row in found.rows:
            assert isinstance(row, Previewed)
            report = encode(
                source, tmp_path / f"{row.ratio}.hc.tif", BICUBIC, EncodeSettings(codec="jp2k", ratio=row.ratio)
            )
            with Decoder(report.path) as decoder:
                decoded = decoder.read(found.place)
            assert row.size_bytes == pytest.approx(report.size_bytes, rel=0.03)
            assert row.psnr_db == pytest.approx(psnr(found.original, decoded), rel=0.03)
            assert row.ssim == pytest.approx(ssim(found.original, decoded), rel=0.03)
            # The mean over all tissue is less sure: its blocks differ by several dB, and few cells are looked at.
            assert row.slide is not None
            assert report.psnr_db is not None
            assert row.slide.psnr_db.mean == pytest.approx(report.psnr_db.mean, abs=2.5)


def test_a_region_and_ratios_that_cannot_be_met(slide_path: Path, tmp_path: Path) -> None:
    place = Region(301, 203, 131, 97)
    with open_source(slide_path) as source:
        found = preview(source, tmp_path, BICUBIC, EncodeSettings(codec="jp2k"), ratios=(8, 900), region=place)
    fine, refused = found.rows
    assert found.place == place
    assert isinstance(fine, Previewed)
    assert fine.field.shape == (97, 131, 3)
    assert isinstance(refused, Refused)
    assert refused.ratio == 900
    assert "a ratio of 900 allows" in refused.reason


def test_what_cannot_be_shown(slide_path: Path, tmp_path: Path) -> None:
    write_slide(tmp_path / "glass.tif", np.full((1100, 1100, 3), 240, np.uint8))
    with open_source(tmp_path / "glass.tif") as source, pytest.raises(SettingsError, match="no tissue was found"):
        preview(source, tmp_path, BICUBIC)
    with open_source(slide_path) as source:
        with pytest.raises(RegionError, match="within 1100 x 900"):
            preview(source, tmp_path, BICUBIC, region=Region(1000, 0, 200, 200))
        with pytest.raises(SettingsError, match="11 to 1536 px a side"):
            preview(source, tmp_path, BICUBIC, region=Region(0, 0, 8, 200))
        with pytest.raises(SettingsError, match="without floors"):
            preview(source, tmp_path, BICUBIC, EncodeSettings(codec="jp2k", min_psnr_db=30))
