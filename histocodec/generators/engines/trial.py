"""A trial of engines: whether they compute what numpy does, bit by bit, and how fast they are here."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...errors import GeneratorError
from ...geometry import Image
from ...runtime.parallel import core_count
from ..integer_net import IntegerNet
from ..package import Package
from ..self_test import crc32_of_test_block
from .choice import Engine, build_engine, engine_names, is_cpu
from .numpy_engine import NumpyEngine

SHAPES = ((64, 64), (128, 128), (33, 70))
"""Base pixels, height and width, of the images that engines are tried with: a cell, a block, and neither."""

BATCHES = (1, 7, 32)
"""Images in a call, of the first shape."""

CALLERS_OF_A_CARD = 32
"""Threads that ask a graphics card when its speed is taken; on a CPU there is one a core."""

_TIMED_S = 0.5
"""Seconds that the speed of an engine with a network is taken for, at least; one call each to begin with."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of one engine with one network."""

    engine: str
    """Name of the engine."""
    network: str
    """Name of the package."""
    device: str
    """Where it ran, as torch names it."""
    version: str | None = None
    """Version of the engine's library."""
    kernel: str | None = None
    """What it computes with, as the library names it."""
    samples: int = 0
    """Samples, one byte each, that were compared with those of numpy."""
    differ: int = 0
    """Samples that differ."""
    mpx_s: float | None = None
    """Millions of full pixels a second, whole blocks, asked for from all cores."""
    is_chosen: bool = False
    """True for the engine that is taken for this network here."""
    error: str | None = None
    """What went wrong; None if nothing did."""


def try_engines(packages: Sequence[Package], picture: Image, device: str = "cpu") -> Iterator[Trial]:
    """Try every engine that may run on a device with every package.

    picture: tissue, at least 512 x 512 px, of which a part of the inputs is made. Raises SettingsError,
    InvalidPackage.
    """
    for package in packages:
        net, chosen = package.net, False
        pairs = [_with_results(net, _inputs(net, shape, picture)) for shape in SHAPES]
        for name in engine_names(device):
            trial = _tried(package, name, device, pairs, chosen)
            chosen = chosen or trial.is_chosen
            yield trial


def _tried(
    package: Package,
    name: str,
    device: str,
    pairs: Sequence[tuple[NDArray[np.uint8], NDArray[np.uint8]]],
    chosen: bool,
) -> Trial:
    net, network = package.net, package.card.name
    try:
        engine = build_engine(name, net, device)
        proven = crc32_of_test_block(net, engine) == package.card.test_block_crc32
        samples = differ = 0
        for given, expected in [*pairs, *(_batch(*pairs[0], count) for count in BATCHES)]:
            if name == "numpy":  # is what the others are compared with
                break
            found = engine(given)
            samples += expected.size
            differ += int((found != expected).sum()) if found.shape == expected.shape else expected.size
        speed = _speed(engine, net, pairs[1][0][:1], core_count() if is_cpu(device) else CALLERS_OF_A_CARD)
        return Trial(
            name, network, device, engine.version, engine.kernel(), samples, differ, speed, proven and not chosen
        )
    except GeneratorError as error:
        return Trial(name, network, device, error=str(error))
    except Exception as error:  # whatever a library complains of: the others are tried all the same
        return Trial(name, network, device, error=f"{type(error).__name__}: {' '.join(str(error).split())[:200]}")


def _inputs(net: IntegerNet, shape: tuple[int, int], picture: Image) -> NDArray[np.uint8]:
    """Make three images with their halo: noise, noise of 0 and 255 alone, and tissue."""
    height, width = ((side + 2 * net.halo) * (1 if net.enlarges else net.scale) for side in shape)
    noise = np.random.default_rng(height * width).integers(0, 256, (height, width, 3)).astype(np.uint8)
    rows, columns = (np.arange(count) % side for count, side in zip((height, width), picture.shape, strict=False))
    return np.stack([noise, (noise & 1) * np.uint8(255), picture[rows][:, columns]])


def _with_results(net: IntegerNet, images: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    return images, NumpyEngine(net)(images)


def _batch(
    images: NDArray[np.uint8], results: NDArray[np.uint8], count: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Repeat images, and their results, to a batch of so many."""
    which = np.arange(count) % len(images)
    return images[which], results[which]


def _speed(engine: Engine, net: IntegerNet, image: NDArray[np.uint8], threads: int) -> float:
    """Return millions of full pixels a second, of one image again and again, asked for by so many threads."""
    height, width = net.output_size(*image.shape[1:3])
    area = height * width * (1 if net.enlarges else net.scale**2)
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(engine, [image] * threads))  # what is made at the first call is not counted
        began, done = time.perf_counter(), 0
        while (seconds := time.perf_counter() - began) < _TIMED_S:
            done += len(list(pool.map(engine, [image] * 2 * threads)))
    return area * done / seconds / 1e6
