"""An image that is made tile by tile, with the tiles that were used last kept in memory."""

from __future__ import annotations

import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

import numpy as np

from ..errors import RegionError
from ..geometry import Grid, Image, Region

K = TypeVar("K")


class ImageCache(Generic[K]):
    """Images by key, least recently used out first; safe for threads. What two threads want at once is made once."""

    def __init__(self, capacity_bytes: int) -> None:
        self.capacity_bytes = capacity_bytes
        self._renew()
        _caches.add(self)
        self._images: OrderedDict[K, Image] = OrderedDict()
        self._bytes = 0

    def _renew(self) -> None:
        """Begin anew after a fork: the threads that held the lock or were making an image are not there."""
        self._lock = threading.Lock()
        self._pending: dict[K, Future[Image]] = {}

    def resize(self, capacity_bytes: int) -> None:
        """Change the capacity; what no longer fits is forgotten."""
        with self._lock:
            self.capacity_bytes = capacity_bytes
            self._trim()

    def _trim(self) -> None:
        while self._bytes > self.capacity_bytes and len(self._images) > 1:
            self._bytes -= self._images.popitem(last=False)[1].nbytes

    def get(self, key: K, make: Callable[[], Image]) -> Image:
        """Return the image of `key`, read-only; `make` is called if it is not there."""
        with self._lock:
            if key in self._images:
                self._images.move_to_end(key)
                return self._images[key]
            pending = self._pending.get(key)
            if pending is None:
                ours: Future[Image] = Future()
                self._pending[key] = ours
        if pending is not None:
            return pending.result()
        try:
            image = make()
            image.flags.writeable = False
        except BaseException as error:
            with self._lock:
                del self._pending[key]
            ours.set_exception(error)
            raise
        with self._lock:
            del self._pending[key]
            self._images[key] = image
            self._bytes += image.nbytes
            self._trim()
        ours.set_result(image)
        return image

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._images.clear()
            self._bytes = 0


_caches: weakref.WeakSet[ImageCache[Any]] = weakref.WeakSet()


def _renew_all() -> None:
    for cache in _caches:
        cache._renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)

TileCache = ImageCache[tuple[int, int, int]]
"""A cache of tiles by image, column and row."""


class TiledImage:
    """Regions of an image that is made tile by tile."""

    def __init__(
        self, grid: Grid, make_tile: Callable[[int, int], Image], cache: TileCache | None = None, *, name: int = 0
    ) -> None:
        """Take the grid, and make_tile(column, row), which gives (tile, tile, 3) uint8 RGB, also at the image's edges.

        cache: where tiles are kept; None keeps only the last one. name: tells the images apart that share a cache.
        """
        self.grid = grid
        self._make_tile = make_tile
        self._cache = TileCache(0) if cache is None else cache
        self._name = name

    def tile(self, column: int, row: int) -> Image:
        """Return a whole tile, read-only."""
        return self._cache.get((self._name, column, row), lambda: self._make_tile(column, row))

    def read(self, region: Region) -> Image:
        """Return a region within the image, (height, width, 3) uint8 RGB. Raises RegionError."""
        if not region.within(self.grid.size):
            size = self.grid.size
            raise RegionError(f"{region} does not lie within {size.width} x {size.height} px")
        out = np.empty((region.height, region.width, 3), np.uint8)
        for column, row in self.grid.touching(region):
            tile = self.grid.region(column, row)
            x, y = max(region.x, tile.x), max(region.y, tile.y)
            right, bottom = min(region.right, tile.right), min(region.bottom, tile.bottom)
            part = self.tile(column, row)[y - tile.y : bottom - tile.y, x - tile.x : right - tile.x]
            out[y - region.y : bottom - region.y, x - region.x : right - region.x] = part
        return out
