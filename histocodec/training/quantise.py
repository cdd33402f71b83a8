"""From a network in floats to one in whole numbers, after training; and back, to train on.

Layer by layer, from the input on: each layer is fitted to what the float network computes there, given the whole
numbers that its predecessors really give. So later layers make up for what earlier ones lost.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ..generators.integer_net import (
    LEAK_SHIFT,
    MAX_SHIFT,
    PAIR_LIMIT,
    SUM_LIMIT,
    ZERO_POINT,
    IntegerNet,
    Layer,
    check,
    largest_pair,
)
from .networks import PlainNet, ResidualDownsampler

_LARGEST_WEIGHT = 127
_LEAST_STEP = 1e-5
"""Of an activation, for channels that are zero everywhere."""
_DAMPING = 0.001
"""Strength with which fitted weights are held to the trained ones, over the mean power of their inputs."""
_PLACES = 24_000
"""Places of the calibration images, at most, that the weights of a layer are fitted on."""
_HIDDEN_STEP = 1 / 512
"""What a step of an activation becomes in floats. Networks that were trained from scratch have about such ones."""


@torch.no_grad()
def quantise(network: PlainNet | ResidualDownsampler, images: NDArray[np.uint8], *, seed: int = 0) -> IntegerNet:
    """Convert a network; it stays as it is.

    images: (n, height, width, 3) RGB, inputs as the network will see them, with their halo: decoded bases of many
    slides for a generator, full pixels for a downsampler. They set the ranges of activations, and what weights and
    biases are fitted on. seed: draws the places that are looked at. Raises ValueError for a network whose sums cannot
    be bounded (`integer_net.check`).
    """
    network = copy.deepcopy(network).cpu().float().eval()
    enlarges = isinstance(network, PlainNet)
    convolutions = _convolutions(network)
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float()
    whole = pixels if enlarges else functional.pixel_unshuffle(pixels, network.scale)
    exact = whole / 255.0
    generator = torch.Generator().manual_seed(seed)
    steps = _activation_steps(network, exact)
    layers: list[Layer] = []
    stream_whole, stream_exact, step_in = whole, exact, torch.full((whole.shape[1],), 1 / 255.0)
    for index, (convolution, step) in enumerate(zip(convolutions, steps, strict=True)):
        last = index == len(convolutions) - 1
        adds = _adds_stream(network, index)
        sums = convolution(exact)
        if adds:
            sums += _cropped(stream_exact)
        stream = _cropped(stream_whole) - ZERO_POINT if adds else None
        weight, bias, shift = _fitted(convolution, step_in, step, whole, sums, stream, generator)
        layers.append(Layer(_array(weight, np.int8), _array(bias, np.int32), _array(shift, np.uint8)))
        if last:
            break
        exact = functional.leaky_relu(sums, network.leak)
        total = functional.conv2d(whole, weight, bias)
        if adds:
            total += _cropped(stream_whole) * _column(torch.exp2(shift))
        leaked = torch.maximum(total, total * 2.0**-LEAK_SHIFT) * _column(torch.exp2(-shift))
        whole = (torch.round(leaked) + ZERO_POINT).clamp(0, 255)
        if index % 2 == 0:
            stream_whole, stream_exact = whole, exact
        step_in = step
    net = IntegerNet("plain" if enlarges else "residual-downsampler", network.scale, tuple(layers))
    check(net)
    return net


def floats_of(net: IntegerNet) -> PlainNet | ResidualDownsampler:
    """Return the network in floats that predicts what `net` does, but for the rounding and clamping of activations."""
    features, last = net.features, len(net.layers) - 1
    network: PlainNet | ResidualDownsampler
    if net.enlarges:
        network = PlainNet(net.scale, features, (last - 1) // 2)
    else:
        network = ResidualDownsampler(net.scale, features)
    for index, (layer, convolution) in enumerate(zip(net.layers, _convolutions(network), strict=True)):
        weight, bias = (torch.from_numpy(part.astype(np.float64)) for part in (layer.weight, layer.bias))
        part = torch.exp2(-torch.from_numpy(layer.shift.astype(np.float64)))
        step_in, step = (1 / 255.0 if at_end else _HIDDEN_STEP for at_end in (index == 0, index == last))
        if index:
            bias = bias + ZERO_POINT * weight.sum((1, 2, 3))
        if net.adds_stream(index):
            bias = bias + ZERO_POINT / part
        convolution.weight.data = (weight * _column(part)[0, :, None] * (step / step_in)).float()
        assert convolution.bias is not None
        convolution.bias.data = (bias * part * step).float()
    return network


def _fitted(
    convolution: nn.Conv2d,
    step_in: Tensor,
    step: Tensor,
    inputs: Tensor,
    sums: Tensor,
    stream: Tensor | None,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return a layer's weight, bias and shift, whole numbers in floats.

    step_in, step: what a step of its input and its output stands for, by channel. inputs: what it really gets. sums:
    what the float network has there. stream: the stream that is added, less its zero point; None if there is none.
    """
    places = _places(sums, generator)
    patches, targets = _patches(inputs, places), _at(sums, places) / step[:, None]
    if stream is not None:
        targets = targets - _at(stream, places)
    patch_mean, target_mean = patches.mean(1), targets.mean(1)
    patches, targets = patches - patch_mean[:, None], targets - target_mean[:, None]
    count = patches.shape[1]
    power = (patches @ patches.T).double() / count
    power += torch.eye(len(power), dtype=power.dtype) * (_DAMPING * power.diagonal().mean())
    trained = (convolution.weight * step_in[None, :, None, None] / step[:, None, None, None]).flatten(1)
    error = ((targets - trained @ patches) @ patches.T).double() / count
    exact = trained.double() + torch.linalg.solve(power, error.T).T
    inverse = torch.linalg.cholesky(torch.linalg.inv(power), upper=True)
    largest = exact.abs().amax(1).clamp_min(1e-12).float()
    shift = torch.floor(torch.log2(_LARGEST_WEIGHT / largest)).clamp(0, MAX_SHIFT)
    while True:
        unit = torch.exp2(shift)
        flat = _rounded(exact * unit[:, None], inverse)
        weight = flat.reshape(convolution.weight.shape).float()
        bias = torch.round(target_mean * unit - (flat @ patch_mean.double()).float())
        if stream is not None:
            bias -= ZERO_POINT * unit
        unsafe = (shift > 0) & ~_is_safe(weight, bias, shift)
        if not unsafe.any():
            return weight, bias.clamp(-SUM_LIMIT, SUM_LIMIT), shift
        shift = torch.where(unsafe, shift - 1, shift)


def _is_safe(weight: Tensor, bias: Tensor, shift: Tensor) -> Tensor:
    """Return whether every output keeps the bounds that `integer_net.check` proves, as if something was added to it."""
    pairs = torch.tensor([largest_pair(_array(w[None], np.int8)) for w in weight])
    reach = 255 * (weight.abs().sum((1, 2, 3)) + torch.exp2(shift)) + bias.abs()
    return (pairs <= PAIR_LIMIT) & (reach < SUM_LIMIT)


def _rounded(weight: Tensor, inverse: Tensor) -> Tensor:
    """Round weights, (outputs, inputs), one column after the other.

    What each rounding loses is made up for by the columns after it (GPTQ: Frantar et al. 2022). inverse: the upper
    Cholesky factor of the inverse of the inputs' powers.
    """
    weight = weight.clone()
    for column in range(weight.shape[1]):
        rounded = weight[:, column].round().clamp(-_LARGEST_WEIGHT, _LARGEST_WEIGHT)
        lost = (weight[:, column] - rounded) / inverse[column, column]
        weight[:, column] = rounded
        weight[:, column + 1 :] -= lost[:, None] * inverse[column, None, column + 1 :]
    return weight


def _activation_steps(network: PlainNet | ResidualDownsampler, inputs: Tensor) -> list[Tensor]:
    """Return what a step of each layer's output stands for, by channel; the stream's is the same after all its layers.

    Nothing that the inputs lead to is clamped: clamping costs more than the finer steps within a smaller range gain.
    """
    convolutions = _convolutions(network)
    steps: list[Tensor] = []
    stream = current = inputs
    for index, convolution in enumerate(convolutions[:-1]):
        sums = convolution(current)
        if _adds_stream(network, index):
            sums += _cropped(stream)
        current = functional.leaky_relu(sums, network.leak)
        high, low = current.amax((0, 2, 3)), current.amin((0, 2, 3))
        steps.append(torch.maximum(high / (255 - ZERO_POINT), -low / ZERO_POINT).clamp_min(_LEAST_STEP))
        if index % 2 == 0:
            stream = current
    if isinstance(network, PlainNet):
        steps[0::2] = [torch.stack(steps[0::2]).amax(0)] * len(steps[0::2])
    return [*steps, torch.full((convolutions[-1].out_channels,), 1 / 255.0)]


def _places(values: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Draw places of (n, channels, height, width): image, row and column of each."""
    n, _, height, width = values.shape
    count = min(_PLACES, n * height * width)
    return (
        torch.randint(n, (count,), generator=generator),
        torch.randint(height, (count,), generator=generator),
        torch.randint(width, (count,), generator=generator),
    )


def _at(values: Tensor, places: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """Return values (n, channels, height, width) at places: (channels, places)."""
    image, row, column = places
    return values[image, :, row, column].T


def _patches(inputs: Tensor, places: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """Return what a convolution's output sees at places, in the order of its weights: (9 channels, places)."""
    image, row, column = places
    windows = [inputs[image, :, row + i, column + j] for i in range(3) for j in range(3)]
    return torch.stack(windows, 2).flatten(1).T


def _adds_stream(network: PlainNet | ResidualDownsampler, index: int) -> bool:
    """Return what `IntegerNet.adds_stream` does."""
    return isinstance(network, PlainNet) and 0 < index <= len(network.body) and index % 2 == 0


def _convolutions(network: PlainNet | ResidualDownsampler) -> list[nn.Conv2d]:
    body = network.body if isinstance(network.body, nn.ModuleList) else [network.body]
    return [network.head, *body, network.tail]


def _cropped(x: Tensor) -> Tensor:
    return x[:, :, 2:-2, 2:-2]


def _column(values: Tensor) -> Tensor:
    """Shape values by channel so that they broadcast over (n, channels, height, width)."""
    return values[None, :, None, None]


def _array(values: Tensor, dtype: type[np.generic]) -> NDArray[Any]:
    return values.numpy().astype(dtype)
