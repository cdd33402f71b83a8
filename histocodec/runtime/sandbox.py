"""Work on bytes that nobody trusts, in processes that may crash, hang or be taken over without harm to this one."""

from __future__ import annotations

import contextlib
import enum
import io
import os
import pickle
import signal
import struct
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from .by_process import ByProcess
from .closing import Closing
from .confinement import Limits
from .parallel import core_count

Work = Callable[[], bytes | NDArray[np.uint8]]
"""A call that can be pickled, of functions that are loaded once a process is prepared. It raises ValueError for bytes
that it cannot make anything of."""

REQUEST = struct.Struct("<Q")
"""Before what is asked for: its length."""
REPLY = struct.Struct("<BQ")
"""Before what is answered: a `Status`, and its length."""


class Status(enum.IntEnum):
    """The outcome of a piece of work."""

    DONE = 0
    REFUSED = 1
    FAILED = 2


class Refused(ValueError):
    """The work raised ValueError, with this sentence."""


class Killed(Exception):
    """The work ended its process, was ended with it, or came to nothing for another reason than bad bytes."""


_KEPT = ("PATH", "SYSTEMROOT", "PYTHONHOME", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
"""What a process gets of the environment, which may hold passwords: what it takes to start."""
_LONGEST_REASON = 4096
_STARTING_S = 60.0


class Sandbox(Closing):
    """Processes that are confined, one for each piece of work that is done at a time. Safe to use from several threads.

    They are started when there is work, kept for more, and replaced when they end. After a fork each process has its
    own. One sandbox is for bytes of one origin: what one piece of work does to its process, the next one may suffer.
    """

    def __init__(self, prepare: Callable[[], object], limits: Limits | None = None) -> None:
        """Start no process yet.

        prepare: is called in each of them before it is confined, and loads whatever its work will need; can be pickled.
        """
        self._prepare, self._limits = prepare, limits or Limits()
        self._idle: ByProcess[deque[_Child]] = ByProcess(deque)
        self._places = ByProcess(lambda: threading.BoundedSemaphore(core_count()))
        self._is_closed = False

    def run(self, work: Work, most_bytes: int) -> bytearray:
        """Do a piece of work; return the bytes of its result, at most so many.

        Raises Refused for what `work` raises ValueError for, and Killed, with the reason, for a crash, more time or
        memory than the limits allow, and any other answer.
        """
        with self._places():
            child = self._child()
            try:
                result = child.ask(work, most_bytes)
            except Refused:
                self._keep(child)
                raise
            except BaseException:  # an interrupt, too, leaves it in the middle of an answer
                child.end()
                raise
            self._keep(child)
        return result

    @property
    def barriers(self) -> frozenset[str]:
        """What confines the processes on this system, as `confinement.confine` names it."""
        child = self._child()
        self._keep(child)
        return child.barriers

    def close(self) -> None:
        """End all processes."""
        self._is_closed = True
        with contextlib.suppress(IndexError):
            while True:
                self._idle().pop().end()

    def _child(self) -> _Child:
        with contextlib.suppress(IndexError):
            while True:
                child = self._idle().pop()
                if child.process.poll() is None:
                    return child
                child.end()
        return _Child(self._prepare, self._limits)

    def _keep(self, child: _Child) -> None:
        self._idle().append(child)
        if self._is_closed:  # while it worked
            self.close()


class _Child:
    """One process."""

    def __init__(self, prepare: Callable[[], object], limits: Limits) -> None:
        self._limits = limits
        environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
        # The package may lie where only this process looks for it. Threads of libraries would take address space.
        environment |= {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OPENBLAS_NUM_THREADS": "1"}
        try:
            with _starting:
                self.process = subprocess.Popen(
                    (sys.executable, "-P", "-m", f"{__package__}.sandboxed"),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    env=environment,
                    start_new_session=True,  # Ctrl-C is for the process that people see
                )
        except OSError as error:
            raise Killed(f"no process can be started: {error}") from error
        try:
            self.barriers = frozenset(self._asked((prepare, limits), _LONGEST_REASON, _STARTING_S).decode().split())
        except BaseException:
            self.end()
            raise

    def ask(self, work: Work, most_bytes: int) -> bytearray:
        """Have a piece of work done. Raises Refused, and Killed: it is then to be ended."""
        return self._asked(work, most_bytes, self._limits.wall_s)

    def _asked(self, what: object, most_bytes: int, seconds: float) -> bytearray:
        asked, over = pickle.dumps(what, pickle.HIGHEST_PROTOCOL), threading.Event()

        def late() -> None:
            over.set()
            self.process.kill()

        # It ends the process and so what waits for it below, which may be for any byte of an answer.
        timer = threading.Timer(seconds, late)
        timer.daemon = True
        timer.start()
        try:
            status, answer = self._exchanged(asked, most_bytes)
        except (OSError, EOFError):
            raise Killed(f"it took more than {seconds:g} s" if over.is_set() else self._end_of_it()) from None
        finally:
            timer.cancel()
        if status == Status.DONE:
            return answer
        reason = answer.decode(errors="replace")
        raise Refused(reason) if status == Status.REFUSED else Killed(f"it failed: {reason}")

    def _exchanged(self, asked: bytes, most_bytes: int) -> tuple[int, bytearray]:
        """Send a request and return the answer. Raises OSError or EOFError if the process is gone."""
        requests, replies = self.process.stdin, self.process.stdout
        assert requests is not None
        assert isinstance(replies, io.BufferedReader)
        requests.write(REQUEST.pack(len(asked)))
        requests.write(asked)
        requests.flush()
        head = replies.read(REPLY.size)
        if len(head) < REPLY.size:
            raise EOFError
        status, length = REPLY.unpack(head)
        if length > (most_bytes if status == Status.DONE else _LONGEST_REASON):
            raise Killed(f"it answered {length} bytes, expected at most {most_bytes}")
        answer = bytearray(length)
        if replies.readinto(answer) < length:
            raise EOFError
        return status, answer

    def _end_of_it(self) -> str:
        """Return what a process that has ended died of."""
        code = self.process.wait()
        if code >= 0:
            return f"its process ended with code {code}"
        if hasattr(signal, "SIGPROF") and -code == signal.SIGPROF:
            return f"it computed for more than {self._limits.cpu_s:g} s"
        with contextlib.suppress(ValueError):
            return f"its process was ended by {signal.Signals(-code).name}"
        return f"its process was ended by signal {-code}"

    def end(self) -> None:
        """End the process, if it has not, and release what led to it."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError):  # what is still buffered has nobody to go to
                pipe.close()


_starting = threading.Lock()
"""Held while a process is started: one forked meanwhile would hold its pipes, and nobody would see them end."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_starting.acquire, after_in_parent=_starting.release, after_in_child=_starting.release)
