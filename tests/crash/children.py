"""Commands in processes of their own, forked from one that has imported everything: most of a short command is that."""

from __future__ import annotations

import functools
import os
import select
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import typer.main

from histocodec.cli import app, main
from histocodec.version import commit

from .faults import Fault, install
from .workers import stand_in_for_subprocess

typer.main.get_command = functools.cache(typer.main.get_command)
typer.main.get_command(app)  # once, and not in every process
commit()  # as well: two runs say the same, also while somebody commits
_LONGEST_S = 120.0
"""Seconds after which a command hangs."""


@dataclass(frozen=True)
class Ended:
    """How a process ended."""

    code: int
    """Exit code; of a process that a signal ended, the signal, negative."""
    said: str
    """What it printed, to stdout and stderr."""
    seconds: float

    @property
    def was_killed(self) -> bool:
        """True if it ended by signal 9."""
        return self.code == -signal.SIGKILL


class Child:
    """A process that does something in a folder."""

    def __init__(self, folder: Path, work: Callable[[], object]) -> None:
        """Start it. work: what it does; a SystemExit has its exit code."""
        self.folder, self.began = folder, time.monotonic()
        self._said = tempfile.NamedTemporaryFile(prefix="said-")  # noqa: SIM115  (lives as long as the process)
        self.pid = os.fork()
        if not self.pid:
            _do(folder, self._said.fileno(), work)
        self._watch = os.pidfd_open(self.pid)

    def stops(self) -> bool:
        """Wait until it stops, as a fault told it, or ends; return False if it has ended."""
        found = os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        return found is not None and found.si_code == os.CLD_STOPPED

    def go_on(self) -> Ended:
        """Let it go on, and wait for its end."""
        os.kill(self.pid, signal.SIGCONT)
        return self.wait()

    def wait(self, kill_after_s: float = _LONGEST_S) -> Ended:
        """Wait for its end; kill it if that does not come within the time."""
        poll = select.poll()
        poll.register(self._watch, select.POLLIN)
        if not poll.poll(1000 * max(0.0, kill_after_s - (time.monotonic() - self.began))):
            os.kill(self.pid, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        seconds = time.monotonic() - self.began
        os.close(self._watch)
        with self._said as file:
            file.seek(0)
            return Ended(code, file.read().decode(errors="replace"), seconds)


def command(
    folder: Path,
    arguments: tuple[str, ...],
    fault: Fault | None = None,
    *,
    of_worker: bool = False,
    before: Callable[[], object] = lambda: None,
) -> Child:
    """Start a command of histocodec in a folder. of_worker: the fault is that of the processes that it starts.

    before: what the process does first.
    """

    def work() -> None:
        stand_in_for_subprocess(fault if of_worker else None)
        if fault is not None and not of_worker:
            install(fault)
        before()
        _call(arguments)

    return Child(folder, work)


def run(folder: Path, arguments: tuple[str, ...], fault: Fault | None = None, *, of_worker: bool = False) -> Ended:
    """Run a command of histocodec to its end."""
    return command(folder, arguments, fault, of_worker=of_worker).wait()


def modules_of(folder: Path, arguments: tuple[str, ...]) -> list[str]:
    """Run a command to its end, and return the names of all modules that it imports."""

    def work() -> None:
        stand_in_for_subprocess(None)
        try:
            _call(arguments)
        finally:
            (folder / "modules").write_text("\n".join(sys.modules))

    Child(folder, work).wait()
    return (folder / "modules").read_text().split("\n")


def _call(arguments: tuple[str, ...]) -> None:
    sys.argv = ["histocodec", *arguments]
    main()


def _do(folder: Path, said: int, work: Callable[[], object]) -> None:
    code: object = 70
    try:
        os.dup2(said, 1)
        os.dup2(said, 2)
        os.chdir(folder)
        os.environ["TMPDIR"] = str(folder / "tmp")
        tempfile.tempdir = None
        work()
        code = 0
    except SystemExit as end:
        code = end.code or 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 1)
