"""Expansions: nothing changes at first, they are trained, and a plain convolution is left in the end."""

from __future__ import annotations

import torch

from histocodec.training.networks import build_network
from histocodec.training.optim.expansion import effective, expand


def test_an_expansion_adds_what_training_makes_of_it() -> None:
    torch.manual_seed(0)
    network = build_network("plain", {"scale": 4, "channels": 4, "pairs": 1})
    image = torch.rand(1, 3, 16, 16)
    before, names = network(image), [name for name, _ in network.named_parameters()]
    expand(network, 2)
    assert torch.equal(network(image), before)
    added = [parameter for name, parameter in network.named_parameters() if name.endswith("narrow")]
    assert added
    network(image).sum().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().max() > 0 for parameter in added)
    with torch.no_grad():
        for parameter in added:
            parameter.fill_(0.01)
    small = build_network("plain", {"scale": 4, "channels": 4, "pairs": 1})
    small.load_state_dict({name: effective(network, name) for name in names})
    assert torch.allclose(small(image), network(image), atol=1e-6)
    assert not torch.allclose(small(image), before, atol=1e-4)
