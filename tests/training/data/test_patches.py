"""What is trained on: the entropy filter, patches of tiles and slides, augmentation, pairs as a decoder sees them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from histocodec.demo.synthetic import tissue, write_slide
from histocodec.geometry import Image, Size
from histocodec.pixels.downsample import downsample
from histocodec.training.config import AugmentConfig, BaseConfig
from histocodec.training.data.augment import augment, glass, turned
from histocodec.training.data.entropy import entropy_bits, grey
from histocodec.training.data.pairs import CropShape, training_pairs
from histocodec.training.data.patches import Patch, Patches, collect_patches
from histocodec.training.figures import entropy_figure
from tests.training.inputs import config, write_data, write_tiles

UNCODED = [BaseConfig(codec="uncoded", share=1.0)]


@pytest.fixture(scope="module")
def patches() -> Patches:
    image = tissue(Size(400, 400), seed=1)
    return Patches((Patch(image, entropy_bits(image)),), np.array([1.0]), (), ())


def test_entropy_is_that_of_the_grey_histogram() -> None:
    assert entropy_bits(np.full((8, 8, 3), 200, np.uint8)) == 0
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert entropy_bits(np.stack([ramp] * 3, -1)) == pytest.approx(8.0)
    halves = np.zeros((4, 4, 3), np.uint8)
    halves[:2] = 255
    assert entropy_bits(halves) == pytest.approx(1.0)
    assert list(grey(np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8))[0]) == [76, 150, 29]  # BT.601


def test_the_filter_keeps_what_is_above_the_threshold(tmp_path: Path) -> None:
    write_data(tmp_path)
    settings = config().data
    found = collect_patches(settings, tmp_path, seed=1)
    assert all(patch.entropy_bits > settings.entropy_bits for patch in found.kept)
    assert found.dropped_entropy_bits == (0.0,)
    assert len(found.dropped_samples) == 1
    assert found.weights.sum() == pytest.approx(1.0)
    entropy_figure(found, settings.entropy_bits, tmp_path / "entropy.png")
    assert (tmp_path / "entropy.png").stat().st_size > 10_000


def test_shares_are_of_folders_whatever_their_size(tmp_path: Path) -> None:
    write_tiles(tmp_path / "many", [tissue(Size(256, 256), seed=s) for s in range(3)])
    write_tiles(tmp_path / "one", [tissue(Size(400, 256), seed=9)])
    settings = config(data__train={"many": 3.0, "one": 1.0}, data__entropy_bits=0.0).data
    found = collect_patches(settings, tmp_path, seed=1)
    assert found.weights == pytest.approx([0.25, 0.25, 0.25, 0.25])


def test_patches_cover_a_tile_and_only_a_slide_is_sampled(tmp_path: Path) -> None:
    image = tissue(Size(1200, 900), seed=4)
    write_slide(tmp_path / "slide.tif", image)
    write_tiles(tmp_path / "tiles", [image])
    for name, count in (("slide.tif", 3), ("tiles", 12)):
        settings = config(data__train={name: 1.0}, data__patch=300, data__patches_per_slide=3, data__entropy_bits=0.0)
        found = collect_patches(settings.data, tmp_path, seed=1)
        assert len(found.kept) == count
        assert {patch.image.shape for patch in found.kept} == {(300, 300, 3)}
    assert np.array_equal(found.kept[-1].image, image[600:, 900:])


def test_an_uncoded_pair_is_the_original_and_its_box_average(patches: Patches) -> None:
    rng = np.random.default_rng(2)
    pairs = training_pairs(
        patches, rng, shape=CropShape(4, 16, 3), bases=UNCODED, settings=AugmentConfig(resample=0.5, noise=0.5)
    )
    for _ in range(12):
        base, full, *_ = next(pairs)
        assert base.shape == (22, 22, 3)
        assert full.shape == (64, 64, 3)
        assert np.array_equal(downsample(full, 4), base[3:-3, 3:-3])


def test_pairs_are_seeded_and_coded_bases_differ_from_clean_ones(patches: Patches) -> None:
    def draw(seed: int, bases: list[BaseConfig]) -> list[bytes]:
        rng = np.random.default_rng(seed)
        pairs = training_pairs(patches, rng, shape=CropShape(4, 16, 2), bases=bases, settings=AugmentConfig(glass=0.3))
        return [base.tobytes() + full.tobytes() for base, full, *_ in (next(pairs) for _ in range(8))]

    coded = [BaseConfig(codec="jp2k", share=1.0, quality=(24.0, 30.0))]
    assert draw(1, coded) == draw(1, coded)
    assert draw(1, coded) != draw(2, coded)
    assert draw(1, coded) != draw(1, UNCODED)


@pytest.mark.parametrize("name", ["colour", "resample", "blur", "sharpen", "noise", "jpeg"])
def test_each_augmentation_changes_the_image_and_keeps_what_it_is(name: str) -> None:
    image = tissue(Size(200, 160), seed=3)
    off: dict[str, Any] = dict.fromkeys(("colour", "resample", "blur", "sharpen", "noise", "jpeg"), 0.0)
    rng = np.random.default_rng(4)
    assert np.array_equal(augment(image, AugmentConfig(**off), rng), image)
    changed = augment(image, AugmentConfig(**{**off, name: 1.0}), rng)
    assert changed.dtype == np.uint8
    assert changed.flags.c_contiguous
    if name == "resample":
        assert changed.shape != image.shape
        assert changed.shape[0] / changed.shape[1] == pytest.approx(0.8, rel=0.02)
    else:
        assert changed.shape == image.shape
        assert not np.array_equal(changed, image)
        assert abs(changed.mean() - image.mean()) < (40 if name == "colour" else 2)


def test_all_symmetries_of_the_square_occur() -> None:
    image: Image = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    rng = np.random.default_rng(0)
    assert len({turned(image, rng).tobytes() for _ in range(200)}) == 8


def test_glass_is_light_and_almost_flat() -> None:
    for seed in range(10):
        image = glass(96, np.random.default_rng(seed))
        assert image.shape == (96, 96, 3)
        assert image.mean() > 215
        assert image.std((0, 1)).max() < 6
