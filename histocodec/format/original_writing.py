"""The original's directory and segments, written behind all that tifffile wrote.

Segments come from a stream of any length, and the directory has to point to them wherever they ended up: that is more
than tifffile's tags can say, and few bytes to write.
"""

from __future__ import annotations

import io
import struct
from typing import IO

import numpy as np

from ..geometry import Grid, Size
from .bigtiff import read_directories
from .descriptions import original_description
from .entries import OriginalTiles
from .manifest import Manifest, ManifestError
from .original import OriginalPieces
from .tags import CENTIMETRE, COMPRESSION_JPEG, COMPRESSION_JPEG_XL, RGB, YCBCR, Tag

_ENTRY_BYTES = 20
_ASCII, _SHORT, _LONG, _RATIONAL, _UNDEFINED, _LONG8, _IFD8 = 2, 3, 4, 5, 7, 16, 18
_NUMBERS = {_SHORT: "<u2", _LONG: "<u4", _LONG8: "<u8", _IFD8: "<u8"}
_JPEG_TABLES, _PREDICTOR, _SOFTWARE = 347, 317, 305
_PER_MM = 1000
"""Denominator of a resolution."""

Values = dict[int, tuple[int, int, bytes]]
"""Type, number of values, and their bytes, by tag."""


def append_original(file: IO[bytes], manifest: Manifest, pieces: OriginalPieces) -> None:
    """Write the original behind the last byte of a container, and name its directory in the SubIFDs tag."""
    layer = manifest.layers.original
    assert layer is not None
    start = _aligned(file)
    for data in pieces.data():
        file.write(data)
    values = _image(manifest, pieces, layer.tiles, start) if layer.tiles else _one_byte(start)
    values |= {
        Tag.ImageDescription: _text(original_description(manifest)),
        _SOFTWARE: _text(manifest.software),
        Tag.Checksums: _bytes(pieces.checksums),
        Tag.OriginalSegments: _bytes(pieces.frame),
        Tag.OriginalData: _numbers(_LONG8, start),
    }
    _add_subifd(file, _write_directory(file, values))


def _image(manifest: Manifest, pieces: OriginalPieces, tiles: OriginalTiles, start: int) -> Values:
    """Return the tags of the finest level, so that other readers show it where they know how its tiles are stored."""
    grid = Grid(Size(*manifest.slide.size), tiles.side)
    compression = pieces.compression(tiles)
    places = pieces.segments.places[pieces.tile_numbers]
    is_ycbcr = tiles.colour == "ycbcr" and compression not in (COMPRESSION_JPEG_XL, 33003)
    per_centimetre = struct.pack("<2I", round(10000 / manifest.slide.mpp * _PER_MM), _PER_MM)
    values: Values = {
        Tag.NewSubfileType: _numbers(_LONG, 0),
        Tag.ImageWidth: _numbers(_LONG, grid.size.width),
        Tag.ImageLength: _numbers(_LONG, grid.size.height),
        Tag.BitsPerSample: _numbers(_SHORT, 8, 8, 8),
        Tag.Compression: _numbers(_SHORT, compression),
        Tag.PhotometricInterpretation: _numbers(_SHORT, YCBCR if is_ycbcr else RGB),
        Tag.SamplesPerPixel: _numbers(_SHORT, 3),
        Tag.XResolution: (_RATIONAL, 1, per_centimetre),
        Tag.YResolution: (_RATIONAL, 1, per_centimetre),
        Tag.PlanarConfiguration: _numbers(_SHORT, 1),
        Tag.ResolutionUnit: _numbers(_SHORT, CENTIMETRE),
        Tag.TileWidth: _numbers(_SHORT, tiles.side),
        Tag.TileLength: _numbers(_SHORT, tiles.side),
        Tag.TileOffsets: _numbers(_LONG8, *(places[:, 0] + np.uint64(start)).tolist()),
        Tag.TileByteCounts: _numbers(_LONG, *places[:, 1].tolist()),
    }
    if tiles.predictor:
        values[_PREDICTOR] = _numbers(_SHORT, 2)
    header = pieces.segments.header(int(pieces.tile_numbers[0]))
    if compression == COMPRESSION_JPEG and header:
        values[_JPEG_TABLES] = _bytes(b"\xff\xd8" + header + b"\xff\xd9")
    return values


def _one_byte(start: int) -> Values:
    """Return the tags of a picture of one pixel, where there is none that a TIFF could show: the first stored byte."""
    return {
        Tag.NewSubfileType: _numbers(_LONG, 0),
        Tag.ImageWidth: _numbers(_LONG, 1),
        Tag.ImageLength: _numbers(_LONG, 1),
        Tag.BitsPerSample: _numbers(_SHORT, 8),
        Tag.Compression: _numbers(_SHORT, 1),
        Tag.PhotometricInterpretation: _numbers(_SHORT, 1),
        Tag.StripOffsets: _numbers(_LONG8, start),
        Tag.SamplesPerPixel: _numbers(_SHORT, 1),
        Tag.StripByteCounts: _numbers(_LONG, 1),
    }


def _numbers(kind: int, *values: int) -> tuple[int, int, bytes]:
    return kind, len(values), np.array(values, _NUMBERS[kind]).tobytes()


def _bytes(data: bytes) -> tuple[int, int, bytes]:
    return _UNDEFINED, len(data), data


def _text(text: str) -> tuple[int, int, bytes]:
    data = text.encode("ascii", "replace") + b"\0"
    return _ASCII, len(data), data


def _aligned(file: IO[bytes]) -> int:
    """Go to the end of a file, filled up to a multiple of eight bytes; return the offset."""
    end = file.seek(0, io.SEEK_END)
    file.write(bytes(-end % 8))
    return end + -end % 8


def _write_directory(file: IO[bytes], values: Values) -> int:
    """Write a directory at the end of a file, the long values before it; return its offset."""
    entries = b""
    for tag, (kind, count, data) in sorted(values.items()):
        place = data.ljust(8, b"\0")
        if len(data) > 8:
            place = struct.pack("<Q", _aligned(file))
            file.write(data)
        entries += struct.pack("<HHQ", tag, kind, count) + place
    offset = _aligned(file)
    file.write(struct.pack("<Q", len(values)) + entries + bytes(8))
    return offset


def _add_subifd(file: IO[bytes], offset: int) -> None:
    """Add an offset to the SubIFDs tag of the first directory, whose values move to the end of the file."""

    def read_at(at: int, length: int) -> bytes:
        file.seek(at)
        return file.read(length)

    first = read_directories(read_at)[0]
    known = first.numbers(Tag.SubIFDs, first.count(Tag.SubIFDs)) if first.count(Tag.SubIFDs) else ()
    kind, count, data = _numbers(_IFD8, *known, offset)
    place = data
    if len(data) > 8:
        place = struct.pack("<Q", _aligned(file))
        file.write(data)
    (entries,) = struct.unpack("<Q", read_at(first.offset, 8))
    for at in range(first.offset + 8, first.offset + 8 + _ENTRY_BYTES * entries, _ENTRY_BYTES):
        if read_at(at, 2) == struct.pack("<H", Tag.SubIFDs):
            file.seek(at)
            file.write(struct.pack("<HHQ", Tag.SubIFDs, kind, count) + place)
            file.seek(0, io.SEEK_END)
            return
    raise ManifestError([("layers.original", "expected another layer, or an av1 base, whose SubIFDs tag it shares")])
