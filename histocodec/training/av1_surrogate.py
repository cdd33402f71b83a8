"""A stand-in for AV1 that gradients pass through, to train what comes before the codec.

It takes the place of the codec only where a derivative is asked for: what the generator learns from went through the
real one.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..pixels.colour import ONE

DCT_SIDE = 16
"""Pixels a side of the squares that are transformed; AV1 chooses among 4 to 64."""

# The tables by AV1 quality are of the principal colours of an H&E slide (`ColourTransform`), fitted on 10x bases of
# training patches (`benchmarks/av1_surrogate.py`).
QUALITIES = (10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 85.0)
"""AV1 qualities at which the tables have a value."""
STEPS = (110.77, 65.66, 42.64, 27.67, 18.16, 11.44, 8.34, 3.8)
"""Steps of the quantiser, in 8-bit levels, with which the stand-in's error is the codec's."""
BITS = (2.758, 2.968, 3.041, 2.977, 2.845, 2.693, 2.625, 2.531)
"""Bits of the codec for each bit of the stand-in."""
SLOPES = (0.499, 0.564, 0.637, 0.693, 0.703, 0.603, 0.5, 0.332)
"""Per cent by which the squared error of an x4 reconstruction falls when its base gets one per cent more bits."""

_PLANES = 4
"""Levels of a stored sample, which has 10 bits, for each of 8 bits."""

_DEAD = 1 / 3
"""Offset of the rounding: below two thirds of a step a coefficient becomes zero."""


class Av1Surrogate(nn.Module):
    """A codec that gradients pass: principal colours, a 16 x 16 DCT, quantisation, and an estimate of the bits."""

    def __init__(self) -> None:
        super().__init__()
        k = torch.arange(DCT_SIDE, dtype=torch.float64)
        basis = torch.cos(math.pi / DCT_SIDE * (k[None] + 0.5) * k[:, None]) * (2 / DCT_SIDE) ** 0.5
        basis[0] /= 2**0.5
        self.basis: Tensor
        self.register_buffer("basis", basis.float())

    def forward(self, base: Tensor, colours: Tensor, step: Tensor) -> tuple[Tensor, Tensor]:
        """Code and decode.

        base: (n, 3, h, w) RGB in 0..1, sides multiples of `DCT_SIDE`. colours: (n, 12), the numbers of each image's
        `ColourTransform`. step: (n,), see `interpolated`.
        Returns the decoded base like the first, not clipped, and (n,) bits a base pixel before scaling by `BITS`.
        The gradient goes straight through the quantiser.
        """
        n, _, height, width = base.shape
        rows = colours.reshape(n, 3, 4) / ONE
        inverse = torch.linalg.inv(rows[:, :, :3])
        to_planes, offset = inverse / _PLANES, rows[:, :, 3:]
        planes = to_planes @ (255 * base.reshape(n, 3, -1) - offset)
        blocks = planes.reshape(n, 3, height // DCT_SIDE, DCT_SIDE, width // DCT_SIDE, DCT_SIDE).transpose(3, 4)
        found = self.basis @ blocks @ self.basis.T / step.reshape(n, 1, 1, 1, 1, 1)
        whole = found.sign() * (found.abs() + _DEAD).floor()
        kept = found + (whole - found).detach()
        bits = torch.log2(1 + kept.abs()).sum((1, 2, 3, 4, 5)) / (height * width)
        planes = (self.basis.T @ (kept * step.reshape(n, 1, 1, 1, 1, 1)) @ self.basis).transpose(3, 4)
        rgb = torch.linalg.inv(to_planes) @ planes.reshape(n, 3, -1) + offset
        return rgb.reshape(base.shape) / 255, bits


def interpolated(table: tuple[float, ...], quality: Tensor) -> Tensor:
    """Look qualities up in a table, (n,) to (n,): linear between `QUALITIES`, constant beyond them."""
    points = torch.tensor(QUALITIES, device=quality.device)
    values = torch.tensor(table, device=quality.device)
    at = functional.hardtanh((quality - points[0]) / (points[1] - points[0]), 0.0, len(table) - 1.0)
    low = at.floor().long().clamp_max(len(table) - 2)
    share = at - low
    return values[low] * (1 - share) + values[low + 1] * share
