"""Model packages: safetensors files that state what they are; the SHA-256 of their bytes is their identity."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from ..errors import InvalidPackage, SettingsError, UnknownGenerator
from ..format.entries import NAME
from ..format.tags import MAX_PACKAGE_BYTES

METADATA_KEY = "histocodec"
MODELS_FOLDER = Path(__file__).parent / "models"


@dataclass(frozen=True)
class PackageCard:
    """What a package states about its network; JSON in the file's safetensors metadata."""

    name: str
    architecture: str
    hyperparameters: dict[str, Any]
    scale: int
    halo: int
    licence: str
    training: dict[str, Any] = field(default_factory=dict)
    """Data and settings."""
    measured: dict[str, Any] = field(default_factory=dict)
    """Metrics by data set."""
    downsampler: str | None = None
    """Of a generator: name of the shipped downsampler that makes the bases it was trained with; None: the mean."""

    def to_json(self) -> str:
        """As it stands in a package. What a generator does not name is left out: its bytes are its identity."""
        return json.dumps({k: v for k, v in dataclasses.asdict(self).items() if k != "downsampler" or v is not None})


@dataclass(frozen=True)
class Package:
    """A model package's bytes, and what they say."""

    data: bytes

    @cached_property
    def digest(self) -> str:
        """`sha256:` and the hexadecimal SHA-256 of the bytes."""
        return "sha256:" + hashlib.sha256(self.data).hexdigest()

    @cached_property
    def card(self) -> PackageCard:
        """Raises InvalidPackage if the file does not state what it must."""
        try:
            length = int.from_bytes(self.data[:8], "little")
            header = json.loads(self.data[8 : 8 + length])
            card = PackageCard(**json.loads(header["__metadata__"][METADATA_KEY]))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise InvalidPackage("not a model package: no histocodec card in its safetensors header") from error
        if not isinstance(card.name, str) or not NAME.fullmatch(card.name):
            raise InvalidPackage(f"a model package needs a name of letters, digits and ._+- found {card.name!a:.80}")
        named = card.downsampler
        if named is not None and not (isinstance(named, str) and NAME.fullmatch(named)):
            raise InvalidPackage(f"model package {card.name}: downsampler is a name or left out, found {named!a:.80}")
        return card


def shipped_packages() -> dict[str, Package]:
    """The generators that come with histocodec, by name.

    From the first release on, a package that has shipped stays: files name it by digest. A better one then gets a name
    of its own.
    """
    return {name: Package(path.read_bytes()) for name, path in _shipped(MODELS_FOLDER).items()}


def shipped_names() -> tuple[str, ...]:
    """Names of the generators that come with histocodec."""
    return tuple(_shipped(MODELS_FOLDER))


def shipped_downsamplers() -> dict[str, Package]:
    """The downsamplers that come with histocodec, by name; there may be none."""
    return {name: Package(path.read_bytes()) for name, path in _shipped(_downsamplers_folder()).items()}


def find_package(name: str | Path) -> Package:
    """A generator by the name or digest of a shipped one, or by path. Raises UnknownGenerator, InvalidPackage."""
    shipped = _shipped(MODELS_FOLDER)
    package = _found(name, shipped)
    if package is None:
        raise UnknownGenerator(f"no generator {name}: {_not_among(shipped)}")
    return package


def find_downsampler(name: str | Path) -> Package:
    """A downsampler by the name or digest of a shipped one, or by path. Raises SettingsError, InvalidPackage."""
    shipped = _shipped(_downsamplers_folder())
    package = _found(name, shipped)
    if package is None:
        raise SettingsError(f"no downsampler {name}: not box, {_not_among(shipped)}")
    return package


def _downsamplers_folder() -> Path:
    return MODELS_FOLDER / "downsamplers"


def _shipped(folder: Path) -> dict[str, Path]:
    return {path.stem: path for path in sorted(folder.glob("*.safetensors"))}


def _found(name: str | Path, shipped: dict[str, Path]) -> Package | None:
    if str(name) in shipped:
        return Package(shipped[str(name)].read_bytes())
    if str(name).startswith("sha256:"):
        for path in sorted(shipped.values(), key=lambda p: p.stat().st_size):  # one is large, and seldom asked for
            package = Package(path.read_bytes())
            if package.digest == str(name):
                return package
    if Path(name).is_file():
        if Path(name).stat().st_size > MAX_PACKAGE_BYTES:
            raise InvalidPackage(f"{name} is not a model package: it has more than {MAX_PACKAGE_BYTES} bytes")
        return Package(Path(name).read_bytes())
    return None


def _not_among(shipped: dict[str, Path]) -> str:
    return f"not a file, and not among those that ship ({', '.join(shipped) or 'none'})"
