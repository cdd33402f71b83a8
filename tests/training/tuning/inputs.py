"""Small packages and blocks for tuning."""

from __future__ import annotations

import numpy as np
import torch

from histocodec.demo.synthetic import tissue
from histocodec.generators.package import Package, PackageCard, package_of
from histocodec.geometry import Size
from histocodec.pixels.degrade import degrade
from histocodec.training.networks import PlainNet
from histocodec.training.quantise import quantise
from histocodec.training.tuning.tune import TuneSettings, TuningBlock


def small_package(**card: object) -> Package:
    """An untrained network of few channels that starts as repetition: there is much to learn."""
    torch.manual_seed(4)
    network = PlainNet(4, 16, 1)
    for parameter in network.tail.parameters():
        parameter.data.zero_()
    images = np.stack([degrade(tissue(Size(160, 160), seed=k), 4, None) for k in (1, 2)])
    sizes = {"scale": 4, "channels": 16, "pairs": 1}
    return package_of(
        quantise(network, images),
        PackageCard("small-x4", "plain", sizes, 4, 4, "CC0-1.0", **card),  # type: ignore[arg-type]
    )


def fast(steps: int) -> TuneSettings:
    """For a network that has learned nothing yet."""
    return TuneSettings(seconds=60, steps=steps, crop=32, learning_rate=0.002, adam_learning_rate=5e-4)


def pairs(count: int, seed: int) -> list[TuningBlock]:
    """Blocks of 32 base pixels of synthetic tissue, uncoded."""
    found = []
    for k in range(count):
        full = tissue(Size(160, 160), seed=seed + k)
        base = degrade(full, 4, None)
        found.append(TuningBlock(np.ascontiguousarray(base), full[16:-16, 16:-16]))
    return found
