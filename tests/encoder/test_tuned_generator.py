"""A tuned generator in the file: kept only where it is worth its bytes."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from histocodec.demo.synthetic import tissue, write_slide
from histocodec.encoder import EncodeSettings, encode
from histocodec.encoder.tuned_generator import TissueBlocks, TunedGenerator
from histocodec.errors import SettingsError
from histocodec.generators.catalogue import load_generator
from histocodec.generators.integer_net import IntegerNet, Layer
from histocodec.generators.package import Package, PackageCard, package_of
from histocodec.geometry import Size
from histocodec.pixels.resampler import Generator
from histocodec.runtime.progress import Progress
from histocodec.source import open_source
from histocodec.training.tuning.slides import SlideTuner
from histocodec.training.tuning.tune import TuneSettings, tune
from tests.training.tuning.inputs import pairs, small_package


@pytest.fixture(scope="module")
def slide_to_tune_to(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A slide of nine whole blocks of tissue, and more."""
    path = tmp_path_factory.mktemp("tuned-decoder") / "slide.tif"
    write_slide(path, tissue(Size(1700, 1700), seed=3))
    return path


class Pretended:
    """A tuner whose result and claimed gain are given."""

    def __init__(self, package: Package, gain_db: float) -> None:
        self.package, self.gain_db = package, gain_db

    def __call__(self, generator: Generator, tissue: TissueBlocks, progress: Progress) -> TunedGenerator:
        return TunedGenerator(load_generator(self.package), tissue.addresses[:4], self.gain_db)


@pytest.mark.parametrize(
    ("gain_db", "says"), [(-0.1, "gained -0.10 dB"), (0.01, "less than its"), (0.9, "it is embedded")]
)
def test_without_a_budget_the_gain_must_exceed_its_price(
    slide_to_tune_to: Path, tmp_path: Path, gain_db: float, says: str
) -> None:
    settings = EncodeSettings(codec="jp2k", ratio=None, quality=32.0, verify="none")
    with open_source(slide_to_tune_to) as source:
        pretended = Pretended(small_package(measured={"x": 1}), gain_db)
        report = encode(source, tmp_path / "x.hc.tif", load_generator(small_package()), settings, tuner=pretended)
    assert says in report.notes[0]
    assert report.manifest.prediction.generator.embedded == (gain_db == 0.9)


def test_under_a_budget_both_files_are_measured(slide_to_tune_to: Path, tmp_path: Path) -> None:
    """What claims a gain but is no better must not cost the base anything."""
    settings = EncodeSettings(codec="jp2k", ratio=4, verify="none")
    better = tune(small_package(), pairs(6, 10), pairs(2, 30), TuneSettings(seconds=60, steps=40, crop=32)).package
    with open_source(slide_to_tune_to) as source:
        start = load_generator(small_package())
        shipped = encode(source, tmp_path / "shipped.hc.tif", start, settings)
        no_better = Pretended(small_package(measured={"x": 1}), 0.5)
        same = encode(source, tmp_path / "same.hc.tif", start, settings, tuner=no_better)
        tuned = encode(source, tmp_path / "tuned.hc.tif", start, settings, tuner=Pretended(better, 0.5))
        assert same.size_bytes == shipped.size_bytes
        assert "small-x4 stays" in same.notes[0]
        assert tuned.size_bytes <= source.size_bytes / 4
        assert "with its own bytes counted; it is embedded" in tuned.notes[0]


def test_no_room_for_a_tuned_decoder(slide_to_tune_to: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    widths = [3, *[200] * 5, 48]
    layers = tuple(
        Layer(
            rng.integers(-60, 61, (outputs, inputs, 3, 3)).astype(np.int8),
            np.zeros(outputs, np.int32),
            np.full(outputs, 12, np.uint8),
        )
        for inputs, outputs in itertools.pairwise(widths)
    )
    card = PackageCard("large-x4", "plain", {"scale": 4, "channels": 200, "pairs": 2}, 4, 6, "CC0-1.0")
    large = package_of(IntegerNet("plain", 4, layers), card)
    with open_source(slide_to_tune_to) as source:
        tuner = Pretended(large, 0.5)
        report = encode(
            source, tmp_path / "x.hc.tif", load_generator(small_package()), EncodeSettings(codec="jp2k"), tuner=tuner
        )
        assert "there is no room for it" in report.notes[0]
        assert report.size_bytes <= source.size_bytes / 16


def test_a_tuned_decoder_cannot_stay_behind(slide_path: Path, tmp_path: Path) -> None:
    settings = EncodeSettings(codec="jp2k", embed_generator=False)
    with open_source(slide_path) as source, pytest.raises(SettingsError, match="has to be embedded"):
        encode(source, tmp_path / "x.hc.tif", load_generator(small_package()), settings, tuner=SlideTuner())
    assert not (tmp_path / "x.hc.tif").exists()
