"""Ordered work on all cores with a bounded number of tasks in flight."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")


def core_count() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def ordered_map(work: Callable[[A], B], items: Iterable[A], *, workers: int) -> Iterator[B]:
    """`map(work, items)` on threads: results in order, at most 2 * workers items in flight, so memory is bounded.

    An exception of `work` is raised here and ends the iteration; work that has begun is waited for.
    """
    with ThreadPoolExecutor(workers, thread_name_prefix="histocodec") as pool:
        flying: deque[Future[B]] = deque()
        try:
            for item in items:
                flying.append(pool.submit(work, item))
                if len(flying) >= 2 * workers:
                    yield flying.popleft().result()
            while flying:
                yield flying.popleft().result()
        finally:
            for future in flying:
                future.cancel()
