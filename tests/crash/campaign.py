"""Stops commands at many moments, and says what became of their files."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from .clocks import clock_set_back, library
from .commands import COMMANDS, Command, make_material
from .disturbed import DISTURBANCES, changed_inputs, vanishing_folders
from .meeting import MEETINGS, meet
from .moments import Subject
from .refusals import NAMESPACE, read_only, read_only_archive, small_disks
from .tally import Tally

OF = tuple(dict.fromkeys(command.of for command in COMMANDS))
KINDS = ("kills", "failures", "disks", "inputs", "folders", "meetings", "clock")
_SAY_EVERY_S = 20.0


def main() -> int:
    """Return the exit code: 1 if something was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--moments", type=int, default=1000, help="moments to be killed at (default: 1000)")
    parser.add_argument("--failures", type=int, help="moments at which the system says no (default: all)")
    parser.add_argument("--each", type=int, default=12, help="moments of each other kind and command (default: 12)")
    parser.add_argument("--of", default=",".join(OF), help="commands, of %(default)s")
    parser.add_argument("--kinds", default=",".join(KINDS), help="what happens to them, of %(default)s")
    parser.add_argument("--only", default="", help="part of a command's name")
    parser.add_argument("--folder", type=Path, help="folder for the files that are made (default: the system's)")
    parser.add_argument("--json", type=Path, help="where the summary goes")
    asked = parser.parse_args()
    for name, known in (("of", OF), ("kinds", KINDS)):
        if not set(getattr(asked, name).split(",")) <= set(known):
            parser.error(f"--{name}: expected some of {', '.join(known)}, found {getattr(asked, name)}")
    with tempfile.TemporaryDirectory(prefix="crash-", dir=asked.folder) as temporary:
        os.chmod(temporary, 0o755)  # noqa: PTH101  (another user looks into it)
        found = Campaign(Path(temporary), asked).run()
    text = json.dumps(found, indent=1)
    if asked.json is not None:
        asked.json.write_text(text + "\n", encoding="utf-8")
    print(text)
    return 1 if found["findings"] else 0


class Campaign:
    """All that is asked for, one after the other."""

    def __init__(self, folder: Path, asked: argparse.Namespace) -> None:
        self.asked, self.kinds = asked, asked.kinds.split(",")
        self.material, self.place = folder / "material", folder / "run"
        self.commands = [one for one in COMMANDS if one.of in asked.of.split(",") and asked.only in one.name]
        self.tallies: dict[str, Tally] = {}
        self.skipped: list[str] = []

    def run(self) -> dict[str, object]:
        """Return the summary."""
        began, cpu = time.monotonic(), sum(os.times()[:4])
        make_material(self.material)
        subjects = {command.name: self._learnt(command) for command in self.commands}
        assert threading.active_count() == 1, "a process with threads cannot be forked"
        self._moments(list(subjects.values()))
        each = self.asked.each
        if "inputs" in self.kinds:
            for one in DISTURBANCES:
                if one.command in subjects:
                    self._add(f"inputs of {one.command}", changed_inputs(subjects[one.command], one, each))
        if "folders" in self.kinds:
            for name, subject in subjects.items():
                if subject.command.of != "archive":
                    self._add(f"folders of {name}", vanishing_folders(subject, each))
        if "disks" in self.kinds and self._can_mount():
            for name, subject in subjects.items():
                if not subject.command.has_worker:
                    self._add(f"disks of {name}", small_disks(subject, each))
                    self._add(f"disks of {name}", read_only(subject))
            self._add("disks of archives that are read", read_only_archive(self.material, self.place))
        if "meetings" in self.kinds:
            for meeting in MEETINGS:
                if meeting.first[0] in self.asked.of.split(","):
                    self._add("meetings", meet(meeting, self.material, self.place, each))
        if "clock" in self.kinds:
            if (preload := library()) is None:
                self.skipped.append("clock: no libfaketime (Debian: apt install faketime)")
            else:
                self._add("clock", clock_set_back(self.material, self.place, preload))
        return self._summary(time.monotonic() - began, sum(os.times()[:4]) - cpu)

    def _learnt(self, command: Command) -> Subject:
        subject = Subject(command, self.material, self.place)
        subject.learn()
        _say(f"{command.name}: {len(subject.events)} events, {subject.seconds:.2f} s")
        return subject

    def _moments(self, subjects: list[Subject]) -> None:
        """Kill, and say no."""
        events = [len(subject.events) for subject in subjects]
        kills = _shares([2 * count for count in events], self.asked.moments)
        allowed = None if self.asked.failures is None else _shares(events, self.asked.failures)
        for number, subject in enumerate(subjects):
            todo = subject.kills(kills[number]) if "kills" in self.kinds else []
            if "failures" in self.kinds:
                todo += subject.failures(None if allowed is None else allowed[number])
            tally, spoke = Tally(), time.monotonic()
            for done, moment in enumerate(todo, 1):
                subject.stop(moment, tally)
                if time.monotonic() - spoke > _SAY_EVERY_S and done < len(todo):
                    spoke = time.monotonic()
                    _say(f"{subject.command.name}: {done} of {len(todo)}, findings: {len(tally.findings)}")
            self._add(subject.command.name, tally)

    def _can_mount(self) -> bool:
        if NAMESPACE not in os.environ:
            self.skipped.append("disks: nothing can be mounted here")
        return NAMESPACE in os.environ

    def _add(self, name: str, tally: Tally) -> None:
        if not tally.counts:
            return
        whole = self.tallies.setdefault(name, Tally())
        whole.counts.update(tally.counts)
        whole.findings += tally.findings
        _say(f"{name}: {dict(tally.counts)}, findings: {len(tally.findings)}")
        for finding in tally.findings:
            _say(f"  {finding}")

    def _summary(self, seconds: float, cpu_seconds: float) -> dict[str, object]:
        counts = sum((tally.counts for tally in self.tallies.values()), Counter[str]())
        return {
            "findings": sum(len(tally.findings) for tally in self.tallies.values()),
            "skipped": self.skipped,
            "seconds": round(seconds),
            "cpu_seconds": round(cpu_seconds),
            "kills": sum(count for kind, count in counts.items() if kind.startswith("killed")),
            "counts": dict(sorted(counts.items())),
            "each": {
                name: {**dict(sorted(tally.counts.items())), "findings": tally.findings}
                for name, tally in self.tallies.items()
            },
        }


def _shares(weights: list[int], total: int) -> list[int]:
    """Divide a number by weights, in whole parts."""
    whole = sum(weights)
    ends = [round(total * sum(weights[: k + 1]) / whole) for k in range(len(weights))]
    return [end - start for start, end in zip([0, *ends], ends, strict=False)]


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
