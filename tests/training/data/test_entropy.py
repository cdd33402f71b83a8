"""The entropy by which patches are kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from histocodec.training.data.entropy import entropy_bits, grey
from histocodec.training.data.patches import collect_patches
from histocodec.training.figures import entropy_figure
from tests.training.inputs import config, write_data


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
