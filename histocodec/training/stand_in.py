"""A stand-in for AVIF that gradients pass through, to train what comes before the codec.

It takes the place of the codec only where a derivative is asked for: what the generator learns from went through the
real one.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..colour import ONE

BLOCK = 16
"""Pixels a side of the blocks that are transformed. AVIF chooses among 4 to 64."""

# By AVIF quality, in the principal colours of an H&E slide (`ColourTransform`): the quantiser's step, in 8-bit levels,
# with which the stand-in's error is the codec's; bits of the codec for each of its own; and by how many per cent the
# squared error of what an x4 generator makes of the base falls when the base gets one per cent more bits.
# Fitted on 10x bases of training patches (`benchmarks/stand_in.py`).
QUALITIES = (25.0, 35.0, 45.0, 55.0, 65.0, 75.0, 85.0, 95.0)
STEPS = (68.13, 48.3, 34.15, 24.84, 17.81, 11.84, 9.03, 4.32)
BITS = (3.68, 3.547, 3.476, 3.394, 3.326, 3.115, 3.097, 3.051)
SLOPES = (0.653, 0.639, 0.672, 0.663, 0.688, 0.556, 0.443, 0.175)

_YCBCR = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))
_DEAD = 1 / 3
"""Rounding offset: what is below two thirds of a step becomes zero."""


class StandIn(nn.Module):
    """Principal colours, a 16 x 16 DCT, quantisation, and the number of bits that it would take."""

    def __init__(self) -> None:
        super().__init__()
        k = torch.arange(BLOCK, dtype=torch.float64)
        basis = torch.cos(math.pi / BLOCK * (k[None] + 0.5) * k[:, None]) * (2 / BLOCK) ** 0.5
        basis[0] /= 2**0.5
        self.basis: Tensor
        self.ycbcr: Tensor
        self.register_buffer("basis", basis.float())
        self.register_buffer("ycbcr", torch.tensor(_YCBCR))

    def forward(self, base: Tensor, colours: Tensor, step: Tensor) -> tuple[Tensor, Tensor]:
        """Code and decode.

        base: (n, 3, h, w) RGB in 0..1, sides multiples of `BLOCK`. colours: (n, 12), the numbers of each image's
        `ColourTransform`. step: (n,), see `interpolated`.
        Returns the decoded base like the first, not clipped, and (n,) bits a base pixel before scaling by `BITS`.
        The gradient goes straight through the quantiser.
        """
        n, _, height, width = base.shape
        rows = colours.reshape(n, 3, 4) / ONE
        inverse = torch.linalg.inv(rows[:, :, :3])
        to_planes, offset = self.ycbcr @ inverse, rows[:, :, 3:]
        planes = to_planes @ (255 * base.reshape(n, 3, -1) - offset)
        blocks = planes.reshape(n, 3, height // BLOCK, BLOCK, width // BLOCK, BLOCK).transpose(3, 4)
        found = self.basis @ blocks @ self.basis.T / step.reshape(n, 1, 1, 1, 1, 1)
        whole = found.sign() * (found.abs() + _DEAD).floor()
        kept = found + (whole - found).detach()
        bits = torch.log2(1 + kept.abs()).sum((1, 2, 3, 4, 5)) / (height * width)
        planes = (self.basis.T @ (kept * step.reshape(n, 1, 1, 1, 1, 1)) @ self.basis).transpose(3, 4)
        rgb = torch.linalg.inv(to_planes) @ planes.reshape(n, 3, -1) + offset
        return rgb.reshape(base.shape) / 255, bits


def interpolated(table: tuple[float, ...], quality: Tensor) -> Tensor:
    """A table by AVIF quality, (n,) -> (n,), linear between its points and constant beyond them."""
    points = torch.tensor(QUALITIES, device=quality.device)
    values = torch.tensor(table, device=quality.device)
    at = functional.hardtanh((quality - points[0]) / (points[1] - points[0]), 0.0, len(table) - 1.0)
    low = at.floor().long().clamp_max(len(table) - 2)
    share = at - low
    return values[low] * (1 - share) + values[low + 1] * share
