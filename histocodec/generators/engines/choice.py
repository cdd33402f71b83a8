"""The choice of an engine: the fastest one here that proves itself on the package's test block."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ...errors import GeneratorError
from ...runtime.parallel import core_count
from ..integer_net import IntegerNet
from ..package import Package
from ..self_test import test_block_crc32

ENGINE_VARIABLE = "HISTOCODEC_ENGINE"
"""The environment variable that names one engine: `openvino`, `torch` or `numpy`."""


class Engine(Protocol):
    """What computes a network. Safe to call from many threads."""

    @property
    def name(self) -> str:
        """Name for people."""
        ...

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Compute a batch: (n, height, width, 3) uint8 RGB to the same of the network's output size."""
        ...


def engine_for(package: Package, device: str = "cpu") -> Engine:
    """Return the first engine that computes the test block as the package's card states it.

    Those that do not are named in a warning. Raises InvalidPackage, and GeneratorError if none does.
    """
    net, expected = package.net, package.card.test_block_crc32
    for name, build in _candidates(device):
        try:
            engine = build(net)
            if test_block_crc32(net, engine) == expected:
                return engine
            reason = "it computes other pixels than the package states"
        except (ImportError, RuntimeError, OSError) as error:
            reason = " ".join(str(error).split())[:200]
        warnings.warn(f"engine {name} is left out: {reason}", RuntimeWarning, stacklevel=2)
    raise GeneratorError(f"no engine here computes {package.card.name} as its package states it")


def _candidates(device: str) -> Iterator[tuple[str, Callable[[IntegerNet], Engine]]]:
    """Yield the engines by name, the fastest one first."""
    wanted = os.environ.get(ENGINE_VARIABLE)
    for name, build in (("openvino", _openvino), ("numpy", _numpy)):
        if wanted in (None, name):
            yield name, build


def _openvino(net: IntegerNet) -> Engine:
    from .openvino_engine import OpenVinoEngine

    return OpenVinoEngine(net, threads=core_count())


def _numpy(net: IntegerNet) -> Engine:
    from .numpy_engine import NumpyEngine

    return NumpyEngine(net)
