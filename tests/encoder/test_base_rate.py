"""A sample of tiles tells what all of them take."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from histocodec.demo.synthetic import tissue, write_slide
from histocodec.encoder.base_rate import BaseRate
from histocodec.encoder.coded_pyramid import CodedOverview, CodedPyramid
from histocodec.encoder.uncoded_pyramid import UncodedPyramid
from histocodec.geometry import Size
from histocodec.pixels.downsample import BoxDownsampler
from histocodec.pixels.tile_coder import TileCoder
from histocodec.runtime.resources import Resources
from histocodec.source import open_source


def test_a_sample_tells_of_tiles_that_differ_by_a_factor(tmp_path: Path) -> None:
    """Its tiles are weighed against all of them: their plain mean is wrong by a fifth."""
    image = tissue(Size(3584, 3584), seed=8)
    rng = np.random.default_rng(1)
    for row, column in np.ndindex(7, 7):  # from dense to nearly empty
        part = image[512 * row : 512 * (row + 1), 512 * column : 512 * (column + 1)]
        share = rng.uniform(0.1, 1)
        part[:] = (share * part + (1 - share) * 240).astype(np.uint8)
    write_slide(tmp_path / "slide.tif", image)
    with (
        open_source(tmp_path / "slide.tif") as source,
        UncodedPyramid(source, BoxDownsampler(4), resources(tmp_path), tile=128) as pyramid,
        CodedOverview(pyramid, "jp2k", None, resources(tmp_path)) as overview,
    ):
        coder = TileCoder("jp2k")
        with CodedPyramid(pyramid, overview, coder, 30.0, resources(tmp_path)) as coded:
            weighed, plain = [], []
            for seed in range(8):
                rate = BaseRate(pyramid, overview, coder, resources(tmp_path, seed))
                weighed.append(rate.curve(30.0) / coded.total_bytes - 1)
                known = {k: rate.coded(k, 30.0) for k in range(coded.base.grid.count)}
                sampled = {k: data for k, data in known.items() if data is not None}
                assert len(sampled) < coded.base.grid.count / 3
                assert all(coded.base.get(index) == data for index, data in sampled.items())
                mean = sum(map(len, sampled.values())) / len(sampled)
                plain.append(mean * coded.base.grid.count / coded.base.total_bytes - 1)
            assert np.std(weighed) < 0.1
            assert np.std(weighed) < 0.6 * np.std(plain)


def test_what_is_told_quickly_is_corrected_by_the_sample_as_it_will_be_coded(tmp_path: Path) -> None:
    write_slide(tmp_path / "slide.tif", tissue(Size(2048, 1024), seed=6))
    with (
        open_source(tmp_path / "slide.tif") as source,
        UncodedPyramid(source, BoxDownsampler(4), resources(tmp_path), tile=64) as pyramid,
        CodedOverview(pyramid, "av1", None, resources(tmp_path)) as overview,
    ):
        coder = TileCoder.fitted("av1", pyramid.pixels_all_over(), speed=7)
        rate = BaseRate(pyramid, overview, coder, resources(tmp_path))
        budget = source.size_bytes / 12
        quality = rate.best_quality(budget)
        assert quality is not None
        with CodedPyramid(pyramid, overview, coder, quality, resources(tmp_path), rate.coded) as coded:
            assert coded.total_bytes == pytest.approx(budget, rel=0.1)  # a sample of six tiles
            assert rate._taken(coder, quality) == pytest.approx(budget, rel=0.03)
        assert rate.best_quality(overview.total_bytes) is None


def resources(folder: Path, seed: int = 0) -> Resources:
    return Resources(folder, 2, seed, progress=lambda *_: None)
