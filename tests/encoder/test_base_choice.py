"""`--base auto`: the base that does better on the slide's tissue at equal bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from histocodec.demo.synthetic import tissue, write_slide
from histocodec.encoder import EncodeSettings, encode
from histocodec.encoder.base_choice import PATCH, usual_base
from histocodec.encoder.settings import Magnification
from histocodec.errors import BudgetError, SettingsError
from histocodec.generators.bicubic import BicubicGenerator
from histocodec.geometry import Size
from histocodec.source import open_source
from tests.encoder.inputs import ArraySource


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One patch of tissue, which is all that is looked at."""
    path = tmp_path_factory.mktemp("auto") / "slide.tif"
    write_slide(path, tissue(Size(PATCH, PATCH), seed=3))
    return path


@pytest.mark.parametrize(("ratio", "expected"), [(3, "20x"), (24, "10x")])
def test_the_choice_is_the_better_file(slide: Path, tmp_path: Path, ratio: float, expected: Magnification) -> None:
    measured: dict[Magnification, float] = {}
    with open_source(slide) as source:
        for base in ("10x", "20x"):
            report = encode(
                source, tmp_path / f"{base}.hc.tif", settings=EncodeSettings(codec="jp2k", base=base, ratio=ratio)
            )
            assert report.manifest.quality is not None
            measured[base] = report.manifest.quality.psnr_db.mean
        report = encode(
            source, tmp_path / "auto.hc.tif", settings=EncodeSettings(codec="jp2k", base="auto", ratio=ratio)
        )
    assert max(measured, key=lambda base: measured[base]) == expected
    assert report.manifest.base.scale == {"10x": 4, "20x": 2}[expected]
    assert report.notes[0].startswith(f"base {expected}: 10x ")
    assert report.size_bytes <= source.size_bytes / ratio


def test_a_20x_slide_has_one_base_only(tmp_path: Path) -> None:
    write_slide(tmp_path / "slide.tif", tissue(Size(600, 600), seed=6), mpp=0.5)
    with open_source(tmp_path / "slide.tif") as source:
        report = encode(source, tmp_path / "x.hc.tif", settings=EncodeSettings(codec="jp2k", base="auto", ratio=4))
    assert report.manifest.base.scale == 2
    assert "no other base is possible" in report.notes[0]


def test_glass_has_nothing_to_compare(tmp_path: Path) -> None:
    write_slide(tmp_path / "slide.tif", np.full((2100, 2100, 3), 240, np.uint8))
    with open_source(tmp_path / "slide.tif") as source:
        report = encode(source, tmp_path / "x.hc.tif", settings=EncodeSettings(codec="jp2k", base="auto", ratio=1))
    assert report.notes[0] == "base 10x: no tissue to compare them on"


def test_a_budget_that_no_base_meets(slide: Path, tmp_path: Path) -> None:
    with open_source(slide) as source, pytest.raises(BudgetError):
        encode(source, tmp_path / "x.hc.tif", settings=EncodeSettings(codec="jp2k", base="auto", ratio=900))
    assert not (tmp_path / "x.hc.tif").exists()


def test_auto_needs_a_ratio_and_the_default_generators(slide: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="needs a ratio"):
        EncodeSettings(codec="jp2k", base="auto", ratio=None, quality=30)
    with open_source(slide) as source, pytest.raises(SettingsError, match="compares the default generators"):
        encode(source, tmp_path / "x.hc.tif", BicubicGenerator(4), EncodeSettings(codec="jp2k", base="auto"))


def test_unless_told_otherwise_both_are_tried_where_that_takes_little_of_the_time() -> None:
    """An image in memory that is no larger than a pixel stands for the slides: only their size matters."""
    large, small = (ArraySource(np.broadcast_to(np.uint8(0), (side, side, 3))) for side in (1 << 14, 1 << 13))
    usual = EncodeSettings()
    assert usual_base(large, usual, own_generator=False) == "auto"
    assert usual_base(small, usual, own_generator=False) == "10x"
    assert usual_base(large, EncodeSettings(codec="jp2k"), own_generator=False) == "10x"  # whose encodes are quick
    assert usual_base(large, usual, own_generator=True) == "10x"
    for settings in (
        EncodeSettings(ratio=None, quality=40),
        EncodeSettings(min_psnr_db=34.0),
        EncodeSettings(downsampling="sharp-x4"),
    ):
        assert usual_base(large, settings, own_generator=False) == "10x"
    large.mpp = 0.5
    assert usual_base(large, usual, own_generator=False) == "10x"
