"""The levels of a decoder as the bytes of an uncompressed tiled BigTIFF that is nowhere: its tiles are made when read.

All that is not a tile follows from the sizes of the levels, so that nothing is decoded to know the file's structure.
Tile by tile the bytes lie in the order of the directories, with nothing between them.
"""

from __future__ import annotations

import bisect
import io
import struct
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..decoder import Decoder
from ..format.descriptions import Rendition
from ..format.entries import Tier
from ..format.origin import scanned_part
from ..geometry import Grid, Region
from ..pixels.downsample import extended
from ..pixels.resampler import Generator
from ..runtime.byte_source import Location
from ..runtime.divided_image import CELL
from ..version import software

TILE = CELL
"""Pixels a side of the tiles: a part of the full resolution that is made alone."""
_TILE_BYTES = TILE * TILE * 3
_ASCII, _SHORT, _LONG, _RATIONAL, _UNDEFINED, _LONG8 = 2, 3, 4, 5, 7, 16
_WIDTHS = {_ASCII: 1, _SHORT: 2, _LONG: 4, _RATIONAL: 8, _UNDEFINED: 1, _LONG8: 8}
"""Types of TIFF, and bytes of one value."""
_HEADER = struct.Struct("<2sHHHQ")
_ENTRY = struct.Struct("<HHQ8s")

_Make = Callable[[int, int], bytes]
"""Gives the bytes of a run from one of its bytes up to another."""


@dataclass(frozen=True, slots=True)
class _Run:
    """Bytes that are made in one way."""

    start: int
    length: int
    make: _Make


@dataclass(frozen=True, slots=True)
class _Value:
    """A value of a directory: bytes that are there, or many that are made."""

    kind: int
    count: int
    make: _Make

    @property
    def length(self) -> int:
        return self.count * _WIDTHS[self.kind]


class VirtualTiff(io.RawIOBase):
    """A container as a binary file that is open: an ordinary BigTIFF of its levels, for whatever takes a file object.

    It can be read and sought in by several threads, but a position is one of the file; `read_at` needs none. Reading
    raises as Decoder.read. It can be pickled, as a Decoder can, and then begins at its first byte.
    """

    def __init__(self, decoder: Decoder) -> None:
        """Take a decoder, which is closed with the file."""
        super().__init__()
        self.decoder = decoder
        self.name = f"{Path(str(decoder.path)).name.removesuffix('.tif').removesuffix('.hc')}.tif"
        """The name of a file that holds these bytes."""
        self._grids = [Grid(size, TILE) for size in decoder.levels]
        self._runs = self._laid_out()
        self._starts = [run.start for run in self._runs]
        self.size_bytes = self._runs[-1].start + self._runs[-1].length
        """Length of the file."""
        self._position = 0
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type[VirtualTiff], tuple[Decoder]]:
        return VirtualTiff, (self.decoder,)

    def read_at(self, offset: int, length: int) -> bytes:
        """Return `length` bytes from `offset`, fewer at the file's end. Raises ValueError after `close`."""
        self._check_open()
        end = min(offset + max(length, 0), self.size_bytes)
        pieces = []
        number = bisect.bisect_right(self._starts, offset) - 1
        while offset < end:
            run = self._runs[number]
            upto = min(end, run.start + run.length)
            pieces.append(run.make(offset - run.start, upto - run.start))
            offset, number = upto, number + 1
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer from the position on, and return how many bytes there were."""
        view = memoryview(buffer).cast("B")
        with self._lock:  # the position, and no more, is one of all threads
            offset = self._position
            count = max(0, min(len(view), self.size_bytes - offset))
            self._position = offset + count
        view[:count] = self.read_at(offset, count)
        return count

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Set the position, and return it. Raises ValueError before the first byte."""
        self._check_open()
        with self._lock:
            begin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size_bytes}[whence]
            if begin + offset < 0:
                raise ValueError(f"negative position {begin + offset}")
            self._position = begin + offset
            return self._position

    def tell(self) -> int:
        """Return the position."""
        self._check_open()
        return self._position

    def close(self) -> None:
        """Release the container."""
        if not self.closed:
            self.decoder.close()
        super().close()

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file")

    def _laid_out(self) -> list[_Run]:
        """Return the runs of the file: header, directories with their values, tiles."""
        levels = range(len(self._grids))
        values = [self._values(level, tiles_at=0) for level in levels]  # for their lengths alone
        tiles_at = _HEADER.size + sum(map(_directory_length, values))
        tiles_at += -tiles_at % 4096  # whole pages
        runs, at, first = [], _HEADER.size, tiles_at
        runs.append(_Run(0, at, _fixed(_HEADER.pack(b"II", 43, 8, 0, at))))
        tiles = []
        for level in levels:
            tagged = self._values(level, tiles_at=first)
            last = level == levels[-1]
            runs += _directory(at, tagged, is_last=last)
            at += _directory_length(tagged)
            count = self._grids[level].count
            tiles.append(_Run(first, count * _TILE_BYTES, partial(self._tiles, level)))
            first += count * _TILE_BYTES
        runs.append(_Run(at, tiles_at - at, lambda begin, end: bytes(end - begin)))
        return [run for run in (*runs, *tiles) if run.length]

    def _values(self, level: int, tiles_at: int) -> dict[int, _Value]:
        """Return the tags of a level. tiles_at: where its first tile is."""
        decoder, grid = self.decoder, self._grids[level]
        mpp = decoder.mpp * decoder.downsamples[level]
        dots = struct.pack("<2I", *Fraction(10000 / mpp).limit_denominator(10000).as_integer_ratio())
        values = {
            254: _numbers(_LONG, 1 if level else 0),
            256: _numbers(_LONG, grid.size.width),
            257: _numbers(_LONG, grid.size.height),
            258: _numbers(_SHORT, 8, 8, 8),
            259: _numbers(_SHORT, 1),  # not compressed
            262: _numbers(_SHORT, 2),  # RGB
            270: self._described(level),
            277: _numbers(_SHORT, 3),
            282: _bytes(_RATIONAL, dots),
            283: _bytes(_RATIONAL, dots),
            284: _numbers(_SHORT, 1),
            296: _numbers(_SHORT, 3),  # per centimetre
            305: _bytes(_ASCII, software().encode("ascii", "replace") + b"\0"),
            322: _numbers(_LONG, TILE),
            323: _numbers(_LONG, TILE),
            324: _Value(_LONG8, grid.count, partial(_arithmetic, tiles_at, _TILE_BYTES, "<u8")),
            325: _Value(_LONG, grid.count, partial(_arithmetic, _TILE_BYTES, 0, "<u4")),
        }
        profile = decoder.container.icc_profile
        if level == 0 and profile is not None:
            values[34675] = _bytes(_UNDEFINED, profile)
        return values

    def _described(self, level: int) -> _Value:
        """Return the ImageDescription, made when it is read: whether the base is the encoder's takes a tile of it."""
        longest = len(self._description(level, self._longest_rendition()))

        def make(begin: int, end: int) -> bytes:
            text = self._description(level, self.decoder.rendition)
            return text.encode("ascii", "replace").ljust(longest + 1, b"\0")[begin:end]

        return _Value(_ASCII, longest + 1, make)

    def _longest_rendition(self) -> Rendition:
        """Return the statement of level 0 with the clause that a decoded tile of the base may add."""
        decoder = self.decoder
        return Rendition(
            decoder.manifest,
            bicubic=decoder.is_bicubic,
            enhanced=decoder.is_enhanced,
            other_base=True,
            original=decoder.is_original,
        )

    def _description(self, level: int, rendition: Rendition) -> str:
        decoder = self.decoder
        scanned = scanned_part(decoder.manifest.slide.properties) if level == 0 else None
        bounds = Region(*scanned).clipped(decoder.levels[0]) if scanned and min(scanned[2:]) > 0 else None
        where = f"level {level}, decoded when it is read"
        return rendition.description(decoder.downsamples[level], where, written_as="no compression", bounds=bounds)

    def _tiles(self, level: int, begin: int, end: int) -> bytes:
        """Return bytes of a level's tiles."""
        pieces = []
        for index in range(begin // _TILE_BYTES, -(-end // _TILE_BYTES)):
            tile = self._tile(level, index)
            start = index * _TILE_BYTES
            pieces.append(tile[max(begin - start, 0) : end - start])
        return b"".join(pieces)

    def _tile(self, level: int, index: int) -> memoryview:
        """Return a tile's bytes; beyond the level its last pixels are repeated."""
        grid = self._grids[level]
        covered = grid.covered(*grid.address(index))
        image = self.decoder.read(covered, level)
        if covered.area < TILE * TILE:
            image = np.ascontiguousarray(extended(image, TILE - covered.height, TILE - covered.width))
        return memoryview(image.data).cast("B")


def open_virtual_tiff(
    location: Location,
    *,
    generator: Generator | str | Path | None = None,
    device: str = "cpu",
    models: str | Path | None = None,
    tier: Tier | None = None,
    cache_bytes: int = 256 << 20,
) -> VirtualTiff:
    """Open a container as the bytes of an uncompressed BigTIFF, whose tiles are decoded when they are read.

    generator, device, models, tier, cache_bytes: as for Decoder. Raises as that does.
    """
    return VirtualTiff(
        Decoder(location, generator=generator, device=device, models=models, tier=tier, cache_bytes=cache_bytes)
    )


def _fixed(data: bytes) -> _Make:
    return lambda begin, end: data[begin:end]


def _bytes(kind: int, data: bytes) -> _Value:
    return _Value(kind, len(data) // _WIDTHS[kind], _fixed(data))


def _numbers(kind: int, *numbers: int) -> _Value:
    return _bytes(kind, struct.pack(f"<{len(numbers)}{'H' if kind == _SHORT else 'I'}", *numbers))


def _arithmetic(first: int, step: int, form: str, begin: int, end: int) -> bytes:
    """Return bytes of the numbers first, first + step, first + 2 step ..."""
    width = np.dtype(form).itemsize
    skipped = begin // width
    numbers = first + step * np.arange(skipped, -(-end // width), dtype=np.int64)
    return numbers.astype(form).tobytes()[begin - skipped * width : end - skipped * width]


def _directory_length(values: dict[int, _Value]) -> int:
    """Return the bytes of a directory and of what it refers to, but for tiles."""
    return 8 + _ENTRY.size * len(values) + 8 + sum(_outside(value) for value in values.values())


def _outside(value: _Value) -> int:
    """Return the bytes that a value takes outside its directory: none, or whole words of 8."""
    return 0 if value.length <= 8 else value.length + -value.length % 8


def _directory(at: int, values: dict[int, _Value], *, is_last: bool) -> Sequence[_Run]:
    """Return the runs of a directory at an offset, and of its values behind it."""
    after = at + 8 + _ENTRY.size * len(values) + 8
    entries, runs, place = [], [], after
    for tag, value in sorted(values.items()):
        if value.length <= 8:
            inner = value.make(0, value.length).ljust(8, b"\0")
        else:
            inner = struct.pack("<Q", place)
            runs.append(_Run(place, value.length, value.make))
            padding = _outside(value) - value.length
            runs.append(_Run(place + value.length, padding, _fixed(bytes(padding))))
            place += _outside(value)
        entries.append(_ENTRY.pack(tag, value.kind, value.count, inner))
    table = struct.pack("<Q", len(values)) + b"".join(entries) + struct.pack("<Q", 0 if is_last else place)
    return [_Run(at, len(table), _fixed(table)), *runs]
