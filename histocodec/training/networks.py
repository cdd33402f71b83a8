"""Networks as they train, in floats: generators, and the one of downsamplers.

`PlainNet` and `ResidualDownsampler` ship as networks in whole numbers (`quantise`); `RRDBNet` ships as it trains.

A generator's network is given the base with a halo of `network.halo` pixels on every side and returns the inner part,
enlarged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..errors import GeneratorError
from ..generators.integer_net import LEAK_SHIFT
from ..generators.rrdb import RRDBNet, run_in_floats
from ..geometry import Image
from .residual_pair import residual_pair

LEAK = 2.0**-LEAK_SHIFT
"""Slope of negative values, that of the network in whole numbers which this one becomes."""


class PlainNet(nn.Module):
    """3 x 3 convolutions at the base's resolution, then one pixel shuffle.

    `pairs` residual pairs of convolutions of `channels` features between a head and a tail, all valid: nothing is
    padded, so the halo, one pixel a convolution, is all that a pixel depends on. The tail predicts the difference to
    the input enlarged by repetition.

    scale: 2 or 4. channels: 1 to 512. pairs: 0 to 31. Raises ValueError otherwise.
    """

    leak = LEAK

    def __init__(self, scale: int, channels: int, pairs: int) -> None:
        super().__init__()
        if scale not in (2, 4) or not 1 <= channels <= 512 or not 0 <= pairs <= 31:
            raise ValueError(f"no such network: scale {scale}, channels {channels}, pairs {pairs}")
        self.scale = scale
        self.halo = 2 * pairs + 2
        self.head = nn.Conv2d(3, channels, 3)
        self.body = nn.ModuleList(nn.Conv2d(channels, channels, 3) for _ in range(2 * pairs))
        self.tail = nn.Conv2d(channels, 3 * scale * scale, 3)

    def forward(self, base: Tensor) -> Tensor:
        """Enlarge (n, 3, h + 2 halo, w + 2 halo) float RGB in 0..1 to (n, 3, h * scale, w * scale), not clipped."""
        x = functional.leaky_relu(self.head(base), self.leak)
        layers: list[Any] = list(self.body)
        for first, second in zip(layers[0::2], layers[1::2], strict=True):
            x = residual_pair(x, first.weight, first.bias, second.weight, second.bias, self.leak)
        inner = base[:, :, self.halo : -self.halo, self.halo : -self.halo]
        repeated = inner.repeat_interleave(self.scale * self.scale, dim=1)
        return functional.pixel_shuffle(self.tail(x) + repeated, self.scale)


class ResidualDownsampler(nn.Module):
    """The mean of scale x scale pixels, and what three convolutions at the base's resolution add to it.

    They see the full pixels of a base pixel as channels, and are valid: nothing is padded, so the halo, one base pixel
    a convolution, is all that a pixel depends on. The tail begins as zeros: untrained, this is the mean.

    scale: 2 or 4. features: 1 to 256. Raises ValueError otherwise.
    """

    halo = 3
    leak = LEAK

    def __init__(self, scale: int, features: int) -> None:
        super().__init__()
        if scale not in (2, 4) or not 1 <= features <= 256:
            raise ValueError(f"no such network: scale {scale}, features {features}")
        self.scale = scale
        self.head = nn.Conv2d(3 * scale * scale, features, 3)
        self.body = nn.Conv2d(features, features, 3)
        self.tail = nn.Conv2d(features, 3, 3)
        for parameter in self.tail.parameters():
            nn.init.zeros_(parameter)

    def forward(self, full: Tensor) -> Tensor:
        """Shrink (n, 3, (h + 2 halo) * scale, (w + 2 halo) * scale) float RGB in 0..1 to (n, 3, h, w), not clipped."""
        x = functional.leaky_relu(self.head(functional.pixel_unshuffle(full, self.scale)), self.leak)
        x = functional.leaky_relu(self.body(x), self.leak)
        margin = self.halo * self.scale
        mean = functional.avg_pool2d(full[:, :, margin:-margin, margin:-margin], self.scale)
        out: Tensor = mean + self.tail(x)
        return out


Network = PlainNet | RRDBNet
"""A network of a generator."""


class FloatGenerator:
    """A `Generator` that runs a network in floats: to watch one that trains, and to compare with."""

    is_exact = False
    digest = ""
    package = None

    def __init__(self, name: str, network: Network, device: str = "cpu") -> None:
        """Take a network. device: as torch names it. Raises GeneratorError if there is no such device."""
        self.name, self.scale, self.halo = name, network.scale, network.halo
        try:
            self._device = torch.device(device)
            self._network = network.to(self._device).eval()
        except (RuntimeError, AssertionError) as error:
            raise GeneratorError(f"no device {device} here: {str(error).splitlines()[0]}") from error

    def __call__(self, base: Image) -> Image:
        """Enlarge a base as `Generator` defines it."""
        return run_in_floats(self._network, base, self._device)


N = TypeVar("N", Network, ResidualDownsampler)
Architectures = Mapping[str, Callable[..., N]]
"""Networks of a kind by the names that packages know them by."""

GENERATORS: Architectures[Network] = {"plain": PlainNet, "rrdb": RRDBNet}
DOWNSAMPLERS: Architectures[ResidualDownsampler] = {"residual-downsampler": ResidualDownsampler}


def build_network(architecture: str, hyperparameters: dict[str, Any]) -> Network:
    """Build the network of a generator, as its package states it. Raises as `build_among`."""
    return build_among(GENERATORS, architecture, hyperparameters)


def build_among(known: Architectures[N], architecture: str, hyperparameters: dict[str, Any]) -> N:
    """Build one of the networks of a kind. Raises TypeError or ValueError if there is no such one."""
    if architecture not in known:
        raise ValueError(f"the architecture must be one of {', '.join(known)}, found {architecture!a:.40}")
    if not all(type(value) is int for value in hyperparameters.values()):  # 8.0 would pass every comparison
        raise TypeError(f"hyperparameters are whole numbers, found {hyperparameters}")
    return known[architecture](**hyperparameters)
