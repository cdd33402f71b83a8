"""The time and memory of whole processes."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

# Measured from a process of its own, which holds no memory: Linux counts what the parent held at the moment of the
# fork into a child's ru_maxrss.
_LAUNCHER = """
import json, os, sys, time
cores = json.loads(sys.argv[1])
if cores:
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
start = time.perf_counter()
child = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, 2, 1)])
_, status, used = os.wait4(child, 0)
wall = time.perf_counter() - start
unit = 1 if sys.platform == "darwin" else 1024
print(json.dumps([os.waitstatus_to_exitcode(status), wall, used.ru_utime, used.ru_stime, used.ru_maxrss * unit]))
"""


class CommandError(RuntimeError):
    """A measured command failed."""


@dataclass(frozen=True, slots=True)
class Usage:
    """The time and memory of one command, from start to exit, its children included."""

    wall_s: float
    user_s: float
    system_s: float
    peak_rss_bytes: int


def measured(
    command: Sequence[str], *, environment: Mapping[str, str] | None = None, folder: Path | None = None, cores: int = 0
) -> Usage:
    """Run a command to its end. Raises CommandError, with the end of its stderr, if it fails.

    environment: its variables; None: those of this process. folder: where it starts; None: here. cores: on so many of
    the cores alone; 0: on all.
    """
    launcher = subprocess.Popen(
        [sys.executable, "-S", "-E", "-c", _LAUNCHER, str(cores), *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        env=environment,
        cwd=folder,
    )
    done = threading.Event()
    sampled = [0]

    def sample() -> None:
        with contextlib.suppress(psutil.NoSuchProcess):
            root = psutil.Process(launcher.pid)
            while not done.wait(0.1):
                total = 0
                for process in root.children(recursive=True):
                    with contextlib.suppress(psutil.NoSuchProcess):
                        total += process.memory_info().rss
                sampled[0] = max(sampled[0], total)

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        out, err = launcher.communicate()
    finally:
        done.set()
        sampler.join()
    if launcher.returncode != 0:
        raise CommandError(f"could not start {command[0]}: {err.strip().rpartition(chr(10))[2]}")
    code, wall_s, user_s, system_s, largest = json.loads(out.splitlines()[-1])
    if code != 0:
        raise CommandError(f"{command[0]} exited with {code}: {err.strip()[-500:]}")
    return Usage(round(wall_s, 3), round(user_s, 3), round(system_s, 3), max(int(largest), sampled[0]))
