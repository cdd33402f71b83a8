"""The learning rate over the steps."""

from __future__ import annotations

import itertools

import pytest

from histocodec.training.optim.schedule import rate_share, steps_in_time
from tests.training.inputs import config


def test_the_rate_warms_up_falls_and_restarts() -> None:
    schedule = config(schedule__steps=100, schedule__warmup_steps=4, schedule__restarts=[60]).schedule
    shares = [rate_share(schedule, step) for step in range(100)]
    assert shares[:5] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert shares[59] < 0.01
    assert shares[60] == pytest.approx(0.6)
    assert shares[99] < 0.01
    assert all(a > b for a, b in itertools.pairwise(shares[4:60]))


def test_the_steps_that_there_is_time_for() -> None:
    schedule = config(schedule__steps=1000, schedule__seconds=100.0).schedule
    took = [9.0, 0.5, 0.5, 0.5, 0.5]  # the first step of a call is slow
    assert steps_in_time(schedule, 5, 20.0, took) == 5 + 155  # 0.97 of 80 s
    assert steps_in_time(schedule, 5, 200.0, took) == 5
    assert steps_in_time(schedule, 5, 20.0, [0.001]) == 1000
