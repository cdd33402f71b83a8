"""Reduced levels: what a recipient sees first, and what other programs show of a file."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import openslide
import pytest
import pyvips
import tifffile

from histocodec.decoder import Decoder
from histocodec.demo.synthetic import tissue, write_slide
from histocodec.encoder import EncodeSettings, coded_pyramid, encode
from histocodec.encoder.coded_pyramid import GOOD_FILL, BaseRate, CodedOverview, CodedPyramid, code_within
from histocodec.encoder.uncoded_pyramid import UncodedPyramid
from histocodec.generators.bicubic import BicubicGenerator
from histocodec.geometry import Grid, Image, Region, Size
from histocodec.pixels.downsample import BoxDownsampler, downsample
from histocodec.pixels.metrics import psnr
from histocodec.pixels.tile_codecs import TileCodec
from histocodec.pixels.tile_coder import TILES, TileCoder, coded_tile
from histocodec.runtime.resources import Resources
from histocodec.source import open_source
from histocodec.validation import validate

CODECS: list[TileCodec] = ["jp2k", "av1", "jpeg"]
QUALITY: dict[TileCodec, float] = {"jp2k": 26.0, "av1": 30, "jpeg": 40}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[TileCodec, Path]:
    """A slide whose overview is more than one tile for every codec but AV1, which ends within a tile."""
    image = tissue(Size(9000, 700), seed=3)
    image[:, 4000:5200] = 243
    folder = tmp_path_factory.mktemp("overview")
    write_slide(folder / "slide.tif", image)
    for codec in CODECS:
        settings = EncodeSettings(codec=codec, ratio=None, quality=QUALITY[codec], verify="none")
        with open_source(folder / "slide.tif") as source:
            encode(source, folder / f"{codec}.hc.tif", BicubicGenerator(4), settings)
    return {codec: folder / f"{codec}.hc.tif" for codec in CODECS}


@pytest.mark.parametrize("codec", CODECS)
def test_the_base_decodes_to_what_the_file_says_of_it(files: dict[TileCodec, Path], codec: TileCodec) -> None:
    assert validate(files[codec], deep=True) == []  # of AV1 too, whose colours are shifted last of all
    with Decoder(files[codec]) as decoder:
        assert len(set(decoder.container.base_sums.tolist())) == decoder.container.grids[0].count


def stored(path: Path) -> list[Image]:
    with Decoder(path) as decoder:
        return [decoder.read(Region(0, 0, *size), level) for level, size in enumerate(decoder.levels) if level]


@pytest.mark.parametrize("codec", CODECS)
def test_reduced_levels_are_near_the_average_of_the_base(files: dict[TileCodec, Path], codec: TileCodec) -> None:
    base, *reduced = stored(files[codec])
    assert reduced
    averaged = base
    for level in reduced:
        averaged = downsample(averaged, 8)
        assert psnr(averaged, level) >= 32


@pytest.mark.parametrize("codec", CODECS)
def test_no_step_at_the_tiles_of_an_overview(files: dict[TileCodec, Path], codec: TileCodec) -> None:
    with Decoder(files[codec]) as decoder:
        side = decoder.manifest.base.tile
    base, first, *_ = stored(files[codec])
    steps, original = (np.abs(np.diff(i.astype(int), axis=1)).mean((0, 2)) for i in (first, downsample(base, 8)))
    for seam in range(side - 1, len(steps), side):
        near = np.r_[seam - 6 : seam - 1, seam + 2 : min(seam + 7, len(steps))]
        assert steps[seam] / steps[near].mean() < 1.25 * max(1.0, original[seam] / original[near].mean())


@pytest.mark.parametrize("ratio", [8.0, 60.0])
def test_a_small_budget_is_the_base_s_first(tmp_path: Path, ratio: float) -> None:
    write_slide(tmp_path / "slide.tif", tissue(Size(2100, 2000), seed=4))
    with open_source(tmp_path / "slide.tif") as source:
        settings = EncodeSettings(ratio=ratio, verify="none")
        report = encode(source, tmp_path / "x.hc.tif", BicubicGenerator(4), settings)
    lower = [note for note in report.notes if "reduced levels" in note]
    assert bool(lower) == (ratio == 60.0)


@pytest.mark.parametrize(("codec", "ratio"), [("jp2k", 12.0), ("av1", 20.0), ("jpeg", 9.0)])
def test_no_tile_is_coded_twice_at_a_quality(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, codec: TileCodec, ratio: float
) -> None:
    """Neither by an estimate and then by what it led to, nor by two attempts."""
    write_slide(tmp_path / "slide.tif", tissue(Size(5000, 3000), seed=6))
    calls: list[tuple[float, int]] = []

    def counted(read: object, grid: Grid, coder: TileCoder, quality: float, index: int) -> bytes:
        if grid.size == Size(1250, 750):  # the base
            calls.append((quality, index))
        return coded_tile(read, grid, coder, quality, index)  # type: ignore[arg-type]

    monkeypatch.setattr(coded_pyramid, "coded_tile", counted)
    with (
        open_source(tmp_path / "slide.tif") as source,
        UncodedPyramid(source, BoxDownsampler(4), resources(tmp_path), tile=TILES[codec]) as pyramid,
        CodedOverview(pyramid, codec, None, resources(tmp_path)) as overview,
    ):
        coder = TileCoder.fitted(codec, pyramid.pixels_all_over())
        budget = int(source.size_bytes / ratio)
        with code_within(pyramid, overview, coder, budget, resources(tmp_path)) as coded:
            assert 0.9 * budget < coded.total_bytes <= budget
            assert {index for quality, index in calls if quality == coded.quality} == set(range(coded.base.grid.count))
            whole = [coder.encode(pyramid.levels[0].get(0), coded.quality), coded.base.get(0)]
    assert len(calls) == len(set(calls))
    assert whole[0] == whole[1]


@pytest.mark.parametrize("factor", [0.6, 1.5, -1.0])
def test_a_budget_is_filled_though_estimates_are_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, factor: float
) -> None:
    """All too low, all too high, or now this, now that (-1): codings of the whole tell better, until one fills it."""
    write_slide(tmp_path / "slide.tif", tissue(Size(2048, 2048), seed=6))
    estimate, turn = BaseRate._estimate, iter(range(1000))

    def misled(self: BaseRate, quality: float) -> float:
        wrong = factor if factor > 0 else (0.7, 1.4)[next(turn) % 2]
        return wrong * estimate(self, quality)

    monkeypatch.setattr(BaseRate, "_estimate", misled)
    with (
        open_source(tmp_path / "slide.tif") as source,
        UncodedPyramid(source, BoxDownsampler(4), resources(tmp_path), tile=256) as pyramid,
        CodedOverview(pyramid, "jp2k", None, resources(tmp_path)) as overview,
    ):
        budget = int(source.size_bytes / 12)
        with code_within(pyramid, overview, TileCoder("jp2k"), budget, resources(tmp_path)) as coded:
            assert GOOD_FILL * budget <= coded.total_bytes <= budget


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
                sampled = rate.coded_at(30.0)
                assert len(sampled) < coded.base.grid.count / 3
                assert all(coded.base.get(index) == data for index, data in sampled.items())
                mean = sum(map(len, sampled.values())) / len(sampled)
                plain.append(mean * coded.base.grid.count / coded.base.total_bytes - 1)
            assert np.std(weighed) < 0.1
            assert np.std(weighed) < 0.6 * np.std(plain)
            rate.correct(coded)
            assert rate.curve(30.0) == pytest.approx(coded.total_bytes)


def resources(folder: Path, seed: int = 0) -> Resources:
    return Resources(folder, 2, seed, progress=lambda *_: None)


# --------------------------------------------------------------------------------- other programs, right or refused


def by_openslide(path: Path) -> Image:
    with openslide.OpenSlide(path) as slide:
        return np.asarray(slide.read_region((0, 0), 0, slide.dimensions).convert("RGB"))


def by_tifffile(path: Path) -> Image:
    return np.asarray(tifffile.imread(path, series=0))


def by_tiffslide(path: Path) -> Image:
    tiffslide = pytest.importorskip("tiffslide", reason="tiffslide is not installed")
    with tiffslide.TiffSlide(path) as slide:
        return np.asarray(slide.read_region((0, 0), 0, slide.dimensions).convert("RGB"))


def by_libvips(path: Path) -> Image:
    return np.asarray(pyvips.Image.new_from_file(str(path), fail_on="error").numpy()[..., :3])


def by_libvips_as_it_comes(path: Path) -> Image:
    """Without being asked to fail, it goes on where a tile does not decode."""
    return np.asarray(pyvips.Image.new_from_file(str(path)).numpy()[..., :3])


def by_large_image(path: Path) -> Image:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        large_image = pytest.importorskip("large_image", reason="large_image is not installed")
        region, _ = large_image.open(str(path)).getRegion(format=large_image.constants.TILE_FORMAT_NUMPY)
    return np.asarray(region)[..., :3]


READERS = [by_openslide, by_tifffile, by_tiffslide, by_libvips, by_libvips_as_it_comes, by_large_image]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("read", READERS, ids=lambda read: read.__name__)
def test_other_programs_are_right_or_refuse(
    files: dict[TileCodec, Path], codec: TileCodec, read: Callable[[Path], Image]
) -> None:
    levels = stored(files[codec])
    expected = levels[1] if codec == "av1" else levels[0]
    try:
        found = read(files[codec])
    except pytest.skip.Exception:
        raise
    except Exception:  # each has errors of its own: to refuse is right
        assert read is not by_openslide
        return
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).mean() < 1.5
    assert np.abs(found.mean((0, 1)) - expected.mean((0, 1))).max() < 0.5
