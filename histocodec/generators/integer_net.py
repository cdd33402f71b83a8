"""Networks in whole numbers: what they are, and the proof that every engine computes the same of them.

Activations have 8 bits without a sign, weights 8 bits with one. A layer sums products of both, multiplies the sum by a
power of two, rounds it half to even and clamps it. Every sum, in whatever order, stays below 2^24: single precision
holds it exactly. So a float convolution, an integer one and one on a graphics card give the same bits, however they
block, batch or divide the work. `check` proves the bound from the weights, which is why a package cannot lie about it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Architecture = Literal["plain", "residual-downsampler"]

ZERO_POINT = 32
"""The activation that stands for zero. It is even, so that rounding half to even before or after it is added agrees."""

LEAK_SHIFT = 3
"""Negative sums are divided by 2^3 = 8: a leaky rectifier of slope 1/8."""

SUM_LIMIT = 1 << 24
"""Every sum is smaller than this, see `check`."""

MAX_SHIFT = 12
"""A sum over 2^12, its eighth part, the zero point and the 8 bits of an activation fit into the 24 bits of binary32."""

PAIR_LIMIT = 128
"""What the weights of two neighbouring input channels may add up to at one place, in either direction: 255 times it
fits into 16 bits with a sign, into which AVX2 adds the products of such a pair."""

MAX_CHANNELS = 512
MAX_PAIRS = 31


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """A 3 x 3 convolution in whole numbers."""

    weight: NDArray[np.int8]
    """(out, in, 3, 3); not mirrored."""
    bias: NDArray[np.int32]
    """(out,); holds what the zero points of the layer's input add up to, too."""
    shift: NDArray[np.uint8]
    """(out,), 0 to 12: the sum is divided by 2^shift."""


@dataclass(frozen=True, slots=True, eq=False)
class IntegerNet:
    """A network in whole numbers.

    `plain` enlarges: head, pairs of convolutions around which the stream is added, tail, pixel shuffle; the tail's sum
    is added to the input, repeated. `residual-downsampler` shrinks: pixel unshuffle, head, body, tail; the tail's sum
    is added to the mean. All convolutions are valid: nothing is padded.
    """

    architecture: Architecture
    scale: int
    """Full pixels per base pixel, each axis: 2 or 4."""
    layers: tuple[Layer, ...]
    """Head, body and tail, in order."""

    @property
    def enlarges(self) -> bool:
        """True for a generator, False for a downsampler."""
        return self.architecture == "plain"

    @property
    def halo(self) -> int:
        """Base pixels of context on every side: one a convolution."""
        return len(self.layers)

    @property
    def features(self) -> int:
        """Channels between the convolutions."""
        return int(self.layers[0].weight.shape[0])

    def adds_stream(self, index: int) -> bool:
        """Return whether a layer adds the stream of features from before the previous layer to its sum."""
        return self.enlarges and 0 < index < len(self.layers) - 1 and index % 2 == 0

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        """Return the height and width that an input of so many pixels becomes."""
        if self.enlarges:
            return (height - 2 * self.halo) * self.scale, (width - 2 * self.halo) * self.scale
        return height // self.scale - 2 * self.halo, width // self.scale - 2 * self.halo

    def largest_sums(self) -> list[int]:
        """Return, layer by layer, what no partial sum can exceed, whatever the input and the order of summation."""
        largest = []
        for index, layer in enumerate(self.layers):
            reach = 255 * np.abs(layer.weight.astype(np.int64)).sum((1, 2, 3)) + np.abs(layer.bias.astype(np.int64))
            if self.adds_stream(index) or index == len(self.layers) - 1:  # the tail adds the input
                reach = reach + (255 << layer.shift.astype(np.int64))
            largest.append(int(reach.max()))
        return largest


def net_of(architecture: Architecture, hyperparameters: Mapping[str, Any], tensors: Mapping[str, Any]) -> IntegerNet:
    """Build a network from what its package states and holds.

    tensors: arrays by name. Raises ValueError or TypeError for what is no such network, or breaks `check`.
    """
    expected = dict(_shapes(architecture, hyperparameters))
    if set(tensors) != set(expected):
        different = sorted(set(tensors) ^ set(expected))
        raise ValueError(f"expected tensors of other names: {', '.join(different[:4])}")
    for name, (dtype, shape) in expected.items():
        found = tensors[name]
        if found.dtype != dtype or found.shape != shape:
            raise ValueError(f"{name}: expected {shape} of {dtype}, found {found.shape} of {found.dtype}")
    names = [name.removesuffix(".weight") for name in expected if name.endswith(".weight")]
    layers = tuple(
        Layer(tensors[f"{name}.weight"], tensors[f"{name}.bias"], tensors[f"{name}.shift"]) for name in names
    )
    net = IntegerNet(architecture, hyperparameters["scale"], layers)
    check(net)
    return net


def tensors_of(net: IntegerNet) -> dict[str, NDArray[Any]]:
    """Return the tensors of a network by the names that a package knows them by."""
    names = layer_names(len(net.layers))
    return {
        f"{name}.{part}": np.ascontiguousarray(getattr(layer, part))
        for name, layer in zip(names, net.layers, strict=True)
        for part in ("weight", "bias", "shift")
    }


def layer_names(count: int) -> list[str]:
    """Return the names of so many layers, in order."""
    return ["head", *(f"body.{k}" for k in range(count - 2)), "tail"]


def check(net: IntegerNet) -> None:
    """Prove that every engine computes the same. Raises ValueError with the layer that breaks it.

    Shifts are at most MAX_SHIFT, and in a downsampler's tail at least that of the mean. No sum can reach SUM_LIMIT. No
    pair of neighbouring weights exceeds PAIR_LIMIT.
    """
    names = layer_names(len(net.layers))
    for name, layer, largest in zip(names, net.layers, net.largest_sums(), strict=True):
        if layer.shift.max() > MAX_SHIFT:
            raise ValueError(f"{name}: shifts are at most {MAX_SHIFT}, found {layer.shift.max()}")
        if largest >= SUM_LIMIT:
            raise ValueError(f"{name}: its sums can reach {largest}, they must stay below 2^24")
        if largest_pair(layer.weight) > PAIR_LIMIT:
            raise ValueError(
                f"{name}: the weights of two neighbouring channels add up to more than {PAIR_LIMIT} at one place"
            )
    least = 0 if net.enlarges else 2 * (net.scale.bit_length() - 1)
    if net.layers[-1].shift.min() < least:
        raise ValueError(f"tail: shifts are at least {least}, found {net.layers[-1].shift.min()}")


def largest_pair(weight: NDArray[np.int8]) -> int:
    """Return what the weights of one sign of input channels 2 n and 2 n + 1 add up to at most, at one place."""
    wide = weight.astype(np.int64)
    if wide.shape[1] % 2:
        wide = np.pad(wide, ((0, 0), (0, 1), (0, 0), (0, 0)))
    first, second = wide[:, 0::2], wide[:, 1::2]
    positive = np.maximum(first, 0) + np.maximum(second, 0)
    negative = np.maximum(-first, 0) + np.maximum(-second, 0)
    return int(max(positive.max(), negative.max()))


def _shapes(
    architecture: Architecture, hyperparameters: Mapping[str, Any]
) -> Iterator[tuple[str, tuple[np.dtype[Any], tuple[int, ...]]]]:
    """Yield name, dtype and shape of every tensor. Raises ValueError if there is no such network."""
    scale, channels, pairs = _sizes(architecture, hyperparameters)
    pixels = 3 * scale * scale
    if architecture == "plain":
        count, first, last = 2 * pairs + 2, 3, pixels
    else:
        count, first, last = 3, pixels, 3
    widths = [first, *[channels] * (count - 1), last]
    for name, inputs, outputs in zip(layer_names(count), widths, widths[1:], strict=False):
        yield f"{name}.weight", (np.dtype(np.int8), (outputs, inputs, 3, 3))
        yield f"{name}.bias", (np.dtype(np.int32), (outputs,))
        yield f"{name}.shift", (np.dtype(np.uint8), (outputs,))


def _sizes(architecture: Architecture, hyperparameters: Mapping[str, Any]) -> tuple[int, int, int]:
    """Return scale, channels and pairs. Raises ValueError if there is no such network."""
    expected = {"scale", "channels", "pairs"} if architecture == "plain" else {"scale", "features"}
    if set(hyperparameters) != expected or not all(type(value) is int for value in hyperparameters.values()):
        raise ValueError(f"hyperparameters are whole numbers {', '.join(sorted(expected))}, found {hyperparameters}")
    scale, pairs = hyperparameters["scale"], hyperparameters.get("pairs", 0)
    channels = hyperparameters["channels" if architecture == "plain" else "features"]
    if scale not in (2, 4) or not 1 <= channels <= MAX_CHANNELS or not 0 <= pairs <= MAX_PAIRS:
        raise ValueError(f"no such network: {hyperparameters}")
    return scale, channels, pairs
