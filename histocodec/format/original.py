"""The original as it is stored: the source's files, cut into segments, each kept in the way that takes fewest bytes.

`formats/container/v1/spec.md`, section 11.5, is normative. Reading checks every number before it is believed.
"""

from __future__ import annotations

import enum
import struct
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ..geometry import Grid, Image, Size
from ..pixels.jpeg_xl import to_jpeg
from .bigtiff import Directory
from .decoding import Decoding
from .directories import extents, sub_directory
from .entries import OriginalCodec, OriginalLayer, OriginalTiles, SourceEntry
from .layers import check_tags, layer_checksums
from .original_pixels import decoded_tile
from .pieces import Damaged, ReadAt, StoredPieces
from .tags import (
    COMPRESSION_JPEG,
    COMPRESSION_JPEG_XL,
    COMPRESSION_MIXED,
    COMPRESSION_ZSTD,
    MAX_SEGMENT_BYTES,
    MAX_SEGMENTS,
    MAX_SHARED,
    MAX_SHARED_BYTES,
    Tag,
)
from .zstd import compressed, decompressed

COMPRESSION_OF_TILES: dict[OriginalCodec, int] = {
    "jpeg": COMPRESSION_JPEG,
    "jp2k": 33005,
    "deflate": 8,
    "lzw": 5,
    "none": 1,
}
"""TIFF compression of tiles that are stored as the source had them; 33003 for JPEG 2000 of YCbCr."""

_JP2K_YCBCR = 33003
_SEGMENT_BYTES = 1 + 1 + 1 + 4 + 4
"""Bytes of one segment in the list."""
_LONGEST_SHARED = 2 * (4 + MAX_SHARED * (4 + MAX_SHARED_BYTES))


class Kind(enum.IntEnum):
    """The ways in which a segment is stored."""

    VERBATIM = 0
    ZSTD = 1
    JPEG_XL = 2


@dataclass(frozen=True, eq=False)
class SegmentList:
    """The segments of the source's files, in their order: what each stands for, and how it is stored."""

    headers: tuple[bytes, ...]
    """Bytes that belong behind the first two of a JPEG stream that lacks them, such as tables shared by all tiles."""
    recipes: tuple[bytes, ...]
    """Data that bring JPEG streams back from their codestreams in JPEG XL."""
    kinds: NDArray[np.uint8]
    """(n,) `Kind` of each."""
    header_numbers: NDArray[np.uint8]
    """(n,): 0 for a segment without a header, else the position of its header, from 1."""
    recipe_numbers: NDArray[np.uint8]
    """(n,): 0 for a segment that is no codestream in JPEG XL, else the position of its recipe, from 1."""
    lengths: NDArray[np.uint32]
    """(n,) bytes of the source that each stands for."""
    stored_lengths: NDArray[np.uint32]
    """(n,) bytes that each takes."""

    def to_bytes(self) -> bytes:
        """Return the list as it is stored."""
        columns = (
            *(self.kinds, self.header_numbers, self.recipe_numbers),
            *(self.lengths.astype("<u4"), self.stored_lengths.astype("<u4")),
        )
        shared = _shared_bytes(self.headers) + _shared_bytes(self.recipes)
        return compressed(shared + b"".join(column.tobytes() for column in columns))

    @classmethod
    def from_bytes(cls, frame: bytes, count: int) -> SegmentList:
        """Read the list of `count` segments. Raises Damaged."""
        content = decompressed(frame, count * _SEGMENT_BYTES + _LONGEST_SHARED)
        headers, at = _read_shared(content, 0)
        recipes, at = _read_shared(content, at)
        if len(content) != at + count * _SEGMENT_BYTES:
            raise Damaged(f"expected a list of {count} segments, found {len(content) - at} bytes of it")
        kinds, of_header, of_recipe = np.frombuffer(content, np.uint8, 3 * count, at).reshape(3, count)
        lengths, stored = np.frombuffer(content, "<u4", 2 * count, at + 3 * count).reshape(2, count)
        found = cls(headers, recipes, kinds, of_header, of_recipe, lengths, stored)
        if kinds.max() > max(Kind) or of_header.max() > len(headers):
            raise Damaged("a segment of an unknown kind, or with a header that is not there")
        if of_recipe.max() > len(recipes) or of_recipe[kinds != Kind.JPEG_XL].any():
            raise Damaged("a segment with a recipe that is not there, or that it cannot have")
        if not (_within(lengths) and _within(stored)):
            raise Damaged(f"expected segments of 1 to {MAX_SEGMENT_BYTES} bytes")
        return found

    @property
    def places(self) -> NDArray[np.uint64]:
        """(n, 2) offset from the first segment, and length, of each as it is stored."""
        lengths = self.stored_lengths.astype(np.uint64)
        return np.stack([np.cumsum(lengths) - lengths, lengths], axis=1)

    def header(self, index: int) -> bytes:
        """Return the header of a segment; b"" if it has none."""
        number = int(self.header_numbers[index])
        return self.headers[number - 1] if number else b""

    def recipe(self, index: int) -> bytes:
        """Return the recipe of a segment; b"" if it has none."""
        number = int(self.recipe_numbers[index])
        return self.recipes[number - 1] if number else b""

    def whole_length(self, index: int) -> int:
        """Return the bytes of a segment with its header."""
        return int(self.lengths[index]) + len(self.header(index))

    def jpeg(self, index: int, stored: bytes) -> bytes:
        """Return the JPEG stream, with its header, that a segment in JPEG XL holds. Raises TileError."""
        return to_jpeg(stored, self.whole_length(index), self.recipe(index))


def _shared_bytes(runs: tuple[bytes, ...]) -> bytes:
    """Return headers, or recipes, as the list has them."""
    return struct.pack("<I", len(runs)) + b"".join(struct.pack("<I", len(run)) + run for run in runs)


def _read_shared(content: bytes, at: int) -> tuple[tuple[bytes, ...], int]:
    """Return the headers, or the recipes, that a list has at a place, and where they end. Raises Damaged."""
    try:
        (count,) = struct.unpack_from("<I", content, at)
        runs = list[bytes]()
        at += 4
        if count > MAX_SHARED:
            raise Damaged(f"expected at most {MAX_SHARED} headers or recipes, found {count}")
        for _ in range(count):
            (length,) = struct.unpack_from("<I", content, at)
            if length > MAX_SHARED_BYTES:
                raise Damaged(f"expected a header or recipe of at most {MAX_SHARED_BYTES} bytes, found {length}")
            runs.append(content[at + 4 : at + 4 + length])
            at += 4 + length
    except struct.error as error:
        raise Damaged("its list of segments is cut off") from error
    return tuple(runs), at


def _within(lengths: NDArray[np.uint32]) -> bool:
    return bool(lengths.min() >= 1 and lengths.max() <= MAX_SEGMENT_BYTES)


@dataclass(frozen=True, eq=False)
class OriginalPieces:
    """The original's bytes, to be written."""

    segments: SegmentList
    sums: NDArray[np.uint32]
    """(n,) CRC-32 of each segment as it is stored."""
    tile_numbers: NDArray[np.uint32]
    """Segments that are the tiles of the source's finest level, row by row; none if that cannot be shown."""
    stored: Callable[[int], bytes]
    """Returns a segment as it is stored."""
    frame: bytes
    """The list of segments, as it is stored."""

    @property
    def checksums(self) -> bytes:
        """The layer's table: segments, their list, and the numbers of the tiles."""
        last = (zlib.crc32(self.frame), zlib.crc32(self.tile_numbers.astype("<u4").tobytes()))
        return self.sums.astype("<u4").tobytes() + struct.pack("<2I", *last)

    def data(self) -> Iterable[bytes]:
        """Yield all segments as they are stored."""
        return (self.stored(index) for index in range(len(self.sums)))

    @property
    def total_bytes(self) -> int:
        """Bytes of all segments as they are stored."""
        return int(self.segments.stored_lengths.sum(dtype=np.uint64))

    def compression(self, tiles: OriginalTiles) -> int:
        """Return the TIFF compression by which other readers may show the tiles."""
        kinds = np.unique(self.segments.kinds[self.tile_numbers]).tolist()
        if kinds == [Kind.JPEG_XL]:
            return COMPRESSION_JPEG_XL
        if kinds == [Kind.ZSTD] and tiles.codec == "none":
            return COMPRESSION_ZSTD
        if kinds != [Kind.VERBATIM]:
            return COMPRESSION_MIXED
        return _JP2K_YCBCR if (tiles.codec, tiles.colour) == ("jp2k", "ycbcr") else COMPRESSION_OF_TILES[tiles.codec]


@dataclass(frozen=True, eq=False)
class StoredOriginal:
    """The original of an open file."""

    layer: OriginalLayer
    grid: Grid | None
    """Tiles of the finest level; None if it cannot be shown."""
    segments: SegmentList
    frame: bytes
    """Their list, as it is stored."""
    pieces: StoredPieces
    tile_numbers: NDArray[np.uint32]
    """Segments that are the tiles of the source's finest level, row by row."""
    files: tuple[int, ...]
    """The number of segments of each of the source's files."""
    decoding: Decoding

    @property
    def count(self) -> int:
        """Number of segments."""
        return len(self.pieces.checksums)

    @property
    def total_bytes(self) -> int:
        """Bytes of the segments, of their list and of all that points to them."""
        indexed = len(self.frame) + 4 * (self.count + 2) + 12 * len(self.tile_numbers)
        return self.pieces.total_bytes + indexed

    @property
    def written(self) -> OriginalPieces:
        """The layer's stored bytes, ready to be written into another file; they raise Damaged."""
        return OriginalPieces(self.segments, self.pieces.checksums, self.tile_numbers, self.pieces.data, self.frame)

    def segment(self, index: int) -> bytes:
        """Return the bytes of the source that a segment stands for. Raises Damaged, which names it."""
        segments = self.segments
        length, header = int(segments.lengths[index]), segments.header(index)
        try:
            data = self.pieces.data(index)
            match Kind(int(segments.kinds[index])):
                case Kind.ZSTD:
                    data = self.decoding.data(length, partial(decompressed, data, length))
                case Kind.JPEG_XL:
                    whole = segments.whole_length(index)
                    jpeg = self.decoding.data(whole, partial(to_jpeg, data, whole, segments.recipe(index)))
                    data = without_header(jpeg, header)
                case Kind.VERBATIM:
                    pass
        except Damaged as error:
            raise error.within(f"segment {index} of {self.count}") from error
        if len(data) != length:
            raise Damaged(f"segment {index} of {self.count}: expected {length} bytes, found {len(data)}")
        return data

    def tile(self, index: int) -> Image:
        """Return a tile of the finest level as (height, width, 3) uint8 RGB. Raises Damaged."""
        tiles = self.layer.tiles
        assert tiles is not None
        number = int(self.tile_numbers[index])
        data = self.segment(number)
        if tiles.codec == "jpeg":
            data = with_header(data, self.segments.header(number))
        try:
            return self.decoding.image(Size(tiles.side, tiles.side), partial(decoded_tile, data, tiles))
        except Damaged as error:
            raise error.within(f"tile {index}, segment {number} of {self.count}") from error


def with_header(jpeg: bytes, header: bytes) -> bytes:
    """Return a JPEG stream with its header put in behind the first two bytes."""
    return jpeg[:2] + header + jpeg[2:]


def without_header(jpeg: bytes, header: bytes) -> bytes:
    """Return a JPEG stream with its header taken out. Raises Damaged if that is not there."""
    if jpeg[2 : 2 + len(header)] != header:
        raise Damaged("its header is not the one that its list names")
    return jpeg[:2] + jpeg[2 + len(header) :]


def read_original(
    layer: OriginalLayer,
    source: SourceEntry,
    slide_size: Size,
    first: Directory,
    read_at: ReadAt,
    size_bytes: int,
    decoding: Decoding,
) -> StoredOriginal:
    """Read all of the layer but its segments. Raises Damaged for what contradicts itself."""
    directory = sub_directory(first, layer.subifd, read_at)
    count = directory.count(Tag.Checksums) // 4 - 2
    if not 1 <= count <= MAX_SEGMENTS:
        raise Damaged(f"expected 1 to {MAX_SEGMENTS} segments, found checksums of {count}")
    table = layer_checksums(directory, count + 2, layer.checksums_sha256)
    frame = directory.data(Tag.OriginalSegments, size_bytes) or b""
    if zlib.crc32(frame) != table[count]:
        raise Damaged("its list of segments changed since it was written")
    segments = SegmentList.from_bytes(frame, count)
    places = segments.places
    places[:, 0] += np.uint64(_start(directory, size_bytes, int(segments.stored_lengths.sum(dtype=np.uint64))))
    numbers, grid = np.empty(0, np.uint32), None
    if layer.tiles is not None:
        grid = Grid(slide_size, layer.tiles.side)
        numbers = _tile_numbers(directory, grid, places)
    if zlib.crc32(numbers.astype("<u4").tobytes()) != table[count + 1]:
        raise Damaged("its tiles are not in the order in which they were written")
    pieces = StoredPieces(read_at, places, table[:count])
    files = _segments_of_files(segments, source)
    return StoredOriginal(layer, grid, segments, frame, pieces, numbers, files, decoding)


def _start(directory: Directory, size_bytes: int, total: int) -> int:
    """Return the offset of the first segment, behind which all of them lie within the file. Raises Damaged."""
    start = directory.number(Tag.OriginalData)
    if start < 16 or start > size_bytes or total > size_bytes - start:
        raise Damaged(f"its {total} bytes at {start} lie outside the file")
    return start


def _segments_of_files(segments: SegmentList, source: SourceEntry) -> tuple[int, ...]:
    """Return how many segments each file has. Raises Damaged unless files begin and end where segments do."""
    ends = np.cumsum(segments.lengths, dtype=np.uint64)
    wanted = np.cumsum([file.bytes for file in source.files], dtype=np.uint64)
    total = int(ends[-1])
    if total != int(wanted[-1]):
        raise Damaged(f"expected segments of {int(wanted[-1])} bytes together, found {total}")
    # An empty file has no segment; the others end where one does.
    last = np.searchsorted(ends, wanted, side="right")
    if any(
        end and (not index or int(ends[index - 1]) != end) for end, index in zip(wanted.tolist(), last, strict=True)
    ):
        raise Damaged("a segment that belongs to two files")
    return tuple(np.diff(last, prepend=0).tolist())


def _tile_numbers(directory: Directory, grid: Grid, places: NDArray[np.uint64]) -> NDArray[np.uint32]:
    """Return the segments that the directory's tiles are. Raises Damaged if one is none."""
    check_tags(
        directory,
        {
            Tag.ImageWidth: grid.size.width,
            Tag.ImageLength: grid.size.height,
            Tag.TileWidth: grid.side,
            Tag.TileLength: grid.side,
            Tag.SamplesPerPixel: 3,
            Tag.BitsPerSample: (8, 8, 8),
        },
    )
    found = extents(directory, Tag.TileOffsets, Tag.TileByteCounts, grid.count)
    numbers = np.minimum(np.searchsorted(places[:, 0], found[:, 0]), len(places) - 1)
    if not np.array_equal(places[numbers], found):
        raise Damaged("a tile is none of its segments")
    return numbers.astype(np.uint32)
