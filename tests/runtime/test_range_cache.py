"""Blocks of a file that is far away: what is asked for, how often, and how many at once."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from histocodec.runtime.range_cache import BLOCK_BYTES, GAP_BLOCKS, LONGEST_BLOCKS, MOST_AHEAD_BLOCKS, RangeCache

DATA = random.Random(0).randbytes(40 * BLOCK_BYTES + 100)


class Far:
    """A file, and what was asked of it."""

    def __init__(self, data: bytes = DATA) -> None:
        self.data = data
        self.asked: list[tuple[int, int]] = []

    def __call__(self, offset: int, length: int) -> bytes:
        self.asked.append((offset, length))
        return self.data[offset : offset + length]

    @property
    def blocks(self) -> list[tuple[int, int]]:
        """First block and number of blocks of each request."""
        return [(offset // BLOCK_BYTES, -(-length // BLOCK_BYTES)) for offset, length in self.asked]


def test_any_bytes_are_those_of_the_file() -> None:
    far, chance = Far(), random.Random(1)
    cache = RangeCache(far, len(DATA), capacity_bytes=9 * BLOCK_BYTES)
    for _ in range(300):
        offset = chance.randrange(len(DATA))
        length = chance.randrange(min(5 * BLOCK_BYTES, len(DATA) - offset) + 1)
        assert cache.read_at(offset, length) == DATA[offset : offset + length]
    assert cache.read_at(100, 0) == cache.read_at(100, -1) == b""


def test_nothing_is_asked_for_twice_while_it_is_there() -> None:
    far = Far()
    cache = RangeCache(far, len(DATA))
    cache.read_at(5 * BLOCK_BYTES + 7, 10)
    cache.read_at(5 * BLOCK_BYTES, BLOCK_BYTES)
    assert far.blocks == [(5, 1)]


def test_neighbours_come_together_and_the_others_apart() -> None:
    far = Far()
    cache = RangeCache(far, len(DATA))
    cache.expect(
        [(3 * BLOCK_BYTES, 10), (3 * BLOCK_BYTES + 10, BLOCK_BYTES), (20 * BLOCK_BYTES, 5), (4 * BLOCK_BYTES, 1)]
    )
    assert sorted(far.blocks) == [(3, 2), (20, 1)]
    cache.expect([(30 * BLOCK_BYTES, 1), ((31 + GAP_BLOCKS) * BLOCK_BYTES, 1)])
    assert far.blocks[2:] == [(30, GAP_BLOCKS + 2)]  # less than a request's worth between them
    for offset in (3, 4, 20, 30, 31 + GAP_BLOCKS):
        cache.read_at(offset * BLOCK_BYTES, 5)
    assert len(far.asked) == 3


def test_who_reads_on_gets_read_ahead_and_who_jumps_does_not() -> None:
    far = Far(bytes(1500 * BLOCK_BYTES))
    cache = RangeCache(far, len(far.data))
    for number in range(1200):
        cache.read_at(number * BLOCK_BYTES, BLOCK_BYTES)
    counts = [count for _, count in far.blocks]
    assert counts[:4] == [1, 1 + GAP_BLOCKS, 1 + 2 * GAP_BLOCKS, 1 + 4 * GAP_BLOCKS]
    assert max(counts) == 1 + MOST_AHEAD_BLOCKS
    assert len(counts) < 16
    cache.read_at(1490 * BLOCK_BYTES, 1)
    assert far.blocks[-1] == (1490, 1)


def test_a_long_request_is_several() -> None:
    far = Far(bytes((2 * LONGEST_BLOCKS + 5) * BLOCK_BYTES))
    cache = RangeCache(far, len(far.data))
    assert cache.read_at(0, len(far.data)) == far.data
    assert len(far.blocks) == 3
    assert max(count for _, count in far.blocks) <= LONGEST_BLOCKS + MOST_AHEAD_BLOCKS


def test_memory_is_bounded_and_the_longest_unused_goes_first() -> None:
    far = Far()
    cache = RangeCache(far, len(DATA), capacity_bytes=8 * BLOCK_BYTES)
    for number in (0, 2, 4, 6, 8, 10, 12, 14):
        cache.read_at(number * BLOCK_BYTES, 1)
    cache.read_at(0, 1)
    cache.read_at(16 * BLOCK_BYTES, 1)
    assert len(cache._blocks) == 8
    cache.read_at(0, 1)
    assert len(far.asked) == 9
    cache.read_at(2 * BLOCK_BYTES, 1)
    assert len(far.asked) == 10
    cache.expect([(0, len(DATA))])
    assert len(cache._blocks) <= 8


def test_two_threads_share_one_request() -> None:
    far, began, may_end = Far(), threading.Event(), threading.Event()

    def slow(offset: int, length: int) -> bytes:
        began.set()
        assert may_end.wait(30)
        return far(offset, length)

    cache = RangeCache(slow, len(DATA))
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(cache.read_at, 0, 10)
        assert began.wait(30)
        second = pool.submit(cache.read_at, 5, 10)
        may_end.set()
        assert first.result() + second.result() == DATA[:10] + DATA[5:15]
    assert len(far.asked) == 1


def test_what_failed_is_asked_for_anew() -> None:
    far = Far()

    def fetch(offset: int, length: int) -> bytes:
        data = far(offset, length)
        if len(far.asked) == 1:
            raise OSError("cut")
        return data

    cache = RangeCache(fetch, len(DATA))
    with pytest.raises(OSError, match="cut"):
        cache.read_at(0, 10)
    assert cache.read_at(0, 10) == DATA[:10]


def test_what_came_by_another_way_is_kept() -> None:
    far = Far()
    cache = RangeCache(far, len(DATA))
    cache.put(DATA[: BLOCK_BYTES + 5])  # half a block is no block
    assert cache.read_at(10, 100) == DATA[10:110]
    assert far.asked == []
    short = RangeCache(far, 20)
    short.put(DATA[:20])
    assert short.read_at(0, 20) == DATA[:20]
    assert far.asked == []
