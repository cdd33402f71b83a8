"""The process in which inputs are run: what one of them does to it, a crash, a hang or a flood, is seen from outside.

It is told by its arguments what to run, says on its standard output what it found, a JSON object a line, and keeps the
input that it is at in a file that outlives it.
"""

from __future__ import annotations

import faulthandler
import hashlib
import json
import mmap
import os
import random
import resource
import struct
import sys
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

from tests.fuzz.harness import Harness, Wrong
from tests.fuzz.mutation import changed_bytes

HEAD = struct.Struct("<QI")
"""Number of the execution, and bytes of its input, which follow."""
LARGEST = 8 << 20
"""Bytes that an input may have."""
MEMORY = 1 << 30
"""Bytes that an input may take, beyond what the process has when it begins."""
POOL = 3000
"""Inputs that are kept because something new came of them."""
EVERY_S = 0.5
"""Seconds between two reports."""
MOST_GROWN = 256
"""Mebibytes that a process may keep when an input is done, before another one goes on in its place."""


def limit_memory() -> int:
    """Let this process take no more than MEMORY from now on; return the kilobytes that it had at most so far."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * mmap.PAGESIZE + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))
    return most_kb()


def most_kb() -> int:
    """Return the most kilobytes of memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def held_kb() -> int:
    """Return the kilobytes of memory that this process holds now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE >> 10


def quiet() -> None:
    """Make faults of warnings, but for those that are a reader's word to its user; one core, one thread of BLAS."""
    warnings.simplefilter("error", RuntimeWarning)
    warnings.filterwarnings("ignore", message=".*is decoded.*|.*is left out.*", category=RuntimeWarning)
    warnings.simplefilter("ignore", DeprecationWarning)
    faulthandler.enable()


def place_of(error: BaseException) -> str:
    """Return kind and place of a fault: the innermost line of the package, else of the harness."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "/histocodec/" in frame.filename] or frames[-1:]
    if isinstance(error, Wrong):
        own = frames[-1:]
    last = own[-1] if own else None
    where = "nowhere" if last is None else f"{'/'.join(Path(last.filename).parts[-2:])}:{last.name}"
    what = str(error)[:60] if isinstance(error, Wrong) else ""
    return f"{type(error).__name__} in {where} {what}".strip()


class Run:
    """One harness at work."""

    def __init__(self, harness: Harness, seed: int, first: int, current: mmap.mmap) -> None:
        self.harness, self.seed, self.at, self.current = harness, seed, first, current
        self.pool = list(harness.seeds())
        self.known: set[str] = set()
        self.slowest_s, self.most_kb, self.faults = 0.0, 0, set[str]()
        self.before_kb = 0

    def changed(self) -> bytes:
        """Return the next input: the same for the same seed, number and past."""
        rng = random.Random(f"{self.seed} {self.harness.name} {self.at}")
        newest = rng.random() < 0.3
        data = self.pool[-1 - rng.randrange(min(50, len(self.pool)))] if newest else rng.choice(self.pool)
        try:
            return self.harness.changed(rng, data, tuple(rng.choices(self.pool, k=2)))[:LARGEST]
        except Exception as error:  # a fault of the harness, which must not end the run
            self.fault(f"changing: {place_of(error)}", error, data)
            return changed_bytes(rng, data)

    def one(self, data: bytes) -> None:
        """Run an input; keep it if something new came of it, and report it if that is a fault."""
        self.current[HEAD.size : HEAD.size + len(data)] = data
        self.current[: HEAD.size] = HEAD.pack(self.at, len(data))
        began, before_kb = time.process_time(), most_kb()
        try:
            outcome = self.harness.run(data)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            outcome = place_of(error)
            self.fault(outcome, error, data)
        took = time.process_time() - began
        if took > max(self.slowest_s, 0.2):
            self.tell("slowest", seconds=round(took, 3), data=data)
        self.slowest_s = max(self.slowest_s, took)
        peak = most_kb() - self.before_kb
        if most_kb() > before_kb and peak > self.most_kb + 16384:  # else it was what changed the input
            self.most_kb = peak
            self.tell("most memory", mebibytes=peak >> 10, data=data)
        if outcome not in self.known and len(data) < 1 << 18:
            self.known.add(outcome)
            if len(self.pool) < POOL:
                self.pool.append(data)
        self.at += 1

    def fault(self, place: str, error: BaseException, data: bytes) -> None:
        """Report a fault, the first of its place."""
        if place not in self.faults:
            self.faults.add(place)
            told = "".join(traceback.format_exception(error))
            self.tell("fault", place=place, told=told[-6000:], data=data)

    def tell(self, event: str, *, data: bytes | None = None, **facts: Any) -> None:
        """Write a line; an input goes into a file beside the current one."""
        if data is not None:
            name = f"{self.harness.name}-{event.replace(' ', '-')}-{hashlib.sha256(data).hexdigest()[:12]}"
            path = Path(sys.argv[5]) / name
            path.write_bytes(data)
            facts["file"] = str(path)
        print(json.dumps({"event": event, "at": self.at, **facts}), flush=True)


def main() -> None:
    """Run a harness. Arguments: its name, seed, first and last number, folder, file of the current input."""
    from tests.fuzz.registry import build

    name, seed, first, last, _, place = sys.argv[1:7]
    with Path(place).open("r+b") as file:
        current = mmap.mmap(file.fileno(), HEAD.size + LARGEST)
    quiet()
    run = Run(build(name), int(seed), int(first), current)
    for data in list(run.pool):
        run.one(data)
    # What is imported and kept for all inputs is there by now.
    run.most_kb, run.slowest_s, run.before_kb = 0, 0.0, limit_memory()
    told, before = time.monotonic(), held_kb()
    while run.at < int(last):
        run.one(run.changed())
        if time.monotonic() - told > EVERY_S:
            told, grown = time.monotonic(), (held_kb() - before) >> 10
            os.ftruncate(2, 0)  # libraries warn of every other input
            run.tell("progress", outcomes=len(run.known), grown_mebibytes=grown)
            if grown > MOST_GROWN:
                return
    run.tell("progress", outcomes=len(run.known), grown_mebibytes=0)


if __name__ == "__main__":
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    main()
