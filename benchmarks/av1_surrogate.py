"""Fit the tables of `histocodec.training.av1_surrogate` to the real codec, and print them.

    python -m benchmarks.av1_surrogate --data DATA

On 10x bases of training tiles: the step with which the stand-in's squared error (RGB, mean over the tiles) is AV1's;
AV1's bits over its own; and the slope of log(squared error of the reconstruction) over log(bits), from the quality
five steps below to the one five above.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np
import torch

from histocodec import load_generator
from histocodec.generators.predict import reconstruct
from histocodec.geometry import Image
from histocodec.pixels.downsample import downsample
from histocodec.pixels.tile_coder import TileCoder
from histocodec.training.av1_surrogate import QUALITIES, Av1Surrogate
from histocodec.training.data.patches import read_image

SCALE = 4
GENERATOR = "jp2k-x4"
SIDE = 240
FOLDERS = {"train/monuseg": 6, "train/monusac": 4, "train/bcss": 2}
"""Number of tiles of each folder, evenly spread."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    tiles = _tiles(parser.parse_args().data)
    qualities = sorted({q + d for q in QUALITIES for d in (-5, 0, 5)})
    rows = {q: _coded(tiles, q) for q in qualities}  # bits, error of the base, error of the reconstruction
    steps, bits, slopes = [], [], []
    for quality in QUALITIES:
        real_bits, real_error, _ = rows[quality]
        step, own_bits = _fitted(tiles, real_error)
        low, high = rows[quality - 5], rows[quality + 5]
        steps.append(round(step, 2))
        bits.append(round(real_bits / own_bits, 3))
        slopes.append(round(math.log(low[2] / high[2]) / math.log(high[0] / low[0]), 3))
        print(quality, f"{real_bits:.3f} bits, {10 * math.log10(65025 / real_error):.2f} dB", flush=True)
    print(f"STEPS = {tuple(steps)}\nBITS = {tuple(bits)}\nSLOPES = {tuple(slopes)}")


def _tiles(data: Path) -> list[Image]:
    found = []
    for folder, count in FOLDERS.items():
        paths = sorted((data / folder).glob("*.jxl"))
        for k in range(count):
            image = read_image(paths[k * len(paths) // count])
            found.append(image[: SIDE * SCALE, : SIDE * SCALE])
    return [image for image in found if image.shape[:2] == (SIDE * SCALE, SIDE * SCALE)]


def _coded(tiles: list[Image], quality: float) -> tuple[float, float, float]:
    """Return bits a base pixel, squared error of the base and (geometric mean) of the reconstruction."""
    generator = load_generator(GENERATOR)
    found = []
    for tile in tiles:
        base = downsample(tile, SCALE)
        coder = TileCoder.fitted("av1", base)
        data = coder.encode(base, quality)
        seen = coder.decode(data, height=SIDE, width=SIDE)
        made = reconstruct(generator, seen)
        found.append((8 * len(data) / SIDE**2, _error(base, seen), math.log(_error(tile, made))))
    bits, error, log_error = np.mean(found, axis=0)
    return float(bits), float(error), math.exp(log_error)


def _error(a: Image, b: Image) -> float:
    return float(np.square(a.astype(np.float32) - b).mean())


def _fitted(tiles: list[Image], wanted: float) -> tuple[float, float]:
    """Find the step by bisection; return it and the stand-in's bits with it."""
    bases = [downsample(tile, SCALE) for tile in tiles]
    colours = [TileCoder.fitted("av1", base).colour for base in bases]
    stand_in = Av1Surrogate()
    images = torch.from_numpy(np.stack(bases)).permute(0, 3, 1, 2).float() / 255
    numbers = torch.tensor([colour.numbers for colour in colours if colour is not None]).float()
    low, high = 0.5, 150.0
    with torch.no_grad():
        for _ in range(14):
            step = (low * high) ** 0.5
            coded, bits = stand_in(images, numbers, torch.full((len(images),), step))
            error = float((255 * (coded - images)).square().mean())
            low, high = (step, high) if error < wanted else (low, step)
    return step, float(bits.mean())


if __name__ == "__main__":
    main()
