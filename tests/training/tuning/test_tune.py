"""Tuning a generator to blocks: what is learned, what is kept, and what is said of it."""

from __future__ import annotations

import pytest

from histocodec.errors import SettingsError
from histocodec.generators.bicubic import BicubicGenerator
from histocodec.generators.package import PackageCard
from histocodec.generators.rrdb import RRDBNet, rrdb_package
from histocodec.training.tuning.slides import SlideTuner
from histocodec.training.tuning.tune import TuneSettings, tune
from tests.training.tuning.inputs import fast, pairs, small_package


def test_tuning_gains_on_blocks_that_it_never_saw() -> None:
    start = small_package()
    tuned = tune(start, pairs(6, 10), pairs(2, 30), fast(40))
    assert tuned.gain_db > 0.5
    assert tuned.held_back == 2
    assert tuned.package.card.name == "small-x4-tuned"
    assert tuned.package.card.training["tuned_from"] == start.digest
    assert tuned.package.card.training["steps"] == tuned.steps == 40
    assert tuned.package.card.measured["held_back"]["psnr_db"] == tuned.after_db


def test_the_same_seed_and_steps_give_the_same_package() -> None:
    first, second, other = (
        tune(small_package(), pairs(3, 10), pairs(1, 30), TuneSettings(seconds=60, steps=8, crop=16, seed=seed))
        for seed in (1, 1, 2)
    )
    assert first.package.digest == second.package.digest != other.package.digest


def test_the_time_limit_holds() -> None:
    import time

    start, learn, held_back = small_package(), pairs(3, 10), pairs(1, 30)
    began = time.monotonic()
    tuned = tune(start, learn, held_back, TuneSettings(seconds=3, crop=16))
    assert time.monotonic() - began < 12  # a busy machine may stretch a step
    assert tuned.steps >= 1


def test_a_time_limit_cuts_a_stated_number_of_steps() -> None:
    tuned = tune(small_package(), pairs(3, 10), pairs(1, 30), TuneSettings(seconds=1, steps=10**6, crop=16))
    assert 0 < tuned.steps < 10**6


def test_what_cannot_be_tuned() -> None:
    rrdb = RRDBNet(1, 4, 4, 2)
    card = PackageCard("crisp-x4", "rrdb", {"blocks": 1, "features": 4, "growth": 4, "halo": 2}, 4, 2, "CC0-1.0")
    with pytest.raises(SettingsError, match="texture"):
        tune(rrdb_package(rrdb, card), pairs(1, 1), pairs(1, 2), TuneSettings())
    with pytest.raises(SettingsError, match="nothing to tune on: 0 blocks"):
        tune(small_package(), [], pairs(1, 2), TuneSettings())
    with pytest.raises(SettingsError, match="name has 1 to 64 letters"):
        tune(small_package(), pairs(1, 1), pairs(1, 2), TuneSettings(), name="ours/x4")
    with pytest.raises(SettingsError, match="bicubic-x4 is no network"):
        SlideTuner()(BicubicGenerator(4), *[None] * 2)  # type: ignore[arg-type]


@pytest.mark.parametrize("values", [{"seconds": 0.0}, {"seconds": float("nan")}, {"steps": 0}])
def test_settings_out_of_range(values: dict[str, float]) -> None:
    with pytest.raises(SettingsError):
        TuneSettings(**values)  # type: ignore[arg-type]
