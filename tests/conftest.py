"""Fixtures that many tests share. All are made once a session and must not be written to."""

from __future__ import annotations

from pathlib import Path

import pytest

from histocodec.demo.synthetic import tissue, write_slide
from histocodec.encoder import encode
from histocodec.generators.bicubic import BicubicGenerator
from histocodec.geometry import Image, Size
from histocodec.source import open_source


@pytest.fixture(scope="session")
def slide_image() -> Image:
    """Synthetic tissue, (900, 1100, 3) uint8 RGB, read-only: no multiple of a tile, of a block or of 16 px a side."""
    image = tissue(Size(1100, 900), seed=7)
    image.setflags(write=False)
    return image


@pytest.fixture(scope="session")
def slide_path(tmp_path_factory: pytest.TempPathFactory, slide_image: Image) -> Path:
    """`slide_image` as a pyramidal JPEG TIFF at 0.25 um/px, about 0.2 MB, alone in its folder."""
    path = tmp_path_factory.mktemp("slide") / "slide.tif"
    write_slide(path, slide_image)
    return path


@pytest.fixture(scope="session")
def container_path(tmp_path_factory: pytest.TempPathFactory, slide_path: Path) -> Path:
    """`slide_path` with the default settings, but bicubic: neither weights nor torch are needed to decode it."""
    path = tmp_path_factory.mktemp("container") / "slide.hc.tif"
    with open_source(slide_path) as source:
        encode(source, path, BicubicGenerator(4))
    return path


@pytest.fixture(scope="session")
def tissue_slide_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A slide of tissue, 2600 x 2600 px: more than 16 whole blocks of 512 px, which tuning needs."""
    path = tmp_path_factory.mktemp("tissue-slide") / "slide.tif"
    write_slide(path, tissue(Size(2600, 2600), seed=3))
    return path
