"""What networks lose when they become whole numbers: `python -m benchmarks.integers --floats FOLDER`.

FOLDER holds the packages in floats that the shipped ones were quantised from, NAME.safetensors; they do not ship.
Compares both on whole tiles, at equal bases, and writes `results/integers.json` and `.md`. `--convert NAME ...` makes
shipped packages from them first: calibrated on the training patches of their configurations, measured, and written to
where they ship. `--tables` only derives the table again.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load as load_tensors

from benchmarks.mosaic import default_data
from histocodec.generators.catalogue import (
    FOLDERS,
    FOR_AV1,
    MODELS_FOLDER,
    downsampler_for,
    find_package,
    load_generator,
)
from histocodec.generators.package import Package
from histocodec.generators.rrdb import run_in_floats
from histocodec.geometry import Image
from histocodec.pixels.resampler import Downsampler
from histocodec.pixels.tile_codecs import TileCodec
from histocodec.training import load_config
from histocodec.training.data.patches import TILE_SUFFIXES, collect_patches, read_image
from histocodec.training.evaluate import base_name, centre, evaluation_tile
from histocodec.training.networks import DOWNSAMPLERS, GENERATORS, FloatGenerator, PlainNet, ResidualDownsampler
from histocodec.training.packaging import downsampler_package, mean_psnr, packages_of

RESULTS = Path(__file__).parent / "results" / "integers.json"
CONFIGS = Path(__file__).parents[1] / "configs"
TILES = ("dev/monuseg", "foreign/tnbc", "foreign/brecahad")
RATES = (0.0, 0.06, 0.10, 0.20)
"""Bits per full pixel of the bases; 0 for uncoded ones."""
SLOPE = 0.1
"""Slope of negative values with which the networks in floats were trained; in whole numbers it is 1/8."""
DOWNSAMPLER = "sharp-x4"
GENERATORS_MEASURED = ("fidelity-x4", "fidelity-x2", "avif-x4", "avif-x2")


class FloatDownsampler:
    """A `Downsampler` that runs a network in floats."""

    digest = ""

    def __init__(self, network: ResidualDownsampler) -> None:
        self.name, self.scale, self.halo = f"{DOWNSAMPLER} in floats", network.scale, network.halo
        self._network = network

    def __call__(self, image: Image) -> Image:
        """Shrink as `Downsampler` defines it."""
        return run_in_floats(self._network, image, torch.device("cpu"))


def ancestor(folder: Path, name: str) -> PlainNet | ResidualDownsampler:
    """Return the network in floats of a package."""
    package = Package.read(folder / f"{name}.safetensors")
    build = {**GENERATORS, **DOWNSAMPLERS}[package.card.architecture]
    network = build(**package.card.hyperparameters)
    assert isinstance(network, PlainNet | ResidualDownsampler)
    network.load_state_dict({key: value.float() for key, value in load_tensors(package.data).items()})
    network.leak = SLOPE
    return network.eval()


def convert(folder: Path, name: str, data: Path) -> None:
    """Make a shipped package from its ancestor, and measure it as its configuration says."""
    config = load_config(CONFIGS / f"{name}.toml")
    patches = collect_patches(config.data, data, config.seed)
    network = ancestor(folder, name)
    if isinstance(network, ResidualDownsampler):
        path = MODELS_FOLDER / FOLDERS["downsampler"] / f"{name}.safetensors"
        path.write_bytes(downsampler_package(config, network, patches).data)
    else:
        crop = config.data.measure_crop
        tiles = {
            part: [centre(image, crop) if crop else image for image in images(data, part)]
            for part in config.data.measure
        }
        package = packages_of(config, network, None, patches, tiles).generator
        (MODELS_FOLDER / f"{name}.safetensors").write_bytes(package.data)
    print(name, file=sys.stderr, flush=True)


def images(data: Path, folder: str) -> list[Image]:
    """Read the tiles of a folder."""
    return [read_image(path) for path in sorted((data / folder).iterdir()) if path.suffix in TILE_SUFFIXES]


def measure(
    folder: Path, data: Path, names: Sequence[str], known: list[dict[str, Any]], step: int = 1
) -> list[dict[str, Any]]:
    """Return a row for each generator, folder of tiles and base, of every `step`-th tile.

    known: rows of an earlier run; those of other generators are kept.
    """
    rows = [row for row in known if row["generator"] not in names]
    for name in names:
        network = ancestor(folder, name)
        assert isinstance(network, PlainNet)
        in_floats, generator = FloatGenerator(name, network), load_generator(name)
        codec: TileCodec = "av1" if name in FOR_AV1.values() else "jp2k"
        downsampler = downsampler_for(generator, generator.scale)
        own = find_package(name).card.downsampler
        for part in TILES:
            for rate in RATES:
                kind = codec if rate else None
                tiles = [_tile(image, generator.scale, kind, rate, downsampler) for image in images(data, part)[::step]]
                row: dict[str, Any] = {"generator": name, "folder": part, "base": base_name(kind, rate)}
                row |= {"tiles": len(tiles), "bpp": float(np.mean([tile.bits_per_full_pixel for tile in tiles]))}
                row |= {"float_db": mean_psnr(in_floats, tiles), "integer_db": mean_psnr(generator, tiles)}
                if own == DOWNSAMPLER:
                    shrinking = ancestor(folder, own)
                    assert isinstance(shrinking, ResidualDownsampler)
                    other = FloatDownsampler(shrinking)
                    tiles = [_tile(image, generator.scale, kind, rate, other) for image in images(data, part)[::step]]
                    row["float_downsampler_db"] = mean_psnr(generator, tiles)
                rows.append(row)
                print(row, file=sys.stderr, flush=True)
    return sorted(rows, key=lambda row: GENERATORS_MEASURED.index(row["generator"]))


def _tile(image: Image, scale: int, codec: TileCodec | None, rate: float, downsampler: Downsampler) -> Any:
    return evaluation_tile(image, scale, codec, rate, downsampler=downsampler if downsampler.halo else None)


def table(results: dict[str, Any]) -> str:
    """Return the rows as Markdown tables: by generator, and what the downsampler in whole numbers changes."""
    rows = results["rows"]
    lines = [
        "PSNR in whole numbers, dB, and the change to the network in floats.",
        "",
        "| generator | tiles | uncoded | " + " | ".join(f"{rate:.2f} bpp" for rate in RATES[1:]) + " |",
        "|---|---|" + "---|" * len(RATES),
    ]
    for name, folder, own in _grouped(rows):
        cells = [f"{row['integer_db']:.2f} ({row['integer_db'] - row['float_db']:+.3f})" for row in own]
        lines.append(f"| {name} | {folder} ({own[0]['tiles']}) | " + " | ".join(cells) + " |")
    shrunk = [row for row in rows if "float_downsampler_db" in row]
    if shrunk:
        lines += [
            "",
            f"Bases by {DOWNSAMPLER} in whole numbers, and the change to those by it in floats.",
            "",
            *lines[2:4],
        ]
    for name, folder, own in _grouped(shrunk):
        cells = [f"{row['integer_db']:.2f} ({row['integer_db'] - row['float_downsampler_db']:+.3f})" for row in own]
        lines.append(f"| {name} | {folder} ({own[0]['tiles']}) | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _grouped(rows: list[dict[str, Any]]) -> list[tuple[str, str, list[dict[str, Any]]]]:
    keys = dict.fromkeys((row["generator"], row["folder"]) for row in rows)
    return [(*key, [row for row in rows if (row["generator"], row["folder"]) == key]) for key in keys]


def main() -> int:
    """Convert what is asked for, measure, and write the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.integers", description=__doc__)
    parser.add_argument("--floats", type=Path, help="the folder of the packages in floats")
    parser.add_argument("--data", type=Path, default=default_data())
    parser.add_argument("--convert", nargs="*", default=[], metavar="NAME", help="packages to make first")
    parser.add_argument("--only", nargs="*", default=GENERATORS_MEASURED, metavar="NAME", help="generators to measure")
    parser.add_argument("--step", type=int, default=1, help="measure every so many tiles alone, for a quick look")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--tables", action="store_true")
    options = parser.parse_args()
    results = json.loads(options.out.read_text()) if options.out.exists() else {"rows": [], "digests": {}}
    if not options.tables:
        if options.floats is None:
            parser.error("--floats is needed to measure")
        for name in options.convert:
            convert(options.floats, name, options.data)
        results["rows"] = measure(options.floats, options.data, options.only, results["rows"], options.step)
        results["digests"] |= {name: find_package(name).digest for name in options.only}
        options.out.write_text(json.dumps(results, indent=1) + "\n")
    options.out.with_suffix(".md").write_text(table(results))
    print(table(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
