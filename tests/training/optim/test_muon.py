"""The optimiser Muon."""

from __future__ import annotations

import torch

from histocodec.training.optim.muon import Muon, orthogonalised


def test_muon_s_weight_decay_shrinks_what_has_no_gradient() -> None:
    weight = torch.nn.Parameter(torch.ones(4, 3, 3, 3))
    weight.grad = torch.zeros_like(weight)
    Muon([weight], lr=0.1, weight_decay=0.5).step()
    assert torch.allclose(weight, torch.full_like(weight, 0.95))


def test_muon_steps_are_orthogonal_whatever_the_gradients_scale() -> None:
    torch.manual_seed(0)
    for rows, columns in ((6, 20), (20, 6)):
        values = torch.linalg.svdvals(orthogonalised(torch.randn(rows, columns)))
        assert values.min() > 0.6
        assert values.max() < 1.3
    steps = []
    for scale in (1.0, 1e-3):
        weight = torch.nn.Parameter(torch.zeros(4, 2, 3, 3))
        weight.grad = scale * torch.arange(72.0).reshape(4, 2, 3, 3).sin()
        Muon([weight], lr=0.1).step()
        steps.append(weight.detach().clone())
    assert torch.allclose(steps[0], steps[1], atol=1e-5)
    assert steps[0].norm() > 0
