"""Many users of one viewer at once: whether all are served alike, and whether it grows.

    python -m benchmarks.viewer_load FILE.hc.tif [--clients 200] [--seconds 600] [--sandbox]
        [--out benchmarks/results/viewer_load.json]

Runs `histocodec view` in a process of its own, and asks it from this one over loopback. A client looks at places of
tissue at random: for each it asks for the tiles of a view, at most two at a time as all are on the way, from coarse to
fine; then it looks for a while. One view in ten is left before its tiles are there, whose requests are given up. Other
ways of showing the file, and tiles that the client has had before and asks about by their tag, are among them.

An error is any answer but 200 and 304, a connection that fails, and a tile that takes more than a minute. Memory is
that of the server and its sandboxes, as the system counts it (Linux: proportional set size, so that shared pages count
once).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import psutil

from histocodec.geometry import Size
from histocodec.runtime.parallel import core_count
from histocodec.viewer.deepzoom import TILE, DeepZoom

VIEW = (4, 3)
"""Columns and rows of tiles on a screen."""
AT_ONCE = 2
"""Requests of one client that are on their way."""
LOOK_S = (0.5, 1.5)
"""Seconds for which a client looks at a view."""
LEFT = 0.1
"""Share of views that are left before their tiles are there."""
AGAIN = 0.1
"""Share of tiles that a client has and only asks about."""
TIMEOUT_S = 60.0
SAMPLES = 60
"""Measurements of the memory in a run."""


@dataclass
class Client:
    """What one client was given."""

    number: int
    answers: Counter[str] = field(default_factory=Counter)
    """Answers by status, and failures by their kind."""
    waits: list[float] = field(default_factory=list)
    """Seconds that each tile took."""
    given_up: int = 0
    views: int = 0

    @property
    def errors(self) -> int:
        return sum(count for said, count in self.answers.items() if said not in ("200", "304"))

    async def use(self, url: str, until: float) -> None:
        """Look at one place after the other until the time is over."""
        rng = random.Random(self.number)
        connector = aiohttp.TCPConnector(limit=AT_ONCE)
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        async with aiohttp.ClientSession(url, connector=connector, timeout=timeout) as session:
            await asyncio.sleep(rng.random() * LOOK_S[1])
            await self._get(session, "/")
            slide = json.loads(await self._get(session, "/slides.json"))["slides"][0]
            zoom, known = DeepZoom(Size(*slide["size"])), dict[str, str]()
            ways = ["", "", "", *(f"/{way['key']}" for way in slide["ways"] if "missing" not in way)]
            while time.monotonic() < until:
                for address in self._places(rng, zoom):
                    way = rng.choice(ways)
                    tiles = [f"/slide/{slide['name']}{way}_files/{tile}.jpeg" for tile in address]
                    await self._look(session, tiles, known, rng)
                    await asyncio.sleep(min(rng.uniform(*LOOK_S), max(0.0, until - time.monotonic())))
                    if time.monotonic() >= until:
                        break

    def _places(self, rng: random.Random, zoom: DeepZoom) -> Iterator[list[str]]:
        """Yield the tiles of views at one place, from the whole slide to its full resolution, and then beside it."""
        x, y = rng.random(), rng.random()
        levels = range(max(zoom.finest - 6, 0), zoom.finest + 1, 2)
        for level in [*levels, zoom.finest, zoom.finest]:
            width, height = zoom.size_of(level)
            columns, rows = -(-width // TILE), -(-height // TILE)
            left = min(int(x * columns), max(columns - VIEW[0], 0))
            top = min(int(y * rows), max(rows - VIEW[1], 0))
            yield [
                f"{level}/{column}_{row}"
                for row in range(top, min(top + VIEW[1], rows))
                for column in range(left, min(left + VIEW[0], columns))
            ]
            x = min(x + 0.02, 0.999) if level == zoom.finest else x

    async def _look(
        self, session: aiohttp.ClientSession, tiles: list[str], known: dict[str, str], rng: random.Random
    ) -> None:
        self.views += 1
        at_once, left = asyncio.Semaphore(AT_ONCE), rng.random() < LEFT

        async def ask(tile: str, tag: str | None) -> None:
            async with at_once:
                began = time.monotonic()
                await self._get(session, tile, tag, known)
                self.waits.append(time.monotonic() - began)

        asked = [asyncio.create_task(ask(tile, known.get(tile) if rng.random() < AGAIN else None)) for tile in tiles]
        if left:
            await asyncio.sleep(rng.random() * 0.2)
            self.given_up += sum(task.cancel() for task in asked)
        await asyncio.gather(*asked, return_exceptions=True)

    async def _get(
        self, session: aiohttp.ClientSession, path: str, tag: str | None = None, known: dict[str, str] | None = None
    ) -> bytes:
        """Ask for something; note what became of it."""
        try:
            async with session.get(path, headers={} if tag is None else {"If-None-Match": tag}) as answer:
                body = await answer.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            self.answers[type(error).__name__] += 1
            return b""
        self.answers[str(answer.status)] += 1
        if known is not None and "ETag" in answer.headers:
            known[path] = answer.headers["ETag"]
        return body


@contextmanager
def viewer(file: Path, *options: str) -> Iterator[tuple[str, psutil.Process]]:
    """Run a viewer; yield its address and its process."""
    command = [sys.executable, "-m", "histocodec", "view", str(file), "--port", "0", "--no-browser", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = next((line.strip() for line in process.stdout if line.strip().endswith("/")), None)
            if url is None:
                raise SystemExit(f"no viewer of {file}")
            yield url, psutil.Process(process.pid)
        finally:
            process.terminate()


def memory_mb(server: psutil.Process) -> float:
    """Return the memory of the server and its sandboxes."""
    taken = 0
    for process in (server, *server.children(recursive=True)):
        try:
            full = process.memory_full_info()
        except psutil.NoSuchProcess:
            continue
        taken += getattr(full, "pss", full.rss)
    return round(taken / 1e6, 1)


def held(server: psutil.Process) -> dict[str, float]:
    """Return what the server holds now."""
    return {"memory_mb": memory_mb(server), "descriptors": server.num_fds(), "threads": server.num_threads()}


async def loaded(url: str, server: psutil.Process, clients: int, seconds: float) -> dict[str, Any]:
    """Have clients use a viewer for a time; return what they were given, and what it took of the server."""
    began, cpu = time.monotonic(), _cpu_s(server)
    users = [Client(number) for number in range(clients)]
    using = [asyncio.create_task(user.use(url, began + seconds)) for user in users]
    course = []
    while not all(task.done() for task in using):
        course.append({"seconds": round(time.monotonic() - began, 1), **held(server)})
        await asyncio.wait(using, timeout=seconds / SAMPLES)
    await asyncio.gather(*using)
    took = time.monotonic() - began
    return {**summary(users, took), "cpu_s": round(_cpu_s(server) - cpu, 1), **_memory(course), "course": course}


def summary(users: list[Client], seconds: float) -> dict[str, Any]:
    """Return what the clients were given, and how far apart they are."""
    answers = sum((user.answers for user in users), Counter[str]())
    requests, errors = answers.total(), sum(user.errors for user in users)
    served = sorted(len(user.waits) for user in users)
    slow = sorted(statistics.quantiles(user.waits, n=20)[-1] if len(user.waits) > 1 else TIMEOUT_S for user in users)
    waits = sorted(wait for user in users for wait in user.waits)
    return {
        "clients": len(users),
        "seconds": round(seconds, 1),
        "requests": requests,
        "requests_a_second": round(requests / seconds, 1),
        "answers": dict(sorted(answers.items())),
        "given_up": sum(user.given_up for user in users),
        "errors": errors,
        "errors_percent": round(100 * errors / max(requests, 1), 4),
        "tiles_of_a_client": {"fewest": served[0], "median": statistics.median(served), "most": served[-1]},
        "fewest_to_median": round(served[0] / max(statistics.median(served), 1), 3),
        "wait_s": {"median": _at(waits, 0.5), "percentile_95": _at(waits, 0.95), "longest": _at(waits, 1)},
        "slowest_client_to_median": round(slow[-1] / statistics.median(slow), 3),
    }


def _memory(course: list[dict[str, float]]) -> dict[str, Any]:
    """Return the memory before, at the start (after a fifth), in the middle and at the end, medians of a tenth each.

    Caches fill for as long as clients find tiles that nobody had; so growth is what the second half tells, by a line
    through its samples.
    """
    tenth, count = max(len(course) // 10, 1), len(course)

    def around(share: float) -> float:
        at = min(max(round(share * count) - tenth // 2, 0), count - tenth)
        return statistics.median(sample["memory_mb"] for sample in course[at : at + tenth])

    second = course[count // 2 :]
    minutes, taken = [sample["seconds"] / 60 for sample in second], [sample["memory_mb"] for sample in second]
    slope = statistics.linear_regression(minutes, taken).slope if len(second) > 1 else 0.0
    return {
        "memory_mb": {
            "before": course[0]["memory_mb"],
            **{name: around(share) for name, share in (("start", 0.2), ("middle", 0.5), ("end", 1.0))},
            "growth_a_minute_in_second_half": round(slope, 2),
        }
    }


def _at(values: list[float], share: float) -> float:
    return round(values[min(int(share * len(values)), len(values) - 1)], 3) if values else 0.0


def _cpu_s(server: psutil.Process) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in (server, *server.children(recursive=True)))


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--sandbox", action="store_true")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    with viewer(asked.file, "--sandbox" if asked.sandbox else "--no-sandbox") as (url, server):
        found = asyncio.run(loaded(url, server, asked.clients, asked.seconds))
    about = {
        "file_bytes": asked.file.stat().st_size,
        "sandbox": asked.sandbox,
        "cores": core_count(),
        "load": round(os.getloadavg()[0], 1),
        "processor": platform.processor() or platform.machine(),
    }
    text = json.dumps({**about, **found}, indent=1) + "\n"
    if asked.out is not None:
        asked.out.write_text(text)
    print(text, end="")


if __name__ == "__main__":
    main()
