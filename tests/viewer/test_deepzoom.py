"""The pyramid is the one that OpenSlide's own Deep Zoom generator cuts."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import openslide.deepzoom
import pytest
from PIL import Image as PILImage

from histocodec.geometry import Size
from histocodec.viewer.deepzoom import TILE, DeepZoom, parsed_address


@pytest.mark.parametrize("size", [Size(1, 1), Size(256, 256), Size(257, 3), Size(1000, 600), Size(4097, 4095)], ids=str)
def test_levels_and_tiles_are_those_of_openslide(size: Size) -> None:
    slide = openslide.ImageSlide(PILImage.new("RGB", size))
    theirs = openslide.deepzoom.DeepZoomGenerator(slide, TILE, 0)
    ours = DeepZoom(size)
    assert ours.finest == theirs.level_count - 1
    for level, (columns, rows) in enumerate(theirs.level_tiles):
        assert ours.size_of(level) == theirs.level_dimensions[level]
        assert ours.tile(level, columns, 0) is None
        assert ours.tile(level, 0, rows) is None
        for column, row in {(0, 0), (columns - 1, rows - 1)}:
            region = ours.tile(level, column, row)
            assert region is not None
            assert (region.width, region.height) == theirs.get_tile_dimensions(level, (column, row))
    said = ET.fromstring(ours.descriptor("jpeg")), ET.fromstring(theirs.get_dzi("jpeg"))
    assert len({(e.tag, *sorted(e.attrib.items()), *sorted(e[0].attrib.items())) for e in said}) == 1


def test_a_level_that_is_not_there_has_no_tiles() -> None:
    zoom = DeepZoom(Size(1000, 600))
    assert zoom.tile(11, 0, 0) is None
    assert zoom.tile(-1, 0, 0) is None


@pytest.mark.parametrize("text", ["1/2", "1/2_3_4", "123/0_0", "1/12345678_0", "-1/0_0", "1/0_0\n", "١/0_0"])
def test_what_is_no_address_is_none(text: str) -> None:
    assert parsed_address(text) is None
