"""Changes to files: other manifests, and checksums that fit what was replaced."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import zstandard

from histocodec.format.pieces import crc_table
from tests.format.conformance.surgery import (
    BASE_SUMS,
    CHECKSUMS,
    ICC_PROFILE,
    MANIFEST,
    PREDICTION_SUMS,
    REGIONS,
    TILE_MODES,
    UNDEFINED,
    Directory,
)

Chain = list[Directory]
"""The directories of a file's main chain."""
ChainChange = Callable[[Chain], None]
"""A change to directories, in place."""
ManifestChange = Callable[[dict[str, Any]], None]
"""A change to the manifest as JSON, in place."""
Vector = tuple[bytes, tuple[str, ...], str]
"""A hostile file, the codes that it must give, and how it was made."""


def compress(data: bytes, *, checksum: bool = True, size: bool = True) -> bytes:
    """One zstd frame."""
    parameters = zstandard.ZstdCompressor(level=19, write_checksum=checksum, write_content_size=size)
    return parameters.compress(data)


def change_manifest(directories: list[Directory], change: Callable[[dict[str, Any]], None]) -> None:
    """Rewrite the manifest and, since it is meant to be believed, the checksum of the checksums."""
    first = directories[0]
    manifest = json.loads(zstandard.decompress(first.tags[MANIFEST][1]))
    if CHECKSUMS in first.tags:
        manifest["checksums_sha256"] = sha256(first.tags[CHECKSUMS][1])
    change(manifest)
    text = json.dumps(manifest, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    first.tags[MANIFEST] = UNDEFINED, compress(text.encode())


def recompute_checksums(directories: list[Directory]) -> None:
    """The table that belongs to pieces that were replaced."""
    stored = json.loads(zstandard.decompress(directories[0].tags[MANIFEST][1]))
    subifd = stored["base"].get("subifd")
    apart = [] if subifd is None else [directories[0].subdirectories[subifd]]
    pieces = [piece for directory in (*apart, *directories) if 322 in directory.tags for piece in directory.pieces]
    pieces += [piece for directory in directories if 322 not in directory.tags for piece in directory.pieces]
    unsealed = [d for d in directories[0].subdirectories if CHECKSUMS not in d.tags and d not in apart]
    pieces += [*(piece for directory in unsealed for piece in directory.pieces)] or [b""]
    pieces += [directories[0].tags.get(tag, (UNDEFINED, b""))[1] for tag in (ICC_PROFILE, BASE_SUMS)]
    directories[0].tags[CHECKSUMS] = UNDEFINED, crc_table(pieces)


def reseal(directories: list[Directory], name: str) -> None:
    """Make the table of a layer, and the manifest's digest of it, those of what the layer holds now."""
    manifest = json.loads(zstandard.decompress(directories[0].tags[MANIFEST][1]))
    layer = directories[0].subdirectories[manifest["layers"][name]["subifd"]]
    pieces = list(layer.pieces)
    if name == "enhancement":
        pieces += [layer.tags.get(tag, (UNDEFINED, b""))[1] for tag in (TILE_MODES, PREDICTION_SUMS, REGIONS)]
    table = crc_table(pieces)
    layer.tags[CHECKSUMS] = UNDEFINED, table
    change_manifest(directories, lambda m: m["layers"][name].update(checksums_sha256=sha256(table)))


def replaced(data: bytes, at: int, by: bytes) -> bytes:
    return data[:at] + by + data[at + len(by) :]


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Collection:
    """Hostile files by name, in the order in which they were added."""

    def __init__(self) -> None:
        self.files: dict[str, Vector] = {}

    def add(self, code: str, name: str, data: bytes, how: str, *also: str) -> None:
        """Add a file that must give `code`, with which its name begins, and the codes `also`."""
        self.files[f"{code}-{name}"] = data, (code, *also), how
