"""`--base auto`: the base that is closer to the slide at equal bytes, by the quality that a 10x base would have."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from histocodec.demo.synthetic import tissue, write_slide
from histocodec.encoder import EncodeSettings, encode
from histocodec.encoder.base_choice import FINE, PATCH, usual_base
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
    assert report.notes[0].startswith(f"base {expected}: from quality ")
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


def test_the_bytes_are_about_those_of_a_10x_base_of_that_quality(tmp_path: Path) -> None:
    write_slide(tmp_path / "slide.tif", tissue(Size(2600, 2100), seed=12))
    fine = EncodeSettings(base="10x", ratio=None, quality=FINE["av1"], verify="none")
    with open_source(tmp_path / "slide.tif") as source:
        report = encode(source, tmp_path / "x.hc.tif", settings=fine)
        plan = make_plan(source, None, EncodeSettings(ratio=20), tuned=False, progress=silent)
    (note,) = plan.notes
    foreseen = float(note.split("about ")[1].split("%")[0]) / 100 * source.size_bytes / 20
    assert abs(foreseen / report.size_bytes - 1) < 0.15


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
