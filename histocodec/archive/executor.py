"""What does tasks for a run: processes of this machine, or those of a cluster."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from .records import Outcome, Stage, Task


@dataclass(frozen=True, slots=True)
class Lost:
    """A task whose process ended before it was done."""

    task: Task
    reason: str
    over_memory: bool


class Executor(Protocol):
    """Does tasks, several at a time, in no order."""

    @property
    def slots(self) -> int | None:
        """The tasks to give at a time; None: as many as the limits say. Raises ClusterError."""
        ...

    @property
    def busy(self) -> list[Task]:
        """The tasks that were given and of which no end was told."""
        ...

    def submit(self, task: Task) -> None:
        """Take a task. Raises ClusterError."""
        ...

    def next(self, timeout_s: float) -> Outcome | Stage | Lost | None:
        """Wait for the next thing to be told; None if there is none within the time. Raises ClusterError."""
        ...

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def close(self) -> None:
        """Give up what is being done."""
        ...
