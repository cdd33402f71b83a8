"""The bit-exact bicubic generator, and predict() on the canonical grid."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histocodec.errors import SettingsError
from histocodec.generators.bicubic import BicubicGenerator
from histocodec.generators.predict import predict, read_with_halo
from histocodec.geometry import Image, Region, Size, TileGrid


def keys(t: Fraction) -> Fraction:
    """Keys' kernel with a = -1/2, exactly."""
    t = abs(t)
    if t < 1:
        return Fraction(3, 2) * t**3 - Fraction(5, 2) * t**2 + 1
    return -Fraction(1, 2) * t**3 + Fraction(5, 2) * t**2 - 4 * t + 2 if t < 2 else Fraction(0)


@pytest.mark.parametrize("scale", [2, 4])
def test_bicubic_is_keys_kernel_rounded_once(scale: int) -> None:
    base = np.random.default_rng(scale).integers(0, 256, (9, 8, 3)).astype(np.uint8)
    out = BicubicGenerator(scale)(base)
    assert out.shape == (5 * scale, 4 * scale, 3)
    for y, x, c in [(0, 0, 0), (3, 5, 1), (5 * scale - 1, 4 * scale - 1, 2), (scale, 2 * scale - 1, 0)]:
        total = Fraction(0)
        at_y = Fraction(2 * y + 1, 2 * scale) - Fraction(1, 2) + 2
        at_x = Fraction(2 * x + 1, 2 * scale) - Fraction(1, 2) + 2
        for row in range(9):
            for column in range(8):
                total += keys(at_y - row) * keys(at_x - column) * int(base[row, column, c])
        rounded = (total + Fraction(1, 2)).__floor__()
        assert out[y, x, c] == min(max(rounded, 0), 255)


@pytest.mark.parametrize("scale", [2, 4])
def test_bicubic_keeps_flat_areas_and_its_shortcut_is_exact(scale: int) -> None:
    generator = BicubicGenerator(scale)
    flat = np.full((12, 12, 3), (7, 128, 255), np.uint8)
    assert np.array_equal(generator(flat), np.full((8 * scale, 8 * scale, 3), (7, 128, 255), np.uint8))
    speck = flat.copy()
    speck[0, 0] = 0  # no shortcut, and too far away to reach the last pixel
    assert np.array_equal(generator(speck)[-scale:, -scale:], generator(flat)[-scale:, -scale:])


def test_a_scale_that_no_base_has_is_refused() -> None:
    with pytest.raises(SettingsError):
        BicubicGenerator(3)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(0, 9))
def test_blocks_of_the_grid_are_the_whole_enlarged_at_once(width: int, height: int, seed: int) -> None:
    base: Image = np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)
    generator = BicubicGenerator(4)
    whole = generator(np.pad(base, ((2, 2), (2, 2), (0, 0)), mode="edge"))
    grid = TileGrid(Size(width, height), 32)
    for index in range(grid.count):
        column, row = grid.address(index)
        part = grid.covered(column, row).scaled(4)
        block = predict(generator, lambda r: base[r.y : r.bottom, r.x : r.right], grid, column, row)
        assert block.shape == (128, 128, 3)
        expected = whole[part.y : part.bottom, part.x : part.right]
        assert np.array_equal(block[: part.height, : part.width], expected)


def test_beyond_the_base_its_edge_is_repeated() -> None:
    base = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
    seen = read_with_halo(lambda r: base[r.y : r.bottom, r.x : r.right], Size(5, 4), Region(3, 2, 4, 4), 2)
    rows, columns = [0, 1, 2, 3, 3, 3, 3, 3], [1, 2, 3, 4, 4, 4, 4, 4]
    assert np.array_equal(seen, base[rows][:, columns])
