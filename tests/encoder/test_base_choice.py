"""`--base auto`: the base that is closer to the slide at equal bytes, by the quality that a 10x base would have."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from histocodec.demo.synthetic import tissue, write_slide
from histocodec.encoder import EncodeSettings, encode
from histocodec.encoder.base_choice import PATCH, UNSURE, WORTH_DB, TissueSample, _bytes_at, _psnr_within, usual_base
from histocodec.encoder.plan import make_plan
from histocodec.encoder.settings import Magnification
from histocodec.errors import BudgetError, SettingsError
from histocodec.generators.bicubic import BicubicGenerator
from histocodec.geometry import Size
from histocodec.runtime.progress import silent
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
    assert report.notes[0].startswith(f"base {expected}: ")
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
    assert report.notes[0] == "base 10x: no tissue to try one on"


def test_a_budget_that_no_base_meets(slide: Path, tmp_path: Path) -> None:
    with open_source(slide) as source, pytest.raises(BudgetError):
        encode(source, tmp_path / "x.hc.tif", settings=EncodeSettings(codec="jp2k", base="auto", ratio=900))
    assert not (tmp_path / "x.hc.tif").exists()


def test_auto_needs_a_ratio_and_the_default_generators(slide: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="needs a ratio"):
        EncodeSettings(codec="jp2k", base="auto", ratio=None, quality=30)
    with open_source(slide) as source, pytest.raises(SettingsError, match="knows the default generators"):
        encode(source, tmp_path / "x.hc.tif", BicubicGenerator(4), EncodeSettings(codec="jp2k", base="auto"))


@pytest.mark.parametrize("size", [Size(700, 530), Size(3000, 1100)])
def test_slides_smaller_than_a_patch_or_with_a_rest_are_judged_too(tmp_path: Path, size: Size) -> None:
    write_slide(tmp_path / "slide.tif", tissue(size, seed=4))
    with open_source(tmp_path / "slide.tif") as source:
        for ratio, expected in ((2, 2), (30, 4)):
            plan = make_plan(source, None, EncodeSettings(ratio=ratio), tuned=False, progress=silent)
            assert plan.scale == expected, plan.notes


def test_the_sample_tells_the_bytes_of_the_whole(tmp_path: Path) -> None:
    write_slide(tmp_path / "slide.tif", tissue(Size(2600, 2100), seed=12))
    quality = UNSURE["av1"][0]
    settings = EncodeSettings(base="10x", ratio=None, quality=quality, verify="none")
    with open_source(tmp_path / "slide.tif") as source:
        report = encode(source, tmp_path / "x.hc.tif", settings=settings)
        patches, sampled = TissueSample(source, EncodeSettings(workers=1)).patches(silent)
    assert sampled == 1  # three of four patches: the last one has no tissue
    foreseen = _bytes_at(quality, patches, 4, settings) / sampled
    assert abs(foreseen / report.size_bytes - 1) < 0.15


def test_a_sample_is_read_once_for_all_ratios(slide: Path) -> None:
    stages: list[str] = []

    def progress(stage: str, done: int, total: int) -> None:
        stages.append(stage)

    with open_source(slide) as source:
        sample = TissueSample(source, EncodeSettings())
        assert sample.reading_s == 0
        for ratio in (2, 30):
            plan = make_plan(source, None, EncodeSettings(ratio=ratio), tuned=False, progress=progress, sample=sample)
            assert plan.notes
            assert sample.reading_s > 0
    assert stages.count("looking for tissue") == 1  # of one patch
    assert stages.count("choosing a base") >= 2


def test_where_the_quality_leaves_it_open_both_are_tried(slide: Path) -> None:
    with open_source(slide) as source:
        patches, sampled = TissueSample(source, EncodeSettings(workers=1)).patches(silent)
        low, high = UNSURE["av1"]
        settings = EncodeSettings()
        between = _bytes_at((low + high) / 2, patches, 4, settings)
        ratio = source.size_bytes / (between / 0.95 / sampled)
        (note,) = make_plan(source, None, EncodeSettings(ratio=ratio), tuned=False, progress=silent).notes
        values = {scale: _psnr_within(patches, scale, settings, between) for scale in (4, 2)}
    assert note.endswith("on 1 patches of tissue, at equal bytes")
    assert note.startswith(f"base {'20x' if values[2] >= values[4] + WORTH_DB else '10x'}: 10x ")
    assert min(values.values()) > 20
    assert _psnr_within(patches, 4, settings, 10) == -math.inf


def test_unless_told_otherwise_the_ratio_decides() -> None:
    source = ArraySource(np.broadcast_to(np.uint8(0), (1024, 1024, 3)))
    assert usual_base(source, EncodeSettings(), own_generator=False) == "auto"
    assert usual_base(source, EncodeSettings(codec="jp2k"), own_generator=False) == "auto"
    assert usual_base(source, EncodeSettings(), own_generator=True) == "10x"
    for settings in (
        EncodeSettings(ratio=None, quality=40),
        EncodeSettings(min_psnr_db=34.0),
        EncodeSettings(downsampling="sharp-x4"),
    ):
        assert usual_base(source, settings, own_generator=False) == "10x"
    source.mpp = 0.5
    assert usual_base(source, EncodeSettings(), own_generator=False) == "10x"
