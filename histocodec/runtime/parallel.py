"""Runs ordered work on all cores, with a bounded number of tasks in flight."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")

WAITING_THREADS = 64
"""Threads that feed an accelerator. They wait for it most of the time; it computes in batches what they ask for."""

_limit: int | None = None
"""Most cores that this process uses; None: no limit."""

_own = threading.local()
"""`is_worker` is there, and True, in threads that share the cores, such as those that `ordered_map` starts."""


def limit_cores(count: int | None) -> None:
    """Use at most `count` cores from now on, in this process; None: all of them."""
    global _limit
    _limit = count


def core_count() -> int:
    """Return the number of cores that this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores if _limit is None else min(cores, _limit)


def thread_count(device: str) -> int:
    """Return the number of threads that keep a generator's device busy: a thread a core, or as many as feed a GPU."""
    return core_count() if device == "cpu" else max(core_count(), WAITING_THREADS)


def ordered_map(work: Callable[[A], B], items: Iterable[A], *, workers: int) -> Iterator[B]:
    """Yield `map(work, items)`, made on threads, in order; at most 2 * workers items are in flight: memory is bounded.

    An exception of `work` is raised here and ends the iteration. However it ends, no work runs afterwards, so that the
    files it reads from may be closed. Within work that another call has put on a thread, all is done by that thread:
    threads of threads would only take the cores from each other.

    Examples:
        >>> list(ordered_map(len, ["base", "tile", "halo", "overview"], workers=2))
        [4, 4, 4, 8]
    """
    if getattr(_own, "is_worker", False):
        yield from map(work, items)
        return
    gate = _Gate()

    def guarded(item: A) -> B:
        with gate.passed():
            return work(item)

    with ThreadPoolExecutor(workers, "histocodec-worker", initializer=become_worker) as pool:
        flying: deque[Future[B]] = deque()
        try:
            for item in items:
                flying.append(pool.submit(guarded, item))
                if len(flying) >= 2 * workers:
                    yield flying.popleft().result()
            while flying:
                yield flying.popleft().result()
        finally:
            for future in flying:
                future.cancel()
            gate.close()


def become_worker() -> None:
    """Mark the thread that calls this as one of several that share the cores: `ordered_map` starts none for it."""
    _own.is_worker = True


class _Gate:
    """Lets work through until it is closed, and then waits for the work that is running.

    Leaving the pool waits for its threads too, but not for one that started just as Ctrl-C kept it from being noted.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._running = 0
        self._closed = False

    @contextmanager
    def passed(self) -> Iterator[None]:
        """Count one piece of work while the block runs. Raises CancelledError if the gate is closed."""
        with self._changed:
            if self._closed:
                raise CancelledError
            self._running += 1
        try:
            yield
        finally:
            with self._changed:
                self._running -= 1
                self._changed.notify_all()

    def close(self) -> None:
        """Let nothing more through, and wait for the work that is running."""
        with self._changed:
            self._closed = True
            self._changed.wait_for(lambda: self._running == 0)
