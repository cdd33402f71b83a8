"""Ordered work on threads."""

from __future__ import annotations

import threading
import time

import pytest

from histocodec.runtime.parallel import WAITING_THREADS, core_count, limit_cores, ordered_map, thread_count


def test_ordered_map_keeps_order_and_bounds_what_is_in_flight() -> None:
    begun: list[int] = []

    def work(item: int) -> int:
        time.sleep(0.001 * (item % 3))
        return item * item

    def items() -> list[int]:
        return list(range(40))

    results = []
    for result in ordered_map(work, (begun.append(i) or i for i in items()), workers=3):  # type: ignore[func-returns-value]
        results.append(result)
        assert len(begun) - len(results) <= 2 * 3
    assert results == [i * i for i in items()]


def test_ordered_map_raises_what_the_work_raises() -> None:
    def work(item: int) -> int:
        if item == 5:
            raise RuntimeError("five")
        return item

    with pytest.raises(RuntimeError, match="five"):
        list(ordered_map(work, range(100), workers=2))


def test_work_that_itself_has_work_does_it_on_its_own_thread() -> None:
    def inner(item: int) -> tuple[int, int]:
        return item, threading.get_ident()

    def outer(_: int) -> tuple[int, list[tuple[int, int]]]:
        return threading.get_ident(), list(ordered_map(inner, range(5), workers=4))

    for own, results in ordered_map(outer, range(3), workers=2):
        assert results == [(item, own) for item in range(5)]
    assert threading.get_ident() not in {ident for _, ident in ordered_map(inner, range(3), workers=2)}


def test_a_device_that_waits_for_work_has_more_threads_than_cores() -> None:
    limit_cores(1)
    try:
        assert thread_count("cpu") == core_count() == 1
        assert thread_count("cuda") == WAITING_THREADS
    finally:
        limit_cores(None)
