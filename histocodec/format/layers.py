"""The layers beside the base, as they are stored: tissue map, quality map and enhancement layer.

`formats/container/v1/spec.md`, sections 2.6 and 11, is normative. Reading checks every number before it is believed.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from ..geometry import Grid, Size
from ..pixels.residual import EnhancementCoder, Mode
from .bigtiff import Directory
from .directories import extents, mismatches, sub_directory
from .entries import EnhancementLayer, Layer, QualityMapLayer
from .pieces import Damaged, ReadAt, StoredPieces, checked, crc_table, outside
from .quality import MAP_CHANNELS, QualityMap
from .tags import COMPRESSION, COMPRESSION_ZSTD, MAX_REGIONS_BYTES, MAX_TILE_BYTES, Tag
from .zstd import compressed, decompressed

# -------------------------------------------------------------------------------------------------------- tissue map


def coded_tissue_map(tissue_map: NDArray[np.uint8]) -> bytes:
    """Return the strip that is stored. tissue_map: (rows, columns) uint8, 1 tissue, 0 glass."""
    return compressed(np.ascontiguousarray(tissue_map).tobytes())


def read_tissue_map(
    layer: Layer | None, shape: Size, first: Directory, checksum: int, read_at: ReadAt, size_bytes: int
) -> NDArray[np.uint8]:
    """Return (rows, columns) uint8, 1 tissue, 0 glass; without a layer all of it is tissue.

    shape: columns and rows of the canonical grid. Raises Damaged.
    """
    columns, rows = shape
    if layer is None:
        if checksum:
            raise Damaged("the file has a checksum for it, but its manifest does not name it")
        return np.broadcast_to(np.uint8(1), (rows, columns))
    directory = sub_directory(first, layer.subifd, read_at)
    check_tags(
        directory,
        {
            Tag.ImageWidth: columns,
            Tag.ImageLength: rows,
            Tag.BitsPerSample: 8,
            Tag.Compression: COMPRESSION_ZSTD,
            Tag.SamplesPerPixel: 1,
        },
    )
    values = np.frombuffer(decompressed(_strip(directory, checksum, read_at, size_bytes), columns * rows), np.uint8)
    if values.size != columns * rows or values.max() > 1:
        raise Damaged(f"expected {columns * rows} values of 0 or 1")
    return values.reshape(rows, columns)


# ------------------------------------------------------------------------------------------------------- quality map


def coded_quality_map(quality_map: QualityMap) -> bytes:
    """Return the strip that is stored."""
    return compressed(quality_map.values.astype("<u2").tobytes())


def read_quality_map(layer: QualityMapLayer, first: Directory, read_at: ReadAt, size_bytes: int) -> QualityMap:
    """Return the stored map. Raises Damaged if it is not the one that was written."""
    directory = sub_directory(first, layer.subifd, read_at)
    columns, rows = layer.size
    check_tags(
        directory,
        {
            Tag.ImageWidth: columns,
            Tag.ImageLength: rows,
            Tag.Compression: COMPRESSION_ZSTD,
            Tag.SamplesPerPixel: MAP_CHANNELS,
            Tag.BitsPerSample: (16,) * MAP_CHANNELS,
        },
    )
    (checksum,) = layer_checksums(directory, 1, layer.checksums_sha256).tolist()
    expected = 2 * MAP_CHANNELS * columns * rows
    values = decompressed(_strip(directory, checksum, read_at, size_bytes), expected)
    if len(values) != expected:
        raise Damaged(f"expected {expected} bytes, found {len(values)}")
    stored = np.frombuffer(values, "<u2").reshape(rows, columns, MAP_CHANNELS).astype(np.uint16)
    if np.any((stored > 0).any(axis=2) != (stored > 0).all(axis=2)):
        raise Damaged("a block has some of its numbers and not the others")
    return QualityMap(stored)


# ------------------------------------------------------------------------------------------------- enhancement layer


@dataclass(frozen=True)
class EnhancementPieces:
    """The enhancement layer's bytes, to be written."""

    grid: Grid
    """Tiles of the full resolution: one a block of the canonical grid."""
    modes: NDArray[np.uint8]
    """(tiles,) `pixels.residual.Mode` of each tile in TIFF order."""
    tile: Callable[[int], bytes]
    """Returns the codestream of a tile by its index; not called for absent ones."""
    prediction_sums: NDArray[np.uint32]
    """(tiles,) CRC-32 of each predicted block that a residual corrects; 0 for the others."""
    regions: bytes | None
    """The regions of interest, GeoJSON in a zstd frame; None if there are none."""
    checksums: bytes
    """The layer's table: tiles, modes, prediction checksums, regions."""

    @classmethod
    def of(
        cls,
        grid: Grid,
        modes: NDArray[np.uint8],
        tile: Callable[[int], bytes],
        prediction_sums: NDArray[np.uint32],
        regions: bytes | None,
    ) -> EnhancementPieces:
        """Compute the checksums, for which every tile is asked for once."""
        tiles = (tile(index) if mode else b"" for index, mode in enumerate(modes))
        table = crc_table(chain(tiles, (modes.tobytes(), stored_sums(prediction_sums), regions or b"")))
        return cls(grid, modes, tile, prediction_sums, regions, table)

    def tiles(self) -> Iterable[bytes]:
        """Return the codestreams in TIFF order, nothing for an absent one."""
        return (self.tile(index) if mode else b"" for index, mode in enumerate(self.modes))


def stored_sums(sums: NDArray[np.uint32]) -> bytes:
    """Return checksums as they are stored: 4 bytes each, the lowest first."""
    return sums.astype("<u4").tobytes()


@dataclass(frozen=True, eq=False)
class StoredEnhancement:
    """The enhancement layer of an open file."""

    coder: EnhancementCoder
    grid: Grid
    """Tiles of the full resolution: one a block of the canonical grid."""
    modes: NDArray[np.uint8]
    """(tiles,) `pixels.residual.Mode` of each tile in TIFF order."""
    prediction_sums: NDArray[np.uint32]
    """(tiles,) CRC-32 of each predicted block that a residual corrects; 0 for the others."""
    regions: bytes | None
    """The regions of interest as GeoJSON, which is not checked yet; None if there are none."""
    tiles: StoredPieces
    pieces: EnhancementPieces
    """The layer's stored bytes, ready to be written into another file; asked for a tile, they raise Damaged."""

    def tile(self, index: int) -> bytes:
        """Return the codestream of a tile, b"" for an absent one. Raises Damaged if it changed."""
        return self.tiles.data(index)

    @property
    def total_bytes(self) -> int:
        """Bytes of all tiles."""
        return self.tiles.total_bytes


def read_enhancement(
    layer: EnhancementLayer, tile: int, first: Directory, read_at: ReadAt, size_bytes: int
) -> StoredEnhancement:
    """Read all of the layer but its tiles. tile: full pixels a side. Raises Damaged for what contradicts itself."""
    grid = Grid(Size(*layer.size), tile)
    count = grid.count
    directory = sub_directory(first, layer.subifd, read_at)
    check_tags(
        directory,
        {
            Tag.ImageWidth: layer.size[0],
            Tag.ImageLength: layer.size[1],
            Tag.Compression: COMPRESSION[layer.codec],
            Tag.SamplesPerPixel: 3,
            Tag.TileWidth: tile,
            Tag.TileLength: tile,
            Tag.BitsPerSample: (8, 8, 8),
        },
    )
    places = extents(directory, Tag.TileOffsets, Tag.TileByteCounts, count)
    mode_bytes = directory.data(Tag.TileModes, count)
    if mode_bytes is None or len(mode_bytes) != count or max(mode_bytes) > max(Mode):
        raise Damaged(f"expected {count} tile modes of 0 to {max(Mode)}")
    sums = directory.data(Tag.PredictionChecksums, 4 * count) or b""
    regions = directory.data(Tag.Regions, MAX_REGIONS_BYTES)
    table = layer_checksums(directory, count + 3, layer.checksums_sha256)
    if [zlib.crc32(piece) for piece in (mode_bytes, sums, regions or b"")] != table[count:].tolist():
        raise Damaged("its modes, prediction checksums or regions changed since they were written")
    modes: NDArray[np.uint8] = np.frombuffer(mode_bytes, np.uint8)
    present = modes != Mode.ABSENT
    if int(present.sum()) != layer.tiles or not np.array_equal(present, places[:, 1] > 0):
        raise Damaged("the tiles that are there are not those that its modes name")
    if places[:, 1].max() > MAX_TILE_BYTES or outside(places[present], size_bytes).any():
        raise Damaged("a tile lies outside the file, or is too long")
    if len(sums) != 4 * count:
        raise Damaged(f"expected checksums of {count} predictions, found {len(sums) / 4:g}")
    prediction_sums = np.frombuffer(sums, "<u4")
    if prediction_sums[modes != Mode.RESIDUAL].any() or table[:count][~present].any():
        raise Damaged("a prediction's checksum where there is no residual, or one of a tile that is absent")
    tiles = StoredPieces(read_at, places, table[:count])
    return StoredEnhancement(
        coder=EnhancementCoder.stored(layer.codec, layer.colour),
        grid=grid,
        modes=modes,
        prediction_sums=prediction_sums,
        regions=None if regions is None else decompressed(regions, MAX_REGIONS_BYTES),
        tiles=tiles,
        pieces=EnhancementPieces(grid, modes, tiles.data, prediction_sums, regions, table.tobytes()),
    )


# ------------------------------------------------------------------------------------------------------------ common


def check_tags(directory: Directory, expected: Mapping[Tag, int | tuple[int, ...]]) -> None:
    """Raise Damaged if a tag of a layer's directory does not hold what is expected."""
    for sentence in mismatches(directory, expected):
        raise Damaged(sentence)


def _strip(directory: Directory, checksum: int, read_at: ReadAt, size_bytes: int) -> bytes:
    """Return the one strip of a layer, however long it says to be. Raises Damaged."""
    length = min(directory.number(Tag.StripByteCounts), size_bytes)
    return checked(read_at(directory.number(Tag.StripOffsets), length), checksum)


def layer_checksums(directory: Directory, count: int, sha256: str) -> NDArray[np.uint32]:
    """Return the layer's own table. Raises Damaged if it is not the one that the manifest names."""
    data = directory.data(Tag.Checksums, 4 * count)
    if data is None or len(data) != 4 * count or hashlib.sha256(data).hexdigest() != sha256:
        raise Damaged("its checksums are not those that the manifest names")
    return np.frombuffer(data, "<u4")
