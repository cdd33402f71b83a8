"""Progress of work that takes long: a plain function that is told the stage, the steps done and their total."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

Progress = Callable[[str, int, int], None]
"""progress(stage, done, total): called often, always from the thread that called the work."""

StageProgress = Callable[[int, int], None]
"""progress(done, total) of work that is one stage and does not name it."""


def stage(progress: Progress, name: str) -> StageProgress:
    """Return the progress of one stage, for work that does not know how its caller names it."""
    return partial(progress, name)


def silent(*_: object) -> None:
    """Report nothing: the default of both kinds."""
