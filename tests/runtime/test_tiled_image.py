"""Tiled images and their cache."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from histocodec.errors import RegionError
from histocodec.geometry import Grid, Image, Region, Size
from histocodec.runtime.tiled_image import CacheMemory, ImageCache, TileCache, TiledImage

IMAGE: Image = np.random.default_rng(0).integers(0, 256, (70, 90, 3)).astype(np.uint8)


def plane(cache: TileCache, calls: list[tuple[int, int]] | None = None, threads: int = 1) -> TiledImage:
    grid = Grid(Size(90, 70), 16)

    def make(column: int, row: int) -> Image:
        if calls is not None:
            calls.append((column, row))
        padded = np.pad(IMAGE, ((0, 16), (0, 16), (0, 0)))
        return padded[row * 16 : row * 16 + 16, column * 16 : column * 16 + 16].copy()

    return TiledImage(grid, make, cache, threads=lambda: threads)


@given(st.integers(0, 89), st.integers(0, 69), st.data())
def test_a_region_is_what_the_whole_has_there(x: int, y: int, data: st.DataObject) -> None:
    width, height = data.draw(st.integers(1, 90 - x)), data.draw(st.integers(1, 70 - y))
    out = plane(TileCache(10_000), threads=data.draw(st.sampled_from([1, 3]))).read(Region(x, y, width, height))
    assert np.array_equal(out, IMAGE[y : y + height, x : x + width])


def test_a_region_beyond_the_image_is_refused() -> None:
    with pytest.raises(RegionError, match="90 x 70"):
        plane(TileCache(0)).read(Region(80, 0, 11, 1))


def test_tiles_are_made_once_while_they_fit_and_again_when_not() -> None:
    calls: list[tuple[int, int]] = []
    cache = TileCache(1 << 20)
    roomy = plane(cache, calls)
    roomy.read(Region(0, 0, 90, 70))
    roomy.read(Region(0, 0, 90, 70))
    assert len(calls) == roomy.grid.count
    cache.clear()
    roomy.read(Region(0, 0, 1, 1))
    assert len(calls) == roomy.grid.count + 1
    calls.clear()
    tight = plane(TileCache(0), calls)
    tight.read(Region(0, 0, 17, 1))
    tight.read(Region(0, 0, 17, 1))
    assert calls == [(0, 0), (1, 0), (0, 0), (1, 0)]


def test_what_threads_want_at_once_is_made_once() -> None:
    cache: ImageCache[str] = ImageCache(1 << 20)
    started = threading.Barrier(4)
    made = []

    def make() -> Image:
        made.append(1)
        time.sleep(0.05)
        return IMAGE.copy()

    def ask() -> Image:
        started.wait()
        return cache.get("key", make)

    with ThreadPoolExecutor(4) as pool:
        images = [f.result() for f in [pool.submit(ask) for _ in range(4)]]
    assert len(made) == 1
    assert all(image is images[0] for image in images)
    assert not images[0].flags.writeable


def test_what_is_not_to_be_kept_is_made_again() -> None:
    cache: ImageCache[str] = ImageCache(1 << 20)
    first = cache.get("key", IMAGE.copy, keep=False)
    assert "key" not in cache
    assert cache.get("key", IMAGE.copy) is not first
    assert "key" in cache
    assert cache.get("key", IMAGE.copy, keep=False) is cache.get("key", IMAGE.copy)


def test_a_failure_is_not_kept() -> None:
    cache: ImageCache[str] = ImageCache(1 << 20)

    def fail() -> Image:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        cache.get("key", fail)
    assert cache.get("key", IMAGE.copy).shape == IMAGE.shape


def test_caches_that_share_a_room_share_its_bytes_and_nothing_else() -> None:
    memory = CacheMemory(2 * IMAGE.nbytes)
    one, other = ImageCache[str](memory), ImageCache[str](memory)
    first = one.get("a", IMAGE.copy)
    assert "a" not in other
    assert other.get("a", IMAGE.copy) is not first
    one.get("b", IMAGE.copy)
    assert ["a" in one, "a" in other, "b" in one] == [False, True, True], "what was used least recently went"
    one.clear()
    assert ["a" in other, "b" in one] == [True, False]
    memory.resize(0)
    assert "a" in other, "the last one stays"
    other.memory = CacheMemory(0)
    assert "a" not in other
    other.memory = memory
    assert "a" not in other
