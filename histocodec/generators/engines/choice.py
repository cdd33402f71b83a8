"""The choice of an engine: the fastest one here that proves itself on the package's test block."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ...errors import GeneratorError, InvalidPackage, SettingsError
from ...runtime.parallel import core_count
from ..integer_net import IntegerNet
from ..package import Package
from ..self_test import crc32_of_test_block

ENGINE_VARIABLE = "HISTOCODEC_ENGINE"
"""The environment variable that names one engine, and so forbids the others: for tests and benchmarks."""

TRAIN_EXTRA = "pip install 'histocodec[train]'"
"""What brings torch."""


class Engine(Protocol):
    """What computes a network. Safe to call from many threads, and in a process that was forked."""

    @property
    def name(self) -> str:
        """Name for people."""
        ...

    @property
    def version(self) -> str:
        """Version of the library."""
        ...

    def kernel(self) -> str:
        """Return what it computes with, as the library names it: instructions, a card."""
        ...

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Compute a batch: (n, height, width, 3) uint8 RGB to the same of the network's output size."""
        ...


def engine_names(device: str = "cpu") -> list[str]:
    """Return the names of the engines that may run on a device, as torch names it, the fastest one first.

    Raises SettingsError for an environment variable that names none of them.
    """
    names = [*_ENGINES] if is_cpu(device) else ["torch"]
    wanted = os.environ.get(ENGINE_VARIABLE)
    if not wanted:
        return names
    if wanted not in names:
        raise SettingsError(f"{ENGINE_VARIABLE} is one of {', '.join(names)} on {device}, found {wanted!a:.40}")
    return [wanted]


def is_cpu(device: str) -> bool:
    """Return whether a device, as torch names it, is the CPU."""
    return device.partition(":")[0] == "cpu"


def build_engine(name: str, net: IntegerNet, device: str = "cpu") -> Engine:
    """Build an engine, unproven. Raises what its library raises, and GeneratorError for the device."""
    return _ENGINES[name](net, device)


def engine_for(package: Package, device: str = "cpu") -> Engine:
    """Return the first engine that computes the test block as the package's card states it.

    Those that should, but do not, are named in a warning, once each. Raises SettingsError, InvalidPackage, and
    GeneratorError if there is none.
    """
    net, left_out = package.net, dict[str, str]()
    for name in engine_names(device):
        if name == "torch" and find_spec("torch") is None:
            left_out[name] = f"torch is not installed: {TRAIN_EXTRA}"
            continue
        try:
            engine = build_engine(name, net, device)
            proven = crc32_of_test_block(net, engine) == package.card.test_block_crc32
        except GeneratorError:  # of the device, in a sentence of its own
            raise
        except Exception as error:  # whatever a library, of another version say, has to complain of
            left_out[name] = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            continue
        if proven:
            _warn_once(left_out)
            return engine
        left_out[name] = "it computes other pixels than the package states"
    if "numpy" in left_out:
        raise contradicted(package)
    reasons = "; ".join(f"{name}: {reason}" for name, reason in left_out.items())
    raise GeneratorError(f"no engine computes {package.card.name} on {device}: {reasons}")


def contradicted(package: Package) -> InvalidPackage:
    """Build the error for a package whose network computes another test block than its card states."""
    return InvalidPackage(f"package {package.card.name}: test_block_crc32 is not that of its network")


_warned: set[str] = set()
"""Engines that this process has been warned of."""


def _warn_once(left_out: dict[str, str]) -> None:
    for name, reason in left_out.items():
        # torch need not be there, and may then be passed over in silence.
        if name not in _warned and not (name == "torch" and TRAIN_EXTRA in reason):
            _warned.add(name)
            warnings.warn(f"engine {name} is left out: {reason}", RuntimeWarning, stacklevel=4)


def _openvino(net: IntegerNet, device: str) -> Engine:
    from .openvino_engine import OpenVinoEngine

    return OpenVinoEngine(net, threads=core_count())


def _torch(net: IntegerNet, device: str) -> Engine:
    from .torch_engine import TorchEngine

    return TorchEngine(net, device)


def _numpy(net: IntegerNet, device: str) -> Engine:
    from .numpy_engine import NumpyEngine

    return NumpyEngine(net)


_ENGINES: dict[str, Callable[[IntegerNet, str], Engine]] = {"openvino": _openvino, "torch": _torch, "numpy": _numpy}
"""What builds each engine, the fastest one on a CPU first."""
