"""The processes that do tasks: started when there is work, replaced when one ends, stopped together."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from ..runtime.closing import Closing
from ..runtime.usage import memory_of
from .executor import Lost
from .records import Outcome, Stage, Task

WORKER = (sys.executable, "-m", "histocodec.archive.worker")
"""What is started."""

_GRACE_S = 15.0
"""Seconds in which a process takes away what it has half written."""
_WATCH_EVERY_S = 0.5
"""Seconds between two looks at the memory."""


class _Worker:
    """One process, and what it does."""

    def __init__(self, command: Sequence[str], inherited: Sequence[int], heard: queue.SimpleQueue[_Heard]) -> None:
        places = [str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(places)},
            pass_fds=inherited if os.name == "posix" else (),
            start_new_session=True,  # Ctrl-C is for the process that people see
        )
        self.task: Task | None = None
        self.over_memory = False
        threading.Thread(target=self._listen, args=(heard,), daemon=True).start()

    def _listen(self, heard: queue.SimpleQueue[_Heard]) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            # The last line of a process that was killed may be cut off.
            with contextlib.suppress(msgspec.DecodeError):
                heard.put((self, msgspec.json.decode(line, type=Outcome | Stage)))
        heard.put((self, None))

    def do(self, task: Task) -> None:
        assert self.process.stdin is not None
        self.task = task
        with contextlib.suppress(BrokenPipeError):  # it has ended, which is heard at once
            self.process.stdin.write(msgspec.json.encode(task) + b"\n")
            self.process.stdin.flush()

    def release(self) -> None:
        """Close what led to a process that has ended."""
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError):  # what is still buffered has nobody to go to
                pipe.close()


_Heard = tuple[_Worker, Outcome | Stage | None]


class Pool(Closing):
    """Processes that do tasks. Closing it stops them all; what they were writing is taken away."""

    def __init__(
        self, *, memory_bytes: int | None = None, inherited: Sequence[int] = (), command: Sequence[str] = WORKER
    ) -> None:
        """Start none yet. memory_bytes: that all of them may have in use together, where the system tells it.

        inherited: open files that they hold as long as they live.
        """
        self._command, self._inherited, self._memory_bytes = command, inherited, memory_bytes
        self._workers: list[_Worker] = []
        self._heard: queue.SimpleQueue[_Heard] = queue.SimpleQueue()
        self._watched = 0.0

    @property
    def slots(self) -> int | None:
        """None: a process is started for each task that is given at the same time."""
        return None

    @property
    def busy(self) -> list[Task]:
        """The tasks that are being done."""
        return [worker.task for worker in self._workers if worker.task is not None]

    def submit(self, task: Task) -> None:
        """Let a process do a task; one that is idle, or a new one."""
        idle = next((worker for worker in self._workers if worker.task is None), None)
        if idle is None:
            idle = _Worker(self._command, self._inherited, self._heard)
            self._workers.append(idle)
        idle.do(task)

    def next(self, timeout_s: float) -> Outcome | Stage | Lost | None:
        """Wait for the next thing that a process has to say; None if none has within the time."""
        until = time.monotonic() + timeout_s
        while True:
            self._watch_memory()
            try:
                worker, told = self._heard.get(timeout=max(0.0, min(_WATCH_EVERY_S, until - time.monotonic())))
            except queue.Empty:
                if time.monotonic() >= until:
                    return None
                continue
            if told is None:
                self._workers.remove(worker)
                code = worker.process.wait()
                worker.release()
                if worker.task is None:
                    continue
                return Lost(worker.task, _reason(worker, code), worker.over_memory)
            if isinstance(told, Outcome):
                worker.task = None
            return told

    def close(self) -> None:
        """Stop all processes."""
        for worker in self._workers:
            worker.process.send_signal(signal.SIGTERM)
        until = time.monotonic() + _GRACE_S
        for worker in self._workers:
            try:
                worker.process.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                worker.process.kill()
                worker.process.wait()
            worker.release()
        self._workers.clear()

    def _watch_memory(self) -> None:
        """End the process whose task is the latest if all together have more memory in use than they may."""
        if self._memory_bytes is None or time.monotonic() - self._watched < _WATCH_EVERY_S:
            return
        self._watched = time.monotonic()
        used = sum(memory_of(worker.process.pid) or 0 for worker in self._workers)
        busy = [worker for worker in self._workers if worker.task is not None and not worker.over_memory]
        if used > self._memory_bytes and busy:
            latest = max(busy, key=lambda worker: worker.task.number if worker.task else 0)
            latest.over_memory = True
            latest.process.kill()


def _reason(worker: _Worker, code: int) -> str:
    if worker.over_memory:
        return "was stopped: it took more memory than --memory allows"
    if code < 0:
        return f"its process was ended by signal {-code}; if nobody sent it, memory may have run out"
    return f"its process ended with code {code}"
