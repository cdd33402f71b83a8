"""Small networks with random weights, for files that embed their generator."""

from __future__ import annotations

import dataclasses
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save as save_tensors

from histocodec.generators.integer_net import PAIR_LIMIT, SUM_LIMIT, ZERO_POINT, IntegerNet, Layer
from histocodec.generators.package import METADATA_KEY, Package, PackageCard, package_of

Tensors = dict[str, NDArray[Any]]

PLAIN: dict[str, tuple[int, int, int]] = {"plain": (4, 4, 1), "plain-x2": (2, 5, 2)}
"""Scale, channels and pairs of the networks in whole numbers, by the name that recipes use."""

RRDB = {"blocks": 1, "features": 4, "growth": 3, "halo": 3}
"""Hyperparameters of the network in floats, `rrdb`."""

NETWORKS = (*PLAIN, "rrdb")
"""Names of networks that recipes use."""


def network_package(kind: str = "plain", generation: int = 1) -> Package:
    """A small network with random weights; `kind` names one of `NETWORKS`."""
    if kind == "rrdb":
        return packed(_rrdb_tensors(), _card("rrdb", RRDB, 4, RRDB["halo"]))
    return package_of(random_net(kind), dataclasses.replace(plain_card(kind), generation=generation))


def packed(tensors: Tensors, card: PackageCard) -> Package:
    """Make a package of tensors, whatever they are."""
    return Package(save_tensors(tensors, metadata={METADATA_KEY: card.to_json()}))


def plain_card(kind: str) -> PackageCard:
    """The card of a network in whole numbers, without the checksum of its test block."""
    scale, channels, pairs = PLAIN[kind]
    return _card("plain", {"scale": scale, "channels": channels, "pairs": pairs}, scale, 2 * pairs + 2)


def _card(architecture: str, hyperparameters: dict[str, int], scale: int, halo: int) -> PackageCard:
    return PackageCard(
        name=f"vector-{architecture}-x{scale}",
        architecture=architecture,
        hyperparameters=hyperparameters,
        scale=scale,
        halo=halo,
        licence="Apache-2.0",
        training={"data": "none: random weights, to test decoders"},
    )


def random_net(kind: str) -> IntegerNet:
    """A network whose features leave neither 0 nor 255 for long, and which meets each bound somewhere."""
    scale, channels, pairs = PLAIN[kind]
    rng = np.random.Generator(np.random.PCG64(4))
    widths = [3, *[channels] * (2 * pairs + 1), 3 * scale * scale]
    layers = []
    for index, (inputs, outputs) in enumerate(pairwise(widths)):
        last = index == 2 * pairs + 1
        weight = rng.integers(-64, 65, (outputs, inputs, 3, 3))  # any two add up to PAIR_LIMIT at most
        shift = rng.integers(8, 10, outputs) + int(index == 0)
        # About what the weights make of the mean of their input, and of the stream's zero point, is taken back.
        bias = -weight.sum((1, 2, 3)) * (200 if index == 0 else ZERO_POINT + 12) + rng.integers(-3000, 3000, outputs)
        if index % 2 == 0 and index > 0 and not last:
            bias -= ZERO_POINT << shift
        layers.append(Layer(weight.astype(np.int8), bias.astype(np.int32), shift.astype(np.uint8)))
    _meet_the_bounds(layers)
    return IntegerNet("plain", scale, tuple(layers))


def _meet_the_bounds(layers: list[Layer]) -> None:
    """Give some channels the largest weights, pairs, shifts and sums that there may be, and the smallest shift."""
    body, tail = layers[1], layers[-1]
    body.weight[0, 0::2], body.weight[0, 1::2], body.shift[0] = 127, PAIR_LIMIT - 127, 12
    body.bias[0] = -ZERO_POINT * int(body.weight[0].sum())
    body.weight[1, 0::2, 0], body.weight[1, 1::2, 0] = -128, 127
    body.bias[1] = SUM_LIMIT - 1 - 255 * int(np.abs(body.weight[1].astype(np.int64)).sum())
    tail.weight[0] = 0
    tail.weight[0, 0, 1, 1], tail.bias[0], tail.shift[0] = 1, -ZERO_POINT, 0


def _rrdb_tensors() -> Tensors:
    """Weights that half precision holds exactly."""
    features, growth = RRDB["features"], RRDB["growth"]
    square = (features, features, 3, 3)
    shapes = {"conv_first": ((features, 3, 3, 3), 300)}
    for m, k in np.ndindex(3, 5):
        out = growth if k < 4 else features
        shapes[f"body.0.rdb{m + 1}.conv{k + 1}"] = ((out, features + k * growth, 3, 3), 200)
    shapes |= dict.fromkeys(("conv_body", "conv_up1", "conv_up2", "conv_hr"), (square, 200))
    shapes["conv_last"] = ((3, features, 3, 3), 200)
    rng = np.random.Generator(np.random.PCG64(4))
    tensors: Tensors = {}
    for layer, (shape, spread) in shapes.items():
        tensors[f"{layer}.weight"] = (rng.integers(-spread, spread + 1, shape) / 1024).astype(np.float16)
        tensors[f"{layer}.bias"] = (rng.integers(-100, 101, shape[:1]) / 1024).astype(np.float16)
    return tensors
