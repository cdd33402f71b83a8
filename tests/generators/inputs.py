"""A small downsampler for tests."""

from __future__ import annotations

import torch

from histocodec.generators.networks import ResidualDownsampler
from histocodec.generators.package import Package, PackageCard
from histocodec.generators.torch_runner import package_bytes


def random_network(scale: int, spread: float) -> ResidualDownsampler:
    torch.manual_seed(0)
    network = ResidualDownsampler(scale, 4)
    torch.nn.init.normal_(network.tail.weight, std=spread)
    return network


def downsampler_package(scale: int = 4, spread: float = 0.1) -> Package:
    """A small downsampler with random weights, far enough from the box average to be told from it."""
    network = random_network(scale, spread)
    card = PackageCard(
        f"tiny-down-x{scale}", "residual-downsampler", {"scale": scale, "features": 4}, scale, 3, "CC0-1.0"
    )
    return Package(package_bytes(network, card))
