"""The score of a block: what each measure compares, and where there is none."""

from __future__ import annotations

import numpy as np
import pytest

from histocodec.demo.synthetic import tissue
from histocodec.geometry import Image, Size
from histocodec.pixels.downsample import downsample
from histocodec.pixels.metrics import colour_error, psnr
from histocodec.pixels.score import PSNR_CAP_DB, score_block


@pytest.fixture(scope="module")
def original() -> Image:
    return tissue(Size(96, 64), seed=2)


def test_equal_images_have_the_best_score(original: Image) -> None:
    score = score_block(original, original, downsample(original, 4), 4)
    assert (score.psnr_db, score.consistency_db) == (PSNR_CAP_DB, PSNR_CAP_DB)
    assert score.ssim == pytest.approx(1)
    assert score.colour_error == pytest.approx(0, abs=1e-6)


def test_each_measure_compares_its_own_pair(original: Image) -> None:
    made = np.minimum(original.astype(int) + 9, 255).astype(np.uint8)
    base = np.maximum(downsample(original, 4).astype(int) - 5, 0).astype(np.uint8)
    score = score_block(original, made, base, 4)
    assert score.psnr_db == psnr(original, made)
    assert score.consistency_db == psnr(base, downsample(made, 4)) < score.psnr_db
    assert score.colour_error == colour_error(downsample(original, 4), downsample(made, 4)) > 1


def test_a_sliver_has_no_ssim(original: Image) -> None:
    sliver = original[:10]
    assert score_block(sliver, sliver, downsample(sliver, 4), 4).ssim is None
