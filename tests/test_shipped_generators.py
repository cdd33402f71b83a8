"""The generators that ship: small, described, and better than bicubic on real tiles."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import numpy as np
import pytest

from benchmarks.generators import RESULTS, model_card
from histocodec.codecs import TileCodec
from histocodec.generators import DEFAULT_X4, default_generator, load_generator
from histocodec.package import MODELS_FOLDER, shipped_packages
from histocodec.training.evaluate import evaluation_tile, reconstruct, score
from histocodec.training.patches import read_image
from histocodec.training.trainer import TrainSettings

DATA = Path(os.environ.get("HISTOCODEC_DATA", Path(__file__).parents[2] / "shared" / "data"))
needs_data = pytest.mark.skipif(not (DATA / "dev").is_dir(), reason="the development tiles are not here")


def test_every_package_is_small_and_states_what_it_is() -> None:
    packages = shipped_packages()
    assert DEFAULT_X4 in packages
    for name, package in packages.items():
        assert package.card.name == name
        assert len(package.data) < 1_000_000
        assert package.card.licence


def test_model_cards_and_results_are_those_of_the_packages() -> None:
    results = json.loads(RESULTS.read_text())
    for name, package in shipped_packages().items():
        assert results["digests"][name] == package.digest
        assert (MODELS_FOLDER / f"{name}.md").read_text() == model_card(name, package, results)


def test_the_trainers_defaults_are_those_that_made_the_package() -> None:
    training = dict(shipped_packages()[DEFAULT_X4].card.training)
    training.pop("data")
    assert training == dataclasses.asdict(TrainSettings())


def test_defaults_by_scale() -> None:
    assert default_generator(4).name == DEFAULT_X4
    assert default_generator(2).name == "bicubic-x2"


def test_flat_glass_stays_flat() -> None:
    base = np.full((64, 64, 3), (243, 242, 244), np.uint8)
    out = reconstruct(load_generator(DEFAULT_X4), base)
    assert np.abs(out.astype(int) - base[0, 0]).max() <= 3


@needs_data
@pytest.mark.parametrize(("codec", "rate", "gain_db"), [(None, 0.0, 1.2), ("jp2k", 0.10, 0.7)])
def test_the_gain_over_bicubic_on_the_dev_tiles(codec: TileCodec | None, rate: float, gain_db: float) -> None:
    paths = sorted((DATA / "dev" / "monuseg").glob("*.jxl"))
    assert len(paths) == 14
    result = score(load_generator(DEFAULT_X4), [evaluation_tile(p.stem, read_image(p), 4, codec, rate) for p in paths])
    assert result.psnr_db - result.bicubic_psnr_db >= gain_db
    assert result.ssim > result.bicubic_ssim


@needs_data
@pytest.mark.parametrize("folder", ["foreign/tnbc", "foreign/brecahad"])
def test_other_labs_are_not_worse_off_than_with_bicubic(folder: str) -> None:
    paths = sorted(p for p in (DATA / folder).iterdir() if p.suffix in {".jxl", ".jpg"})[::4]
    result = score(load_generator(DEFAULT_X4), [evaluation_tile(p.stem, read_image(p), 4, "jp2k", 0.1) for p in paths])
    assert result.psnr_db > result.bicubic_psnr_db
