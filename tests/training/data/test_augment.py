"""Augmentation: each kind changes the image and keeps what it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from histocodec.demo.synthetic import tissue
from histocodec.geometry import Image, Size
from histocodec.training.config import AugmentConfig
from histocodec.training.data.augment import augment, glass, turned


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
