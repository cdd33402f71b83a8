"""Measuring a sample: its confidence."""

from __future__ import annotations

import numpy as np

from histocodec.encoder.measure import half_width


def test_half_width_is_that_of_a_sample_without_replacement() -> None:
    rng = np.random.default_rng(1)
    population = rng.normal(30, 2, 400)
    covered = []
    for _ in range(500):
        sample = rng.choice(population, 40, replace=False)
        covered.append(abs(sample.mean() - population.mean()) <= half_width(sample.tolist(), 400))
    assert 0.92 < np.mean(covered) < 0.985
    assert half_width([1.0, 2.0], 2) == 0.0
