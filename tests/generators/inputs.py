"""Small networks in whole numbers for tests, and what they compute by definition."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histocodec.generators.integer_net import Architecture, IntegerNet, Layer, check, net_of, tensors_of
from histocodec.generators.package import Package, PackageCard, package_of
from histocodec.geometry import Image


def random_net(architecture: Architecture, seed: int = 0, spread: int = 14, **sizes: int) -> IntegerNet:
    """A network whose sums come near their bound, and whose activations are clamped on both sides.

    spread: the largest weight. sizes: hyperparameters.
    """
    rng = np.random.default_rng(seed)
    scale = sizes["scale"]
    pixels = 3 * scale * scale
    width = sizes["channels" if architecture == "plain" else "features"]
    if architecture == "plain":
        widths = [3, *[width] * (2 * sizes["pairs"] + 1), pixels]
    else:
        widths = [pixels, width, width, 3]
    layers = []
    for inputs, outputs in zip(widths, widths[1:], strict=False):
        weight = rng.integers(-spread, spread + 1, (outputs, inputs, 3, 3)).astype(np.int8)
        reach = np.sqrt((weight.astype(float) ** 2).sum((1, 2, 3))) * 128  # of sums, about
        shift = np.clip(np.round(np.log2(reach / 64)) + rng.integers(-1, 2, outputs), 4, 12).astype(np.uint8)
        bias = rng.integers(-(1 << 14), 1 << 14, outputs) - 32 * weight.astype(np.int64).sum((1, 2, 3))
        layers.append(Layer(weight, bias.astype(np.int32), shift))
    net = IntegerNet(architecture, scale, tuple(layers))
    check(net)
    return net


def by_definition(net: IntegerNet, image: Image) -> Image:
    """Compute one image as the specification says it, in 64-bit integers."""
    scale, halo = net.scale, net.halo
    x = image.astype(np.int64).transpose(2, 0, 1)
    if net.enlarges:
        added, added_shift = np.repeat(x[:, halo:-halo, halo:-halo], scale * scale, 0), 0
    else:
        _, height, width = x.shape
        cells = x.reshape(3, height // scale, scale, width // scale, scale)
        added, added_shift = cells.sum((2, 4))[:, halo:-halo, halo:-halo], 2 * (scale // 2)
        x = cells.transpose(0, 2, 4, 1, 3).reshape(-1, height // scale, width // scale)
    stream = x
    for index, layer in enumerate(net.layers):
        height, width = x.shape[1] - 2, x.shape[2] - 2
        total = np.zeros((len(layer.bias), height, width), np.int64) + layer.bias[:, None, None]
        for i in range(3):
            for j in range(3):
                part = x[:, i : i + height, j : j + width]
                total += np.tensordot(layer.weight[:, :, i, j].astype(np.int64), part, 1)
        shift = layer.shift.astype(np.int64)[:, None, None]
        if index == len(net.layers) - 1:
            out = np.clip(_rounded(total + (added << (shift - added_shift)), shift), 0, 255)
            break
        if net.enlarges and index > 0 and index % 2 == 0:
            total += stream[:, 2:-2, 2:-2] << shift
        x = np.clip(_rounded(np.maximum(8 * total, total), shift + 3) + 32, 0, 255)
        if index % 2 == 0:
            stream = x
    if net.enlarges:
        out = out.reshape(3, scale, scale, height, width).transpose(0, 3, 1, 4, 2)
        out = out.reshape(3, height * scale, width * scale)
    return np.ascontiguousarray(out.transpose(1, 2, 0).astype(np.uint8))


def _rounded(total: NDArray[np.int64], shift: NDArray[np.int64]) -> NDArray[np.int64]:
    """Divide by 2^shift, half to even."""
    whole, rest = total >> shift, total - ((total >> shift) << shift)
    half = (1 << shift) >> 1
    up = (rest > half) | ((rest == half) & (shift > 0) & (whole % 2 == 1))
    return whole + up


def inputs(net: IntegerNet, height: int, width: int, count: int = 3) -> NDArray[np.uint8]:
    """Images for an output of height x width base pixels: noise, noise of 0 and 255, white, black, ramps, in turns."""
    rng = np.random.default_rng(height * width)
    rows, columns = ((side + 2 * net.halo) * (1 if net.enlarges else net.scale) for side in (height, width))
    noise = rng.integers(0, 256, (rows, columns, 3))
    ramps = np.add.outer(2 * np.arange(rows), 3 * np.arange(columns))[..., None] + np.array([0, 80, 160])
    kinds = [noise, noise % 2 * 255, ramps % 256, np.full_like(noise, 255), np.zeros_like(noise)]
    return np.stack([np.roll(kinds[k % 5], k // 5, 0) for k in range(count)]).astype(np.uint8)


def card_of(net: IntegerNet, name: str = "tiny", **changes: Any) -> PackageCard:
    """The card of a network."""
    if net.enlarges:
        sizes = {"scale": net.scale, "channels": net.features, "pairs": (len(net.layers) - 2) // 2}
    else:
        sizes = {"scale": net.scale, "features": net.features}
    card = PackageCard(name, net.architecture, sizes, net.scale, net.halo, "CC0-1.0")
    return dataclasses.replace(card, **changes)


def generator_package(
    scale: int = 4,
    name: str = "tiny",
    downsampler: str | None = None,
    *,
    channels: int = 4,
    pairs: int = 0,
    seed: int = 0,
) -> Package:
    """A small generator with random weights."""
    net = random_net("plain", seed, scale=scale, channels=channels, pairs=pairs)
    return package_of(net, card_of(net, name, downsampler=downsampler))


def flat_package(scale: int = 4, name: str = "tiny", downsampler: str | None = None) -> Package:
    """A small generator that repeats the base: its tail has no weights."""
    net = random_net("plain", scale=scale, channels=4, pairs=0)
    tensors = tensors_of(net) | {
        "tail.weight": np.zeros_like(net.layers[-1].weight),
        "tail.bias": np.zeros_like(net.layers[-1].bias),
    }
    card = card_of(net, name, downsampler=downsampler)
    return package_of(net_of("plain", card.hyperparameters, tensors), card)


def downsampler_package(scale: int = 4, spread: int = 3) -> Package:
    """A small downsampler with random weights, far enough from the box average to be told from it."""
    net = random_net("residual-downsampler", spread=spread, scale=scale, features=4)
    return package_of(net, card_of(net, f"tiny-down-x{scale}"))
