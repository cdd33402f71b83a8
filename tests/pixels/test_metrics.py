"""PSNR, SSIM and colour error against scikit-image, an independent implementation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from skimage import metrics as reference
from skimage.color import rgb2lab

from histocodec.format.quality import summarise
from histocodec.pixels.metrics import colour_error, psnr, psnr_of_mse, ssim

RNG = np.random.default_rng(5)
A = RNG.integers(0, 256, (60, 75, 3)).astype(np.uint8)
B = np.clip(A.astype(int) + RNG.normal(0, 12, A.shape), 0, 255).astype(np.uint8)


def test_psnr() -> None:
    assert psnr(A, B) == pytest.approx(reference.peak_signal_noise_ratio(A, B), abs=1e-9)
    assert psnr(A, A) == math.inf
    assert psnr_of_mse(65025.0) == 0.0


def test_ssim() -> None:
    theirs = reference.structural_similarity(
        A, B, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255
    )
    # scikit-image averages over the same inner window positions.
    assert ssim(A, B) == pytest.approx(theirs, abs=2e-5)
    assert ssim(A, A) == pytest.approx(1.0, abs=1e-6)


def test_ssim_of_flat_images_is_stable() -> None:
    flat = np.full((32, 32, 3), 251, np.uint8)
    assert ssim(flat, flat) == pytest.approx(1.0, abs=1e-3)


def test_ssim_needs_room_for_its_window() -> None:
    with pytest.raises(ValueError, match="11 px"):
        ssim(A[:10], B[:10])


def test_a_summary_is_mean_fifth_percentile_and_worst() -> None:
    summary = summarise([float(v) for v in range(101)])
    assert (summary.mean, summary.percentile_5, summary.worst) == (50.0, 5.0, 0.0)


def test_colour_error_is_the_mean_distance_in_lab() -> None:
    distance = np.sqrt(((rgb2lab(A) - rgb2lab(B)) ** 2).sum(-1)).mean()
    assert colour_error(A, B) == pytest.approx(distance, rel=2e-3)  # the white of D65 in four digits or in more
    assert colour_error(A, A) == 0.0
