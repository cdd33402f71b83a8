"""What a sandbox costs is counted with its child processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.sandbox import base, compared, cpu_s, pan


def test_the_start_of_a_sandbox_is_counted(container_path: Path) -> None:
    found = compared(base, container_path, 1)
    assert found["sandbox_cpu_s"] > found["cpu_s"] > 0
    assert found["ratio"] == pytest.approx(found["sandbox_cpu_s"] / found["cpu_s"], rel=0.1)


def test_panning_makes_tiles(container_path: Path) -> None:
    assert cpu_s(pan, container_path, False) > 0
