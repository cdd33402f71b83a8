"""The quality map holds measures to its steps; summaries are those of their values."""

from __future__ import annotations

import numpy as np
import pytest

from histocodec.format.entries import ErrorSummary, Summary
from histocodec.format.quality import QualityMap, summarise, summarise_errors
from histocodec.geometry import Grid, Size
from histocodec.pixels.score import BlockScore

BLOCKS = Grid(Size(300, 200), 128)


def test_measures_come_back_to_a_step_and_the_rest_is_not_measured() -> None:
    scores = {(2, 0): BlockScore(31.2345, 0.87654, 1.2345, 44.321), (1, 1): BlockScore(100.0, -0.25, 0.0, 100.0)}
    quality = QualityMap.of(BLOCKS, scores.items())
    assert quality.values.shape == (2, 3, 4)
    assert np.argwhere(quality.measured).tolist() == [[0, 2], [1, 1]]
    for (column, row), score in scores.items():
        assert quality.psnr_db[row, column] == pytest.approx(score.psnr_db, abs=1 / 1000)
        assert quality.ssim[row, column] == pytest.approx(score.ssim, abs=1 / 60000)
        assert quality.colour_error[row, column] == pytest.approx(score.colour_error, abs=1 / 1000)
        assert quality.consistency_db[row, column] == pytest.approx(score.consistency_db, abs=1 / 1000)
    assert np.isnan(quality.psnr_db[0, 0])


def test_what_is_beyond_the_scale_is_its_end() -> None:
    quality = QualityMap.of(BLOCKS, [((0, 0), BlockScore(500.0, 1.0, 900.0, 0.0))])
    assert quality.values[0, 0].tolist() == [65535, 60001, 65535, 1]


def test_a_summary_has_the_percentile_of_the_worse_side() -> None:
    values = [float(n) for n in range(101)]
    assert summarise(values) == Summary(50.0, 5.0, 0.0)
    assert summarise_errors(values) == ErrorSummary(50.0, 95.0, 100.0)
