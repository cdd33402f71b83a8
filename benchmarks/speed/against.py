"""A commit beside an earlier one, in turns, so that a machine's mood falls on both.

Each does the same with a file that it made itself. A ratio is the earlier commit's time over the later one's.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .usage import Usage, measured

AVX2 = {"ONEDNN_MAX_CPU_ISA": "AVX2", "DNNL_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}
"""What limits oneDNN, OpenVINO's copy of it and torch to the instructions of a CPU of 2013."""

VNNI = {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_VNNI", "DNNL_MAX_CPU_ISA": "AVX512_CORE_VNNI"}
"""What keeps them from the matrix units (AMX) of the newest CPUs."""

# The children below run on either commit, so they use what both have.

_NETWORK = """
import sys, time
from concurrent.futures import ThreadPoolExecutor
import numpy as np
from histocodec.generators.catalogue import load_generator
generator, workers, blocks = load_generator(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
side = 128 + 2 * generator.halo
base = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
with ThreadPoolExecutor(workers) as pool:
    list(pool.map(generator, [base] * 4 * workers))
    start = time.perf_counter()
    list(pool.map(generator, [base] * blocks))
    print((time.perf_counter() - start) / blocks)
"""
"""Seconds a canonical block: NAME THREADS BLOCKS."""

_COLD = """
import sys, time
from histocodec import Decoder, Region
times = []
with Decoder(sys.argv[1]) as decoder:
    corners = [(int(x), int(y)) for x, y in (pair.split(",") for pair in sys.argv[2:])]
    for x, y in (corners[0], *corners):
        decoder.clear_cache()
        start = time.perf_counter()
        decoder.read(Region(x, y, 256, 256))
        times.append(time.perf_counter() - start)
print(sorted(times[1:])[len(times[1:]) // 2])
"""
"""Median seconds of a tile that nothing is cached of, in a warm process: FILE X,Y..."""

_FIRST = """
import sys
from histocodec import Decoder, Region
x, y = map(int, sys.argv[2].split(","))
with Decoder(sys.argv[1]) as decoder:
    decoder.read(Region(x, y, 256, 256))
    print("read", flush=True)
"""
"""The first tile of a process: FILE X,Y."""


@dataclass(frozen=True, slots=True)
class Commit:
    """A checkout, and what it made of the mosaic."""

    checkout: Path
    container: Path

    def cli(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "histocodec", *arguments]

    def environment(self, **variables: str) -> dict[str, str]:
        """Return the environment of a process of this checkout; it must be started in the checkout's folder, too."""
        return {**os.environ, "PYTHONPATH": str(self.checkout), **variables}

    def decode(self, output: Path, *, cores: int = 0, **variables: str) -> Usage:
        command = self.cli("decode", str(self.container), str(output), "--overwrite")
        usage = measured(command, environment=self.environment(**variables), folder=self.checkout, cores=cores)
        output.unlink()
        return usage

    def seconds(self, child: str, *arguments: str, **variables: str) -> float:
        """Run a child that prints seconds."""
        done = subprocess.run(
            [sys.executable, "-c", child, *arguments],
            env=self.environment(**variables),
            cwd=self.checkout,
            capture_output=True,
            text=True,
            check=True,
        )
        return float(done.stdout.split()[-1])

    def seconds_to_line(self, child: str, *arguments: str) -> float:
        """Run a child, and return the seconds from its start to the first line that it prints."""
        start = time.perf_counter()
        with subprocess.Popen(
            [sys.executable, "-c", child, *arguments],
            env=self.environment(),
            cwd=self.checkout,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            return time.perf_counter() - start


def compare(
    before: Commit,
    now: Commit,
    *,
    generators: tuple[str, str],
    workers: int,
    corners: Sequence[tuple[int, int]],
    rounds: int,
) -> list[dict[str, Any]]:
    """Return a row for each thing compared: medians of both in seconds, and the median of the rounds' ratios.

    generators: that of each. corners: top left corners of tiles of 256 px that lie within one block of tissue each.
    """
    named = dict(zip((before, now), generators, strict=True))
    places = [f"{x},{y}" for x, y in corners]
    scratch = now.container.with_suffix(".decoded.tif")
    rows = []

    def row(what: str, time_of: Callable[[Commit], float]) -> None:
        pairs = [(time_of(before), time_of(now)) for _ in range(rounds)]
        rows.append(
            {
                "what": what,
                "before_s": round(statistics.median(a for a, _ in pairs), 4),
                "now_s": round(statistics.median(b for _, b in pairs), 4),
                "ratio": round(statistics.median(a / b for a, b in pairs), 3),
            }
        )

    for isa, variables in (("", {}), (", at most VNNI", VNNI), (", at most AVX2", AVX2)):
        row(
            f"network, a block{isa}",
            lambda commit, v=variables: commit.seconds(_NETWORK, named[commit], str(workers), "48", **v),  # type: ignore[misc]
        )
        row(f"decode{isa}", lambda commit, v=variables: commit.decode(scratch, **v).wall_s)  # type: ignore[misc]
    row("cold tile of 256 px", lambda commit: commit.seconds(_COLD, str(commit.container), *places))
    row("process start to first tile", lambda commit: commit.seconds_to_line(_FIRST, str(commit.container), places[0]))
    return rows


def second_core(now: Commit, *, rounds: int) -> float:
    """Return the time of a decode on one core over that on two, median of the rounds."""
    scratch = now.container.with_suffix(".decoded.tif")
    return statistics.median(
        now.decode(scratch, cores=1).wall_s / now.decode(scratch, cores=2).wall_s for _ in range(rounds)
    )
