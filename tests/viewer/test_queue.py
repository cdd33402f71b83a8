"""The newest tile first, each once, and none that nobody waits for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from histocodec.viewer.queue import Busy, TileQueue


class Work:
    """Tiles that take until they are let go, and a note of those that were begun."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.go = threading.Event()

    def of(self, name: str) -> Callable[[], bytes]:
        def make() -> bytes:
            self.begun.append(name)
            assert self.go.wait(20)
            return name.encode()

        return make


async def waiting(queue: TileQueue, work: Work, names: str) -> list[asyncio.Task[bytes]]:
    """Ask for tiles one after the other; each has its place in the queue when the next is asked for."""
    tasks = []
    for name in names:
        tasks.append(asyncio.create_task(queue.get(name, work.of(name))))
        await asyncio.sleep(0)
    return tasks


def test_what_is_asked_for_last_is_made_first() -> None:
    async def main() -> None:
        queue, work = TileQueue(1), Work()
        tasks = await waiting(queue, work, "abcd")
        again = asyncio.create_task(queue.get("b", work.of("b")))  # looked at again: now the newest
        await asyncio.sleep(0)
        work.go.set()
        assert await asyncio.gather(*tasks, again) == [b"a", b"b", b"c", b"d", b"b"]
        assert work.begun == ["a", "b", "d", "c"]
        queue.close()

    asyncio.run(main())


def test_a_tile_that_waited_too_long_goes_before_newer_ones() -> None:
    async def main() -> None:
        queue, work = TileQueue(1, patience_s=0.2), Work()
        tasks = await waiting(queue, work, "abcd")
        await asyncio.sleep(0.3)
        tasks += await waiting(queue, work, "efb")  # the last one was first asked for long ago
        work.go.set()
        await asyncio.gather(*tasks)
        assert work.begun == ["a", "b", "c", "d", "f", "e"]
        queue.close()

    asyncio.run(main())


def test_a_tile_that_nobody_waits_for_is_not_made() -> None:
    async def main() -> None:
        queue, work = TileQueue(1), Work()
        tasks = await waiting(queue, work, "abc")
        other = asyncio.create_task(queue.get("c", work.of("c")))
        await asyncio.sleep(0)
        tasks[1].cancel()
        tasks[2].cancel()  # the other one still wants it
        await asyncio.sleep(0)
        assert queue.waiting == 1
        other.cancel()
        await asyncio.sleep(0)
        assert queue.waiting == 0
        work.go.set()
        assert await tasks[0] == b"a"
        assert work.begun == ["a"]
        assert await queue.get("b", work.of("b")) == b"b"  # one that was cancelled can be asked for again
        queue.close()

    asyncio.run(main())


def test_one_that_is_being_made_ends_though_its_request_was_cancelled() -> None:
    async def main() -> None:
        queue, work = TileQueue(1), Work()
        (task,) = await waiting(queue, work, "a")
        task.cancel()
        await asyncio.sleep(0)
        work.go.set()
        assert await queue.get("b", work.of("b")) == b"b"
        queue.close()

    asyncio.run(main())


def test_the_oldest_of_too_many_are_refused() -> None:
    async def main() -> None:
        queue, work = TileQueue(1, limit=2), Work()
        tasks = await waiting(queue, work, "abcd")
        with pytest.raises(Busy, match="more than 2"):
            await tasks[1]
        work.go.set()
        assert await asyncio.gather(tasks[0], *tasks[2:]) == [b"a", b"c", b"d"]
        queue.close()

    asyncio.run(main())


def test_an_error_reaches_everyone_who_waits_and_the_next_is_made() -> None:
    async def main() -> None:
        queue = TileQueue(1)

        def fail() -> bytes:
            raise ValueError("no")

        found = await asyncio.gather(*(queue.get("x", fail) for _ in range(3)), return_exceptions=True)
        assert [str(error) for error in found] == ["no"] * 3
        assert await queue.get("y", lambda: b"y") == b"y"
        queue.close()

    asyncio.run(main())
