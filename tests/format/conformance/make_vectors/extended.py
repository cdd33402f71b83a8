"""A file with everything that a later revision of version 1 may add, which every reader must pass over."""

from __future__ import annotations

import json
import struct
from typing import Any

import zstandard

from histocodec.format.pieces import crc_table
from histocodec.generators.package import METADATA_KEY
from tests.format.conformance.make_vectors.editing import change_manifest, compress, sha256
from tests.format.conformance.surgery import CHECKSUMS, GENERATOR, UNDEFINED, Directory, put_together, take_apart

LATER = "of a later revision"
"""The key that nobody knows."""
UNKNOWN_TYPE = 99
"""A type of a TIFF's value that does not exist."""
KEPT_TAGS = range(65310, 65320)
"""Private tags that the format keeps for itself."""


def by_a_later_revision(data: bytes) -> bytes:
    """Return a file with unknown keys in every object of its manifest and in its package, unknown tags and layers.

    The tags are of an unknown type in the SubIFDs alone: libraries that other programs use speak of such a type in the
    main chain.
    """
    directories = take_apart(data)
    first = directories[0]
    package = _with_unknown_keys(zstandard.decompress(first.tags[GENERATOR][1]))
    first.tags[GENERATOR] = UNDEFINED, compress(package)
    further = Directory({256: (4, b"\1\0\0\0"), 257: (4, b"\1\0\0\0")}, [b"whatever it holds"])
    further.set(259, 3, 65312)
    further.set(278, 3, 1)
    further.tags[CHECKSUMS] = UNDEFINED, crc_table(further.pieces)
    first.subdirectories.append(further)
    for directory in directories:
        directory.tags |= dict.fromkeys(KEPT_TAGS, (UNDEFINED, b"of a later revision"))
    for directory in first.subdirectories:
        directory.tags |= dict.fromkeys(KEPT_TAGS, (UNKNOWN_TYPE, b"eight or more bytes"))

    def change(manifest: dict[str, Any]) -> None:
        manifest["prediction"]["generator"]["digest"] = f"sha256:{sha256(package)}"
        manifest["layers"]["stain_map"] = {"subifd": len(first.subdirectories) - 1}
        _extend(manifest)

    change_manifest(directories, change)
    return put_together(directories)


def _extend(value: Any) -> None:
    """Give every object in a value a key that nobody knows, at any depth; the source's properties are texts."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key != "properties":
                _extend(inner)
        value[LATER] = [None, {"deeper": 0.5}]
    elif isinstance(value, list):
        for inner in value:
            _extend(inner)


def _with_unknown_keys(package: bytes) -> bytes:
    """Return a package whose card, and whose metadata beside it, say more."""
    (length,) = struct.unpack_from("<Q", package)
    header = json.loads(package[8 : 8 + length])
    card = json.loads(header["__metadata__"][METADATA_KEY])
    card[LATER] = {"a": [1]}
    header["__metadata__"] |= {METADATA_KEY: json.dumps(card), LATER: "text"}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + package[8 + length :]
