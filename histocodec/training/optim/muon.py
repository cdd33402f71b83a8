"""Muon: momentum whose matrices are made orthogonal before each step (Jordan et al. 2024).

torch has one as well (`torch.optim.Muon`), for matrices alone and in bfloat16, which a CPU without such instructions
runs ten times slower than the training step itself. This one takes convolutions and computes in their own precision.
Against Adam, four minutes on one core each: +0.4 dB on coded and uncoded development bases (benchmarks/NOTES.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

# Newton-Schulz quintic that takes singular values in (0, 1] near 1 in five rounds; Jordan's coefficients.
_A, _B, _C = 3.4445, -4.7750, 2.0315
_ROUNDS = 5


def orthogonalised(matrices: Tensor) -> Tensor:
    """Return (..., rows, columns) with the singular vectors of `matrices` and singular values near 1 (0.7 to 1.2)."""
    tall = matrices.shape[-2] > matrices.shape[-1]
    flat = matrices.mT if tall else matrices
    flat = flat / (flat.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(_ROUNDS):
        gram = flat @ flat.mT
        flat = _A * flat + (_B * gram + _C * gram @ gram) @ flat
    result: Tensor = flat.mT if tall else flat
    return result


class Muon(torch.optim.Optimizer):
    """Muon for weights of two or more axes; all but the first, a convolution's inputs and taps, are taken as one."""

    def __init__(
        self, parameters: Iterable[Tensor], lr: float, momentum: float = 0.95, weight_decay: float = 0.0
    ) -> None:
        """Take the settings. weight_decay: every step takes `lr` times this share of the weights away.

        That is decoupled weight decay (Loshchilov and Hutter 2019).
        """
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Take a step with Nesterov momentum. A closure is not supported and must be None."""
        assert closure is None
        for group in self.param_groups:
            alike: dict[torch.Size, list[Tensor]] = {}
            for parameter in group["params"]:
                if parameter.grad is not None:
                    alike.setdefault(parameter.shape, []).append(parameter)
            for parameters in alike.values():  # together: a GPU has next to nothing to do for one of them
                self._advance(parameters, group["lr"], group["momentum"], group["weight_decay"])

    def _advance(self, parameters: list[Tensor], rate: float, keep: float, decay: float) -> None:
        ahead = []
        for parameter in parameters:
            assert parameter.grad is not None
            state = self.state[parameter]
            if not state:
                state["momentum"] = torch.zeros_like(parameter)
            momentum = state["momentum"].lerp_(parameter.grad, 1 - keep)
            ahead.append(parameter.grad.lerp(momentum, keep).flatten(1))
        rows, columns = ahead[0].shape
        stretch = max(1.0, rows / columns) ** 0.5
        for parameter, update in zip(parameters, orthogonalised(torch.stack(ahead)), strict=True):
            parameter.mul_(1 - rate * decay)
            parameter.add_(update.reshape(parameter.shape), alpha=-rate * stretch)
