"""Scratch files on disk for tiles, which vanish with the process, killed or not."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

from ..geometry import Grid, Image, Region
from .closing import Closing
from .tiled_image import TiledImage


class _AnonymousFile:
    """A nameless file that several threads read and write at positions."""

    def __init__(self, folder: Path) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  (lives as long as the object)
        self._lock = threading.Lock()

    def write_at(self, offset: int, data: bytes | memoryview) -> None:
        """Write bytes at an offset."""
        with self._lock:
            self._file.seek(offset)
            self._file.write(data)

    def read_at(self, offset: int, length: int) -> bytes:
        with self._lock:
            self._file.seek(offset)
            return self._file.read(length)

    def append(self, data: bytes) -> int:
        with self._lock:
            offset = self._file.seek(0, 2)
            self._file.write(data)
            return offset

    def close(self) -> None:
        """Free the disk."""
        self._file.close()


class PixelSpool(Closing):
    """The uncoded tiles of one level: (tile, tile, 3) uint8 RGB each."""

    def __init__(self, grid: Grid, folder: Path) -> None:
        self.grid = grid
        self._file = _AnonymousFile(folder)
        self._tile_bytes = grid.side * grid.side * 3

    def put(self, index: int, tile: Image) -> None:
        """Store a tile, (tile, tile, 3) uint8 RGB."""
        self._file.write_at(index * self._tile_bytes, np.ascontiguousarray(tile).data.cast("B"))

    def get(self, index: int) -> Image:
        """Return a stored tile, read-only."""
        data = self._file.read_at(index * self._tile_bytes, self._tile_bytes)
        return np.frombuffer(data, np.uint8).reshape(self.grid.side, self.grid.side, 3)

    def read(self, region: Region) -> Image:
        """Return a region within the level, (height, width, 3) uint8 RGB."""
        return TiledImage(self.grid, lambda x, y: self.get(self.grid.index(x, y))).read(region)

    def close(self) -> None:
        """Free the disk."""
        self._file.close()


class CodeSpool(Closing):
    """The coded tiles of one level, put in any order, given back in TIFF order."""

    def __init__(self, grid: Grid, folder: Path) -> None:
        self.grid = grid
        self._file = _AnonymousFile(folder)
        self._extents: dict[int, tuple[int, int]] = {}

    def put(self, index: int, data: bytes) -> None:
        """Store a coded tile; it replaces one that is there."""
        self._extents[index] = (self._file.append(data), len(data))

    def get(self, index: int) -> bytes:
        """Return a coded tile."""
        return self._file.read_at(*self._extents[index])

    def size(self, index: int) -> int:
        """Return the bytes of a coded tile."""
        return self._extents[index][1]

    @property
    def total_bytes(self) -> int:
        """Sum of the lengths of the stored tiles."""
        return sum(length for _, length in self._extents.values())

    def __iter__(self) -> Iterator[bytes]:
        """Yield the tiles in TIFF order."""
        return (self.get(index) for index in range(self.grid.count))

    def close(self) -> None:
        """Free the disk."""
        self._file.close()


class PieceSpool(Closing):
    """Pieces of bytes of any length, put and given back by their numbers, from 0."""

    def __init__(self, folder: Path) -> None:
        self._file = _AnonymousFile(folder)
        self._extents: list[tuple[int, int]] = []

    def append(self, data: bytes) -> None:
        """Store the next piece."""
        self._extents.append((self._file.append(data), len(data)))

    def get(self, index: int) -> bytes:
        """Return a piece."""
        return self._file.read_at(*self._extents[index])

    def close(self) -> None:
        """Free the disk."""
        self._file.close()
