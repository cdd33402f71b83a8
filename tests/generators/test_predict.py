"""predict() on the canonical grid: blocks are parts of the whole, and edges are repeated."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from histocodec.generators.bicubic import BicubicGenerator
from histocodec.generators.predict import BlockPredictor, predict, predict_region, read_with_halo
from histocodec.geometry import Grid, Image, Region, Size
from histocodec.pixels.resampler import Generator


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(0, 9))
def test_blocks_of_the_grid_are_the_whole_enlarged_at_once(width: int, height: int, seed: int) -> None:
    base: Image = np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)
    generator = BicubicGenerator(4)
    whole = generator(np.pad(base, ((2, 2), (2, 2), (0, 0)), mode="edge"))
    grid = Grid(Size(width, height), 32)
    for index in range(grid.count):
        column, row = grid.address(index)
        part = grid.covered(column, row).scaled(4)
        block = predict(generator, lambda r: base[r.y : r.bottom, r.x : r.right], grid, column, row)
        assert block.shape == (128, 128, 3)
        expected = whole[part.y : part.bottom, part.x : part.right]
        assert np.array_equal(block[: part.height, : part.width], expected)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 40), st.integers(0, 40), st.integers(1, 60), st.integers(1, 60), st.sampled_from([2, 4]))
def test_a_part_alone_is_what_the_whole_has_there(x: int, y: int, width: int, height: int, scale: int) -> None:
    base: Image = np.random.default_rng(x).integers(0, 256, (41, 41, 3)).astype(np.uint8)
    generator = BicubicGenerator(scale)

    def read(region: Region) -> Image:
        return base[region.y : region.bottom, region.x : region.right]

    whole = predict_region(generator, read, Size(41, 41), Region(0, 0, 128, 128))
    part = predict_region(generator, read, Size(41, 41), Region(x, y, width, height))
    there = Region(x, y, width, height).scaled(scale)
    assert np.array_equal(part, whole[there.y : there.bottom, there.x : there.right])


def test_beyond_the_base_its_edge_is_repeated() -> None:
    base = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
    seen = read_with_halo(lambda r: base[r.y : r.bottom, r.x : r.right], Size(5, 4), Region(3, 2, 4, 4), 2)
    rows, columns = [0, 1, 2, 3, 3, 3, 3, 3], [1, 2, 3, 4, 4, 4, 4, 4]
    assert np.array_equal(seen, base[rows][:, columns])


class Flat:
    """A generator that makes everything one grey, so that its blocks are told from those of bicubic."""

    name, scale, halo, digest, package, is_exact = "flat", 4, 2, "builtin:flat", None, False

    def __call__(self, base: Image) -> Image:
        return np.full(((base.shape[0] - 4) * 4, (base.shape[1] - 4) * 4, 3), 77, np.uint8)


def test_tissue_is_the_generators_and_glass_is_bicubic() -> None:
    base = np.random.default_rng(3).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    loaded: list[Flat] = []

    def load() -> Generator:
        loaded.append(Flat())
        return loaded[-1]

    predictor = BlockPredictor(
        load,
        4,
        lambda r: base[r.y : r.bottom, r.x : r.right],
        Grid(Size(64, 64), 32),
        np.array([[0, 1], [0, 0]], np.uint8),
    )
    glass = predictor(0, 0)
    assert loaded == []  # glass needs no network
    assert np.array_equal(glass, predictor.bicubic(0, 0))
    assert np.unique(glass).size > 1
    assert (predictor(1, 0) == 77).all()
    assert np.unique(predictor.bicubic(1, 0)).size > 1
    assert predictor.is_exact(0, 0)
    assert not predictor.is_exact(1, 0)
    assert np.array_equal(predictor.part(Region(20, 30, 9, 20))[:8, :36], predictor.bicubic(0, 0)[120:, 80:116])
    assert (predictor.part(Region(32, 31, 9, 20)) == 77).all()
