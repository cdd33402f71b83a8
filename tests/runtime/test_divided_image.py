"""Images of blocks, parts of which are made alone."""

from __future__ import annotations

import multiprocessing
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histocodec.errors import RegionError
from histocodec.geometry import Grid, Image, Region, Size
from histocodec.runtime.divided_image import DividedImage, Parts
from histocodec.runtime.tiled_image import TileCache

SIZE = Size(1700, 1200)
PIXELS: Image = np.random.default_rng(0).integers(0, 256, (2600, 2600, 3)).astype(np.uint8)
"""The image, and what lies beyond its edges."""


class Made:
    """A divided image of PIXELS, and a note of what was made for it."""

    def __init__(self, side: int = 512, capacity_bytes: int = 64 << 20, threads: int = 1) -> None:
        self.cache = TileCache(capacity_bytes)
        self.blocks: list[tuple[int, int]] = []
        self.parts: list[Region] = []
        self.kinds: dict[tuple[int, int], int | None] = {}
        parts = Parts(self._part, 4, lambda column, row: self.kinds.get((column, row), 1))
        self.grid = Grid(SIZE, side)
        self.image = DividedImage(self.grid, self._block, parts, self.cache, lambda: threads)

    def _block(self, column: int, row: int) -> Image:
        self.blocks.append((column, row))
        return crop(self.grid.region(column, row)).copy()

    def _part(self, region: Region) -> Image:
        self.parts.append(region)
        out = crop(region).copy()
        first = self.kinds.get((region.x // self.grid.side, region.y // self.grid.side), 1)
        for column, row in self.grid.touching(region):  # what lies in blocks of another kind must not be used
            if self.kinds.get((column, row), 1) != first:
                wrong = region.overlap(self.grid.region(column, row))
                out[wrong.y - region.y : wrong.bottom - region.y, wrong.x - region.x : wrong.right - region.x] = 0
        return out


def crop(region: Region) -> Image:
    return PIXELS[region.y : region.bottom, region.x : region.right]


@settings(max_examples=60, deadline=None)
@given(data=st.data(), side=st.sampled_from([512, 256, 192]), threads=st.sampled_from([1, 3]))
def test_any_region_is_what_the_whole_has_there(data: st.DataObject, side: int, threads: int) -> None:
    made = Made(side, data.draw(st.sampled_from([0, 64 << 20])), threads)
    for row in range(made.grid.shape.height):
        for column in range(made.grid.shape.width):
            made.kinds[column, row] = data.draw(st.sampled_from([1, 1, 1, 0, None]))
    for _ in range(6):  # the cache has some of what the later ones need
        x, y = data.draw(st.integers(0, SIZE.width - 1)), data.draw(st.integers(0, SIZE.height - 1))
        width = data.draw(st.integers(1, min(600, SIZE.width - x)))
        height = data.draw(st.integers(1, min(600, SIZE.height - y)))
        region = Region(x, y, width, height)
        assert np.array_equal(made.image.read(region, keep=data.draw(st.booleans())), crop(region))


def test_a_region_beyond_the_image_is_refused() -> None:
    with pytest.raises(RegionError, match="1700 x 1200"):
        Made().image.read(Region(1600, 0, 101, 1))


def test_a_tile_on_the_grid_of_cells_is_one_cell_and_kept() -> None:
    made = Made()
    for _ in range(2):
        made.image.read(Region(256, 512, 256, 256))
        made.image.read(Region(300, 600, 10, 10))
    assert (made.blocks, made.parts) == ([], [Region(256, 512, 256, 256)])


def test_two_cells_of_four_are_made_alone_and_of_three_the_block() -> None:
    made = Made()
    made.image.read(Region(0, 0, 512, 256))
    assert (made.blocks, made.parts) == ([], [Region(0, 0, 256, 256), Region(256, 0, 256, 256)])
    made.image.read(Region(512, 0, 512, 512))
    assert made.blocks == [(1, 0)]
    made.image.read(Region(600, 100, 100, 100))
    assert made.blocks == [(1, 0)]
    assert len(made.parts) == 2


@pytest.mark.parametrize(("size", "side"), [(256, 272), (258, 272), (512, 528)])
def test_a_tile_that_lies_across_blocks_is_one_window(size: int, side: int) -> None:
    made = Made()
    for _ in range(2):
        made.image.read(Region(255, 383, size, size))
    assert (made.blocks, made.parts) == ([], [Region(252, 380, side, side)])


def test_whoever_reads_much_of_a_block_is_given_the_block() -> None:
    made = Made()
    for x in range(10, 250, 40):
        made.image.read(Region(x, 30, 256, 256))
    assert made.blocks == [(0, 0)]
    assert len(made.parts) == 2
    made.cache.clear()
    made.image.forget()
    made.image.read(Region(10, 30, 256, 256))
    assert len(made.parts) == 3


def test_a_window_is_of_one_kind() -> None:
    made = Made()
    made.kinds[1, 0] = 0
    made.image.read(Region(400, 100, 256, 300))
    assert made.parts == [
        Region(256, 0, 256, 256),
        Region(256, 256, 256, 256),
        *(Region(512, y, 256, 256) for y in (0, 256)),
    ]


def test_a_block_that_cannot_be_divided_is_made_whole() -> None:
    made = Made()
    made.kinds[0, 0] = None
    made.image.read(Region(100, 100, 1, 1))
    made.image.read(Region(500, 100, 100, 100))
    assert made.blocks == [(0, 0)]
    assert made.parts == [Region(512, 0, 256, 256)]


def test_what_is_not_to_be_kept_is_not() -> None:
    made = Made()
    for _ in range(2):
        made.image.read(Region(0, 0, 512, 512), keep=False)
        made.image.read(Region(600, 100, 256, 256), keep=False)
    assert made.blocks == [(0, 0)] * 2
    assert len(made.parts) == 2
    assert Region(600, 100, 272, 272) == made.parts[0]


def test_a_block_of_which_cells_are_there_is_made_of_its_other_cells() -> None:
    made = Made()
    made.image.read(Region(512, 512, 256, 256))
    region = Region(512, 512, 512, 512)
    assert np.array_equal(made.image.read(region), crop(region))
    assert np.array_equal(made.image.block(1, 1), crop(region))
    assert made.blocks == []
    assert made.parts == [Region(x, y, 256, 256) for y in (512, 768) for x in (512, 768)]
    assert np.array_equal(made.image.block(3, 2), crop(Region(1536, 1024, 512, 512)))  # reaches beyond the image
    assert made.blocks == [(3, 2)]


def _read_in_a_fork(image: DividedImage, region: Region) -> None:
    raise SystemExit(0 if np.array_equal(image.read(region), crop(region)) else 3)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_fork_does_not_wait_for_a_thread_that_it_lacks() -> None:
    made, region = Made(), Region(300, 300, 250, 250)
    with made.image._counting():  # as a thread holds it that reads a window
        child = multiprocessing.get_context("fork").Process(target=_read_in_a_fork, args=(made.image, region))
        child.start()
        child.join(30)
        child.kill()
    child.join()
    assert child.exitcode == 0
