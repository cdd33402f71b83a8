"""The openslide-like view: code written for OpenSlide runs on it unchanged."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import openslide
import pytest
from openslide.deepzoom import DeepZoomGenerator

import histocodec
from histocodec import ReconstructedSlide, Region


@pytest.fixture
def slide(container_path: Path) -> Iterator[ReconstructedSlide]:
    with histocodec.open_slide(container_path) as opened:
        yield opened


def test_it_is_a_slide_of_the_sources_size(slide: ReconstructedSlide, slide_path: Path) -> None:
    assert isinstance(slide, openslide.AbstractSlide)
    with openslide.OpenSlide(slide_path) as source:
        assert slide.dimensions == source.dimensions
        assert slide.level_dimensions[0] == source.level_dimensions[0]
    assert slide.level_count == len(slide.level_dimensions) == len(slide.level_downsamples)
    assert slide.level_downsamples[:2] == (1.0, 4.0)


def test_properties_are_openslides_and_ours(slide: ReconstructedSlide) -> None:
    properties = slide.properties
    assert float(properties[openslide.PROPERTY_NAME_MPP_X]) == pytest.approx(0.25)
    assert properties["histocodec.notice"] == "not for primary diagnosis"
    assert properties["histocodec.level[0]"].startswith("reconstructed by bicubic-x4 builtin:bicubic-x4")
    assert "ISO_10918_1" in properties["histocodec.lossy-history"]
    assert "ISO_15444_1" in properties["histocodec.lossy-history"]
    assert properties["openslide.level[0].width"] == str(slide.dimensions[0])
    assert properties["openslide.level-count"] == str(slide.level_count)


@pytest.mark.parametrize("level", [0, 1])
def test_read_region_is_rgba_and_transparent_outside(slide: ReconstructedSlide, level: int) -> None:
    width, _ = slide.level_dimensions[level]
    downsample = int(slide.level_downsamples[level])
    picture = slide.read_region(((width - 30) * downsample, -20 * downsample), level, (60, 50))
    assert picture.mode == "RGBA"
    pixels = np.asarray(picture)
    inside = pixels[20:, :30]
    assert (inside[..., 3] == 255).all()
    assert np.array_equal(inside[..., :3], slide.decoder.read(Region(width - 30, 0, 30, 30), level))
    assert not pixels[:20].any()
    assert not pixels[:, 30:].any()


def test_read_region_outside_altogether_is_transparent(slide: ReconstructedSlide) -> None:
    assert not np.asarray(slide.read_region((10**6, 10**6), 0, (5, 5))).any()


def test_bad_levels_and_sizes_raise_as_in_openslide(slide: ReconstructedSlide) -> None:
    with pytest.raises(openslide.OpenSlideError):
        slide.read_region((0, 0), 9, (5, 5))
    with pytest.raises(openslide.OpenSlideError):
        slide.read_region((0, 0), 0, (-5, 5))


def test_best_level_is_chosen_as_openslide_does(slide: ReconstructedSlide, slide_path: Path) -> None:
    assert [slide.get_best_level_for_downsample(d) for d in (0.5, 1, 3.9, 4, 5)] == [0, 0, 0, 1, 1]


def test_deep_zoom_works_unchanged(slide: ReconstructedSlide) -> None:
    zoom = DeepZoomGenerator(slide, tile_size=254, overlap=1)
    tile = np.asarray(zoom.get_tile(zoom.level_count - 1, (1, 1)))
    assert np.array_equal(tile, slide.decoder.read(Region(253, 253, 256, 256)))
    assert slide.get_thumbnail((100, 100)).size[0] == 100


def test_detect_format(container_path: Path, slide_path: Path) -> None:
    assert ReconstructedSlide.detect_format(container_path) == "histocodec"
    assert ReconstructedSlide.detect_format(slide_path) is None


def test_the_file_itself_opens_in_openslide_at_the_base(slide: ReconstructedSlide, container_path: Path) -> None:
    with openslide.OpenSlide(container_path) as base:
        assert base.level_dimensions == slide.level_dimensions[1:]
        assert float(base.properties[openslide.PROPERTY_NAME_MPP_X]) == pytest.approx(1.0)
        assert float(base.properties[openslide.PROPERTY_NAME_OBJECTIVE_POWER]) == pytest.approx(10)
        for level, size in enumerate(base.level_dimensions):
            theirs = np.asarray(base.read_region((0, 0), level, size).convert("RGB"))
            assert np.array_equal(theirs, slide.decoder.read(Region(0, 0, *size), level + 1))
