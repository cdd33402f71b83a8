"""CPU seconds of reads of 256 px through a mounted file, beside `open_slide`: `python -m benchmarks.mounted FILE`.

Both read the same places, each in fresh processes, in turns; what is read first, so that libraries are loaded, is not
counted. Through the mount count the program that reads, by OpenSlide, and the process that decodes.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

READER = """
import sys
import numpy as np
import psutil
{opening}
places = np.random.default_rng(int(sys.argv[3])).integers(0, np.subtract(slide.dimensions, 512), (150, 2))
if sys.argv[2] == "grid":
    places = places // 256 * 256
slide.read_region((0, 0), 0, (256, 256))
slide.read_region((300, 300), 0, (600, 600))
print("ready", flush=True)
input()
before = psutil.Process().cpu_times()
total = sum(int(np.asarray(slide.read_region(place.tolist(), 0, (256, 256))).sum()) for place in places)
after = psutil.Process().cpu_times()
print(after.user + after.system - before.user - before.system, total, len(places))
"""
OURS = "import histocodec\nslide = histocodec.open_slide(sys.argv[1])"
THEIRS = "import openslide\nslide = openslide.OpenSlide(sys.argv[1])"
PLACES = ("grid", "anywhere")


def reader(opening: str, path: Path, places: str, seed: int) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", READER.format(opening=opening), str(path), places, str(seed)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def finish(process: subprocess.Popen[str]) -> tuple[float, int, int]:
    """CPU seconds, the sum of all pixels, and the number of reads."""
    said, _ = process.communicate("\n")
    seconds, total, reads = said.split()
    return float(seconds), int(total), int(reads)


def cpu_seconds(process: subprocess.Popen[str]) -> float:
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measured(path: Path, places: str, seed: int) -> dict[str, float]:
    """CPU milliseconds of one read: `open_slide`, and through the mount by reader and by decoder."""
    ours, total, reads = finish(reader(OURS, path, places, seed))
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "histocodec", "mount", str(path), folder]
        mount = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert mount.stdout is not None
        try:
            program = reader(THEIRS, Path(mount.stdout.readline().partition(": ")[0]), places, seed)
            before = cpu_seconds(mount)
            theirs, same, _ = finish(program)
            decoding = cpu_seconds(mount) - before
        finally:
            mount.send_signal(signal.SIGINT)
            mount.communicate()
    assert same == total, "other pixels"
    per_read = 1000 / reads
    return {
        "open_slide_ms": round(ours * per_read, 2),
        "reader_ms": round(theirs * per_read, 2),
        "decoder_ms": round(decoding * per_read, 2),
        "ratio": round((theirs + decoding) / ours, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    results = {}
    for places in PLACES:
        runs = [measured(arguments.file, places, seed) for seed in range(arguments.repeats)]
        results[places] = {name: statistics.median(run[name] for run in runs) for name in runs[0]} | {
            "ratios": [run["ratio"] for run in runs]
        }
        print(places, results[places], flush=True)
    if arguments.out:
        arguments.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
