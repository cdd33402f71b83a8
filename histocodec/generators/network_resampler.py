"""Generators and downsamplers that compute a network in whole numbers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..errors import GeneratorError, InvalidPackage
from ..geometry import Image
from .engines.choice import engine_for
from .package import Package


class NetworkResampler:
    """A network in whole numbers, under the name of its package: a `Generator` or a `Downsampler`."""

    is_exact = True

    def __init__(self, package: Package, device: str = "cpu") -> None:
        """Take a package. Raises InvalidPackage, GeneratorError for the device."""
        card = package.card
        self.name, self.scale, self.halo, self.digest = card.name, card.scale, card.halo, package.digest
        self.package = package.data
        self._device = device
        self._engine = engine_for(package, device)

    def __reduce__(self) -> tuple[Callable[..., NetworkResampler], tuple[Package, str]]:
        return NetworkResampler, (Package(self.package), self._device)

    @property
    def engine(self) -> str:
        """Name of the engine that computes it."""
        return self._engine.name

    def __call__(self, image: Image) -> Image:
        """Change the resolution as `Generator` or `Downsampler` defines it. Raises GeneratorError if the engine fails."""
        try:
            return self._engine(np.ascontiguousarray(image)[None])[0]
        except (RuntimeError, MemoryError) as error:
            reason = " ".join(str(error).split())[:200]
            raise GeneratorError(f"{self.name} failed on {self._engine.name}: {reason}") from error


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
