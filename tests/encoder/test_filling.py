"""A base fills its budget, with about one coding of its tiles."""

from __future__ import annotations

from pathlib import Path

import pytest

from histocodec.demo.synthetic import tissue, write_slide
from histocodec.encoder import coded_pyramid
from histocodec.encoder.base_rate import BaseRate
from histocodec.encoder.coded_pyramid import CodedOverview, CodedPyramid
from histocodec.encoder.filling import code_within, fill
from histocodec.encoder.uncoded_pyramid import UncodedPyramid
from histocodec.errors import BudgetError
from histocodec.geometry import Grid, Size
from histocodec.pixels.downsample import BoxDownsampler
from histocodec.pixels.rate import RUNGS
from histocodec.pixels.tile_codecs import TileCodec
from histocodec.pixels.tile_coder import TileCoder, coded_tile
from histocodec.runtime.resources import Resources
from histocodec.source import open_source


@pytest.mark.parametrize(("codec", "ratio"), [("jp2k", 12.0), ("av1", 16.0), ("jpeg", 9.0)])
def test_a_budget_is_full_and_no_tile_coded_twice_at_a_quality(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, codec: TileCodec, ratio: float
) -> None:
    write_slide(tmp_path / "slide.tif", tissue(Size(2048, 1536), seed=6))
    calls: list[tuple[float, int]] = []

    def counted(read: object, grid: Grid, coder: TileCoder, quality: float, index: int) -> bytes:
        if grid.size == Size(512, 384) and coder.speed == 8:  # the base, as it is stored
            calls.append((quality, index))
        return coded_tile(read, grid, coder, quality, index)  # type: ignore[arg-type]

    monkeypatch.setattr(coded_pyramid, "coded_tile", counted)
    with (
        open_source(tmp_path / "slide.tif") as source,
        UncodedPyramid(source, BoxDownsampler(4), resources(tmp_path), tile=64) as pyramid,
        CodedOverview(pyramid, codec, None, resources(tmp_path)) as overview,
    ):
        coder = TileCoder.fitted(codec, pyramid.pixels_all_over(), speed=8)
        budget = int(source.size_bytes / ratio)
        with code_within(pyramid, overview, coder, budget, resources(tmp_path)) as coded:
            assert 0.997 * budget < coded.total_bytes <= budget
            assert max(coded.rungs) - min(coded.rungs) <= 2
            assert coded.base.get(0) == coder.encode(pyramid.levels[0].get(0), RUNGS[codec][coded.rungs[0]])
            count = coded.base.grid.count
    assert len(calls) == len(set(calls))
    assert codec != "av1" or len(calls) < 2.2 * count  # so small tiles tell little of each other


@pytest.mark.parametrize("factor", [0.6, 1.5, -1.0])
def test_a_budget_is_filled_though_estimates_are_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, factor: float
) -> None:
    """All too low, all too high, or now this, now that (-1): what the whole takes tells better."""
    write_slide(tmp_path / "slide.tif", tissue(Size(2048, 1024), seed=6))
    taken, turn = BaseRate._taken, iter(range(1000))

    def misled(self: BaseRate, coder: TileCoder, quality: float) -> float:
        wrong = factor if factor > 0 else (0.7, 1.4)[next(turn) % 2]
        return wrong * taken(self, coder, quality)

    monkeypatch.setattr(BaseRate, "_taken", misled)
    with (
        open_source(tmp_path / "slide.tif") as source,
        UncodedPyramid(source, BoxDownsampler(4), resources(tmp_path), tile=64) as pyramid,
        CodedOverview(pyramid, "jp2k", None, resources(tmp_path)) as overview,
    ):
        budget = int(source.size_bytes / 12)
        with code_within(pyramid, overview, TileCoder("jp2k"), budget, resources(tmp_path)) as coded:
            assert 0.995 * budget <= coded.total_bytes <= budget


def test_only_tiles_that_are_free_change_and_the_lowest_quality_may_be_too_much(tmp_path: Path) -> None:
    write_slide(tmp_path / "slide.tif", tissue(Size(2048, 1024), seed=6))
    with (
        open_source(tmp_path / "slide.tif") as source,
        UncodedPyramid(source, BoxDownsampler(4), resources(tmp_path), tile=64) as pyramid,
        CodedOverview(pyramid, "jpeg", None, resources(tmp_path)) as overview,
        CodedPyramid(pyramid, overview, TileCoder("jpeg"), 40.0, resources(tmp_path)) as coded,
    ):
        first, free = coded.total_bytes, range(8, 32)
        for share in (1.1, 0.9):
            budget = int(share * first)
            fill(coded, budget, resources(tmp_path), free)
            assert 0.997 * budget < coded.total_bytes <= budget
            assert [coded.rungs[k] for k in range(8)] == [39] * 8
            assert (min(coded.rungs[k] for k in free) > 39) == (share > 1)
        with pytest.raises(BudgetError) as caught:
            fill(coded, first // 10, resources(tmp_path))
        assert caught.value.needed_bytes == coded.total_bytes > first // 10
        assert {RUNGS["jpeg"][rung] for rung in coded.rungs} == {4.0}


def resources(folder: Path, seed: int = 0) -> Resources:
    return Resources(folder, 2, seed, progress=lambda *_: None)
