"""From floats to whole numbers and back: little is lost, every sum is bounded, and a seed gives the same bytes."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from histocodec.demo.synthetic import tissue
from histocodec.generators.engines.numpy_engine import NumpyEngine
from histocodec.generators.integer_net import PAIR_LIMIT, SUM_LIMIT, IntegerNet, largest_pair, tensors_of
from histocodec.generators.rrdb import run_in_floats
from histocodec.geometry import Image, Size
from histocodec.pixels.degrade import degrade
from histocodec.training.networks import PlainNet, ResidualDownsampler
from histocodec.training.quantise import floats_of, quantise

CPU = torch.device("cpu")


@functools.cache
def bases(count: int, side: int = 48, seed: int = 0) -> NDArray[np.uint8]:
    """Coded and uncoded bases of synthetic tissue."""
    return np.stack(
        [
            degrade(tissue(Size(4 * side, 4 * side), seed=seed + k), 4, "jp2k" if k % 2 else None, 32.0)
            for k in range(count)
        ]
    )


@functools.cache
def fulls(count: int, side: int = 160, seed: int = 0) -> NDArray[np.uint8]:
    return np.stack([tissue(Size(side, side), seed=seed + k) for k in range(count)])


def enlarging(scale: int = 4, channels: int = 12, pairs: int = 2, seed: int = 3) -> PlainNet:
    """A network with random weights whose details are some levels high, as those of a trained one are."""
    torch.manual_seed(seed)
    network = PlainNet(scale, channels, pairs)
    with torch.no_grad():
        for convolution in (network.head, *network.body):
            convolution.weight.mul_(2)
            convolution.bias.add_(0.05)  # a network without any biases would not tell whether they are kept
        network.tail.weight.mul_(0.3)
    return network


def shrinking(seed: int = 3) -> ResidualDownsampler:
    torch.manual_seed(seed)
    network = ResidualDownsampler(4, 8)
    torch.nn.init.normal_(network.tail.weight, std=0.05)
    return network


def apart(network: PlainNet | ResidualDownsampler, net: IntegerNet, image: Image) -> float:
    """The root mean square of the difference of both results, in levels."""
    difference = run_in_floats(network, image, CPU).astype(float) - NumpyEngine(net)(image[None])[0]
    return float(np.sqrt((difference**2).mean()))


@pytest.mark.parametrize("pairs", [0, 1, 2])
def test_a_generator_in_whole_numbers_predicts_what_its_ancestor_does(pairs: int) -> None:
    network = enlarging(pairs=pairs)
    net = quantise(network, bases(6))
    assert (net.architecture, net.scale, net.halo, net.features) == ("plain", 4, network.halo, 12)
    image = bases(1, seed=50)[0]
    repeated = image[network.halo : -network.halo, network.halo : -network.halo].repeat(4, 0).repeat(4, 1)
    details = run_in_floats(network, image, CPU).astype(float) - repeated
    assert details.std() > 3  # there is something to lose
    assert apart(network, net, image) < 0.6  # rounding both to levels alone is 0.4


def test_a_downsampler_in_whole_numbers_makes_what_its_ancestor_does() -> None:
    network = shrinking()
    net = quantise(network, fulls(4))
    assert (net.architecture, net.halo) == ("residual-downsampler", 3)
    assert apart(network, net, fulls(1, seed=50)[0]) < 0.6


def test_another_slope_is_fitted() -> None:
    """What trained with another slope of negative values is brought near by later layers."""
    network = enlarging()
    network.leak = 0.1
    net = quantise(network, bases(6))
    unfitted = enlarging()  # the same weights with the slope of 1/8
    image = bases(1, seed=50)[0]
    difference = run_in_floats(network, image, CPU).astype(float) - run_in_floats(unfitted, image, CPU)
    assert apart(network, net, image) < 0.8 * np.sqrt((difference**2).mean())


def test_errors_have_no_bias() -> None:
    network, image = enlarging(), bases(1, seed=50)[0]
    net = quantise(network, bases(6))
    difference = run_in_floats(network, image, CPU).astype(float) - NumpyEngine(net)(image[None])[0]
    assert np.abs(difference.mean((0, 1))).max() < 0.1


@pytest.mark.parametrize("network", [enlarging(seed=8), shrinking(seed=8)], ids=["plain", "downsampler"])
def test_sums_and_pairs_are_bounded_and_the_network_stays(network: PlainNet | ResidualDownsampler) -> None:
    before = {name: value.clone() for name, value in network.state_dict().items()}
    net = quantise(network, bases(3) if isinstance(network, PlainNet) else fulls(3))
    assert max(net.largest_sums()) < SUM_LIMIT
    assert max(largest_pair(layer.weight) for layer in net.layers) <= PAIR_LIMIT
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_what_cannot_be_bounded_is_refused() -> None:
    network = enlarging(pairs=0)
    assert network.tail.bias is not None
    network.tail.bias.data.fill_(1e7)
    with pytest.raises(ValueError, match="2\\^24"):
        quantise(network, bases(2))


def test_the_same_seed_gives_the_same_network() -> None:
    network, images = enlarging(channels=24), bases(12, side=64)
    first, again, other = (tensors_of(quantise(network, images, seed=seed)) for seed in (1, 1, 2))
    assert all(np.array_equal(value, again[name]) for name, value in first.items())
    assert any(not np.array_equal(value, other[name]) for name, value in first.items())


@pytest.mark.parametrize("kind", ["plain", "downsampler"])
def test_the_way_back_predicts_the_same_but_for_rounding(kind: str) -> None:
    network, image = (enlarging(), bases(1, seed=50)[0]) if kind == "plain" else (shrinking(), fulls(1, seed=50)[0])
    net = quantise(network, bases(4) if kind == "plain" else fulls(4))
    back = floats_of(net)
    assert type(back) is type(network)
    assert back.state_dict().keys() == network.state_dict().keys()
    assert apart(back, net, image) < 0.6
    hidden = [value for name, value in back.named_parameters() if name == "body.weight" or name == "body.0.weight"]
    assert 0.01 < float(hidden[0].detach().std()) < 1  # what optimisers are made for


def test_there_and_back_and_there_again_loses_nothing_more() -> None:
    net = quantise(enlarging(), bases(6))
    again = quantise(floats_of(net), bases(6), seed=1)
    image = bases(1, seed=50)[0]
    difference = NumpyEngine(net)(image[None]).astype(float) - NumpyEngine(again)(image[None])
    assert np.sqrt((difference**2).mean()) < 0.5
