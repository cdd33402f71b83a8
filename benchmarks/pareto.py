"""What quality costs: networks of several sizes after the same short training, `python -m benchmarks.pareto`.

Trains each of `CANDIDATES` as the configuration of the default generator says, but for a few hundred steps on a CPU,
and measures quality and speed of each, of the default generator and of the 23-block RRDBNet. Writes
results/pareto.json, .md and .png. Run it on an idle machine: quality that is known is kept, speed is always measured
again. `--tables` only derives the table and the picture.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.mosaic import default_data
from histocodec.generators.catalogue import default_package, downsampler_for, find_package, load_generator
from histocodec.generators.package import Package
from histocodec.generators.rrdb import RRDBNet
from histocodec.pixels.resampler import Generator
from histocodec.training import load_config, run_training
from histocodec.training.config import ScheduleConfig
from histocodec.training.data.patches import TILE_SUFFIXES, read_image
from histocodec.training.evaluate import evaluation_tile, score
from histocodec.training.networks import FloatGenerator, Network, PlainNet
from histocodec.training.quantise import floats_of

RESULTS = Path(__file__).parent / "results" / "pareto.json"
SHIPPED = default_package(4, "av1").card.name
CONFIG = Path(__file__).parents[1] / "configs" / f"{SHIPPED}.toml"
CANDIDATES: dict[str, dict[str, int]] = {
    "32 channels, 3 pairs": {"channels": 32, "pairs": 3},
    "48 channels, 4 pairs": {"channels": 48, "pairs": 4},
}
"""The one that ships has 64 channels and 6 pairs."""
RATES = (0.10, 0.15)
"""Bits per full pixel of the AV1 bases on which gains are measured."""
RRDB = "RRDBNet, 23 blocks"
SIDE = 192
"""Base pixels a side of the one pass that is timed."""


def train(data: Path, folder: Path, steps: int) -> dict[str, Path]:
    """Train the candidates that are not trained yet; return the paths of all their packages by name."""
    base = load_config(CONFIG)
    packages = {}
    for name, settings in CANDIDATES.items():
        slug = name.replace(", ", "-").replace(" ", "")
        config = msgspec.structs.replace(
            base,
            name=slug,
            network=msgspec.structs.replace(base.network, hyperparameters={"scale": 4, **settings}),
            data=msgspec.structs.replace(base.data, measure=["dev/monuseg"], measure_crop=256),
            # For a CPU, and for few steps.
            schedule=ScheduleConfig(steps=steps, batch=8, crop=64, expansion=4, learning_rate=0.006, watch_every=steps),
        )
        packages[name] = folder / f"{slug}.safetensors"
        if not packages[name].exists():
            run_training(config, packages[name], data=data, folder=folder / slug)
            print(name, file=sys.stderr, flush=True)
    return packages


def quality(generator: Generator, data: Path) -> dict[str, float]:
    """Return mean gains over bicubic in dB, on whole tiles: every third of dev, every fifth of tnbc."""
    found, downsampler = {}, downsampler_for(find_package(SHIPPED), 4)
    for folder, step in (("dev/monuseg", 3), ("foreign/tnbc", 5)):
        paths = sorted(p for p in (data / folder).iterdir() if p.suffix in TILE_SUFFIXES)[::step]
        images = [read_image(path) for path in paths]
        for rate in RATES:
            tiles = [evaluation_tile(image, 4, "av1", rate, downsampler=downsampler) for image in images]
            result = score(generator, tiles)
            found[f"{folder}, {rate:.2f}"] = round(result.psnr_db - result.bicubic_psnr_db, 3)
    return found


def speed(network: Network, generator: Generator) -> dict[str, float]:
    """Return work and speed for each megapixel of output.

    network: in floats. generator: the same as a decoder runs it.
    gflop_per_mpx: multiplications and additions of the convolutions, without halos. mpx_per_s: the best of several
    passes in floats over SIDE x SIDE base pixels at once. mpx_per_s_block: of canonical blocks of 128 base pixels, halo
    and conversion to 8 bits included, as a decoder runs them.
    """
    heavy = isinstance(network, RRDBNet)
    # A pass of a padded network needs no halo.
    whole = RRDBNet(23, 64, 32, 0).eval().to(memory_format=torch.channels_last) if heavy else network  # type: ignore[call-overload]
    side = SIDE + 2 * whole.halo
    x = torch.rand(1, 3, side, side).to(memory_format=torch.channels_last)
    block = np.random.default_rng(0).integers(0, 256, (128 + 2 * network.halo,) * 2 + (3,)).astype(np.uint8)
    repeats = 2 if heavy else 15
    with torch.inference_mode():
        one_pass = _best(lambda: whole(x), repeats)
    one_block = _best(lambda: generator(block), repeats)
    return {
        "gflop_per_mpx": round(_flop_per_base_pixel(whole) / 16 / 1e3, 2),
        "mpx_per_s": round(SIDE * SIDE * 16 / one_pass / 1e6, 4),
        "mpx_per_s_block": round(128 * 128 * 16 / one_block / 1e6, 4),
    }


def _flop_per_base_pixel(network: Network) -> float:
    if isinstance(network, PlainNet):  # every weight once a base pixel
        return sum(2 * p.numel() for p in network.parameters() if p.dim() == 4)
    counter = FlopCounterMode(display=False)
    with torch.inference_mode(), counter:
        network(torch.rand(1, 3, 32, 32))
    return float(counter.get_total_flops()) / 32**2


def _best(call: Any, repeats: int) -> float:
    call()
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def measure(packages: dict[str, Path], data: Path, old: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a row for each network; quality that was measured before is kept."""
    rows = []
    known = {row["network"]: row for row in old.get("rows", [])}
    found = {name: Package(path.read_bytes()) for name, path in packages.items()}
    found[SHIPPED] = find_package(SHIPPED)
    for name, package in found.items():
        row: dict[str, Any] = {"network": name, "digest": package.digest, "bytes": len(package.data)}
        row["parameters"] = sum(p.numel() for p in _network(package).parameters())
        before = known.get(name, {})
        gains = before.get("gain_db") if before.get("digest") == package.digest else None
        row["gain_db"] = gains or quality(load_generator(package), data)
        rows.append(row)
        print(row, file=sys.stderr, flush=True)
    rows.append({"network": RRDB, "parameters": sum(p.numel() for p in RRDBNet(23, 64, 32, 8).parameters())})
    for row in rows:  # all in one go: their ratios are what counts
        if row["network"] == RRDB:
            network = RRDBNet(23, 64, 32, 8)
            row |= speed(network, FloatGenerator(RRDB, network))
        else:
            package = found[row["network"]]
            row |= speed(_network(package), load_generator(package))
    for row in rows:
        row["times_rrdb"] = round(row["mpx_per_s"] / rows[-1]["mpx_per_s"], 1)
        row["times_rrdb_block"] = round(row["mpx_per_s_block"] / rows[-1]["mpx_per_s_block"], 1)
    return rows


def _network(package: Package) -> Network:
    network = floats_of(package.net)
    assert isinstance(network, PlainNet)
    return network


def table(results: dict[str, Any]) -> str:
    """Return the rows as Markdown."""
    lines = [
        f"Candidates after {results['steps']} steps; {results['shipped']} as it ships. AV1 bases, gains over bicubic.",
        "",
        "| network | parameters | GFLOP / Mpx | Mpx/s | x RRDBNet | Mpx/s in blocks | x RRDBNet "
        "| dev, 0.10 bpp | dev, 0.15 bpp | tnbc, 0.10 bpp | tnbc, 0.15 bpp |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in sorted(results["rows"], key=lambda r: r["gflop_per_mpx"]):
        gains = [f"{gain:+.2f}" for gain in row.get("gain_db", {}).values()] or ["-"] * 4
        lines.append(
            f"| {row['network']} | {row['parameters']:,} | {row['gflop_per_mpx']:.1f} | {row['mpx_per_s']:.3g} "
            f"| {row['times_rrdb']:.1f} | {row['mpx_per_s_block']:.3g} | {row['times_rrdb_block']:.1f} | "
            + " | ".join(gains)
            + " |"
        )
    return "\n".join(lines) + "\n"


def figure(results: dict[str, Any], path: Path) -> None:
    """Draw gain over work, at both rates."""
    drawn = Figure(figsize=(9, 4.2), layout="constrained")
    for axes, rate in zip(drawn.subplots(1, 2), RATES, strict=True):
        for row in results["rows"]:
            if "gain_db" not in row:
                continue
            x, y = row["gflop_per_mpx"], row["gain_db"][f"dev/monuseg, {rate:.2f}"]
            shipped = row["network"] == results["shipped"]
            axes.plot(x, y, "*" if shipped else "o", color="C3" if shipped else "C0", markersize=11 if shipped else 6)
            axes.annotate(row["network"], (x, y), xytext=(4, 5), textcoords="offset points", fontsize=7)
        title = f"base in AV1 at {rate:.2f} bpp"
        axes.set(xlabel="GFLOP per output megapixel", ylabel="gain over bicubic, dB (dev/monuseg)", title=title)
        axes.set_xlim(0, 1.35 * max(r["gflop_per_mpx"] for r in results["rows"] if "gain_db" in r))
        axes.grid(alpha=0.3)
    FigureCanvasAgg(drawn)
    drawn.savefig(path, dpi=110)


def main() -> int:
    """Train what is not trained yet, measure, write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pareto", description=__doc__)
    parser.add_argument("--data", type=Path, default=default_data())
    parser.add_argument("--run", type=Path, default=Path("runs/pareto"))
    parser.add_argument("--steps", type=int, default=80, help="of each candidate; 0 leaves the candidates out")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--tables", action="store_true")
    options = parser.parse_args()
    old = json.loads(options.out.read_text()) if options.out.exists() else {}
    if not options.tables:
        options.run.mkdir(parents=True, exist_ok=True)
        packages = train(options.data, options.run, options.steps) if options.steps else {}
        rows = measure(packages, options.data, old)
        old = {
            "steps": options.steps,
            "shipped": SHIPPED,
            "torch": torch.__version__,
            "threads": torch.get_num_threads(),
            "rows": rows,
        }
        options.out.write_text(json.dumps(old, indent=1) + "\n")
    options.out.with_suffix(".md").write_text(table(old))
    figure(old, options.out.with_suffix(".png"))
    print(table(old))
    return 0


if __name__ == "__main__":
    sys.exit(main())
