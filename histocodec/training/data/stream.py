"""Streams: mixed in an order that a seed fixes, and made ahead of need in a thread."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from typing import TypeVar

import numpy as np

T = TypeVar("T")

_ITEMS_AHEAD = 4
_LISTENING_S = 60.0
"""Seconds for which an error waits for someone to take it."""


def shuffled(items: Iterator[T], rng: np.random.Generator, depth: int) -> Iterator[T]:
    """Yield the items in random order, each about `depth` places away from its own.

    Crops of one patch come in a row; so a batch is not of one patch.
    """
    held = [next(items) for _ in range(depth)]
    for item in items:
        at = int(rng.integers(depth))
        yield held[at]
        held[at] = item


def prefetched(items: Callable[[], Iterator[T]]) -> Generator[T, None, None]:
    """Run an iterator in a thread, a few items ahead. Raises here what it raises there."""
    ready: queue.Queue[T | BaseException] = queue.Queue(maxsize=_ITEMS_AHEAD)
    stop = threading.Event()

    def fill() -> None:
        try:
            for item in items():
                while not stop.is_set():
                    try:
                        ready.put(item, timeout=1)
                        break
                    except queue.Full:
                        continue
                if stop.is_set():
                    return
        except BaseException as error:
            with suppress(queue.Full):  # nobody may be left to hear of it
                ready.put(error, timeout=_LISTENING_S)

    threading.Thread(target=fill, daemon=True).start()
    try:
        while True:
            item = ready.get()
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stop.set()
