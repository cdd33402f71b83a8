"""The log of a run: rows come back, a line that a kill has cut does not, and later rows can be dropped."""

from __future__ import annotations

from pathlib import Path

from histocodec.training.metrics_log import MetricsLog


def test_rows_come_back_but_for_a_cut_one(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path / "metrics.jsonl")
    assert log.rows() == []
    log.drop_after(3)
    assert not log.path.exists()
    rows = [{"step": float(step), "loss": 1 / step} for step in (1, 2, 3)]
    for row in rows:
        log.append(row)
    with log.path.open("a") as file:
        file.write('{"step": 4.0, "lo')
    assert log.rows() == rows
    log.drop_after(2)
    assert log.rows() == rows[:2]
    assert log.path.read_text().count("\n") == 2
