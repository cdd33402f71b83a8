"""A campaign: all harnesses in turn, each in a process of its own that may crash, hang or be killed.

A process that does is itself the finding: the input that it was at is kept, and another process goes on behind it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import mmap
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, Queue
from typing import Any

from tests.fuzz.child import HEAD, LARGEST
from tests.places import REPOSITORY

HANG_S = 5.0
"""Seconds of the processor that an input may take."""
STUCK_S = 60.0
"""Seconds by the clock in which a process takes none of the processor, after which it is given up."""
_TICK = os.sysconf("SC_CLK_TCK")


@dataclass
class Tally:
    """What became of one harness."""

    executions: int = 0
    cpu_s: float = 0.0
    outcomes: int = 0
    processes: int = 0
    slowest_s: float = 0.0
    most_mebibytes: int = 0
    grown_mebibytes: int = 0
    """The most that a process still held between two inputs, beyond what it began with."""
    faults: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By place: how often, the input, and what was said."""

    def fault(self, place: str, file: str, told: str) -> None:
        """Note a fault, the first of its place with its input."""
        known = self.faults.setdefault(place, {"times": 0, "file": file, "told": told})
        known["times"] += 1


class Process:
    """A child, watched."""

    def __init__(self, name: str, seed: int, first: int, last: int, folder: Path) -> None:
        self.folder, self.name = folder, name
        self.place = folder / f"{name}.current"
        with self.place.open("wb") as file:
            file.truncate(HEAD.size + LARGEST)
        with self.place.open("r+b") as file:
            self.current = mmap.mmap(file.fileno(), HEAD.size + LARGEST)
        self.current[: HEAD.size] = HEAD.pack(first, 0)
        (folder / f"{name}.stderr").unlink(missing_ok=True)
        self.errors = (folder / f"{name}.stderr").open("ab")
        arguments = (name, str(seed), str(first), str(last), str(folder), str(self.place))
        one = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "VIPS_CONCURRENCY", "MALLOC_ARENA_MAX"), "1")
        self.child = subprocess.Popen(
            [sys.executable, "-m", "tests.fuzz.child", *arguments],
            cwd=REPOSITORY,
            env={**os.environ, **one, "HISTOCODEC_ENGINE": "numpy", "PYTHONPATH": str(REPOSITORY)},
            stdout=subprocess.PIPE,
            stderr=self.errors,
        )
        self.lines: Queue[dict[str, Any]] = Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._seen, self._since, self._cpu_then, self._cpu_last = -1, time.monotonic(), 0.0, 0.0

    def _read(self) -> None:
        assert self.child.stdout is not None
        for line in self.child.stdout:
            if line.startswith(b"{"):
                self.lines.put(json.loads(line))

    @property
    def at(self) -> int:
        """Number of the input that it is at."""
        return int(HEAD.unpack(self.current[: HEAD.size])[0])

    def input(self) -> bytes:
        """Return that input; empty before the first one."""
        _, length = HEAD.unpack(self.current[: HEAD.size])
        return bytes(self.current[HEAD.size : HEAD.size + length])

    def hangs(self) -> str | None:
        """Return what is wrong if it has been at one input for too long, or does nothing at all."""
        now, cpu, at = time.monotonic(), self.cpu_s(), self.at
        if cpu != self._cpu_last:
            self._cpu_last, self._since = cpu, now
        if at != self._seen:
            self._seen, self._cpu_then = at, cpu
        elif self.has_begun and cpu - self._cpu_then > HANG_S:
            return f"hang: more than {HANG_S:g} s of the processor"
        return "hang: waits for ever" if now - self._since > STUCK_S else None

    @property
    def has_begun(self) -> bool:
        """True from the first input on: before it stands making what the harness needs."""
        return bool(HEAD.unpack(self.current[: HEAD.size])[1])

    def cpu_s(self) -> float:
        """Return the seconds of the processor that it has taken."""
        try:
            fields = Path(f"/proc/{self.child.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return 0.0
        return (int(fields[11]) + int(fields[12])) / _TICK

    def end(self) -> int:
        """Kill it if it still runs; return its exit code."""
        if self.child.poll() is None:
            self.child.kill()
        code = self.child.wait()
        self._reader.join(5)
        self.errors.close()
        if self.child.stdout is not None:
            self.child.stdout.close()
        return code

    def said(self) -> str:
        """Return the end of what it wrote on stderr."""
        return (self.folder / f"{self.name}.stderr").read_text("utf-8", "replace")[-4000:]


@dataclass(frozen=True)
class Length:
    """How long a harness runs: whichever comes first."""

    seconds: float
    """Of the processor, from the first input on."""
    executions: int = 1 << 60


def run(lengths: dict[str, Length], seed: int, out: Path, told: Callable[[str], None]) -> dict[str, Tally]:
    """Run harnesses, by name, one after the other; keep the inputs of faults, and a summary, in `out`."""
    out.mkdir(parents=True, exist_ok=True)
    tallies = {}
    for name, length in lengths.items():
        tallies[name] = Tally()
        try:
            one(name, length, seed, out, tallies[name], told)
        finally:
            (out / "summary.json").write_text(json.dumps(summary(tallies), indent=1) + "\n")
    return tallies


def one(name: str, length: Length, seed: int, out: Path, tally: Tally, told: Callable[[str], None]) -> None:
    """Run one harness, in as many processes as it takes."""
    folder = out / "work"
    folder.mkdir(exist_ok=True)
    while tally.cpu_s < length.seconds and tally.executions < length.executions:
        process = Process(name, seed, tally.executions, length.executions, folder)
        tally.processes += 1
        before, building, wrong, last = tally.cpu_s, None, None, 0.0
        try:
            while process.child.poll() is None and (wrong := process.hangs()) is None:
                with contextlib.suppress(Empty):
                    heard(tally, process.lines.get(timeout=0.1), out)
                if process.has_begun:
                    building = process.cpu_s() if building is None else building
                    tally.cpu_s = before + max(0.0, process.cpu_s() - building)
                if tally.cpu_s > length.seconds:
                    break
                if time.monotonic() - last > 10:
                    last = time.monotonic()
                    told(f"{name}: {process.at} executions, {tally.outcomes} outcomes, {len(tally.faults)} faults")
            ended = process.child.poll()
        finally:
            code = process.end()
        while not process.lines.empty():
            heard(tally, process.lines.get(), out)
        if wrong is not None or (ended is not None and code != 0):
            data, said = process.input(), process.said()
            place = wrong or died(code, said)
            if not data:
                raise RuntimeError(f"{name} does not begin: {place}\n{said}")
            file = out / f"{name}-fault-{hashlib.sha256(data).hexdigest()[:12]}"
            file.write_bytes(data)
            tally.fault(place, str(file), said)
        tally.executions = process.at + 1
    for left in folder.glob(f"{name}.*"):
        left.unlink()


def heard(tally: Tally, line: dict[str, Any], out: Path) -> None:
    """Note what a child said."""
    if "file" in line:
        kept = out / Path(line["file"]).name
        shutil.move(line["file"], kept)
        line["file"] = str(kept)
    match line["event"]:
        case "fault":
            tally.fault(line["place"], line["file"], line["told"])
        case "slowest":
            tally.slowest_s = max(tally.slowest_s, line["seconds"])
        case "most memory":
            tally.most_mebibytes = max(tally.most_mebibytes, line["mebibytes"])
        case "progress":
            tally.outcomes = max(tally.outcomes, line["outcomes"])
            tally.grown_mebibytes = max(tally.grown_mebibytes, line["grown_mebibytes"])


def died(code: int, said: str) -> str:
    """Return how a process ended and where, by the innermost line of the package on its stack."""
    name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    found = re.search(r'File "[^"]*/(histocodec/[^"]+|imagecodecs/[^"]+)", line \d+ in (\w+)', said)
    return f"crash: {name}" + (f" in {found[1]}:{found[2]}" if found else "")


def summary(tallies: dict[str, Tally]) -> dict[str, Any]:
    """Return a campaign's numbers as JSON values."""
    places = {place for tally in tallies.values() for place in tally.faults}
    return {
        "executions": sum(tally.executions for tally in tallies.values()),
        "cpu_s": round(sum(tally.cpu_s for tally in tallies.values()), 1),
        "faults": len(places),
        "harnesses": {
            name: {
                "executions": tally.executions,
                "cpu_s": round(tally.cpu_s, 1),
                "outcomes": tally.outcomes,
                "processes": tally.processes,
                "slowest_s": tally.slowest_s,
                "most_mebibytes": tally.most_mebibytes,
                "grown_mebibytes": tally.grown_mebibytes,
                "faults": tally.faults,
            }
            for name, tally in tallies.items()
        },
    }
