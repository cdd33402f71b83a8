"""The layers with checksums of their own, as they are stored: the quality map and the enhancement layer.

`formats/container/v1/spec.md`, section 11, is normative. Reading checks every number before it is believed.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from ..geometry import Size, TileGrid
from ..pixels.residual import FINGERPRINT_LENGTH, EnhancementCoder, Mode
from .bigtiff import BigTiffError, Directory, ReadAt, read_directory
from .entries import EnhancementLayer, QualityMapLayer
from .quality import MAP_CHANNELS, QualityMap
from .tags import (
    COMPRESSION,
    COMPRESSION_ZSTD,
    MAX_REGIONS_BYTES,
    MAX_SUBIFDS,
    MAX_TILE_BYTES,
    TAG_CHECKSUMS,
    TAG_FINGERPRINTS,
    TAG_REGIONS,
    TAG_TILE_MODES,
)
from .zstd import compressed, decompressed


def crc_table(pieces: Iterable[bytes]) -> bytes:
    """CRC-32 of each piece, as little-endian uint32; that of a piece which is not there is 0."""
    return np.array([zlib.crc32(piece) for piece in pieces], "<u4").tobytes()


def sub_directory(first: Directory, number: int, read_at: ReadAt) -> Directory:
    """A SubIFD of the first directory. Raises BigTiffError."""
    count = first.count(330)
    if not number < count <= MAX_SUBIFDS:
        raise BigTiffError(f"expected it in SubIFD {number}, found {count} of them")
    return read_directory(read_at, first.numbers(330, count)[number])[0]


def _checked_table(directory: Directory, count: int, sha256: str) -> NDArray[np.uint32]:
    data = directory.data(TAG_CHECKSUMS, 4 * count)
    if data is None or len(data) != 4 * count or hashlib.sha256(data).hexdigest() != sha256:
        raise BigTiffError("its checksums are not those that the manifest names")
    return np.frombuffer(data, "<u4")


# ---------------------------------------------------------------------------------------------------- quality map


def coded_quality_map(quality_map: QualityMap) -> bytes:
    """The strip that is stored."""
    return compressed(quality_map.values.astype("<u2").tobytes())


def read_quality_map(layer: QualityMapLayer, first: Directory, read_at: ReadAt, size_bytes: int) -> QualityMap:
    """Raises BigTiffError or zstandard.ZstdError if it is not the one that was written."""
    directory = sub_directory(first, layer.subifd, read_at)
    columns, rows = layer.size
    stated = (*(directory.number(tag) for tag in (256, 257, 259, 277)), *directory.numbers(258, MAP_CHANNELS))
    if stated != (columns, rows, COMPRESSION_ZSTD, MAP_CHANNELS, *[16] * MAP_CHANNELS):
        raise BigTiffError(f"expected {columns} x {rows} px of {MAP_CHANNELS} x 16 bits as zstd, found {stated}")
    (checksum,) = _checked_table(directory, 1, layer.checksums_sha256).tolist()
    data = read_at(directory.number(273), min(directory.number(279), size_bytes))
    if zlib.crc32(data) != checksum:
        raise BigTiffError("its bytes changed since it was written")
    expected = 2 * MAP_CHANNELS * columns * rows
    values = decompressed(data, expected)
    if len(values) != expected:
        raise BigTiffError(f"expected {expected} bytes, found {len(values)}")
    return QualityMap(np.frombuffer(values, "<u2").reshape(rows, columns, MAP_CHANNELS).astype(np.uint16))


# ---------------------------------------------------------------------------------------------- enhancement layer


@dataclass(frozen=True)
class EnhancementPieces:
    """All of the layer's bytes, to be written."""

    grid: TileGrid
    """Over the full resolution: one tile a block of the canonical grid."""
    modes: NDArray[np.uint8]
    """Of each tile in TIFF order: `pixels.residual.Mode`."""
    tile: Callable[[int], bytes]
    """The codestream of a tile by its index; not asked for absent ones."""
    fingerprints: bytes
    """`coded_fingerprints`."""
    regions: bytes | None
    """The regions of interest, GeoJSON in a zstd frame; None if there are none."""
    checksums: bytes
    """The layer's table: tiles, modes, fingerprints, regions."""

    @classmethod
    def of(
        cls,
        grid: TileGrid,
        modes: NDArray[np.uint8],
        tile: Callable[[int], bytes],
        fingerprints: bytes,
        regions: bytes | None,
    ) -> EnhancementPieces:
        """With their checksums, for which every tile is asked for once."""
        tiles = (tile(index) if mode else b"" for index, mode in enumerate(modes))
        table = crc_table(chain(tiles, (modes.tobytes(), fingerprints, regions or b"")))
        return cls(grid, modes, tile, fingerprints, regions, table)

    def tiles(self) -> Iterable[bytes]:
        """In TIFF order, nothing for an absent one."""
        return (self.tile(index) if mode else b"" for index, mode in enumerate(self.modes))


def coded_fingerprints(fingerprints: NDArray[np.int32]) -> bytes:
    """fingerprints: (tiles, 4) int32, zeros for tiles that are no residual."""
    return compressed(fingerprints.astype("<i4").tobytes())


class StoredEnhancement:
    """The layer of an open file."""

    def __init__(self, layer: EnhancementLayer, tile: int, first: Directory, read_at: ReadAt, size_bytes: int) -> None:
        """tile: full pixels a side. Raises BigTiffError or zstandard.ZstdError for what contradicts itself."""
        self.coder = EnhancementCoder.stored(layer.codec, layer.colour)
        self.grid = TileGrid(Size(*layer.size), tile)
        self._read_at = read_at
        directory = sub_directory(first, layer.subifd, read_at)
        stated = (*(directory.number(tag) for tag in (256, 257, 259, 277, 322, 323)), *directory.numbers(258, 3))
        wanted = (*layer.size, COMPRESSION[layer.codec], 3, tile, tile, 8, 8, 8)
        if stated != wanted:
            raise BigTiffError(f"expected width, length, compression, samples, tile and bits {wanted}, found {stated}")
        count = self.grid.count
        self._offsets, self._lengths = directory.array(324, count), directory.array(325, count)
        modes = directory.data(TAG_TILE_MODES, count)
        if modes is None or len(modes) != count or max(modes) > max(Mode):
            raise BigTiffError(f"expected {count} tile modes of 0 to {max(Mode)}")
        self.modes: NDArray[np.uint8] = np.frombuffer(modes, np.uint8)
        """Of each tile in TIFF order."""
        self._fingerprint_bytes = directory.data(TAG_FINGERPRINTS, 64 * count + 1024) or b""
        self._region_bytes = directory.data(TAG_REGIONS, MAX_REGIONS_BYTES)
        table = _checked_table(directory, count + 3, layer.checksums_sha256)
        self._table = table
        found = [zlib.crc32(piece) for piece in (modes, self._fingerprint_bytes, self._region_bytes or b"")]
        if found != table[count:].tolist():
            raise BigTiffError("its modes, fingerprints or regions changed since they were written")
        present = self.modes != Mode.ABSENT
        if int(present.sum()) != layer.tiles or not np.array_equal(present, self._lengths > 0):
            raise BigTiffError("the tiles that are there are not those that its modes name")
        if self._lengths.max() > MAX_TILE_BYTES or self._outside(present, size_bytes):
            raise BigTiffError("a tile lies outside the file, or is too long")
        values = decompressed(self._fingerprint_bytes, 4 * FINGERPRINT_LENGTH * count)
        if len(values) != 4 * FINGERPRINT_LENGTH * count:
            raise BigTiffError(f"expected fingerprints of {count} tiles")
        self.fingerprints: NDArray[np.int32] = np.frombuffer(values, "<i4").reshape(count, FINGERPRINT_LENGTH)
        """(tiles, 4) int32."""
        if self.fingerprints[self.modes != Mode.RESIDUAL].any() or table[:count][~present].any():
            raise BigTiffError("a fingerprint of a tile that is no residual, or a checksum of one that is absent")
        self._regions = None if self._region_bytes is None else decompressed(self._region_bytes, MAX_REGIONS_BYTES)

    def _outside(self, present: NDArray[np.bool_], size_bytes: int) -> bool:
        offsets, lengths = self._offsets[present], self._lengths[present]
        limit = np.uint64(size_bytes)
        return bool(((offsets < 16) | (offsets > limit) | (lengths > limit - np.minimum(offsets, limit))).any())

    @property
    def total_bytes(self) -> int:
        """Of all tiles."""
        return int(self._lengths.sum())

    def tile(self, index: int) -> bytes | None:
        """The codestream of a tile; b"" for an absent one, None if it is not the one that was written."""
        data = self._read_at(int(self._offsets[index]), int(self._lengths[index])) if self.modes[index] else b""
        return data if zlib.crc32(data) == self._table[index] else None

    def regions(self) -> bytes | None:
        """The regions of interest as GeoJSON, which is not checked yet; None if there are none."""
        return self._regions

    def pieces(self) -> EnhancementPieces:
        """All of it, as it is stored: to be written again."""

        def tile(index: int) -> bytes:
            data = self.tile(index)
            if data is None:
                raise BigTiffError(f"tile {index}: its bytes changed since it was written")
            return data

        return EnhancementPieces(
            self.grid, self.modes, tile, self._fingerprint_bytes, self._region_bytes, self._table.tobytes()
        )
