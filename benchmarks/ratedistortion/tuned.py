"""Tune decoders to the foreign scanners, from their tiles that the benchmark does not measure.

    python -m benchmarks.ratedistortion.tuned --data DATA

As `histocodec tune` would: the generator for AV1 trained on with blocks of one source, here at the bytes of ratios 8
to 24. Patients are shared with the measured tiles, as a slide shares its patient with itself. Writes the packages, and
for each scale the file that `python -m benchmarks.ratedistortion --generator NAME@FILE` takes. A run states its steps,
so it can be repeated; packages that are there are kept. A source whose blocks held back gain nothing keeps the
generator that ships.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from benchmarks.mosaic import default_data
from histocodec import Region, Size
from histocodec.generators.catalogue import FOR_AV1, downsampler_for, find_package
from histocodec.generators.predict import read_with_halo
from histocodec.geometry import Grid, Image
from histocodec.pixels.downsample import shrink
from histocodec.pixels.resampler import Downsampler
from histocodec.training import TuneSettings
from histocodec.training.data.patches import TILE_SUFFIXES, read_image
from histocodec.training.evaluate import code_at_rate
from histocodec.training.tuning.tune import TuningBlock, tune

from .codecs import scanner_bytes
from .tiles import SOURCES

FOLDER = Path("runs/ratedistortion/tuned")
TUNED = ("foreign/tnbc", "foreign/brecahad")
RATIOS = (8.0, 12.0, 16.0, 24.0)
BLOCK = 128
STEPS = 100
WORTH_DB = 0.05
"""Gain on the blocks held back below which the generator that ships is kept: the noise of so few blocks."""


def pairs(image: Image, downsampler: Downsampler, halo: int, ratio: float) -> list[TuningBlock]:
    """Return the whole blocks of a tile whose base is coded to a ratio."""
    scale = downsampler.scale
    image = image[: image.shape[0] // scale * scale, : image.shape[1] // scale * scale]
    base = code_at_rate(shrink(image, downsampler), "av1", scanner_bytes(image) / ratio).decoded
    blocks = Grid(Size(base.shape[1], base.shape[0]), BLOCK)

    def read_base(region: Region) -> Image:
        return base[region.y : region.bottom, region.x : region.right]

    found = []
    for index in range(blocks.count):
        region = blocks.region(*blocks.address(index))
        if region.within(blocks.size):
            full = region.scaled(scale)
            context = np.ascontiguousarray(read_with_halo(read_base, blocks.size, region, halo))
            found.append(TuningBlock(context, image[full.y : full.bottom, full.x : full.right]))
    return found


def tuned_package(data: Path, source: str, scale: int, path: Path) -> None:
    """Tune the generator of a scale to a source, and write the package."""
    start = find_package(FOR_AV1[scale])
    paths = sorted(p for p in (data / source).iterdir() if p.suffix in TILE_SUFFIXES)
    learn: list[TuningBlock] = []
    held_back: list[TuningBlock] = []
    for number, tile in enumerate(p for k, p in enumerate(paths) if k % SOURCES[source]):
        blocks = pairs(read_image(tile), downsampler_for(start, scale), start.card.halo, RATIOS[number % len(RATIOS)])
        (held_back if number % 6 == 5 else learn).extend(blocks)
    if not held_back:
        held_back, learn = learn[::6], [pair for k, pair in enumerate(learn) if k % 6]
    name = f"{start.card.name}-{Path(source).name}"
    result = tune(start, learn, held_back, TuneSettings(seconds=900, steps=STEPS), name=name)
    path.write_bytes(result.package.data)
    print(
        f"{name}: {len(learn)} blocks, {result.before_db:.2f} -> {result.after_db:.2f} dB on {result.held_back}",
        file=sys.stderr,
        flush=True,
    )


def main() -> int:
    """Tune for every source and scale."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ratedistortion.tuned", description=__doc__)
    parser.add_argument("--data", type=Path, default=default_data())
    parser.add_argument("--out", type=Path, default=FOLDER)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for scale, name in FOR_AV1.items():
        by_source = {}
        for source in TUNED:
            path = options.out / f"{name}-{Path(source).name}.safetensors"
            if not path.exists():
                tuned_package(options.data, source, scale, path)
            held_back = find_package(path).card.measured["held_back"]
            if held_back["psnr_db"] - held_back["started_from_psnr_db"] >= WORTH_DB:
                by_source[source] = str(path)
        (options.out / f"{name}.json").write_text(json.dumps(by_source, indent=1) + "\n")
        print(f"--generator {name}@{options.out / f'{name}.json'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
