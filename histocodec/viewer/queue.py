"""A queue of tiles to be made: the newest first, each once, none that nobody waits for any more, none for ever."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

from ..runtime.parallel import become_worker

PATIENCE_S = 2.0
"""Seconds after which a tile that waits goes before newer ones. Among more users than the cores can serve, each would
else push back the others' tiles, some of them for ever."""


class Busy(Exception):
    """More tiles are waiting than the queue holds, and this one was among the oldest."""


@dataclass(eq=False)
class _Job:
    make: Callable[[], bytes]
    done: asyncio.Future[bytes]
    waiting: int = 0
    """Number of requests that want it."""
    asked: float = field(default_factory=time.monotonic)
    """The time at which it was first asked for."""


class TileQueue:
    """Makes tiles on a few threads. Used from one event loop.

    What is asked for last is made first: it is what the user looks at now. But when tiles have lost their patience,
    the one that waits longest is made first. A tile that is asked for twice is made once, and one whose last request is
    cancelled before its turn is not made.
    """

    def __init__(self, workers: int, limit: int = 512, patience_s: float = PATIENCE_S) -> None:
        """Begin with an empty queue. workers: threads that make tiles. limit: tiles that may wait for their turn."""
        self._limit, self._patience_s, self._free = limit, patience_s, workers
        self._jobs: dict[Hashable, _Job] = {}
        """All jobs, the one that was first asked for in front; at most as many as there are workers have begun."""
        self._turns: OrderedDict[Hashable, _Job] = OrderedDict()
        """The jobs that have not begun, the one that is next at the end."""
        self._pool = ThreadPoolExecutor(workers, "histocodec-tile", initializer=become_worker)

    @property
    def waiting(self) -> int:
        """Number of tiles that wait for their turn."""
        return len(self._turns)

    async def get(self, key: Hashable, make: Callable[[], bytes]) -> bytes:
        """Return what `make` returns, called on a thread when its turn comes. Raises what it raises, and Busy.

        key: the same for the same tile. Whoever does not want it any more cancels the call.
        """
        job = self._jobs.get(key)
        if job is None:
            job = self._jobs[key] = self._turns[key] = _Job(make, asyncio.get_running_loop().create_future())
        elif key in self._turns:
            self._turns.move_to_end(key)
        job.waiting += 1
        self._begin()
        try:
            return await asyncio.shield(job.done)
        finally:
            job.waiting -= 1
            if not job.waiting and self._turns.get(key) is job:
                del self._turns[key], self._jobs[key]

    def close(self) -> None:
        """Begin nothing more; what is being made is waited for."""
        self._turns.clear()
        self._pool.shutdown(cancel_futures=True)

    def _next(self) -> Hashable:
        """Return the tile whose turn it is."""
        longest = next(key for key in self._jobs if key in self._turns)
        has_patience = time.monotonic() - self._jobs[longest].asked <= self._patience_s
        return next(reversed(self._turns)) if has_patience else longest

    def _begin(self) -> None:
        """Put the newest jobs on threads that are free; refuse the oldest of too many."""
        while self._turns and self._free:
            key = self._next()
            job = self._turns.pop(key)
            self._free -= 1
            work = asyncio.get_running_loop().run_in_executor(self._pool, job.make)
            work.add_done_callback(partial(self._end, key, job))
        while len(self._turns) > self._limit:
            key, job = self._turns.popitem(last=False)
            del self._jobs[key]
            job.done.set_exception(Busy(f"more than {self._limit} tiles are waiting"))

    def _end(self, key: Hashable, job: _Job, work: asyncio.Future[bytes]) -> None:
        self._free += 1
        del self._jobs[key]
        if work.cancelled():
            job.done.cancel()
        elif error := work.exception():
            job.done.set_exception(error)
            job.done.exception()  # nobody may be there to hear it
        else:
            job.done.set_result(work.result())
        self._begin()
