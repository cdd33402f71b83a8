"""The learning rate over the steps."""

from __future__ import annotations

import itertools

import pytest

from histocodec.training.optim.schedule import rate_share
from tests.training.inputs import config


def test_the_rate_warms_up_falls_and_restarts() -> None:
    schedule = config(schedule__steps=100, schedule__warmup_steps=4, schedule__restarts=[60]).schedule
    shares = [rate_share(schedule, step) for step in range(100)]
    assert shares[:5] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert shares[59] < 0.01
    assert shares[60] == pytest.approx(0.6)
    assert shares[99] < 0.01
    assert all(a > b for a, b in itertools.pairwise(shares[4:60]))
