"""Tasks done by a cluster of dask.distributed: a task a slide, its outcome back to the one client.

Workers need histocodec, and the sources and the archive under the same paths, or URLs; no worker sees the catalogue.
"""

from __future__ import annotations

import queue
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import msgspec

from ..errors import ClusterError
from ..runtime.closing import Closing
from .executor import Lost
from .records import Outcome, Stage, Task

LOCAL = "local"
"""The scheduler's address that asks for a cluster of this machine's own processes."""

CLUSTER_EXTRA = "pip install 'histocodec[cluster]'"
"""What brings dask.distributed."""

_REACHED_S = 20
"""Seconds within which a scheduler must answer."""
_BUSY_AGAIN_S = 5.0
"""Seconds after which a slide is tried again that a process of a client that is gone still writes."""
_AHEAD = 2
"""Tasks that are given for each thread of the workers, so that none waits for the client."""

_COUNT_EVERY_S = 5.0
"""Seconds between two looks at how many workers there are: each asks the scheduler."""

T = TypeVar("T")
R = TypeVar("R")


class Cluster(Closing):
    """A connection to a scheduler, and the tasks that were given to it. Closing it gives them up."""

    def __init__(
        self,
        address: str,
        *,
        processes: int = 1,
        resources: dict[str, float] | None = None,
        do: Callable[[bytes], bytes] | None = None,
    ) -> None:
        """Connect. address: `tcp://host:port`, or LOCAL, which starts a scheduler and `processes` workers here.

        resources: what a worker must have for a task, as `{"GPU": 1}`. do: what a worker does; None: `do_far`. Raises
        ClusterError.
        """
        self._do = do or do_far
        self._local: Any = None
        self._resources = resources or None
        self._name = uuid.uuid4().hex[:12]
        self._heard: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._flying: dict[str, tuple[Any, Task]] = {}
        self._again: list[tuple[float, Task]] = []
        self._given = 0
        self._slots, self._counted = 1, -_COUNT_EVERY_S
        try:
            import distributed
        except ImportError as error:
            raise ClusterError(f"a cluster takes the package {error.name}: {CLUSTER_EXTRA}") from None
        try:
            if address == LOCAL:
                self._local = distributed.LocalCluster(
                    n_workers=processes,
                    threads_per_worker=1,
                    processes=True,
                    dashboard_address="127.0.0.1:0",
                    memory_limit=None,
                    resources=resources,
                )
            self._client = distributed.Client(self._local or address, timeout=_REACHED_S, set_as_default=False)
        except (OSError, ValueError) as error:
            raise ClusterError(f"no scheduler of a cluster at {address}: {error}") from error

    @property
    def slots(self) -> int:
        """The tasks to give at a time, by the workers that there were lately."""
        if time.monotonic() - self._counted > _COUNT_EVERY_S:
            self._counted = time.monotonic()
            self._check()
            threads: dict[str, int] = self._client.nthreads()
            self._slots = max(1, _AHEAD * sum(threads.values()))
        return self._slots

    @property
    def busy(self) -> list[Task]:
        """The tasks of which no end was told."""
        return [*(task for _, task in self._flying.values()), *(task for _, task in self._again)]

    def submit(self, task: Task) -> None:
        """Give a task to the scheduler. Raises ClusterError."""
        self._check()
        self._given += 1
        key = f"histocodec-{self._name}-{task.number}-{self._given}"
        data = msgspec.json.encode(task)
        future = self._client.submit(self._do, data, key=key, pure=False, resources=self._resources)
        self._flying[key] = future, task
        future.add_done_callback(lambda done: self._heard.put(done.key))

    def next(self, timeout_s: float) -> Outcome | Stage | Lost | None:
        """Wait for the next task to end. Raises ClusterError if the scheduler is gone."""
        until = time.monotonic() + timeout_s
        while True:
            self._check()
            now = time.monotonic()
            due = [task for at, task in self._again if at <= now]
            self._again = [(at, task) for at, task in self._again if at > now]
            for task in due:
                self.submit(task)
            try:
                key = self._heard.get(timeout=max(0.0, min(0.5, until - now)))
            except queue.Empty:
                if time.monotonic() >= until:
                    return None
                continue
            self._check()
            told = self._told(*self._flying.pop(key))
            if told is not None:
                return told

    def each(self, work: Callable[[T], R], items: Iterable[T]) -> Iterator[tuple[T, R | BaseException]]:
        """Yield items with what `work` gave for them on the workers, or raised, as they end. Raises ClusterError."""
        from distributed import as_completed

        waiting = iter(items)
        flying: dict[Any, T] = {}
        done = as_completed(loop=self._client.loop)

        def give() -> None:
            for item in waiting:
                self._given += 1
                future = self._client.submit(
                    work,
                    item,
                    key=f"histocodec-{self._name}-{self._given}",
                    pure=False,
                    resources=self._resources,
                )
                flying[future] = item
                done.add(future)
                return

        for _ in range(self.slots):
            give()
        while flying:
            future = next(done)
            self._check()
            item = flying.pop(future)
            error = future.exception()
            yield item, future.result() if error is None else error
            give()

    def close(self) -> None:
        """Give up what was not done, and leave the scheduler."""
        for future, _ in self._flying.values():
            future.release()
        self._flying.clear()
        self._again.clear()
        self._client.close(timeout=2)
        if self._local is not None:
            self._local.close(timeout=10)

    def _told(self, future: Any, task: Task) -> Outcome | Lost | None:
        """Return what came of a task; None if it has to be done once more."""
        error = future.exception() if future.status in ("error", "finished") else None
        if future.status != "finished":
            reason = f"no worker brought it to an end: {type(error).__name__ if error else future.status}"
            return Lost(task, reason, over_memory=False)
        outcome = msgspec.json.decode(future.result(), type=Outcome)
        if outcome.error_class == "OutputBusy":
            self._again.append((time.monotonic() + _BUSY_AGAIN_S, task))
            return None
        return outcome

    def _check(self) -> None:
        """Raise ClusterError if the scheduler is gone."""
        if self._client.status != "running":
            raise ClusterError("the scheduler of the cluster is gone; what is done stays, and the same command goes on")


_one_at_a_time = threading.Lock()


def do_far(task: bytes) -> bytes:
    """Do a task on a worker, one at a time in each process; task and outcome as JSON."""
    from .work import do_task

    with _one_at_a_time:
        return msgspec.json.encode(do_task(msgspec.json.decode(task, type=Task)))
