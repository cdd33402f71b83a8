"""The means of a long piece of work: threads, a folder for scratch files, a seed, and a receiver of progress."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from .parallel import ordered_map
from .progress import Progress
from .sampling import spread_sample

A = TypeVar("A")
B = TypeVar("B")


@dataclass(frozen=True)
class Resources:
    """The threads, the scratch folder, the seed and the progress of one piece of work."""

    folder: Path
    """Folder of scratch files, which vanish with the process."""
    workers: int
    """Number of threads."""
    seed: int
    """Seed of every sample."""
    progress: Progress
    """Receiver of the progress of every stage, called by the thread that consumes its results."""

    def map(self, work: Callable[[A], B], items: Sequence[A], stage: str | None = None) -> Iterator[B]:
        """Do the work on every item, on all threads, and yield the results in order; a bounded number is ahead.

        stage: the name that progress is told as results are consumed; None tells nothing.
        """
        for done, result in enumerate(ordered_map(work, items, workers=self.workers), 1):
            if stage is not None:
                self.progress(stage, done, len(items))
            yield result

    def sample(self, items: Sequence[A], count: int) -> list[A]:
        """Draw at most `count` of the items, spread over them; the same ones every time."""
        return spread_sample(items, count, self.seed)
