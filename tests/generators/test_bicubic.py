"""The bit-exact bicubic generator."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

from histocodec.errors import SettingsError
from histocodec.generators.bicubic import BicubicGenerator

TABLES = {
    2: (np.array([[-3, 29, 111, -9, 0], [0, -9, 111, 29, -3]]), 7),
    4: (np.array([[-45, 399, 745, -75, 0], [-7, 93, 987, -49, 0], [0, -49, 987, 93, -7], [0, -75, 745, 399, -45]]), 10),
}
"""The weights and the shift of each scale, as the specification has them."""


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


def by_table(base: NDArray[np.uint8], scale: int) -> NDArray[np.int64]:
    """Enlarge by the weights of section 6.3 of the specification, as one sum of 25 products."""
    table, shift = TABLES[scale]
    windows = np.lib.stride_tricks.sliding_window_view(base.astype(np.int64), (5, 5), (0, 1))  # (h, w, 3, 5, 5)
    total = np.einsum("pa,qb,yxcab->ypxqc", table, table, windows)
    height, width = windows.shape[:2]
    rounded = (total + (1 << (2 * shift - 1))) >> (2 * shift)
    levels: NDArray[np.int64] = np.clip(rounded, 0, 255).reshape(height * scale, width * scale, 3)
    return levels


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("size", [(5, 5), (6, 70), (36, 37), (69, 7), (133, 40)])
def test_every_pixel_is_what_the_specification_says(scale: int, size: tuple[int, int]) -> None:
    rng = np.random.default_rng(scale)
    noise = rng.integers(0, 256, (*size, 3)).astype(np.uint8)
    for base in (noise, np.where(noise > 127, 255, 0).astype(np.uint8), (235 + noise // 13).astype(np.uint8)):
        assert np.array_equal(BicubicGenerator(scale)(base), by_table(base, scale))


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
