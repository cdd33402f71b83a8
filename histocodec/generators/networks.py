"""The networks of generators, and the one of downsamplers.

A generator's network is given the base with a halo of `network.halo` pixels on every side and returns the inner part,
enlarged. It runs on the blocks of one canonical grid, so a pixel does not depend on the region asked for. The cut
between blocks shows as little as the halo lets it: not at all in `PlainNet`, next to not at all in `RRDBNet`, which
sees beyond its halo.

`ResidualDownsampler` goes the other way. Only an encoder runs it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

_UPSAMPLING_REACH = 2
"""Base pixels, rounded up, that the last four convolutions of `RRDBNet` see on each side: 1/2 + 1/4 + 1/4 + 1/4."""


class PlainNet(nn.Module):
    """3 x 3 convolutions at the base's resolution, then one pixel shuffle.

    `pairs` residual pairs of convolutions of `channels` features between a head and a tail, all valid: nothing is
    padded, so the halo, one pixel a convolution, is all that a pixel depends on. The tail predicts the difference to
    the input enlarged by repetition.

    scale: 2 or 4. channels: 1 to 512. pairs: 0 to 31. Raises ValueError otherwise.
    """

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
        x = functional.leaky_relu(self.head(base), 0.1)
        for first, second in zip(self.body[0::2], self.body[1::2], strict=True):
            y = functional.leaky_relu(first(x), 0.1)
            x = functional.leaky_relu(second(y) + x[:, :, 2:-2, 2:-2], 0.1)
        inner = base[:, :, self.halo : -self.halo, self.halo : -self.halo]
        repeated = inner.repeat_interleave(self.scale * self.scale, dim=1)
        return functional.pixel_shuffle(self.tail(x) + repeated, self.scale)


class DenseBlock(nn.Module):
    """Five 3 x 3 convolutions, each of which sees all that came before; the last, times 0.2, is added to the input."""

    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        for k in range(1, 6):
            out = features if k == 5 else growth
            self.add_module(f"conv{k}", nn.Conv2d(features + (k - 1) * growth, out, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the shape of `x`, (n, features, h, w)."""
        seen = [x]
        for k in range(1, 5):
            seen.append(functional.leaky_relu(self.get_submodule(f"conv{k}")(torch.cat(seen, 1)), 0.2))
        out: Tensor = x + 0.2 * self.get_submodule("conv5")(torch.cat(seen, 1))
        return out


class ResidualDenseBlock(nn.Module):
    """Three dense blocks; their result, times 0.2, is added to the input."""

    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        self.rdb1, self.rdb2, self.rdb3 = (DenseBlock(features, growth) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the shape of `x`, (n, features, h, w)."""
        out: Tensor = x + 0.2 * self.rdb3(self.rdb2(self.rdb1(x)))
        return out


class RRDBNet(nn.Module):
    """The generator of ESRGAN and Real-ESRGAN (Wang et al. 2018, 2021), x4.

    Residual-in-residual dense blocks between a first and a last convolution at the base's resolution, then twice an
    enlargement by repetition and a convolution. Every convolution pads with zeros, as those of the published weights
    do: each residual dense block sees up to 15 pixels, far more than any halo, so the zeros around its input reach the
    inner part, weakly (benchmarks/NOTES.md has the measured seams).

    blocks: 1 to 64. features: 1 to 256. growth: 1 to 128. halo: 0 to 64 base pixels. Raises ValueError otherwise.
    """

    scale = 4

    def __init__(self, blocks: int, features: int, growth: int, halo: int) -> None:
        super().__init__()
        if not 1 <= blocks <= 64 or not 1 <= features <= 256 or not 1 <= growth <= 128 or not 0 <= halo <= 64:
            raise ValueError(f"no such network: blocks {blocks}, features {features}, growth {growth}, halo {halo}")
        self.halo = halo
        self.conv_first = nn.Conv2d(3, features, 3, padding=1)
        self.body = nn.ModuleList(ResidualDenseBlock(features, growth) for _ in range(blocks))
        self.conv_body = nn.Conv2d(features, features, 3, padding=1)
        self.conv_up1 = nn.Conv2d(features, features, 3, padding=1)
        self.conv_up2 = nn.Conv2d(features, features, 3, padding=1)
        self.conv_hr = nn.Conv2d(features, features, 3, padding=1)
        self.conv_last = nn.Conv2d(features, 3, 3, padding=1)

    def forward(self, base: Tensor) -> Tensor:
        """Enlarge (n, 3, h + 2 halo, w + 2 halo) float RGB in 0..1 to (n, 3, h * 4, w * 4), not clipped."""
        first = self.conv_first(base)
        x = first
        for block in self.body:
            x = block(x)
        x = first + self.conv_body(x)
        margin = min(self.halo, _UPSAMPLING_REACH)
        x = functional.pad(x, [margin - self.halo] * 4)  # crops
        for conv in (self.conv_up1, self.conv_up2):
            x = functional.leaky_relu(conv(functional.interpolate(x, scale_factor=2, mode="nearest")), 0.2)
        x = self.conv_last(functional.leaky_relu(self.conv_hr(x), 0.2))
        return functional.pad(x, [-4 * margin] * 4)


class ResidualDownsampler(nn.Module):
    """The mean of scale x scale pixels, and what three convolutions at the base's resolution add to it.

    They see the full pixels of a base pixel as channels, and are valid: nothing is padded, so the halo, one base pixel
    a convolution, is all that a pixel depends on. The tail begins as zeros: untrained, this is the mean.

    scale: 2 or 4. features: 1 to 256. Raises ValueError otherwise.
    """

    halo = 3

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
        x = functional.leaky_relu(self.head(functional.pixel_unshuffle(full, self.scale)), 0.1)
        x = functional.leaky_relu(self.body(x), 0.1)
        margin = self.halo * self.scale
        mean = functional.avg_pool2d(full[:, :, margin:-margin, margin:-margin], self.scale)
        out: Tensor = mean + self.tail(x)
        return out


Network = PlainNet | RRDBNet
"""A network of a generator."""

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
