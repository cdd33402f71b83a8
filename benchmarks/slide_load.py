"""One file opened again and again, and read by many threads and forked processes: whether anything is left behind.

    python -m benchmarks.slide_load FILE.hc.tif [--opens 10000] [--threads 32] [--forks 8] [--sandbox]
        [--out benchmarks/results/slide_load.json]

Opening: `open_slide`, a region of a stored level and one of level 0, the associated images, `close`; memory,
descriptors, threads and child processes are looked at after the first tenth, and from there on to the end.

Reading: threads read regions of one slide in an order of their own, while the process forks: each fork reads the same
regions by the slide that it inherited. All pixels are compared with those that one thread read before. A process that
does not end is a failure, too.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import multiprocessing
import platform
import random
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import openslide
import psutil

from histocodec.runtime.parallel import core_count
from histocodec.views.slide import open_slide

SIDE = 300
"""Pixels a side of a region: of no tile's size, so that tiles are cut."""
PATIENCE_S = 600.0
"""Seconds that a fork may take."""

_OTHER_PIXELS = 3
"""Exit code of a fork."""

Place = tuple[tuple[int, int], int]
"""A corner in level 0, and a level."""


def held() -> dict[str, Any]:
    """Return what this process holds now."""
    gc.collect()
    own = psutil.Process()
    return {
        "memory_mb": round(own.memory_info().rss / 1e6, 1),
        "descriptors": own.num_fds(),
        "threads": own.num_threads(),
        "children": len(own.children()),
    }


def opened(file: Path, count: int, *, sandbox: bool, level_0_every: int = 50) -> list[dict[str, Any]]:
    """Open, read and close a slide so many times; return what the process held after each tenth."""
    course, began = [], time.process_time()
    for number in range(1, count + 1):
        with open_slide(file, sandbox=sandbox) as slide:
            slide.read_region((0, 0), slide.level_count - 1, (64, 64))
            if number % level_0_every == 1:
                slide.read_region((0, 0), 0, (64, 64))
                for name in slide.associated_images:
                    slide.associated_images[name].load()
        if number % (count // 10) == 0:
            course.append({"opens": number, **held(), "cpu_s": round(time.process_time() - began, 1)})
            print(course[-1], file=sys.stderr)
    return course


def places(slide: openslide.AbstractSlide, count: int, seed: int = 0) -> list[Place]:
    """Return places all over a slide, most of them of level 0."""
    rng = random.Random(seed)
    width, height = slide.dimensions
    return [
        ((rng.randrange(max(width - SIDE, 1)), rng.randrange(max(height - SIDE, 1))), rng.choice((0, 0, 0, 1)))
        for _ in range(count)
    ]


def digests(slide: openslide.AbstractSlide, where: list[Place], order: int) -> dict[Place, str]:
    """Read all places in an order of one's own; return the digest of each."""
    mixed = random.Random(order).sample(where, len(where))
    return {place: hashlib.sha256(slide.read_region(*place, (SIDE, SIDE)).tobytes()).hexdigest() for place in mixed}


def _in_a_fork(slide: openslide.AbstractSlide, where: list[Place], order: int, right: dict[Place, str]) -> None:
    """Read all places; end with 0 if they have the right pixels, with another code if not, with 1 after an error."""
    same = digests(slide, where, order) == right
    slide.close()
    raise SystemExit(0 if same else _OTHER_PIXELS)


def shared(file: Path, threads: int, forks: int, count: int, *, sandbox: bool, cache_bytes: int) -> dict[str, Any]:
    """Read a slide by threads and forks at once; return how many of each got other pixels, or came to no end.

    cache_bytes: so few that tiles are made again and again.
    """
    with open_slide(file) as alone:
        where = places(alone, count)
        right = digests(alone, where, 0)
    context = multiprocessing.get_context("fork")
    before = held()
    with open_slide(file, sandbox=sandbox) as slide, ThreadPoolExecutor(threads) as pool:
        slide.decoder.cache_bytes = cache_bytes  # type: ignore[attr-defined]
        read = [pool.submit(digests, slide, where, order) for order in range(threads)]
        working = []
        for order in range(threads, threads + forks):
            working.append(context.Process(target=_in_a_fork, args=(slide, where, order, right)))
            working[-1].start()
            time.sleep(0.05)  # so that each finds the threads at something else
        late = time.monotonic() + PATIENCE_S
        for process in working:
            process.join(max(late - time.monotonic(), 0))
        ends = Counter(process.exitcode for process in working)
        for process in working:
            process.kill()
            process.join()
            process.close()
        by_threads = [future.result() for future in read]
    return {
        "threads": threads,
        "forks": forks,
        "regions": count,
        "threads_with_other_pixels": sum(found != right for found in by_threads),
        "forks_with_other_pixels": ends[_OTHER_PIXELS],
        "forks_that_failed": forks - ends[0] - ends[_OTHER_PIXELS] - ends[None],
        "forks_without_an_end": ends[None],
        "before": before,
        "after": held(),
    }


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--opens", type=int, default=10_000, help="0: only read")
    parser.add_argument("--threads", type=int, default=32)
    parser.add_argument("--forks", type=int, default=8)
    parser.add_argument("--regions", type=int, default=60, help="that each reads; 0: only open")
    parser.add_argument("--sandbox", action="store_true")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    found: dict[str, Any] = {
        "file_bytes": asked.file.stat().st_size,
        "sandbox": asked.sandbox,
        "cores": core_count(),
        "processor": platform.processor() or platform.machine(),
    }
    if asked.regions:
        found["reading"] = shared(
            asked.file, asked.threads, asked.forks, asked.regions, sandbox=asked.sandbox, cache_bytes=32 << 20
        )
        print(found["reading"], file=sys.stderr)
    if asked.opens:
        found["opening"] = opened(asked.file, asked.opens, sandbox=asked.sandbox)
    text = json.dumps(found, indent=1) + "\n"
    if asked.out is not None:
        asked.out.write_text(text)
    print(text, end="")


if __name__ == "__main__":
    main()
