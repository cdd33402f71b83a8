"""How tests are run: on all cores, with one thread of arithmetic a process, unless they are named one by one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from histocodec.runtime.parallel import core_count

MOST_WORKERS = 8
"""Each worker imports torch and the readers of slides, about 0.5 GB."""

# In the environment, before any process loads these libraries: workers, and what tests start, inherit it. Two processes
# with two threads each would wait for one another on two cores, and take half as long again.
os.environ.setdefault("SOURCE_DATE_EPOCH", "1772271000")  # two encodes of one slide give the same bytes
for library in ("OMP", "OPENBLAS", "MKL"):
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Return the workers for `-n auto`: a process a core, and none for files and tests that are named one by one."""
    if all("::" in argument or Path(argument).is_file() for argument in config.args):
        return 0
    return min(core_count(), MOST_WORKERS)
