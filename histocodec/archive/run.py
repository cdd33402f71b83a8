"""Does what waits in a catalogue: encodes on several processes, and notes what came of each slide."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import NoSpace
from ..runtime.files import discard_partial
from ..runtime.parallel import core_count
from .catalogue import Catalogue, Row
from .executor import Executor, Lost
from .records import Outcome, Stage, Task, timestamp

EXPECTED_BYTES = 3 << 29
"""Memory that an encode is expected to take before one was seen to: 1.5 GiB."""

_TICK_S = 1.0
"""Seconds after which a run gives a sign of life."""


@dataclass(frozen=True, slots=True)
class Begun:
    """A slide is being worked on."""

    row: Row


@dataclass(frozen=True, slots=True)
class Ended:
    """A slide is done, or failed; `row` is as the catalogue has it now."""

    row: Row
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Repeated:
    """The process that worked on a slide ended; it will be tried once more."""

    row: Row
    reason: str


@dataclass(frozen=True, slots=True)
class PutBack:
    """A disk was full: the slide waits again, and no other is begun."""

    row: Row
    reason: str


@dataclass(frozen=True, slots=True)
class Tick:
    """Nothing happened for a moment, or a slide got further."""

    stage: Stage | None = None


Event = Begun | Ended | Repeated | PutBack | Tick


@dataclass(slots=True)
class Limits:
    """How much of the machine a run takes."""

    jobs: int = 1
    """Slides at the same time, each by a process."""
    memory_bytes: int | None = None
    """Memory of all of them together; None: no limit."""
    cores: int | None = field(default_factory=core_count)
    """Cores of all of them together; None: each has all that its process may use."""

    def jobs_within(self, peak_bytes: int | None) -> int:
        """Return the slides at the same time that the memory allows. peak_bytes: most that one is known to take."""
        if self.memory_bytes is None:
            return self.jobs
        return max(1, min(self.jobs, self.memory_bytes // max(peak_bytes or EXPECTED_BYTES, 1)))

    def threads(self, left: int) -> int | None:
        """Return the cores of one slide, of so many that are left: the last ones share what others no longer take."""
        return None if self.cores is None else max(1, self.cores // max(1, min(self.jobs, left)))


def run(catalogue: Catalogue, pool: Executor, limits: Limits) -> Generator[Event, None, None]:
    """Encode every slide that waits, and tell what happens; close the iterator to stop early.

    However it ends, the catalogue says what is true: what was not done waits. Raises NoSpace where a disk is full, once
    the slides are done that were begun: each of the others would fail for the same reason.
    """
    return _Run(catalogue, pool, limits).events()


class _Run:
    """The state of a run: a few numbers, and the slides that are being worked on."""

    def __init__(self, catalogue: Catalogue, pool: Executor, limits: Limits) -> None:
        self.catalogue, self.pool, self.limits = catalogue, pool, limits
        self.left = catalogue.count("waiting")
        self.peak_bytes: int | None = catalogue.database.execute(
            "SELECT max(peak_bytes) FROM slide WHERE state = 'done'"
        ).fetchone()[0]
        self.alone: deque[Task] = deque()
        """Tasks whose process ended once; each is tried again when no other is running."""
        self.tried_alone: set[int] = set()
        """Slides that are being tried for the second time: one at a time."""
        self.full: str | None = None
        """What was said where a disk was full."""

    def events(self) -> Generator[Event, None, None]:
        try:
            while True:
                yield from self._begin()
                if not self.pool.busy:
                    break
                told = self.pool.next(_TICK_S)
                if told is None or isinstance(told, Stage):
                    yield Tick(told)
                elif isinstance(told, Lost):
                    yield self._lost(told)
                else:
                    yield self._ended(told)
        finally:
            if self.pool.busy:
                self.pool.close()
            self.catalogue.take_up()  # nobody else works on this archive
        if self.full is not None:
            waiting = f"{self.catalogue.count('waiting')} slides wait; the same command goes on once there is room"
            raise NoSpace(self.catalogue.folder, f"the run ends, as a disk is full: {self.full}; {waiting}")

    def _begin(self) -> Iterator[Event]:
        """Give work to as many processes as may run."""
        while self.full is None and len(self.pool.busy) < (self.pool.slots or self.limits.jobs_within(self.peak_bytes)):
            row = None if self.tried_alone else self.catalogue.claim()
            if row is None:
                if self.alone and not self.pool.busy:
                    task = self.alone.popleft()
                    self.tried_alone.add(task.number)
                    self.pool.submit(task)
                    yield Begun(self.catalogue.row(task.number))
                return
            task = Task(
                number=row["id"],
                kind="encode",
                source=row["source"],
                output=self.catalogue.output(row),
                choices=self.catalogue.choices(row["settings"]),
                threads=self.limits.threads(self.left),
                overwrite=bool(row["owns_output"]),
            )
            self.left -= 1
            if self.catalogue.files.path is not None:
                Path(task.output).parent.mkdir(parents=True, exist_ok=True)
            self.pool.submit(task)
            yield Begun(row)

    def _ended(self, outcome: Outcome) -> Ended | PutBack:
        self.tried_alone.discard(outcome.number)
        if outcome.peak_bytes is not None:
            self.peak_bytes = max(self.peak_bytes or 0, outcome.peak_bytes)
        if outcome.error_class == NoSpace.__name__:
            self.full = outcome.error or ""
            return PutBack(self.catalogue.row(outcome.number), self.full)
        self.catalogue.finish(outcome)
        return Ended(self.catalogue.row(outcome.number), outcome)

    def _lost(self, lost: Lost) -> Event:
        number = lost.task.number
        if self.catalogue.files.path is not None:
            discard_partial(Path(lost.task.output))
        if number not in self.tried_alone:
            self.alone.append(lost.task)
            return Repeated(self.catalogue.row(number), lost.reason)
        return self._ended(failed(lost))


def failed(lost: Lost) -> Outcome:
    """Return the outcome of a task whose process ended."""
    now = timestamp()
    return Outcome(
        number=lost.task.number,
        seconds=0,
        cpu_seconds=0,
        peak_bytes=None,
        host="",
        began=now,
        ended=now,
        error_class="MemoryLimit" if lost.over_memory else "ProcessLost",
        error=lost.reason,
    )
