"""Packages: safetensors files that state what they are. The SHA-256 of a file's bytes is its identity."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from ..errors import InvalidPackage
from ..format.entries import NAME
from ..format.tags import MAX_PACKAGE_BYTES

METADATA_KEY = "histocodec"
"""Key of the card in a safetensors file's metadata."""


@dataclass(frozen=True)
class PackageCard:
    """The statement of a package about its network; JSON in the file's safetensors metadata."""

    name: str
    """Letters, digits and `._+-`."""
    architecture: str
    """Name of a network class, see `networks`."""
    hyperparameters: dict[str, Any]
    """Arguments of that class."""
    scale: int
    """Full pixels per base pixel, each axis."""
    halo: int
    """Base pixels of context that the network needs on every side."""
    licence: str
    """Licence of the weights."""
    training: dict[str, Any] = field(default_factory=dict)
    """Data and settings of the training run."""
    measured: dict[str, Any] = field(default_factory=dict)
    """Measures by data set."""
    downsampler: str | None = None
    """Name of the shipped downsampler that made the bases a generator was trained with; None for the box average."""

    def to_json(self) -> str:
        """Return the card as it stands in a package.

        A downsampler that is not named is left out, as it is in the first packages: their bytes are their identity.
        """
        return json.dumps({k: v for k, v in dataclasses.asdict(self).items() if k != "downsampler" or v is not None})


@dataclass(frozen=True)
class Package:
    """A package: its bytes, and what they state."""

    data: bytes

    @classmethod
    def read(cls, path: Path) -> Package:
        """Read a file. Raises InvalidPackage if it is too large to be a package."""
        if path.stat().st_size > MAX_PACKAGE_BYTES:
            raise InvalidPackage(f"{path} is not a package: it has more than {MAX_PACKAGE_BYTES} bytes")
        return cls(path.read_bytes())

    @cached_property
    def digest(self) -> str:
        """Identity of the package: `sha256:` and the hexadecimal SHA-256 of its bytes."""
        return "sha256:" + hashlib.sha256(self.data).hexdigest()

    @cached_property
    def card(self) -> PackageCard:
        """The package's card. Raises InvalidPackage if the file does not state what it must."""
        try:
            length = int.from_bytes(self.data[:8], "little")
            header = json.loads(self.data[8 : 8 + length])
            card = PackageCard(**json.loads(header["__metadata__"][METADATA_KEY]))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise InvalidPackage("not a package: no histocodec card in its safetensors header") from error
        if not isinstance(card.name, str) or not NAME.fullmatch(card.name):
            raise InvalidPackage(f"a package needs a name of letters, digits, spaces and ._+-, found {card.name!a:.80}")
        named = card.downsampler
        if named is not None and not (isinstance(named, str) and NAME.fullmatch(named)):
            raise InvalidPackage(f"package {card.name}: downsampler is a name or left out, found {named!a:.80}")
        return card
