"""A residual pair in one step is what autograd makes of its parts."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from histocodec.training.residual_pair import residual_pair

LEAK = 0.125


def of_its_parts(x: Tensor, first: nn.Conv2d, second: nn.Conv2d) -> Tensor:
    y = functional.leaky_relu(first(x), LEAK)
    return functional.leaky_relu(second(y) + x[:, :, 2:-2, 2:-2], LEAK)


def in_one_step(x: Tensor, first: nn.Conv2d, second: nn.Conv2d) -> Tensor:
    assert first.bias is not None
    assert second.bias is not None
    return residual_pair(x, first.weight, first.bias, second.weight, second.bias, LEAK)


def gradients(result: Tensor, x: Tensor, layers: list[nn.Conv2d]) -> list[Tensor]:
    weights = [p for layer in layers for p in layer.parameters() if p.requires_grad]
    target = torch.linspace(-1, 1, result.numel(), dtype=result.dtype).reshape(result.shape)
    return list(torch.autograd.grad((result * target).sum(), [x, *weights]))


@pytest.mark.parametrize("trains", [True, False])
def test_result_and_gradients_are_those_of_its_parts(trains: bool) -> None:
    torch.manual_seed(3)
    layers = [nn.Conv2d(4, 4, 3, dtype=torch.float64).requires_grad_(trains) for _ in range(2)]
    x = torch.randn(2, 4, 9, 11, dtype=torch.float64, requires_grad=True)
    expected, found = of_its_parts(x, *layers), in_one_step(x, *layers)
    assert torch.allclose(found, expected)
    for one, other in zip(gradients(found, x, layers), gradients(expected, x, layers), strict=True):
        assert torch.allclose(one, other)


def test_its_input_is_left_alone() -> None:
    layers = [nn.Conv2d(3, 3, 3) for _ in range(2)]
    x = torch.randn(1, 3, 8, 8)
    before = x.clone()
    in_one_step(x, *layers)
    assert torch.equal(x, before)
