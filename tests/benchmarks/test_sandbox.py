"""What a sandbox costs is counted with its child processes, and their start by itself."""

from __future__ import annotations

from pathlib import Path

from benchmarks.sandbox import base, compared, full, pan
from histocodec.viewer.shown import Shown


def all_ways(shown: Shown) -> None:
    for work in (base, full, pan):
        work(shown)


def test_the_work_of_child_processes_is_counted(container_path: Path) -> None:
    found = compared(all_ways, container_path, 1)
    assert found["sandbox_cpu_s"] > 0 < found["cpu_s"]
    assert found["start_cpu_s"] > 0.02
