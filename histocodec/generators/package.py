"""Packages: safetensors files that state what they are. The SHA-256 of a file's bytes is its identity."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from ..errors import InvalidPackage
from ..format.entries import LICENCE, NAME
from ..format.strict_json import MAX_WHOLE, load_json
from ..format.tags import MAX_PACKAGE_BYTES
from .engines.numpy_engine import NumpyEngine
from .integer_net import Architecture, IntegerNet, net_of, tensors_of
from .self_test import crc32_of_test_block

METADATA_KEY = "histocodec"
"""Key of the card in a safetensors file's metadata."""


@dataclass(frozen=True)
class PackageCard:
    """The statement of a package about its network; JSON in the file's safetensors metadata."""

    name: str
    """Letters, digits and `._+-`."""
    architecture: str
    """`plain` or `residual-downsampler`, in whole numbers (`integer_net`); or `rrdb`, in floats (`rrdb`)."""
    hyperparameters: dict[str, Any]
    """Sizes of that network."""
    scale: int
    """Full pixels per base pixel, each axis."""
    halo: int
    """Base pixels of context that the network needs on every side."""
    licence: str
    """Licence of the weights; `licences.use_of` says what it permits."""
    training: dict[str, Any] = field(default_factory=dict)
    """Data and settings of the training run."""
    measured: dict[str, Any] = field(default_factory=dict)
    """Measures by data set."""
    downsampler: str | None = None
    """Name of the shipped downsampler that made the bases a generator was trained with; None for the box average."""
    test_block_crc32: int | None = None
    """CRC-32 of what the network makes of its test block (`self_test`); None for a network in floats."""
    generation: int = 1
    """Generation of the weights: a whole number, higher for those that replaced others."""

    def to_json(self) -> str:
        """Return the card as it stands in a package, without what is None, and without the first generation."""
        stated = {key: value for key, value in dataclasses.asdict(self).items() if value is not None}
        if self.generation == 1:
            del stated["generation"]
        return json.dumps(stated)


_KEYS = frozenset(item.name for item in dataclasses.fields(PackageCard))


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
        """The package's card; keys that are not known here are passed over, as those of a manifest.

        Raises InvalidPackage if the file does not state what it must.
        """
        try:
            length = int.from_bytes(self.data[:8], "little")
            header = json.loads(self.data[8 : 8 + length])
            stated = load_json(header["__metadata__"][METADATA_KEY].encode(), MAX_PACKAGE_BYTES)
            card = PackageCard(**{key: value for key, value in stated.items() if key in _KEYS})
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise InvalidPackage("not a package: no histocodec card in its safetensors header") from error
        if not isinstance(card.name, str) or not NAME.fullmatch(card.name):
            raise InvalidPackage(f"a package needs a name of letters, digits, spaces and ._+-, found {card.name!a:.80}")
        named = card.downsampler
        if named is not None and not (isinstance(named, str) and NAME.fullmatch(named)):
            raise InvalidPackage(f"package {card.name}: downsampler is a name or left out, found {named!a:.80}")
        checksum = card.test_block_crc32
        if checksum is not None and not (type(checksum) is int and 0 <= checksum < 1 << 32):
            raise InvalidPackage(f"package {card.name}: test_block_crc32 is a CRC-32, found {checksum!a:.80}")
        if not (isinstance(card.licence, str) and LICENCE.fullmatch(card.licence)):
            raise InvalidPackage(
                f"package {card.name}: licence has 1 to 200 printable characters of ASCII, found {card.licence!a:.80}"
            )
        if not (type(card.generation) is int and 1 <= card.generation <= MAX_WHOLE):
            raise InvalidPackage(
                f"package {card.name}: generation is a whole number from 1 on, found {card.generation!a:.80}"
            )
        if not all(isinstance(value, dict) for value in (card.hyperparameters, card.training, card.measured)):
            raise InvalidPackage(f"package {card.name}: hyperparameters, training and measured are objects")
        return card

    @cached_property
    def is_exact(self) -> bool:
        """True for a network in whole numbers, whose pixels are defined to the bit."""
        return self.card.architecture != "rrdb"

    @cached_property
    def net(self) -> IntegerNet:
        """The network in whole numbers. Raises InvalidPackage if it is none, or if its sums are not proven."""
        card = self.card
        try:
            architectures: dict[str, Architecture] = {kind: kind for kind in get_args(Architecture)}
            if card.architecture not in architectures:
                raise ValueError(
                    f"the architecture must be {' or '.join(architectures)}, found {card.architecture!a:.40}"
                )
            net = net_of(architectures[card.architecture], card.hyperparameters, load_tensors(self.data))
            if card.test_block_crc32 is None:
                raise ValueError("its card states no test_block_crc32")
        except (KeyError, TypeError, ValueError, SafetensorError) as error:
            raise InvalidPackage(f"package {card.name}: {' '.join(str(error).split())[:200]}") from error
        if (net.scale, net.halo) != (card.scale, card.halo):
            raise InvalidPackage(
                f"package {card.name} states scale {card.scale} and halo {card.halo}, "
                f"its network has {net.scale} and {net.halo}"
            )
        return net


def package_of(net: IntegerNet, card: PackageCard) -> Package:
    """Make the package of a network in whole numbers. The checksum of the card is computed here."""
    card = dataclasses.replace(card, test_block_crc32=crc32_of_test_block(net, NumpyEngine(net)))
    return Package(save_tensors(tensors_of(net), metadata={METADATA_KEY: card.to_json()}))
