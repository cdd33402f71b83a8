"""Getting a downsampler: the box average, a shipped one, or a package of one's own."""

from __future__ import annotations

import functools
from pathlib import Path

from ..errors import InvalidPackage, SettingsError
from ..pixels.downsample import BOX, BoxDownsampler
from ..pixels.resampler import Downsampler, Generator
from .package import Package, find_downsampler, shipped_downsamplers


def load_downsampler(name: str | Path | Package, scale: int, *, device: str = "cpu") -> Downsampler:
    """A downsampler that is ready to run.

    name: `box`, a shipped one's name or digest, the path of a package, or a Package. scale: what it must have, 2 or 4.
    device: as torch names it. Raises SettingsError if there is none of that name, or it has another scale;
    InvalidPackage.
    """
    if name == BOX:
        return BoxDownsampler(scale)
    package = name if isinstance(name, Package) else find_downsampler(name)
    if package.card.scale != scale:
        raise SettingsError(
            f"downsampler {package.card.name} shrinks {package.card.scale} times, this base needs {scale}"
        )
    return _built(package, device)


@functools.lru_cache(maxsize=4)
def _built(package: Package, device: str) -> Downsampler:
    from .torch_runner import build_downsampler  # imports torch, which a box average does without

    return build_downsampler(package, device)


def downsampler_for(generator: Generator | Package, scale: int, wish: str | None = None) -> Downsampler:
    """What makes the bases of a generator: what is wished for, or else the shipped one that it was trained with.

    wish: as `EncodeSettings.downsampling`. generator: it, or its package, which says as much. Raises what
    `load_downsampler` raises.
    """
    if wish is not None:
        return load_downsampler(wish, scale)
    named = _named_by(generator)
    if named is None:
        return BoxDownsampler(scale)
    shipped = shipped_downsamplers()
    if named not in shipped:
        raise SettingsError(
            f"the generator was trained with downsampler {named}, which does not ship: state where it is "
            f"(downsampling, a package's path), or go without ({BOX})"
        )
    return load_downsampler(shipped[named], scale)


def _named_by(generator: Generator | Package) -> str | None:
    if isinstance(generator, Package):
        return generator.card.downsampler
    try:
        return None if generator.package is None else Package(generator.package).card.downsampler
    except InvalidPackage:  # somebody's own kind of package: it names none
        return None
