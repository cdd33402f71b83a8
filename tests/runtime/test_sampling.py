"""Samples that are spread over what they are taken from."""

from __future__ import annotations

from histocodec.runtime.sampling import spread_sample


def test_a_sample_is_spread_seeded_and_without_repeats() -> None:
    sample = spread_sample(range(1000), 10, seed=3)
    assert sample == spread_sample(range(1000), 10, seed=3)
    assert [value // 100 for value in sample] == list(range(10))
    assert spread_sample([1, 2, 3], 10, seed=0) == [1, 2, 3]
