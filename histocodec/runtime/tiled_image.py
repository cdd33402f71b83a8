"""An image that is made tile by tile, with the tiles that were used last kept in memory."""

from __future__ import annotations

import itertools
import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

import numpy as np

from ..geometry import Address, Grid, Image, Region
from .parallel import ordered_map

K = TypeVar("K", bound=Hashable)


class CacheMemory:
    """Memory for images, which caches may share: what was used least recently goes first, whichever has it.

    Safe for threads. What two threads want at once is made once.
    """

    def __init__(self, capacity_bytes: int) -> None:
        self.capacity_bytes = capacity_bytes
        self._renew()
        _memories.add(self)
        self._images: OrderedDict[Hashable, Image] = OrderedDict()
        self.used_bytes = 0

    def _renew(self) -> None:
        """Begin anew after a fork: the threads that held the lock or were making an image are not there."""
        self._lock = threading.Lock()
        self._pending: dict[Hashable, Future[Image]] = {}

    def resize(self, capacity_bytes: int) -> None:
        """Change the capacity; what no longer fits is forgotten."""
        with self._lock:
            self.capacity_bytes = capacity_bytes
            self._trim()

    def _trim(self) -> None:
        while self.used_bytes > self.capacity_bytes and len(self._images) > 1:
            self.used_bytes -= self._images.popitem(last=False)[1].nbytes

    def __contains__(self, key: Hashable) -> bool:
        """Return True if the image of `key` is there now."""
        with self._lock:
            return key in self._images

    def get(self, key: Hashable, make: Callable[[], Image], *, keep: bool = True) -> Image:
        """Return the image of `key`, read-only; `make` is called if it is not there.

        keep: False does not put it there; only who asks for it while it is made gets it too.
        """
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
            if keep:
                self._images[key] = image
                self.used_bytes += image.nbytes
                self._trim()
        ours.set_result(image)
        return image

    def forget(self, belongs: Callable[[Hashable], bool]) -> None:
        """Forget the images of the keys of which `belongs` holds."""
        with self._lock:
            for key in [key for key in self._images if belongs(key)]:
                self.used_bytes -= self._images.pop(key).nbytes


_memories: weakref.WeakSet[CacheMemory] = weakref.WeakSet()


def _renew_all() -> None:
    for memory in _memories:
        memory._renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)


class ImageCache(Generic[K]):
    """Images by key, in a memory of their own or one that other caches use, too."""

    def __init__(self, memory: CacheMemory | int) -> None:
        """Take a memory, or the bytes of one of its own."""
        self._memory = memory if isinstance(memory, CacheMemory) else CacheMemory(memory)
        self._number = next(_numbers)

    @property
    def memory(self) -> CacheMemory:
        """Where the images are; setting another one forgets them."""
        return self._memory

    @memory.setter
    def memory(self, memory: CacheMemory) -> None:
        if memory is not self._memory:
            self.clear()
            self._memory = memory

    def __contains__(self, key: K) -> bool:
        """Return True if the image of `key` is there now."""
        return (self._number, key) in self._memory

    def get(self, key: K, make: Callable[[], Image], *, keep: bool = True) -> Image:
        """Return the image of `key`, read-only; `make` and `keep` are as for the memory's `get`."""
        return self._memory.get((self._number, key), make, keep=keep)

    def clear(self) -> None:
        """Forget everything."""
        self._memory.forget(lambda key: isinstance(key, tuple) and key[0] == self._number)


_numbers = itertools.count()
"""Tell the caches of a memory apart."""

TileCache = ImageCache[tuple[int, int, int]]
"""A cache of tiles by image, column and row."""


MakeTile = Callable[[int, int], Image]
"""A maker of a tile by column and row: (tile, tile, 3) uint8 RGB, also at the image's edges."""


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """A square of an image, kept in a cache or to be made."""

    cache: TileCache
    key: tuple[int, int, int]
    """The square's name in the cache."""
    area: Region
    """The square, also where it reaches beyond the image."""
    make: Callable[[], Image]
    """Makes its pixels, (side, side, 3) uint8 RGB."""

    @property
    def is_kept(self) -> bool:
        """True if it is in the cache now."""
        return self.key in self.cache

    def pixels(self, *, keep: bool = True) -> Image:
        """Return its pixels, read-only. keep: False does not put them into the cache."""
        return self.cache.get(self.key, self.make, keep=keep)

    def copy(self, region: Region, out: Image, *, keep: bool = True) -> None:
        """Copy what it has of a region into `out`, which is that region. keep: as for `pixels`."""
        part, area = self.area.overlap(region), self.area
        out[part.y - region.y : part.bottom - region.y, part.x - region.x : part.right - region.x] = self.pixels(
            keep=keep
        )[part.y - area.y : part.bottom - area.y, part.x - area.x : part.right - area.x]


class TiledImage:
    """Regions of an image that is made tile by tile."""

    def __init__(
        self,
        grid: Grid,
        make_tile: MakeTile,
        cache: TileCache | None = None,
        *,
        name: int = 0,
        threads: Callable[[], int] = lambda: 1,
        expect: Callable[[list[Address]], None] | None = None,
    ) -> None:
        """Take the grid and what makes its tiles.

        cache: where tiles are kept; None keeps only the last one. name: tells the images apart that share a cache.
        threads: gives how many make the tiles of a region. expect: is told which tiles a region will make.
        """
        self.grid = grid
        self._make_tile = make_tile
        self._cache = TileCache(0) if cache is None else cache
        self._name = name
        self._threads = threads
        self._expect = expect

    def piece(self, column: int, row: int) -> Piece:
        """Return a whole tile, which may have to be made."""
        make = partial(self._make_tile, column, row)
        return Piece(self._cache, (self._name, column, row), self.grid.region(column, row), make)

    def tile(self, column: int, row: int) -> Image:
        """Return the pixels of a whole tile, read-only."""
        return self.piece(column, row).pixels()

    def expect(self, region: Region) -> None:
        """Tell what makes the tiles which of a region are not there."""
        if self._expect is not None:
            missing = [tile for tile in self.grid.touching(region) if not self.piece(*tile).is_kept]
            if missing:
                self._expect(missing)

    def read(self, region: Region) -> Image:
        """Return a region within the image, (height, width, 3) uint8 RGB. Raises RegionError."""
        region.check_within(self.grid.size)
        self.expect(region)
        return joined([self.piece(*tile) for tile in self.grid.touching(region)], region, threads=self._threads())


def joined(pieces: Sequence[Piece], region: Region, *, threads: int, keep: bool = True) -> Image:
    """Return a region, (height, width, 3) uint8 RGB, of the pieces that cover it; those that are not kept are made.

    threads: how many make them. keep: as for `Piece.pixels`.
    """
    out = np.empty((region.height, region.width, 3), np.uint8)
    workers = min(threads, sum(not piece.is_kept for piece in pieces))
    if workers > 1:
        for _ in ordered_map(lambda piece: piece.copy(region, out, keep=keep), pieces, workers=workers):
            pass
    else:
        for piece in pieces:
            piece.copy(region, out, keep=keep)
    return out
