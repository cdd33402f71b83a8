"""What a long piece of work is done with: results in order, everybody told, the same sample every time."""

from __future__ import annotations

from pathlib import Path

from histocodec.runtime.progress import silent, stage
from histocodec.runtime.resources import Resources


def test_results_are_in_order_and_progress_is_told_of_each(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    resources = Resources(tmp_path, 3, 1, lambda *step: told.append(step))
    assert list(resources.map(lambda n: n * n, range(5), "squaring")) == [0, 1, 4, 9, 16]
    assert told == [("squaring", done, 5) for done in range(1, 6)]
    assert list(resources.map(str, range(2))) == ["0", "1"]
    assert len(told) == 5  # a stage without a name is not told of


def test_a_sample_depends_on_the_seed_alone(tmp_path: Path) -> None:
    first, again, other = (Resources(tmp_path, 1, seed, silent).sample(range(1000), 9) for seed in (4, 4, 5))
    assert first == again != other


def test_a_stage_is_the_progress_of_work_that_does_not_know_its_name() -> None:
    told: list[tuple[str, int, int]] = []
    stage(lambda *step: told.append(step), "reading")(3, 7)
    assert told == [("reading", 3, 7)]
