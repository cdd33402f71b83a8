"""Generators and downsamplers that compute a network in whole numbers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from ..errors import GeneratorError, InvalidPackage
from ..geometry import Image
from .engines.choice import Engine, engine_for, engine_names, is_cpu
from .engines.quick_start import QuickStart
from .package import Package


class NetworkResampler:
    """A network in whole numbers, under the name of its package: a `Generator` or a `Downsampler`."""

    is_exact = True

    def __init__(self, package: Package, device: str = "cpu") -> None:
        """Take a package. On a CPU its engine starts when it is needed, elsewhere at once.

        Raises InvalidPackage, SettingsError, GeneratorError for the device.
        """
        card, _ = package.card, package.net  # which proves its sums
        self.name, self.scale, self.halo, self.digest = card.name, card.scale, card.halo, package.digest
        self.package = package.data
        self._device = device
        choose = partial(engine_for, package, device)
        has_choice = is_cpu(device) and len(engine_names(device)) > 1
        self._engine: Engine = QuickStart(package, choose) if has_choice else choose()

    def __reduce__(self) -> tuple[Callable[..., NetworkResampler], tuple[Package, str]]:
        return NetworkResampler, (Package(self.package), self._device)

    @property
    def engine(self) -> str:
        """Name of the engine that computes it."""
        return self._engine.name

    def __call__(self, image: Image, /) -> Image:
        """Change the resolution as `Generator` or `Downsampler` defines it. Raises GeneratorError if that fails."""
        try:
            changed: Image = self._engine(np.ascontiguousarray(image)[None])[0]
        except (RuntimeError, MemoryError) as error:
            reason = " ".join(str(error).split())[:200]
            raise GeneratorError(f"{self.name} failed on {self._device}: {reason}") from error
        return changed


def build_generator(package: Package, device: str = "cpu") -> NetworkResampler:
    """Build a generator in whole numbers. Raises InvalidPackage, GeneratorError for the device."""
    if package.card.architecture != "plain":
        raise InvalidPackage(f"package {package.card.name} is no generator in whole numbers")
    return NetworkResampler(package, device)


def build_downsampler(package: Package, device: str = "cpu") -> NetworkResampler:
    """Build a downsampler. Raises InvalidPackage, GeneratorError for the device."""
    if package.card.architecture != "residual-downsampler":
        raise InvalidPackage(f"package {package.card.name} is no downsampler")
    return NetworkResampler(package, device)
