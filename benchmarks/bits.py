"""The same bits everywhere: engines, instruction sets, threads, batches and shapes of blocks, against whole numbers.

    python -m benchmarks.bits --out benchmarks/results/bits.json
    python -m benchmarks.bits --table benchmarks/results/bits.json

Every variant is a process of its own, since an instruction set is chosen once a process. It computes the same inputs as
the numpy engine did: decoded bases of real tissue, noise, and noise of 0 and 255 alone.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from histocodec.generators.catalogue import find_package, shipped_packages
from histocodec.generators.engines.choice import ENGINE_VARIABLE, engine_for
from histocodec.generators.engines.numpy_engine import NumpyEngine
from histocodec.generators.integer_net import IntegerNet
from histocodec.pixels.degrade import degrade
from histocodec.runtime.parallel import limit_cores

from .mosaic import default_data
from .speed.machine import environment

SHAPES = ((128, 128), (64, 64), (61, 96), (1, 1))
"""Base pixels, height and width, of the blocks whose bits are compared; the first is the canonical block."""

QUALITY = 34.0
"""Quality of the JPEG 2000 bases, dB."""

VARIANTS: tuple[tuple[str, str, int, int], ...] = (
    ("openvino", "", 1, 1),
    ("openvino", "", 2, 1),
    ("openvino", "", 2, 7),
    ("openvino", "", 1, 32),
    ("openvino", "AVX512_CORE_VNNI", 2, 1),
    ("openvino", "AVX512_CORE", 2, 1),
    ("openvino", "AVX2_VNNI", 2, 1),
    ("openvino", "AVX2", 1, 1),
    ("openvino", "AVX2", 2, 7),
    ("torch", "", 1, 1),
    ("torch", "", 2, 32),
    ("torch", "AVX2", 2, 7),
)
"""Engine, limit of the instruction set (none: all that the CPU has), threads, and blocks a batch."""


def inputs(net: IntegerNet, data: Path, samples: int) -> Iterator[NDArray[np.uint8]]:
    """Yield batches of one shape each, (n, height, width, 3) uint8, that become `samples` samples or more in all."""
    rng = np.random.default_rng(0)
    tiles = [imagecodecs.imread(path)[..., :3] for path in sorted((data / "dev" / "monuseg").glob("*.jxl"))[:8]]
    scale = net.scale
    wholes = [degrade(tile, scale, "jp2k", QUALITY) for tile in tiles] if net.enlarges else tiles
    unit = 1 if net.enlarges else scale
    for share, (height, width) in zip((0.8, 0.15, 0.05, 0.0), SHAPES, strict=True):
        sides = (height + 2 * net.halo) * unit, (width + 2 * net.halo) * unit
        made = 3 * net.output_size(*sides)[0] * net.output_size(*sides)[1]
        count = -(-int(share * samples) // made // 3) * 3 or 3
        batch = np.empty((count, *sides, 3), np.uint8)
        for index in range(count):
            if index % 3 == 0:
                whole = wholes[int(rng.integers(len(wholes)))]
                y, x = (int(rng.integers(0, whole.shape[k] - sides[k] + 1)) for k in (0, 1))
                batch[index] = whole[y : y + sides[0], x : x + sides[1]]
            elif index % 3 == 1:
                batch[index] = rng.integers(0, 256, (*sides, 3))
            else:
                batch[index] = 255 * rng.integers(0, 2, (*sides, 3))
        yield batch


def differing(name: str, kind: Any, folder: Path, threads: int, batch: int) -> tuple[int, int]:
    """Compute what lies in a folder by the engine that this process is to use; return samples, and how many differ."""
    limit_cores(threads)
    engine = engine_for(find_package(name, kind))
    wanted = os.environ[ENGINE_VARIABLE]
    if engine.name.split()[0] != wanted:
        raise SystemExit(f"{wanted} did not prove itself: {engine.name} took its place")
    samples = wrong = 0
    with ThreadPoolExecutor(threads) as pool:
        for path in sorted(folder.glob("in-*.npy")):
            images, expected = np.load(path), np.load(path.with_name(path.name.replace("in-", "out-")))
            starts = range(0, len(images), batch)
            batches = [images[start : start + batch] for start in starts]
            for start, out in zip(starts, pool.map(engine, batches), strict=True):
                samples += out.size
                wrong += int(np.count_nonzero(out != expected[start : start + batch]))
    return samples, wrong


def measure(data: Path, samples: int) -> dict[str, Any]:
    """Compare every variant for every shipped network in whole numbers."""
    rows = []
    packages = [("generator", name) for name, package in shipped_packages().items() if package.is_exact]
    packages += [("downsampler", name) for name in shipped_packages("downsampler")]
    for kind, name in packages:
        net = find_package(name, kind).net  # type: ignore[arg-type]
        with tempfile.TemporaryDirectory() as scratch:
            reference = NumpyEngine(net)
            for index, images in enumerate(inputs(net, data, samples)):
                np.save(Path(scratch, f"in-{index}.npy"), images)
                with ThreadPoolExecutor(os.cpu_count()) as pool:
                    out = np.concatenate(list(pool.map(reference, images[:, None])))
                np.save(Path(scratch, f"out-{index}.npy"), out)
            for engine, isa, threads, batch in VARIANTS:
                variables = {ENGINE_VARIABLE: engine}
                if isa:
                    variables |= {"ONEDNN_MAX_CPU_ISA": isa, "DNNL_MAX_CPU_ISA": isa}
                if isa.startswith("AVX2"):
                    variables["ATEN_CPU_CAPABILITY"] = "avx2"
                child = ["--child", name, kind, scratch, str(threads), str(batch)]
                command = [sys.executable, "-m", "benchmarks.bits", *child]
                done = subprocess.run(command, env={**os.environ, **variables}, capture_output=True, text=True)
                row = {"network": name, "engine": engine, "isa": isa or "all", "threads": threads, "batch": batch}
                if done.returncode == 0:
                    row |= dict(zip(("samples", "differ"), map(int, done.stdout.split()[-2:]), strict=True))
                else:
                    row |= {"samples": 0, "differ": None, "error": done.stderr.strip().splitlines()[-1]}
                print(row, file=sys.stderr, flush=True)
                rows.append(row)
    return {"environment": environment(None), "shapes": SHAPES, "rows": rows}


def table(results: dict[str, Any]) -> str:
    """Return the results as Markdown: a line for each engine and instruction set."""
    machine = results["environment"]
    lines = [
        f"{machine['cpu']} ({' '.join(machine['isa'])}); OpenVINO {machine['packages']['openvino']}, torch "
        f"{machine['packages']['torch']}; blocks of {', '.join(f'{h} x {w}' for h, w in results['shapes'])} base px.",
        "",
        "| engine | instructions up to | threads | batch | networks | samples | differ |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in results["rows"]:
        groups.setdefault((row["engine"], row["isa"], row["threads"], row["batch"]), []).append(row)
    for (engine, isa, threads, batch), rows in groups.items():
        samples = sum(row["samples"] for row in rows)
        failed = [row["network"] for row in rows if row["differ"] is None]
        differ = f"failed: {', '.join(failed)}" if failed else f"**{sum(row['differ'] for row in rows)}**"
        lines.append(f"| {engine} | {isa} | {threads} | {batch} | {len(rows)} | {samples:,} | {differ} |")
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bits", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=None, help="folder that holds dev/*/*.jxl")
    parser.add_argument("--samples", type=int, default=22_000_000, help="for each network and variant, at least")
    parser.add_argument("--out", type=Path, default=None, help="where the results go, as JSON")
    parser.add_argument("--table", type=Path, default=None, metavar="JSON", help="print these results as Markdown")
    parser.add_argument("--child", nargs=5, default=None, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.child is not None:
        name, kind, folder, threads, batch = options.child
        print(*differing(name, kind, Path(folder), int(threads), int(batch)))
        return 0
    if options.table is not None:
        print(table(json.loads(options.table.read_text())), end="")
        return 0
    results = measure(options.data or default_data(), options.samples)
    if options.out is not None:
        options.out.write_text(json.dumps(results, indent=1) + "\n")
    print(table(results), end="")
    return 0 if all(row["differ"] == 0 for row in results["rows"]) else 1


if __name__ == "__main__":
    sys.exit(main())
