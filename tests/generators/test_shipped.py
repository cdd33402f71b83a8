"""The generators that ship: small, described, and better than bicubic on real tiles by what is promised."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import fidelity
from benchmarks.generators import RESULTS, downsampler_card, fast_packages, model_card
from histocodec.demo.synthetic import tissue, write_slide
from histocodec.encoder import EncodeSettings, encode
from histocodec.generators.catalogue import (
    DEFAULT_NAMES,
    DEFAULTS,
    MODELS_FOLDER,
    default_generator,
    downsampler_for,
    load_downsampler,
    load_generator,
    shipped_packages,
)
from histocodec.generators.predict import reconstruct
from histocodec.geometry import Image, Size
from histocodec.pixels.degrade import degrade
from histocodec.pixels.downsample import downsample, shrink
from histocodec.pixels.metrics import psnr
from histocodec.pixels.tile_codecs import TILE_CODECS, TileCodec
from histocodec.source import open_source
from histocodec.training.config import load_config, parse_config
from histocodec.training.data.patches import read_image
from histocodec.training.evaluate import centre, evaluation_tile, score
from tests.places import REPOSITORY, FindData

CONFIGS = REPOSITORY / "configs"
LARGEST = {
    **dict.fromkeys(("jp2k-x4", "jp2k-x2", "av1-x4", "av1-x2"), 1_500_000),
    "perceptual-x4": 35_000_000,
}


def images(folder: Path, step: int = 1, *, scale: int = 4) -> list[Image]:
    """Return the middle of every `step`-th tile: enough to tell what the thresholds are about.

    Of a scale of 2 it is smaller, as its bases have four times the pixels.
    """
    paths = sorted(p for p in folder.iterdir() if p.suffix in {".jxl", ".jpg"})
    return [centre(read_image(path), 512 if scale == 4 else 320) for path in paths[::step]]


def test_every_package_is_small_and_states_what_it_is() -> None:
    packages = shipped_packages()
    assert set(packages) == set(LARGEST)
    assert set(DEFAULT_NAMES) <= set(packages)
    for name, package in packages.items():
        assert package.card.name == name
        assert len(package.data) < LARGEST[name]
        assert package.card.licence
        assert package.card.measured["dev/monuseg"]


def test_model_cards_and_results_are_those_of_the_packages() -> None:
    results, wider = json.loads(RESULTS.read_text()), json.loads(fidelity.RESULTS.read_text())
    assert results["digests"] == {name: package.digest for name, package in fast_packages().items()}
    for name, package in shipped_packages().items():
        assert wider["digests"].get(name, package.digest) == package.digest
        assert (MODELS_FOLDER / f"{name}.md").read_text() == model_card(name, package, results, wider)


def test_whole_numbers_lose_next_to_nothing_on_coded_bases() -> None:
    for name in DEFAULT_NAMES:
        for bases in shipped_packages()[name].card.measured.values():
            coded = {base: stated["lost_db"] for base, stated in bases.items() if base != "uncoded"}
            assert len(coded) == 2
            assert max(coded.values()) < 0.03


def test_the_downsampler_is_the_one_that_its_generator_names() -> None:
    downsamplers = shipped_packages("downsampler")
    named = {package.card.downsampler for package in shipped_packages().values()} - {None}
    assert named == set(downsamplers) == {"sharp-x4", "sharp-x2"}
    for name, package in downsamplers.items():
        assert parse_config(package.card.training) == load_config(CONFIGS / f"{name}.toml")
        assert len(package.data) < 200_000
        assert (MODELS_FOLDER / "downsamplers" / f"{name}.md").read_text() == downsampler_card(package)


@pytest.mark.parametrize("scale", [4, 2])
def test_the_downsampler_keeps_the_colours_of_the_base(find_data: FindData, scale: int) -> None:
    """Single pixels may differ from the box average; what is seen at a glance may not."""
    downsampler = load_downsampler(f"sharp-x{scale}", scale)
    for folder in ("dev/monuseg", "foreign/tnbc", "foreign/brecahad"):
        for image in images(find_data(folder), step=6):
            full = image[: image.shape[0] // 16 * 16, : image.shape[1] // 16 * 16]
            mean, base = downsample(full, scale), shrink(full, downsampler)
            assert psnr(mean, base) > 27
            assert psnr(downsample(mean, 4), downsample(base, 4)) > 38


@pytest.mark.parametrize("name", ["jp2k-x4", "jp2k-x2", "av1-x4", "av1-x2", "perceptual-x4"])
def test_the_configurations_are_those_that_made_the_packages(name: str) -> None:
    training = json.dumps(shipped_packages()[name].card.training)
    # perceptual-x4 was trained when the codec av1 was called by its library's files.
    stated = parse_config(json.loads(training.replace('"avif"', '"av1"')))
    assert stated == load_config(CONFIGS / f"{name}.toml")


def test_defaults_by_scale() -> None:
    assert default_generator(4).name == "av1-x4"
    assert default_generator(2).name == "av1-x2"
    assert default_generator(4, "jp2k").name == "jp2k-x4"
    assert default_generator(2, "jpeg").name == "jp2k-x2"


def test_a_20x_slide_decodes_with_the_network_for_it(tmp_path: Path) -> None:
    write_slide(tmp_path / "slide.tif", tissue(Size(700, 600), seed=6), mpp=0.5)
    with open_source(tmp_path / "slide.tif") as source:
        report = encode(
            source, tmp_path / "slide.hc.tif", settings=EncodeSettings(codec="jp2k", ratio=None, quality=35)
        )
    assert report.manifest.base.scale == 2
    assert report.manifest.prediction.generator.name == "jp2k-x2"
    assert not any("interpolation" in note for note in report.notes)


@pytest.mark.parametrize("name", DEFAULT_NAMES)
def test_glass_stays_glass(name: str) -> None:
    generator = load_generator(name)
    flat = np.full((64, 64, 3), (243, 242, 244), np.uint8)
    assert np.abs(reconstruct(generator, flat).astype(int) - flat[0, 0]).max() <= 3
    rng = np.random.default_rng(1)
    full = np.clip(rng.normal(240, 2.0, (512, 512, 3)) + 0.5, 0, 255).astype(np.uint8)
    for codec in TILE_CODECS:
        base = degrade(full, generator.scale, codec, 30)
        # The coding noise of glass must not become texture.
        assert reconstruct(generator, base).std() <= full.std()
        assert abs(reconstruct(generator, base).mean() - base.mean()) < 1


@pytest.mark.parametrize(
    ("name", "codec", "rate", "gain_db", "gain_ssim"),
    [
        ("jp2k-x4", None, 0.0, 1.7, 0.045),
        ("jp2k-x4", "jp2k", 0.10, 0.9, 0.0),
        ("jp2k-x4", "jp2k", 0.15, 1.0, 0.0),
        ("jp2k-x2", None, 0.0, 1.5, 0.0),
        ("jp2k-x2", "jp2k", 0.10, 0.4, 0.0),
        ("jp2k-x2", "jp2k", 0.20, 0.7, 0.0),
    ],
)
def test_the_gain_over_bicubic_on_the_dev_tiles(
    find_data: FindData, name: str, codec: TileCodec | None, rate: float, gain_db: float, gain_ssim: float
) -> None:
    generator = load_generator(name)
    originals = images(find_data("dev/monuseg"), scale=generator.scale)
    tiles = [evaluation_tile(image, generator.scale, codec, rate) for image in originals]
    assert len(tiles) == 14
    result = score(generator, tiles)
    assert result.psnr_db - result.bicubic_psnr_db >= gain_db
    assert result.ssim - result.bicubic_ssim >= gain_ssim


@pytest.mark.parametrize("scale", [4, 2])
def test_the_generator_for_av1_is_better_on_av1(find_data: FindData, scale: int) -> None:
    for folder, step in (("dev/monuseg", 7), ("foreign/tnbc", 14), ("foreign/brecahad", 5)):
        results = []
        for table in (DEFAULTS["av1"], DEFAULTS["jp2k"]):
            generator = load_generator(table[scale])
            downsampler = downsampler_for(generator, scale)
            tiles = [
                evaluation_tile(image, scale, "av1", 0.15, downsampler=downsampler)
                for image in images(find_data(folder), step=step, scale=scale)
            ]
            results.append(score(generator, tiles))
        special, general = results
        assert special.psnr_db > general.psnr_db
        assert special.ssim > general.ssim - 0.003


def test_the_gain_on_another_scanner(find_data: FindData) -> None:
    tiles = [evaluation_tile(image, 4) for image in images(find_data("foreign/tnbc"), step=2)]
    result = score(load_generator("jp2k-x4"), tiles)
    assert result.psnr_db - result.bicubic_psnr_db >= 0.5


@pytest.mark.parametrize(
    ("name", "folder"),
    # jp2k-x2 on brecahad is no better than bicubic (benchmarks/NOTES.md).
    [("jp2k-x4", "foreign/tnbc"), ("jp2k-x4", "foreign/brecahad"), ("jp2k-x2", "foreign/tnbc")],
)
def test_other_labs_are_not_worse_off_than_with_bicubic(find_data: FindData, name: str, folder: str) -> None:
    generator = load_generator(name)
    originals = images(find_data(folder), step=4, scale=generator.scale)
    for codec, rate in (("jp2k", 0.06), ("jp2k", 0.3), ("av1", 0.1), ("jpeg", 0.15)):
        tiles = [evaluation_tile(image, generator.scale, codec, rate) for image in originals]  # type: ignore[arg-type]
        result = score(generator, tiles)
        assert result.psnr_db > result.bicubic_psnr_db
