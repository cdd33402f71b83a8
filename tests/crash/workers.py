"""Processes of an archive, forked where others are started: a process that imports everything anew takes a second."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import IO

from histocodec.archive import pool
from histocodec.archive.work import do_task
from histocodec.archive.worker import serve

from .faults import Fault, install

_LOOK_EVERY_S = 0.005


class ForkedProcess:
    """What `pool` knows of a process that it has started."""

    fault: Fault | None = None
    """What happens in each of them."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        stdin: int,
        stdout: int,
        env: dict[str, str],
        pass_fds: Sequence[int],
        start_new_session: bool,
    ) -> None:
        theirs, ours = os.pipe(), os.pipe()
        self.pid = os.fork()
        if not self.pid:
            os.dup2(theirs[0], 0)
            os.dup2(ours[1], 1)
            for descriptor in {*theirs, *ours} - {0, 1}:
                os.close(descriptor)
            self._serve()
        os.close(theirs[0])
        os.close(ours[1])
        self.stdin: IO[bytes] = os.fdopen(theirs[1], "wb")
        self.stdout: IO[bytes] = os.fdopen(ours[0], "rb")
        self._code: int | None = None

    def _serve(self) -> None:
        try:
            os.setsid()
            signal.pthread_sigmask(signal.SIG_SETMASK, [])
            install(self.fault or Fault())
            sys.stdin = open(0, closefd=False)  # noqa: SIM115  (a descriptor, as long as the process)
            sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
            serve(do_task)
        finally:
            os._exit(1)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end. Raises TimeoutExpired."""
        until = None if timeout is None else time.monotonic() + timeout
        while self._code is None:
            found, status = os.waitpid(self.pid, 0 if until is None else os.WNOHANG)
            if found:
                self._code = os.waitstatus_to_exitcode(status)
            elif until is not None and time.monotonic() >= until:
                raise subprocess.TimeoutExpired("worker", timeout or 0.0)
            else:
                time.sleep(_LOOK_EVERY_S)
        return self._code

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self._code is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)


class _Subprocess:
    """The module `subprocess`, as far as `pool` uses it."""

    Popen, PIPE, TimeoutExpired = ForkedProcess, subprocess.PIPE, subprocess.TimeoutExpired


def stand_in_for_subprocess(fault: Fault | None) -> None:
    """Fork in this process what an archive would start. fault: what happens there."""
    ForkedProcess.fault = fault
    pool.subprocess = _Subprocess  # type: ignore[attr-defined, assignment]
