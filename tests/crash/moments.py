"""Every moment at which a command is stopped: by its events, in the middle of its writes, and by the clock."""

from __future__ import annotations

import contextlib
import importlib
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from .children import Ended, command, modules_of, run
from .commands import Command
from .faults import FAILS, Fault
from .judge import Seen, look, problems, problems_after
from .tally import Tally

T = TypeVar("T")

ERRORS = ("EIO", "EDQUOT", "EROFS")
"""Errors that the events have in turn, beside a full disk at each of them."""


@dataclass(frozen=True)
class Moment:
    """Where a command is stopped, and how."""

    kind: str
    """As the summary counts it."""
    fault: Fault | None = None
    kill_after_s: float | None = None
    event: str = ""

    def __str__(self) -> str:
        if self.kill_after_s is not None:
            return f"{self.kind} after {self.kill_after_s:.3f} s"
        assert self.fault is not None
        return f"{self.kind} {self.fault.at} ({self.event})"


@dataclass
class Subject:
    """A command whose undisturbed run is known."""

    command: Command
    material: Path
    folder: Path
    """Where it is run, over and over."""
    events: list[str] = field(default_factory=list)
    """What it does to files, in order."""
    seconds: float = 0.0

    def learn(self) -> None:
        """Run it undisturbed. Raises RuntimeError if it fails."""
        words, trace = self.command.words(self.material), self.folder.parent / "trace"
        self.prepare()
        for name in modules_of(self.folder, words):
            with contextlib.suppress(ImportError):  # such as __mp_main__
                importlib.import_module(name)
        trace.unlink(missing_ok=True)
        self.before = self.prepare()
        ended = run(self.folder, words, Fault(trace=str(trace)), of_worker=self.command.has_worker)
        self.whole, self.seconds = look(self.folder), ended.seconds
        if ended.code or not self.whole.units or not self.whole.is_clean:
            raise RuntimeError(f"{self.command.name}: {ended.code}: {ended.said} {self.whole}")
        self.events = trace.read_text().split()
        self.inputs = self._inputs()

    def kills(self, count: int) -> list[Moment]:
        """Return so many moments to be killed at: all events and the middle of all writes first, the rest by time."""
        numbered = list(enumerate(self.events))
        found = [Moment("killed before event", Fault("kill", at), event=event) for at, event in numbered]
        found += [
            Moment("killed within write", Fault("half", at), event=event) for at, event in numbered if event == "write"
        ]
        found = spread(found, count)
        left = count - len(found)
        return found + [
            Moment("killed by the clock", kill_after_s=self.seconds * (number + 0.5) / left) for number in range(left)
        ]

    def failures(self, count: int | None) -> list[Moment]:
        """Return moments at which the system says no: a disk full from then on, and one other error. None: all."""
        found = []
        for at, event in enumerate(self.events):
            other = ERRORS[at % len(ERRORS)]
            if event in FAILS["ENOSPC"]:
                found.append(Moment("ENOSPC from event", Fault("ENOSPC", at, lasting=True), event=event))
            if event in FAILS[other]:
                found.append(Moment(f"{other} at event", Fault(other, at), event=event))
        return found if count is None else spread(found, count)

    def stop(self, moment: Moment, tally: Tally) -> None:
        """Run the command, stop it, look, and call it again; note what is wrong."""
        self.prepare()
        words = self.command.words(self.material)
        fault = moment.fault and replace(moment.fault, once=str(self.folder.with_name("once")))
        self.folder.with_name("once").unlink(missing_ok=True)
        child = command(
            self.folder, words, fault if self.command.has_worker else moment.fault, of_worker=self.command.has_worker
        )
        ended = child.wait() if moment.kill_after_s is None else child.wait(moment.kill_after_s)
        tally.counts[moment.kind if self._happened(moment, ended) else "over before"] += 1
        wrong = list(self._wrong(moment, ended, words))
        tally.findings += [f"{moment}: {problem}" for problem in wrong]

    def _wrong(self, moment: Moment, ended: Ended, words: tuple[str, ...]) -> Iterator[str]:
        try:
            stopped = look(self.folder)
            yield from problems(
                ended,
                self.before,
                stopped,
                self.whole,
                may_leave=moment.event == "unlink",
            )
            again = run(self.folder, words)
            if again.code == 3 and not ended.was_killed:  # what failed waits for somebody to say that it is mended
                again = run(self.folder, ("archive", "retry", "out"))
            yield from problems_after(again, stopped, look(self.folder), self.whole)
        except ValueError as error:
            yield str(error)
        if self._inputs() != self.inputs:
            yield "an input is not what it was"

    def _happened(self, moment: Moment, ended: Ended) -> bool:
        is_kill = moment.fault is None or moment.fault.action in ("kill", "half")
        return ended.was_killed or not is_kill or self.command.has_worker

    def prepare(self) -> Seen:
        """Lay out its folder anew, and look at it."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.command.prepare(self.material, self.folder)
        return look(self.folder)

    def _inputs(self) -> dict[str, bytes]:
        files = [file for name in self.command.inputs for file in _files(self.folder / name)]
        return {str(file): file.read_bytes() for file in files if not file.name.startswith(("histocodec-", ".histo"))}


def spread(items: Sequence[T], count: int) -> list[T]:
    """Return at most so many of the items, all over them."""
    if len(items) <= count:
        return list(items)
    return [items[number * len(items) // count] for number in range(count)]


def _files(path: Path) -> Iterator[Path]:
    return (file for file in ([path] if path.is_file() else sorted(path.rglob("*"))) if file.is_file())
