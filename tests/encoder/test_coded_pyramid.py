"""Reduced levels: what a recipient sees first, and what other programs show of a file."""

from __future__ import annotations

import math
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
from histocodec.encoder import EncodeSettings, encode
from histocodec.encoder.coded_pyramid import CodedOverview, CodedPyramid
from histocodec.encoder.uncoded_pyramid import UncodedPyramid
from histocodec.generators.bicubic import BicubicGenerator
from histocodec.geometry import Image, Region, Size
from histocodec.pixels.downsample import BoxDownsampler, downsample
from histocodec.pixels.metrics import psnr
from histocodec.pixels.rate import RUNGS
from histocodec.pixels.tile_codecs import TileCodec
from histocodec.pixels.tile_coder import TileCoder
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
        settings = EncodeSettings(codec=codec, effort="fast", ratio=None, quality=QUALITY[codec], verify="none")
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
        settings = EncodeSettings(codec="jp2k", ratio=ratio, verify="none")
        report = encode(source, tmp_path / "x.hc.tif", BicubicGenerator(4), settings)
    lower = [note for note in report.notes if "reduced levels" in note]
    assert bool(lower) == (ratio == 60.0)


def test_a_quality_between_two_is_a_mix_of_both(tmp_path: Path) -> None:
    """Of which the mean is stated."""
    write_slide(tmp_path / "slide.tif", tissue(Size(1280, 1024), seed=6))
    with (
        open_source(tmp_path / "slide.tif") as source,
        UncodedPyramid(source, BoxDownsampler(4), resources(tmp_path), tile=64) as pyramid,
        CodedOverview(pyramid, "jpeg", None, resources(tmp_path)) as overview,
    ):
        sizes = []
        for quality in (40.0, 40.25, 41.0):
            with CodedPyramid(pyramid, overview, TileCoder("jpeg"), quality, resources(tmp_path)) as coded:
                sizes.append(coded.total_bytes)
                assert coded.quality == pytest.approx(quality, abs=0.06)
                assert {RUNGS["jpeg"][rung] for rung in coded.rungs} == {math.floor(quality), math.ceil(quality)}
                assert all(coded.code(k, coded.rungs[k]) == coded.base.get(k) for k in (0, 7, 19))
                assert all(coded.known(k, RUNGS["jpeg"][coded.rungs[k]]) == coded.base.get(k) for k in (0, 19))
                assert coded.known(0, 90.0) is None
    assert sizes == sorted(sizes)


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
        source = pytest.importorskip("large_image_source_tiff").TiffFileTileSource(str(path))  # without our plug-in
        region, _ = source.getRegion(format=large_image.constants.TILE_FORMAT_NUMPY)
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
