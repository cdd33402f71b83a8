"""Scratch files: tiles come back as they were put, and leave nothing behind."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from histocodec.geometry import Grid, Region, Size
from histocodec.runtime.scratch import CodeSpool, PixelSpool


def test_pixels_come_back_by_tile_and_by_region(tmp_path: Path) -> None:
    grid = Grid(Size(37, 20), 16)
    whole = np.random.default_rng(0).integers(0, 256, (32, 48, 3)).astype(np.uint8)
    with PixelSpool(grid, tmp_path) as spool:
        for index in reversed(range(grid.count)):
            part = grid.region(*grid.address(index))
            spool.put(index, whole[part.y : part.bottom, part.x : part.right])
        assert np.array_equal(spool.get(4), whole[16:32, 16:32])
        assert np.array_equal(spool.read(Region(3, 5, 30, 14)), whole[5:19, 3:33])
        assert list(tmp_path.iterdir()) == []  # the file has no name


def test_codes_come_in_any_order_and_go_in_that_of_the_grid(tmp_path: Path) -> None:
    with CodeSpool(Grid(Size(48, 16), 16), tmp_path) as spool:
        for index, data in ((2, b"third"), (0, b"first"), (1, b"second, too long"), (1, b"second")):
            spool.put(index, data)
        assert list(spool) == [b"first", b"second", b"third"]
        assert spool.total_bytes == 16  # what was replaced does not count
