"""The networks of the generators.

Every network here uses *valid* convolutions: the input carries a halo of `network.halo` pixels on each side, and
nothing is padded inside. What a pixel of the output depends on is then the same wherever the cut between blocks runs.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional


class Plain(nn.Module):
    """3 x 3 convolutions at the base's resolution, then one pixel shuffle.

    `pairs` residual pairs of convolutions of `channels` features between a head and a tail. The tail predicts the
    difference to the input enlarged by repetition. Receptive field: one pixel of halo a convolution.

    scale: 2 or 4. channels: 1 to 512. pairs: 0 to 31. Raises ValueError otherwise.
    Input: (n, 3, h + 2 halo, w + 2 halo) float32 RGB in 0..1. Output: (n, 3, h * scale, w * scale), not clipped.
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
        x = functional.leaky_relu(self.head(base), 0.1)
        for first, second in zip(self.body[0::2], self.body[1::2], strict=True):
            y = functional.leaky_relu(first(x), 0.1)
            x = functional.leaky_relu(second(y) + x[:, :, 2:-2, 2:-2], 0.1)
        inner = base[:, :, self.halo : -self.halo, self.halo : -self.halo]
        repeated = inner.repeat_interleave(self.scale * self.scale, dim=1)
        return functional.pixel_shuffle(self.tail(x) + repeated, self.scale)


ARCHITECTURES = {"plain": Plain}


def build_network(architecture: str, hyperparameters: dict[str, Any]) -> Plain:
    """The network that a model package states. Raises KeyError or TypeError if there is no such network."""
    return ARCHITECTURES[architecture](**hyperparameters)
