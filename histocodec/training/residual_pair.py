"""A residual pair of convolutions as one step of autograd, which works in place where autograd would copy.

The training step of a plain network is bound by memory, not by its products: on a CPU with bfloat16 this takes a third
of its time away.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


def residual_pair(x: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor, leak: float) -> Tensor:
    """Return leaky(conv(leaky(conv(x, w1, b1)), w2, b2) + x without its edge of two pixels), (n, c, h - 4, w - 4).

    x: (n, c, h, w) float, in the precision that the convolutions compute in. w1, w2: (c, c, 3, 3), b1, b2: (c,), of
    convolutions without padding. leak: slope of negative values, more than 0. It cannot be derived twice.
    """
    result: Tensor = _Pair.apply(x, *(tensor.to(x.dtype) for tensor in (w1, b1, w2, b2)), leak)  # type: ignore[no-untyped-call]
    return result


class _Pair(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor, leak: float) -> Tensor:
        y = functional.leaky_relu_(functional.conv2d(x, w1, b1), leak)
        z = functional.conv2d(y, w2, b2)
        z += x[:, :, 2:-2, 2:-2]
        z = functional.leaky_relu_(z, leak)
        ctx.save_for_backward(x, y, z, w1, w2)
        ctx.leak = leak
        return z

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, y, z, w1, w2 = ctx.saved_tensors
        # A leaky result has the sign of what it was made from: what is saved tells the slope.
        after = torch.ops.aten.leaky_relu_backward(gradients[0], z, ctx.leak, True)
        of_y, of_w2, of_b2 = _back(after, y, w2, ctx.needs_input_grad[3])
        between = torch.ops.aten.leaky_relu_backward(of_y, y, ctx.leak, True)
        of_x, of_w1, of_b1 = _back(between, x, w1, ctx.needs_input_grad[1])
        of_x[:, :, 2:-2, 2:-2] += after
        return of_x, of_w1, of_b1, of_w2, of_b2, None


def _back(gradient: Tensor, x: Tensor, weight: Tensor, of_weights: bool) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Return the gradients of a valid convolution's input, weight and bias; of the latter two only if asked for."""
    found: tuple[Tensor, Tensor | None, Tensor | None] = torch.ops.aten.convolution_backward(
        gradient, x, weight, [len(weight)], [1, 1], [0, 0], [1, 1], False, [0, 0], 1, [True, of_weights, of_weights]
    )
    return found
