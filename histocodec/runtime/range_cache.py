"""A file that is far away, kept in memory by blocks: few requests, and none twice while its bytes are there."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from concurrent.futures import CancelledError, Future

from .parallel import ordered_map

BLOCK_BYTES = 16 << 10
"""Unit in which bytes are kept and asked for."""
GAP_BLOCKS = 4
"""Blocks that nobody asked for are fetched as well if they are so few between two that somebody did."""
MOST_AHEAD_BLOCKS = 256
"""Longest read-ahead, 4 MiB: what a request costs is then little beside what it brings."""
LONGEST_BLOCKS = 512
"""Longest request, 8 MiB, so that one that is cut loses little."""
CAPACITY_BYTES = 64 << 20
"""Bytes that are kept."""
_STREAMS = 16
"""Readers from front to back that are told apart, each at its own place of the file."""
_AT_ONCE = 8
"""Most requests that one call has under way."""

_Run = tuple[int, list["Future[bytes]"]]
"""The first of some blocks in a row, and their bytes to come."""


class RangeCache:
    """The blocks of a file by number, least recently used out first; safe for threads.

    What two threads want at once is asked for once. Whoever reads on behind the end of an earlier request gets
    read-ahead that doubles each time; whoever jumps gets what was asked for.
    """

    def __init__(
        self, fetch: Callable[[int, int], bytes], size_bytes: int, capacity_bytes: int = CAPACITY_BYTES
    ) -> None:
        """Take the file's size and what fetches bytes of it: (offset, length) -> all of them, or an exception."""
        self._fetch = fetch
        self._size = size_bytes
        self._count = -(-size_bytes // BLOCK_BYTES)
        self._capacity = max(2, capacity_bytes // BLOCK_BYTES)
        self._lock = threading.Lock()
        self._blocks: OrderedDict[int, Future[bytes]] = OrderedDict()
        self._streams: OrderedDict[int, int] = OrderedDict()
        """Blocks to read ahead next time, by the block at which a request ended."""

    def put(self, data: bytes) -> None:
        """Keep bytes of the file's beginning that came by another way."""
        for number in range(len(data) // BLOCK_BYTES + (len(data) == self._size)):
            future: Future[bytes] = Future()
            future.set_result(data[number * BLOCK_BYTES : (number + 1) * BLOCK_BYTES])
            self._blocks[number] = future

    def read_at(self, offset: int, length: int) -> bytes:
        """Return `length` bytes from `offset`, which are fetched if they are not there."""
        if length <= 0:
            return b""
        first, stop = offset // BLOCK_BYTES, -(-(offset + length) // BLOCK_BYTES)
        with self._lock:
            wanted = [self._blocks.get(number) for number in range(first, stop)]
            runs = self._claimed([number for number, block in enumerate(wanted, first) if block is None])
            claimed = {number: block for start, run in runs for number, block in enumerate(run, start)}
            for number in range(first, stop):
                if number in self._blocks:
                    self._blocks.move_to_end(number)
        self._get(runs)
        blocks = [block or claimed[number] for number, block in enumerate(wanted, first)]
        begin = offset - first * BLOCK_BYTES
        return b"".join(block.result() for block in blocks)[begin : begin + length]

    def expect(self, extents: Iterable[tuple[int, int]]) -> None:
        """Fetch what is not there of some runs of bytes: neighbours together, the others at once.

        What would push out more than half of what is kept is left to be read.
        """
        numbers: set[int] = set()
        for offset, length in extents:
            if len(numbers) > self._capacity // 2:
                break
            numbers.update(range(offset // BLOCK_BYTES, min(self._count, -(-(offset + length) // BLOCK_BYTES))))
        with self._lock:
            missing = sorted(number for number in numbers if number not in self._blocks)
            runs = self._claimed(missing[: self._capacity // 2])
        self._get(runs)

    def _claimed(self, missing: list[int]) -> list[_Run]:
        """Put the blocks to come where other threads find them; return them as the runs to be fetched."""
        spans: list[list[int]] = []
        for number in missing:
            last = spans[-1] if spans else None
            if (
                last is not None
                and number - last[1] <= GAP_BLOCKS
                and number - last[0] < LONGEST_BLOCKS
                and not any(between in self._blocks for between in range(last[1], number))
            ):
                last[1] = number + 1
            else:
                spans.append([number, number + 1])
        runs: list[_Run] = []
        for start, stop in spans:
            stop = self._with_read_ahead(start, stop)
            run: list[Future[bytes]] = [Future() for _ in range(start, stop)]
            self._blocks.update(enumerate(run, start))
            runs.append((start, run))
        while len(self._blocks) > self._capacity:
            self._blocks.popitem(last=False)
        return runs

    def _with_read_ahead(self, start: int, stop: int) -> int:
        """Return where a request ends that begins where another one ended, or `stop`."""
        window = self._streams.pop(start, 0)
        end = max(stop, min(stop + min(window, self._capacity // 4), self._count))
        stop = next((number for number in range(stop, end) if number in self._blocks), end)
        self._streams[stop] = min(max(2 * window, GAP_BLOCKS), MOST_AHEAD_BLOCKS)
        if len(self._streams) > _STREAMS:
            self._streams.popitem(last=False)
        return stop

    def _get(self, runs: list[_Run]) -> None:
        """Fetch runs. One that fails is forgotten, and all who wait for it are told; raises the first exception."""

        def get(run: _Run) -> BaseException | None:
            start, futures = run
            offset = start * BLOCK_BYTES
            try:
                data = self._fetch(offset, min(len(futures) * BLOCK_BYTES, self._size - offset))
            except BaseException as error:
                self._forget([run], error)
                return error
            for index, future in enumerate(futures):
                future.set_result(data[index * BLOCK_BYTES : (index + 1) * BLOCK_BYTES])
            return None

        workers = min(len(runs), _AT_ONCE)
        try:
            errors = list(ordered_map(get, runs, workers=workers) if workers > 1 else map(get, runs))
        finally:  # Ctrl-C may have come before some were begun, for which other threads would wait for ever
            self._forget([run for run in runs if not run[1][0].done()], CancelledError())
        for error in errors:
            if error is not None:
                raise error

    def _forget(self, runs: list[_Run], error: BaseException) -> None:
        """Let the next who wants these blocks ask for them anew, and tell those who wait."""
        with self._lock:
            for start, futures in runs:
                for number, future in enumerate(futures, start):
                    if self._blocks.get(number) is future:
                        del self._blocks[number]
        for _, futures in runs:
            for future in futures:
                future.set_exception(error)
