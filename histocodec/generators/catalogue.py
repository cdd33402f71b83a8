"""Getting a generator: built in, shipped, embedded in a file, or a package of one's own."""

from __future__ import annotations

import functools
from pathlib import Path

from ..pixels.resampler import Generator
from ..pixels.tile_codecs import TileCodec
from .bicubic import BicubicGenerator
from .package import Package, find_package, shipped_names

DEFAULTS = {4: "fidelity-x4", 2: "fidelity-x2"}
"""By scale: what a slide is encoded with unless told otherwise."""

FOR_AVIF = {4: "avif-x4", 2: "avif-x2"}
"""The same for bases in AVIF."""


def load_generator(name: str | Path | Package = DEFAULTS[4], *, device: str = "cpu") -> Generator:
    """A generator that is ready to run.

    name: `bicubic-x2`, `bicubic-x4`, a shipped package's name or digest, the path of a package, or a Package.
    device: as torch names it. Raises UnknownGenerator, InvalidPackage.
    """
    for scale in (2, 4):
        plain = BicubicGenerator(scale)
        if name in (plain.name, plain.digest):
            return plain
    return _built(name if isinstance(name, Package) else find_package(name), device)


def known_names() -> frozenset[str]:
    """Names of the generators that are built in or ship."""
    return frozenset({*shipped_names(), *(BicubicGenerator(scale).name for scale in (2, 4))})


@functools.lru_cache(maxsize=4)
def _built(package: Package, device: str) -> Generator:
    """Networks are built once: they hold no state, and a viewer may open hundreds of slides."""
    from .torch_runner import build_generator  # imports torch, which nobody needs who reads a base alone

    return build_generator(package, device)


def default_package(scale: int, codec: TileCodec = "jp2k") -> Package:
    """The package of `default_generator`, which is read in no time: no network is built."""
    return find_package((FOR_AVIF if codec == "avif" else DEFAULTS)[scale])


def default_generator(scale: int, codec: TileCodec = "jp2k") -> Generator:
    """What a slide is encoded with unless told otherwise."""
    return load_generator(default_package(scale, codec))
