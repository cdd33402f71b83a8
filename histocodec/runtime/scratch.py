"""Temporary stores on disk: what an encode holds between its passes. Both vanish with the process, killed or not."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO

import numpy as np

from ..geometry import Image, Region, TileGrid
from .tiled_image import TiledImage


class _AnonymousFile:
    """A nameless file that several threads read and write at positions."""

    def __init__(self, folder: Path) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  (lives as long as the object)
        self._lock = threading.Lock()

    def write_at(self, offset: int, data: bytes | memoryview) -> None:
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
        self._file.close()


class PixelSpool:
    """The uncoded tiles of one level: (tile, tile, 3) uint8 RGB each."""

    def __init__(self, grid: TileGrid, folder: Path) -> None:
        self.grid = grid
        self._file = _AnonymousFile(folder)
        self._tile_bytes = grid.tile * grid.tile * 3

    def put(self, index: int, tile: Image) -> None:
        self._file.write_at(index * self._tile_bytes, np.ascontiguousarray(tile).data.cast("B"))

    def get(self, index: int) -> Image:
        data = self._file.read_at(index * self._tile_bytes, self._tile_bytes)
        return np.frombuffer(data, np.uint8).reshape(self.grid.tile, self.grid.tile, 3)

    def read(self, region: Region) -> Image:
        """(height, width, 3) uint8 RGB of a region within the level."""
        return TiledImage(self.grid, lambda x, y: self.get(self.grid.index(x, y))).read(region)

    def close(self) -> None:
        self._file.close()


class CodeSpool:
    """The coded tiles of one level, put in any order, given back in TIFF order."""

    def __init__(self, grid: TileGrid, folder: Path) -> None:
        self.grid = grid
        self._file = _AnonymousFile(folder)
        self._extents: dict[int, tuple[int, int]] = {}

    def put(self, index: int, data: bytes) -> None:
        self._extents[index] = (self._file.append(data), len(data))

    def get(self, index: int) -> bytes:
        return self._file.read_at(*self._extents[index])

    @property
    def total_bytes(self) -> int:
        return sum(length for _, length in self._extents.values())

    def __iter__(self) -> Iterator[bytes]:
        return (self.get(index) for index in range(self.grid.count))

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> CodeSpool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
