"""The networks: what they see, what comes out, and how little the cut between blocks shows."""

from __future__ import annotations

import pytest
import torch

from histocodec.generators.rrdb import RRDBNet
from histocodec.training.networks import (
    DOWNSAMPLERS,
    Network,
    PlainNet,
    ResidualDownsampler,
    build_among,
    build_network,
)

NETWORKS = [
    ("plain", {"scale": 4, "channels": 6, "pairs": 2}, 6),
    ("plain", {"scale": 2, "channels": 4, "pairs": 0}, 2),
    ("rrdb", {"blocks": 1, "features": 8, "growth": 4, "halo": 5}, 5),
    ("rrdb", {"blocks": 1, "features": 8, "growth": 4, "halo": 0}, 0),
]


def built(architecture: str, hyperparameters: dict[str, int]) -> Network:
    torch.manual_seed(0)
    return build_network(architecture, hyperparameters).eval()


@pytest.mark.parametrize(("architecture", "hyperparameters", "halo"), NETWORKS)
def test_the_output_is_the_inner_part_enlarged(architecture: str, hyperparameters: dict[str, int], halo: int) -> None:
    network = built(architecture, hyperparameters)
    assert network.halo == halo
    out = network(torch.rand(2, 3, 12 + 2 * halo, 8 + 2 * halo))
    assert out.shape == (2, 3, 12 * network.scale, 8 * network.scale)


@pytest.mark.parametrize(("architecture", "hyperparameters", "halo"), NETWORKS[:2])
def test_a_plain_network_sees_its_halo_and_no_further(
    architecture: str, hyperparameters: dict[str, int], halo: int
) -> None:
    network = built(architecture, hyperparameters)
    scale = network.scale
    base = torch.rand(1, 3, 8 + 2 * halo, 8 + 2 * halo)
    out = network(base)
    beyond = base.clone()
    beyond[..., -1] = 0
    changed = (network(beyond) != out).any(dim=2).any(dim=1)[0]
    assert changed[-scale:].any()  # the last base pixel sees it
    assert not changed[:-scale].any()


def test_blocks_of_a_plain_network_are_the_whole() -> None:
    for architecture, hyperparameters, halo in NETWORKS[:2]:
        network = built(architecture, hyperparameters)
        base = torch.rand(1, 3, 32 + 2 * halo, 16 + 2 * halo)
        halves = [network(base[:, :, top : top + 16 + 2 * halo]) for top in (0, 16)]
        assert torch.allclose(torch.cat(halves, 2), network(base), atol=1e-5)


def test_the_halo_of_an_rrdb_network_is_cut_off_and_nothing_else() -> None:
    torch.manual_seed(0)
    whole, cropped = RRDBNet(1, 8, 4, 0), RRDBNet(1, 8, 4, 6)
    cropped.load_state_dict(whole.state_dict())
    base = torch.rand(1, 3, 20, 24)
    assert torch.allclose(whole(base)[:, :, 24:-24, 24:-24], cropped(base), atol=1e-6)


def test_without_a_tail_the_base_is_repeated() -> None:
    network = PlainNet(2, 4, 0)
    for parameter in network.tail.parameters():
        torch.nn.init.zeros_(parameter)
    base = torch.rand(1, 3, 12, 12)
    assert torch.equal(network(base), base[:, :, 2:-2, 2:-2].repeat_interleave(2, 2).repeat_interleave(2, 3))


@pytest.mark.parametrize(
    ("architecture", "hyperparameters"),
    [
        ("plain", {"scale": 3, "channels": 4, "pairs": 1}),
        ("plain", {"scale": 4, "channels": 0, "pairs": 1}),
        ("plain", {"scale": 4, "channels": 4, "pairs": 32}),
        ("rrdb", {"blocks": 0, "features": 4, "growth": 4, "halo": 4}),
        ("rrdb", {"blocks": 1, "features": 4, "growth": 4, "halo": 65}),
    ],
)
def test_impossible_networks_are_refused(architecture: str, hyperparameters: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="no such network"):
        build_network(architecture, hyperparameters)


@pytest.mark.parametrize("scale", [2, 4])
def test_an_untrained_downsampler_is_the_mean(scale: int) -> None:
    network = build_among(DOWNSAMPLERS, "residual-downsampler", {"scale": scale, "features": 4})
    assert (network.scale, network.halo) == (scale, 3)
    full = torch.rand(2, 3, (8 + 6) * scale, (5 + 6) * scale)
    expected = full.reshape(2, 3, 14, scale, 11, scale).mean((3, 5))[:, :, 3:-3, 3:-3]
    assert network(full).shape == (2, 3, 8, 5)
    assert torch.allclose(network(full), expected, atol=1e-6)


@pytest.mark.parametrize("scale", [2, 4])
def test_a_downsampler_sees_its_halo_and_no_further(scale: int) -> None:
    torch.manual_seed(0)
    network = ResidualDownsampler(scale, 8)
    torch.nn.init.normal_(network.tail.weight)
    full = torch.rand(1, 3, 14 * scale, 14 * scale)
    beyond = full.clone()
    beyond[..., -1] = 0
    changed = (network(beyond) != network(full)).any(dim=2).any(dim=1)[0]
    assert changed[-1]
    assert not changed[:-1].any()
    halves = [network(full[:, :, top : top + 10 * scale]) for top in (0, 4 * scale)]
    assert torch.allclose(torch.cat(halves, 2), network(full), atol=1e-5)


@pytest.mark.parametrize("hyperparameters", [{"scale": 3, "features": 4}, {"scale": 4, "features": 0}, {"scale": 2}])
def test_impossible_downsamplers_are_refused(hyperparameters: dict[str, int]) -> None:
    with pytest.raises((ValueError, TypeError), match=r"no such network|features"):
        build_among(DOWNSAMPLERS, "residual-downsampler", hyperparameters)


def test_generators_and_downsamplers_are_not_mistaken_for_each_other() -> None:
    with pytest.raises(ValueError, match="must be one of plain, rrdb"):
        build_network("residual-downsampler", {"scale": 4, "features": 4})
    with pytest.raises(ValueError, match="must be one of residual-downsampler"):
        build_among(DOWNSAMPLERS, "plain", {"scale": 4, "channels": 4, "pairs": 0})
