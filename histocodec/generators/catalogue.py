"""The catalogue of everything learned: generators and downsamplers, built in, shipped, or packages of one's own.

What a container embeds is a `Package` as well: `load_generator` builds it like any other.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from ..errors import GeneratorError, InvalidPackage, SettingsError, UnknownGenerator
from ..pixels.downsample import BOX, BoxDownsampler
from ..pixels.resampler import Downsampler, Generator
from ..pixels.tile_codecs import TileCodec
from .bicubic import BicubicGenerator
from .engines.choice import TRAIN_EXTRA
from .folders import SUFFIX, find_in_folders, places, variable_folders
from .package import Package, PackageCard

Kind = Literal["generator", "downsampler"]

MODELS_FOLDER = Path(__file__).parent / "models"
"""The packages that ship, and their cards.

From the first release on, a package that has shipped stays: files name it by digest. A better one gets a name of its
own.
"""

FOLDERS: dict[Kind, str] = {"generator": ".", "downsampler": "downsamplers"}
"""Folders of the shipped packages within `MODELS_FOLDER`."""

_FOR_BOX_AVERAGES = {4: "jp2k-x4", 2: "jp2k-x2"}

DEFAULTS: dict[TileCodec, dict[int, str]] = {
    "av1": {4: "av1-x4", 2: "av1-x2"},
    "jp2k": _FOR_BOX_AVERAGES,
    "jpeg": _FOR_BOX_AVERAGES,
}
"""Generators by codec and scale of the base that a slide is encoded with unless told otherwise."""

DEFAULT_NAMES = tuple(dict.fromkeys(name for by_scale in DEFAULTS.values() for name in by_scale.values()))
"""The generators among `DEFAULTS`, each once."""

SCALES = (2, 4)

_BUILT_AT_ONCE = 4
"""Networks of a kind that stay in memory, ready to run."""


def load_generator(
    name: str | Path | Package = DEFAULTS["av1"][4], *, device: str = "cpu", folders: Sequence[Path] | None = None
) -> Generator:
    """Return a generator that is ready to run.

    name: `bicubic-x2`, `bicubic-x4`, a shipped package's name or digest, the path of a package, or a Package.
    device: as torch names it. folders: searched for a digest; None for those of HISTOCODEC_MODELS. Raises
    UnknownGenerator, InvalidPackage.
    """
    for scale in SCALES:
        bicubic = BicubicGenerator(scale)
        if name in (bicubic.name, bicubic.digest):
            return bicubic
    return _built_generator(name if isinstance(name, Package) else find_package(name, folders=folders), device)


def load_downsampler(name: str | Path | Package, scale: int, *, device: str = "cpu") -> Downsampler:
    """Return a downsampler that is ready to run.

    name: `box`, a shipped package's name or digest, the path of a package, or a Package. scale: 2 or 4, which the
    downsampler must have. device: as torch names it. Raises SettingsError if there is none of that name, or it has
    another scale; InvalidPackage.
    """
    if name == BOX:
        return BoxDownsampler(scale)
    package = name if isinstance(name, Package) else find_package(name, "downsampler")
    if package.card.scale != scale:
        raise SettingsError(
            f"downsampler {package.card.name} shrinks {package.card.scale} times, this base needs {scale}"
        )
    return _built_downsampler(package, device)


def default_generator(scale: int, codec: TileCodec = "av1") -> Generator:
    """Return the generator that a slide is encoded with unless told otherwise, ready to run."""
    return load_generator(default_package(scale, codec))


def default_package(scale: int, codec: TileCodec = "av1") -> Package:
    """Return the package of `default_generator`, without building its network."""
    return find_package(DEFAULTS[codec][scale])


def downsampler_for(generator: Generator | Package, scale: int, wish: str | None = None) -> Downsampler:
    """Return the downsampler that makes a generator's bases: the one wished for, or else the one it was trained with.

    wish: as `EncodeSettings.downsampling`. generator: may be its package, which names the same downsampler. Raises what
    `load_downsampler` raises.
    """
    if wish is not None:
        return load_downsampler(wish, scale)
    named = _downsampler_named_by(generator)
    if named is None:
        return BoxDownsampler(scale)
    shipped = shipped_packages("downsampler")
    if named not in shipped:
        raise SettingsError(
            f"the generator was trained with downsampler {named}, which does not ship: state where it is "
            f"(downsampling, a package's path), or go without ({BOX})"
        )
    return load_downsampler(shipped[named], scale)


def known_names() -> frozenset[str]:
    """Return the names of the generators that are built in or ship."""
    return frozenset({*shipped_paths("generator"), *(BicubicGenerator(scale).name for scale in SCALES)})


def shipped_packages(kind: Kind = "generator") -> dict[str, Package]:
    """Return the packages of a kind that come with histocodec, by name; there may be none."""
    return {name: Package.read(path) for name, path in shipped_paths(kind).items()}


def find_package(name: str | Path, kind: Kind = "generator", *, folders: Sequence[Path] | None = None) -> Package:
    """Return a package by the name or digest of one that ships, by path, or by the digest of one in a folder.

    folders: searched for a digest; None for those of HISTOCODEC_MODELS. Raises UnknownGenerator if there is no such
    generator, SettingsError if there is no such downsampler, InvalidPackage.
    """
    folders = variable_folders() if folders is None else folders
    shipped = shipped_paths(kind)
    if str(name) in shipped:
        return Package.read(shipped[str(name)])
    if str(name).startswith("sha256:") and (
        path := find_in_folders(str(name), (MODELS_FOLDER / FOLDERS[kind], *folders))
    ):
        return Package.read(path)
    if Path(name).is_file():
        return Package.read(Path(name))
    raise _missing(name, kind, folders)


def card_of(generator: Generator) -> PackageCard | None:
    """Return the card of a generator's package; None if it has none, or one of a kind that is not known here."""
    try:
        return None if generator.package is None else Package(generator.package).card
    except InvalidPackage:
        return None


def _missing(name: str | Path, kind: Kind, folders: Sequence[Path] = ()) -> UnknownGenerator | SettingsError:
    """Build the error about a package that is not at hand."""
    where = f"not a file, and not among those that ship ({', '.join(shipped_paths(kind)) or 'none'})"
    if str(name).startswith("sha256:") and folders:
        where = f"{where}, nor in {places(folders)}"
    if kind == "generator":
        return UnknownGenerator(f"no generator {name}: {where}")
    return SettingsError(f"no downsampler {name}: not {BOX}, {where}")


def shipped_paths(kind: Kind = "generator") -> dict[str, Path]:
    """Return the files of the packages of a kind that come with histocodec, by name."""
    return {path.stem: path for path in sorted((MODELS_FOLDER / FOLDERS[kind]).glob(f"*{SUFFIX}"))}


def _downsampler_named_by(generator: Generator | Package) -> str | None:
    """Return the name of the downsampler that a generator was trained with; None for the box average."""
    card = generator.card if isinstance(generator, Package) else card_of(generator)
    return None if card is None else card.downsampler


# Networks are built once: they hold no state, and a viewer may open hundreds of slides. Importing an engine waits until
# then: reading a base alone, or averaging one, does without.


@functools.lru_cache(maxsize=_BUILT_AT_ONCE)
def _built_generator(package: Package, device: str) -> Generator:
    if package.is_exact:
        from .network_resampler import build_generator

        return build_generator(package, device)
    try:
        from .rrdb import RRDBGenerator
    except ModuleNotFoundError as error:
        raise GeneratorError(
            f"{package.card.name} needs {error.name}, which is not installed: {TRAIN_EXTRA}"
        ) from error

    return RRDBGenerator(package, device)


@functools.lru_cache(maxsize=_BUILT_AT_ONCE)
def _built_downsampler(package: Package, device: str) -> Downsampler:
    from .network_resampler import build_downsampler

    return build_downsampler(package, device)
