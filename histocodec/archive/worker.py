"""The process that does tasks: a JSON object a line in, a JSON object a line out, until its input ends.

Its input ends when the process that started it does, however that came about: then it ends at once.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import IO

import msgspec

from ..runtime.progress import Progress
from .records import Outcome, Stage, Task

_SAY_EVERY_S = 0.5
"""Seconds between two lines on how far a task is."""

Do = Callable[[Task, Progress], Outcome]
"""What does a task."""


def serve(do: Do) -> None:
    """Do the tasks that come on stdin, and say on stdout what came of them; never returns normally."""
    out = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints is no answer
    signal.signal(signal.SIGTERM, _end)
    tasks: queue.SimpleQueue[Task] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(tasks,), daemon=True).start()
    say = _Voice(out)
    try:
        while True:
            task = tasks.get()
            say.number = task.number
            say(do(task, say.stage))
    finally:
        os._exit(1)  # at once: an orderly end would wait for the thread that reads


def _read(tasks: queue.SimpleQueue[Task]) -> None:
    for line in sys.stdin.buffer:
        tasks.put(msgspec.json.decode(line, type=Task))
    os._exit(0)  # nobody is there who would hear of it


def _end(_number: int, _frame: FrameType | None) -> None:
    """Leave by an exception, so that what is half written is taken away."""
    raise SystemExit(1)


class _Voice:
    """Writes lines to the process that asked."""

    def __init__(self, out: IO[bytes]) -> None:
        self._out, self._said, self.number = out, 0.0, 0

    def __call__(self, told: Outcome | Stage) -> None:
        self._out.write(msgspec.json.encode(told) + b"\n")
        self._out.flush()

    def stage(self, stage: str, done: int, total: int) -> None:
        """Say how far the task is, if that was not said just now."""
        if time.monotonic() - self._said >= _SAY_EVERY_S:
            self._said = time.monotonic()
            self(Stage(number=self.number, stage=stage, done=done, total=total))


if __name__ == "__main__":
    from .work import do_task

    serve(do_task)
