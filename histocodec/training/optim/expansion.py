"""Convolutions with more parameters in training than they ship with.

While it trains, a convolution's weight is the sum of its own and of the product of two larger matrices: a wide 3 x 3
convolution followed by a 1 x 1 one, without anything between them, so that both are one convolution again (as in ACNet,
Ding et al. 2019, and SESR, Bhardwaj et al. 2021). The product is formed once a step, not once a pixel: it costs little.
It steers the optimiser better (benchmarks/NOTES.md).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize


class _Expansion(nn.Module):
    """The product that is added to a convolution's weight; zero at first."""

    def __init__(self, weight: Tensor, factor: int) -> None:
        super().__init__()
        rows, columns = weight.flatten(1).shape
        # Drawn on the CPU, so that a seed means the same on every device.
        self.wide = nn.Parameter((torch.randn(factor * rows, columns) / columns**0.5).to(weight))
        self.narrow = nn.Parameter(weight.new_zeros(rows, factor * rows))  # training starts from the weight itself

    def forward(self, weight: Tensor) -> Tensor:
        return weight + (self.narrow @ self.wide).reshape(weight.shape)


def expand(network: nn.Module, factor: int) -> None:
    """Give every convolution of `network.body` an expansion of `factor` times its output channels."""
    for module in network.get_submodule("body").modules():
        if type(module) is nn.Conv2d:
            parametrize.register_parametrization(module, "weight", _Expansion(module.weight.detach(), factor))


def effective(network: nn.Module, name: str) -> Tensor:
    """Return the tensor `name` of the network without expansions: a weight with its expansion added."""
    path, _, attribute = name.rpartition(".")
    value = getattr(network.get_submodule(path), attribute)
    assert isinstance(value, Tensor)
    return value
