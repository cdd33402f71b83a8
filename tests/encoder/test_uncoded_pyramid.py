"""The uncoded base: the whole slide downsampled at once, whatever the tiles and the workers."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from histocodec.demo.synthetic import tissue, write_slide
from histocodec.encoder.uncoded_pyramid import UncodedPyramid
from histocodec.generators.network_resampler import build_downsampler
from histocodec.geometry import Image, Region, Size
from histocodec.pixels.downsample import BoxDownsampler, downsample, shrink
from histocodec.pixels.resampler import Downsampler
from histocodec.runtime.resources import Resources
from histocodec.source import open_source
from tests.generators.inputs import downsampler_package


@pytest.fixture(scope="module")
def odd_slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """2203 x 1301 px, so base tiles of 256 and 512 px have neighbours, and glass at the right."""
    image = tissue(Size(2203, 1301), seed=9)
    image[:, 1536:] = 243
    path = tmp_path_factory.mktemp("odd") / "odd.tif"
    write_slide(path, image)
    return path


@pytest.mark.parametrize("tile", [256, 512])
def test_the_base_is_the_whole_slide_downsampled_at_once(odd_slide: Path, tmp_path: Path, tile: int) -> None:
    """Whatever the tiles and the workers; and the tissue map is that of the box average."""
    downsampler = build_downsampler(downsampler_package())

    def made(workers: int, downsampler: Downsampler | None) -> tuple[Image, Sequence[Image], Image]:
        with (
            open_source(odd_slide) as source,
            UncodedPyramid(
                source,
                downsampler or BoxDownsampler(4),
                Resources(tmp_path, workers, seed=0, progress=lambda *_: None),
                tile=tile,
            ) as pyramid,
        ):
            whole = source.read(Region(0, 0, *source.size))
            levels = [level.read(Region(0, 0, *level.grid.size)) for level in pyramid.levels]
            return whole, levels, pyramid.tissue.copy()

    whole, levels, tissue_map = made(1, downsampler)
    assert np.array_equal(levels[0], shrink(whole, downsampler))
    for finer, coarser in itertools.pairwise(levels):
        assert np.array_equal(coarser, downsample(finer, 8))
    _, again, same_map = made(5, downsampler)
    assert all(np.array_equal(a, b) for a, b in zip(levels, again, strict=True))
    _, plain, box_map = made(2, None)
    assert np.array_equal(plain[0], downsample(whole, 4))
    assert np.array_equal(tissue_map, box_map)
    assert np.array_equal(tissue_map, same_map)
