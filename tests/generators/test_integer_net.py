"""Networks in whole numbers: what they compute, and the proof that no engine can compute it otherwise."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from histocodec.generators.engines.numpy_engine import NumpyEngine
from histocodec.generators.integer_net import (
    PAIR_LIMIT,
    SUM_LIMIT,
    Architecture,
    IntegerNet,
    Layer,
    check,
    largest_pair,
    net_of,
    tensors_of,
)
from tests.generators.inputs import by_definition, inputs, random_net

NETS: list[tuple[Architecture, dict[str, int]]] = [
    ("plain", {"scale": 4, "channels": 8, "pairs": 2}),
    ("plain", {"scale": 2, "channels": 5, "pairs": 0}),
    ("residual-downsampler", {"scale": 4, "features": 6}),
    ("residual-downsampler", {"scale": 2, "features": 9}),
]


@pytest.mark.parametrize(("architecture", "sizes"), NETS)
def test_the_reference_computes_what_is_defined(architecture: Architecture, sizes: dict[str, int]) -> None:
    for seed in range(3):
        net = random_net(architecture, seed, **sizes)
        images = inputs(net, 11, 6, 5)
        out = NumpyEngine(net)(images)
        assert out.shape == (5, *net.output_size(*images.shape[1:3]), 3)
        assert np.array_equal(out, np.stack([by_definition(net, image) for image in images]))
        assert out.std() > 20  # neither all clamped nor flat


@pytest.mark.parametrize(("architecture", "sizes"), NETS)
def test_tensors_make_the_network_again(architecture: Architecture, sizes: dict[str, int]) -> None:
    net = random_net(architecture, **sizes)
    again = net_of(architecture, sizes, tensors_of(net))
    assert (again.scale, again.halo, again.features) == (net.scale, net.halo, net.features)
    assert all(np.array_equal(a.weight, b.weight) for a, b in zip(net.layers, again.layers, strict=True))


@pytest.mark.parametrize(("architecture", "sizes"), NETS)
def test_no_input_exceeds_the_largest_sum(architecture: Architecture, sizes: dict[str, int]) -> None:
    net = random_net(architecture, **sizes)
    for layer, largest in zip(net.layers, net.largest_sums(), strict=True):
        weight, bias = layer.weight.astype(int), layer.bias.astype(int)
        highest = (255 * np.maximum(weight, 0).sum((1, 2, 3)) + bias).max()
        lowest = (255 * np.minimum(weight, 0).sum((1, 2, 3)) + bias).min()
        worst = max(highest, -lowest)
        assert worst <= largest < SUM_LIMIT


@pytest.mark.parametrize(
    ("architecture", "sizes"),
    [
        ("plain", {"scale": 3, "channels": 4, "pairs": 1}),
        ("plain", {"scale": 4, "channels": 0, "pairs": 1}),
        ("plain", {"scale": 4, "channels": 513, "pairs": 1}),
        ("plain", {"scale": 4, "channels": 4, "pairs": 32}),
        ("plain", {"scale": 4, "channels": 4, "pairs": True}),
        ("plain", {"scale": 4, "channels": 4.0, "pairs": 1}),
        ("plain", {"scale": 4, "features": 4}),
        ("residual-downsampler", {"scale": 3, "features": 4}),
        ("residual-downsampler", {"scale": 4, "features": 0}),
        ("residual-downsampler", {"scale": 2}),
    ],
)
def test_impossible_networks_are_refused(architecture: Architecture, sizes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"no such network|hyperparameters are whole numbers"):
        net_of(architecture, sizes, {})


def with_layer(net: IntegerNet, index: int, **changes: Any) -> IntegerNet:
    layers = list(net.layers)
    layers[index] = dataclasses.replace(layers[index], **changes)
    return dataclasses.replace(net, layers=tuple(layers))


def test_sums_that_could_reach_the_limit_are_refused_and_one_less_is_not() -> None:
    net = random_net("plain", scale=4, channels=8, pairs=1)
    layer = net.layers[1]
    room = SUM_LIMIT - 1 - 255 * np.abs(layer.weight.astype(int)).sum((1, 2, 3))
    check(with_layer(net, 1, bias=room.astype(np.int32)))
    check(with_layer(net, 1, bias=-room.astype(np.int32)))
    bias = room.astype(np.int32)
    bias[3] += 1
    for too_large in (bias, -bias):
        with pytest.raises(ValueError, match=r"body.0: its sums can reach 16777216, they must stay below 2\^24"):
            check(with_layer(net, 1, bias=too_large))


def test_what_is_added_to_a_sum_is_counted() -> None:
    net = random_net("plain", scale=4, channels=8, pairs=1)
    for index in (2, 3):  # the stream, and the tail's input
        layer = net.layers[index]
        shift = layer.shift.astype(int)
        room = SUM_LIMIT - 1 - 255 * np.abs(layer.weight.astype(int)).sum((1, 2, 3)) - (255 << shift)
        check(with_layer(net, index, bias=room.astype(np.int32)))
        with pytest.raises(ValueError, match="can reach"):
            check(with_layer(net, index, bias=room.astype(np.int32) + 1))


def test_a_shift_too_far_is_refused() -> None:
    net = random_net("plain", scale=4, channels=8, pairs=1)
    with pytest.raises(ValueError, match="head: shifts are at most 12, found 13"):
        check(with_layer(net, 0, shift=np.full(8, 13, np.uint8)))
    down = random_net("residual-downsampler", scale=4, features=4)
    with pytest.raises(ValueError, match="tail: shifts are at least 4, found 3"):
        check(with_layer(down, 2, shift=np.full(3, 3, np.uint8)))


@pytest.mark.parametrize("sign", [1, -1])
def test_pairs_that_could_saturate_are_refused(sign: int) -> None:
    net = random_net("plain", scale=4, channels=5, pairs=1, spread=60)
    weight = np.zeros_like(net.layers[1].weight)
    weight[2, 2, 0, 1], weight[2, 3, 0, 1] = sign * 64, sign * 64
    weight[2, 1, 0, 1] = sign * 127  # of another pair
    weight[2, 4] = -128  # without a partner
    check(with_layer(net, 1, weight=weight))
    assert largest_pair(weight) == PAIR_LIMIT
    weight[2, 3, 0, 1] += sign
    with pytest.raises(ValueError, match=r"body\.0: the weights of two neighbouring channels add up to more than 128"):
        check(with_layer(net, 1, weight=weight))


def test_other_tensors_are_refused() -> None:
    net = random_net("plain", scale=4, channels=8, pairs=1)
    sizes, tensors = {"scale": 4, "channels": 8, "pairs": 1}, tensors_of(net)
    for changed, said in (
        ({"head.weight": tensors["head.weight"].astype(np.float32)}, "expected .* of int8, found .* of float32"),
        ({"head.shift": tensors["head.shift"].astype(np.int8)}, "of uint8, found .* of int8"),
        ({"tail.bias": tensors["tail.bias"][:-1]}, r"tail.bias: expected \(48,\)"),
        ({"body.9.bias": tensors["tail.bias"]}, "tensors of other names: body.9.bias"),
    ):
        with pytest.raises(ValueError, match=said):
            net_of("plain", sizes, tensors | changed)
    del tensors["body.1.shift"]
    with pytest.raises(ValueError, match=r"tensors of other names: body\.1.shift"):
        net_of("plain", sizes, tensors)


def test_a_layer_is_what_it_states() -> None:
    layer = Layer(np.zeros((2, 3, 3, 3), np.int8), np.zeros(2, np.int32), np.zeros(2, np.uint8))
    assert largest_pair(layer.weight) == 0
