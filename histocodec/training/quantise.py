"""From a network in floats to one in whole numbers, after training.

Layer by layer, from the input on: each layer is fitted to what the float network computes there, given the whole
numbers that its predecessors really give. So later layers make up for what earlier ones lost.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ..generators.integer_net import (
    LEAK_SHIFT,
    MAX_SHIFT,
    PAIR_LIMIT,
    ZERO_POINT,
    IntegerNet,
    Layer,
    check,
    largest_pair,
)
from ..geometry import Image
from .networks import PlainNet, ResidualDownsampler

_LARGEST_WEIGHT = 127
_OUTLIERS = 1e-4
"""Share of the activations of a channel that may be clamped, at either end."""
_DAMPING = 0.01
"""Strength with which fitted weights are held to the trained ones, over the mean power of their inputs."""
_PLACES = 24_000
"""Places of the calibration images, at most, that the weights of a layer are fitted on."""


@torch.no_grad()
def quantise(network: PlainNet | ResidualDownsampler, images: Sequence[Image], *, seed: int = 0) -> IntegerNet:
    """Convert a network.

    images: inputs as the network will see them, (height, width, 3) uint8 RGB with their halo: decoded bases of many
    slides for a generator, full pixels for a downsampler. They set the ranges of activations, and what weights and
    biases are fitted on. Raises ValueError for a network whose sums cannot be bounded (`integer_net.check`).
    """
    network = network.cpu().float().eval()
    enlarges = isinstance(network, PlainNet)
    convolutions = _convolutions(network)
    planes = [torch.from_numpy(image).permute(2, 0, 1)[None].float() for image in images]
    whole = planes if enlarges else [functional.pixel_unshuffle(image, network.scale) for image in planes]
    exact = [image / 255.0 for image in whole]
    steps = _activation_steps(network, exact)
    generator = torch.Generator().manual_seed(seed)
    layers: list[Layer] = []
    stream_whole, stream_exact, step_in = whole, exact, torch.full((whole[0].shape[1],), 1 / 255.0)
    for index, (convolution, step) in enumerate(zip(convolutions, steps, strict=True)):
        last = index == len(convolutions) - 1
        adds = enlarges and not last and index > 0 and index % 2 == 0
        sums = [convolution(x) for x in exact]
        stream = [_cropped(x) - ZERO_POINT for x in stream_whole] if adds else []
        if adds:
            sums = [s + _cropped(x) for s, x in zip(sums, stream_exact, strict=True)]
        weight, bias, shift = _fitted(convolution, step_in, step, whole, sums, stream, generator)
        layers.append(Layer(_array(weight, np.int8), _array(bias, np.int32), _array(shift, np.uint8)))
        if last:
            break
        exact = [functional.leaky_relu(s, network.leak) for s in sums]
        unshift = torch.exp2(-shift)[:, None, None]
        added = [_cropped(x) / unshift for x in stream_whole] if adds else [torch.zeros(())] * len(whole)
        totals = [functional.conv2d(x, weight, bias) + a for x, a in zip(whole, added, strict=True)]
        leaked = [torch.maximum(t, t * 2.0**-LEAK_SHIFT) * unshift for t in totals]
        whole = [(torch.round(x) + ZERO_POINT).clamp(0, 255) for x in leaked]
        if index % 2 == 0:
            stream_whole, stream_exact = whole, exact
        step_in = step
    net = IntegerNet("plain" if enlarges else "residual-downsampler", network.scale, tuple(layers))
    check(net)
    return net


def _fitted(
    convolution: nn.Conv2d,
    step_in: Tensor,
    step: Tensor,
    inputs: Sequence[Tensor],
    sums: Sequence[Tensor],
    stream: Sequence[Tensor],
    generator: torch.Generator,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return a layer's weight, bias and shift, whole numbers in floats.

    step_in, step: what a step of its input and its output stands for, by channel. inputs: what it really gets. sums:
    what the float network has there. stream: the stream that is added, less its zero point; empty if there is none.
    """
    trained = convolution.weight * step_in[None, :, None, None] / step[:, None, None, None]
    largest = trained.abs().amax((1, 2, 3)).clamp_min(1e-12)
    shift = torch.floor(torch.log2(_LARGEST_WEIGHT / largest)).clamp(0, MAX_SHIFT)
    while True:
        unit = (step * torch.exp2(-shift))[:, None, None]
        wanted = [s / unit for s in sums]
        if stream:
            wanted = [w - x * torch.exp2(shift)[:, None, None] for w, x in zip(wanted, stream, strict=True)]
        weight = _rounded(trained * torch.exp2(shift)[:, None, None, None], inputs, wanted, generator)
        unsafe = torch.tensor([largest_pair(_array(w[None], np.int8)) > PAIR_LIMIT for w in weight])
        if not unsafe.any():
            break
        shift = torch.where(unsafe, shift - 1, shift)
    errors = [(w - functional.conv2d(x, weight)).mean((0, 2, 3)) for w, x in zip(wanted, inputs, strict=True)]
    bias = torch.round(torch.stack(errors).mean(0))
    return weight, bias - ZERO_POINT * torch.exp2(shift) if stream else bias, shift


def _rounded(weight: Tensor, inputs: Sequence[Tensor], wanted: Sequence[Tensor], generator: torch.Generator) -> Tensor:
    """Fit weights to the sums that are wanted of these inputs, in whole numbers.

    First by least squares, held to the weights that were trained; then rounded one by one, what each rounding loses
    being made up for by those after it (GPTQ: Frantar et al. 2022).
    """
    patches, targets = _samples(inputs, wanted, generator)
    mean = patches.mean(1, keepdim=True)
    patches = patches - mean
    targets = targets - targets.mean(1, keepdim=True)
    flat = weight.flatten(1).double()
    power = patches @ patches.T / patches.shape[1]
    power += torch.eye(len(power), dtype=power.dtype) * (_DAMPING * power.diagonal().mean())
    error = (targets - flat @ patches) @ patches.T / patches.shape[1]
    flat = flat + torch.linalg.solve(power, error.T).T
    inverse = torch.linalg.cholesky(torch.linalg.inv(power), upper=True)
    for column in range(flat.shape[1]):
        rounded = flat[:, column].round().clamp(-_LARGEST_WEIGHT, _LARGEST_WEIGHT)
        lost = (flat[:, column] - rounded) / inverse[column, column]
        flat[:, column] = rounded
        flat[:, column + 1 :] -= lost[:, None] * inverse[column, None, column + 1 :]
    return flat.float().reshape(weight.shape)


def _samples(inputs: Sequence[Tensor], wanted: Sequence[Tensor], generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw places of all images: (9 channels, places) of inputs and (outputs, places) of sums, in double precision."""
    patches, targets = [], []
    for x, sums in zip(inputs, wanted, strict=True):
        places = sums.shape[2] * sums.shape[3]
        drawn = torch.randperm(places, generator=generator)[: max(1, _PLACES // len(inputs))]
        patches.append(functional.unfold(x, 3)[0][:, drawn].double())
        targets.append(sums[0].flatten(1)[:, drawn].double())
    return torch.cat(patches, 1), torch.cat(targets, 1)


def _activation_steps(network: PlainNet | ResidualDownsampler, inputs: Sequence[Tensor]) -> list[Tensor]:
    """Return what a step of each layer's output stands for, by channel; the stream's is the same after all its layers."""
    convolutions = _convolutions(network)
    needed: list[Tensor] = []
    streams = current = list(inputs)
    for index, convolution in enumerate(convolutions[:-1]):
        adds = isinstance(network, PlainNet) and index > 0 and index % 2 == 0
        sums = [convolution(x) for x in current]
        if adds:
            sums = [s + _cropped(x) for s, x in zip(sums, streams, strict=True)]
        current = [functional.leaky_relu(s, network.leak) for s in sums]
        values = torch.cat([x[0].flatten(1) for x in current], 1).sort(1).values
        clamped = int(_OUTLIERS * values.shape[1])
        low, high = values[:, clamped], values[:, -1 - clamped]
        needed.append(torch.maximum(high / (255 - ZERO_POINT), -low / ZERO_POINT).clamp_min(1e-5))
        if index % 2 == 0:
            streams = current
    if isinstance(network, PlainNet):
        common = torch.stack(needed[0::2]).amax(0)
        needed[0::2] = [common] * len(needed[0::2])
    return [*needed, torch.full((convolutions[-1].out_channels,), 1 / 255.0)]


def _convolutions(network: PlainNet | ResidualDownsampler) -> list[nn.Conv2d]:
    body = network.body if isinstance(network.body, nn.ModuleList) else [network.body]
    return [network.head, *body, network.tail]  # type: ignore[list-item]


def _cropped(x: Tensor) -> Tensor:
    return x[:, :, 2:-2, 2:-2]


def _array(values: Tensor, dtype: type[np.generic]) -> np.ndarray:  # type: ignore[type-arg]
    return values.numpy().astype(dtype)
