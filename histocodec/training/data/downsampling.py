"""The ways from an original to its uncoded base: by a fixed downsampler, or by one that is still being trained."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import load_file

from ...generators.catalogue import load_downsampler
from ...generators.rrdb import run_in_floats
from ...geometry import Image
from ...pixels.degrade import degrade
from ...pixels.downsample import downsample, with_margin
from ...pixels.resampler import Downsampler
from ..networks import ResidualDownsampler

Downsample = Callable[[Image, int], Image]
"""A function from an image at full resolution and a scale to its uncoded base."""


def fixed_downsampling(name: str | None, scale: int) -> Downsample:
    """Return the way of a downsampler that is not trained; None for the box average."""
    return downsampled_by(None if name is None else load_downsampler(name, scale))


def downsampled_by(downsampler: Downsampler | None) -> Downsample:
    """Return the way of a downsampler; None for the box average."""
    return partial(degrade, codec=None, downsampler=downsampler)


class LatestDownsampler:
    """A downsampler that is still being trained, as it was saved last; the box average before that."""

    def __init__(self, path: Path) -> None:
        """Follow the weights at a path.

        path: those of a `ResidualDownsampler`, read again whenever they change. Need not exist yet.
        """
        self._path, self._seen = path, 0
        self._network: ResidualDownsampler | None = None

    def __call__(self, image: Image, scale: int) -> Image:
        """Shrink a whole image, (height, width, 3) uint8 RGB."""
        changed = self._path.stat().st_mtime_ns if self._path.exists() else 0
        if changed != self._seen:
            self._network, self._seen = load_downsampler_weights(self._path, scale), changed
        return downsample(image, scale) if self._network is None else run_downsampler(self._network, image)


def load_downsampler_weights(path: Path, scale: int) -> ResidualDownsampler:
    """Read a network from safetensors with its tensors' names."""
    weights = load_file(path)
    network = ResidualDownsampler(scale, weights["head.weight"].shape[0])
    network.load_state_dict({name: value.float() for name, value in weights.items()})
    return network


def run_downsampler(network: ResidualDownsampler, image: Image) -> Image:
    """Shrink a whole image at once, (height, width, 3) uint8 RGB.

    An encoder (`pixels.downsample.shrink`) does so block by block, and leaves blocks of glass to the box average; here
    the network shrinks glass as well.
    """
    return run_in_floats(network, with_margin(image, network.scale, network.halo), torch.device("cpu"))
