"""The way from full resolution to the base: the exact box average."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from histocodec.geometry import Image
from histocodec.pixels.downsample import downsample, make_base, with_margin


@given(st.integers(1, 30), st.integers(1, 30), st.sampled_from([1, 2, 4]), st.integers(0, 99))
def test_downsample_is_the_rounded_mean_of_each_block(height: int, width: int, scale: int, seed: int) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)
    out = downsample(image, scale)
    assert out.shape == (-(-height // scale), -(-width // scale), 3)
    for y in range(out.shape[0]):
        for x in range(out.shape[1]):
            # Python integers, edge rows and columns repeated.
            rows = [min(y * scale + k, height - 1) for k in range(scale)]
            columns = [min(x * scale + k, width - 1) for k in range(scale)]
            for c in range(3):
                total = sum(int(image[r, q, c]) for r in rows for q in columns)
                assert out[y, x, c] == (total + scale * scale // 2) // (scale * scale)


def test_downsample_rounds_halves_up() -> None:
    image = np.array([[[0, 1, 3]] * 2, [[1, 1, 4]] * 2], np.uint8)
    assert downsample(image, 2).tolist() == [[[1, 1, 4]]]


class _Corners:
    """A downsampler that takes the first pixel of each square, and notes what it is given."""

    name, digest, scale, halo = "corners", "builtin:corners", 4, 3

    def __init__(self) -> None:
        self.shapes: set[tuple[int, ...]] = set()

    def __call__(self, image: Image) -> Image:
        self.shapes.add(image.shape)
        margin = self.halo * self.scale
        return image[margin:-margin:4, margin:-margin:4]


def test_a_downsampler_is_given_blocks_of_one_shape_also_at_the_edges() -> None:
    image = np.random.default_rng(2).integers(0, 256, (4 * 150 - 2, 4 * 70, 3), np.uint8)
    corners = _Corners()
    base, tissue = make_base(with_margin(image, 4, corners.halo), corners, block=64)
    assert tissue.tolist() == [[1, 1]] * 3
    assert corners.shapes == {(4 * 70, 4 * 70, 3)}
    assert np.array_equal(base, image[::4, ::4])
