"""Slides an hour of `archive` with one, two or more jobs, on synthetic slides of one size.

python -m benchmarks.archive --size 2048 --slides 24 --jobs 1 2 --repeats 3 --scratch scratch/
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from histocodec.demo.synthetic import tissue, write_slide
from histocodec.geometry import Size
from histocodec.runtime.parallel import core_count

PAINTED = 2048
"""Pixels a side of what is painted; larger slides repeat it."""


def slides(folder: Path, count: int, size: int) -> Path:
    """Write slides, unless they are there."""
    place = folder / f"slides-{size}"
    place.mkdir(parents=True, exist_ok=True)
    for seed in range(count):
        path = place / f"slide-{seed:03}.tif"
        if not path.exists():
            image = tissue(Size(min(size, PAINTED), min(size, PAINTED)), seed)
            write_slide(path, np.tile(image, (-(-size // PAINTED), -(-size // PAINTED), 1))[:size, :size])
    surplus = sorted(place.glob("*.tif"))[count:]
    for path in surplus:
        path.unlink()
    return place


def measure(sources: Path, folder: Path, jobs: int, options: list[str]) -> dict[str, float]:
    """Archive all slides once, from the command to its end."""
    shutil.rmtree(folder, ignore_errors=True)
    command = [sys.executable, "-m", "histocodec", "archive", sources, "--to", folder, "--jobs", jobs, *options]
    before, began = os.times(), time.monotonic()
    subprocess.run([*map(str, command)], check=True, capture_output=True)
    seconds, after = time.monotonic() - began, os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    told = subprocess.run(
        [sys.executable, "-m", "histocodec", "archive", "status", folder, "--json"], check=True, capture_output=True
    )
    facts = json.loads(told.stdout)
    return {
        "wall_s": round(seconds, 2),
        "cpu_s": round(cpu, 2),
        "slides_per_hour": round(3600 * facts["done"] / seconds, 1),
        "peak_bytes_a_slide": facts["peak_bytes"],
    }


def main() -> None:
    """Measure in turns, so that what else the machine does is spread over all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=2048, help="pixels a side of each slide")
    parser.add_argument("--slides", type=int, default=24)
    parser.add_argument("--jobs", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--scratch", type=Path, required=True)
    parser.add_argument("--out", type=Path, help="write the results as JSON")
    parser.add_argument("options", nargs="*", help="options of archive, behind --")
    asked = parser.parse_args()
    sources = slides(asked.scratch, asked.slides, asked.size)
    runs: dict[int, list[dict[str, float]]] = {jobs: [] for jobs in asked.jobs}
    for _ in range(asked.repeats):
        for jobs in asked.jobs:
            runs[jobs].append(measure(sources, asked.scratch / "archive", jobs, asked.options))
            print(f"{jobs} jobs: {runs[jobs][-1]}", flush=True)
    speed = {jobs: statistics.median(run["slides_per_hour"] for run in found) for jobs, found in runs.items()}
    first = asked.jobs[0]
    result = {
        "size": asked.size,
        "slides": asked.slides,
        "cores": core_count(),
        "options": asked.options,
        "slides_per_hour": speed,
        f"times_{first}": {jobs: round(found / speed[first], 3) for jobs, found in speed.items()},
        "runs": runs,
    }
    print(json.dumps({key: value for key, value in result.items() if key != "runs"}, indent=1))
    if asked.out is not None:
        asked.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
