"""A slide with all that stands beside its pixels, for whatever is written of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import ImageCms

from histocodec.decoder import Decoder
from histocodec.demo.synthetic import write_slide
from histocodec.encoder import EncodeSettings, encode
from histocodec.generators.bicubic import BicubicGenerator
from histocodec.geometry import Image, Region
from histocodec.source import open_source

LABEL, MACRO = (200, 120, 40), (30, 90, 160)
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.fixture(scope="session")
def full_path(tmp_path_factory: pytest.TempPathFactory, slide_image: Image) -> Path:
    """A container of 2200 x 1800 px with three levels, label, macro, thumbnail, colour profile and objective."""
    folder = tmp_path_factory.mktemp("full")
    write_slide(folder / "slide.tif", np.tile(slide_image, (2, 2, 1)))
    with open_source(folder / "slide.tif") as source:
        source.icc_profile, source.objective_power = PROFILE, 40.0
        source.associated = {
            "label": np.full((300, 281, 3), LABEL, np.uint8),
            "macro": np.full((200, 500, 3), MACRO, np.uint8),
            "thumbnail": np.ascontiguousarray(slide_image[::8, ::8]),
        }
        settings = EncodeSettings(codec="jp2k", ratio=None, quality=30)
        encode(source, folder / "slide.hc.tif", BicubicGenerator(4), settings)
    return folder / "slide.hc.tif"


@pytest.fixture(scope="session")
def original_path(tmp_path_factory: pytest.TempPathFactory, slide_path: Path) -> Path:
    """A container that keeps its original."""
    path = tmp_path_factory.mktemp("original") / "slide.hc.tif"
    with open_source(slide_path) as source:
        settings = EncodeSettings(codec="jp2k", ratio=None, quality=30, verify="none", keep_original=True)
        encode(source, path, BicubicGenerator(4), settings)
    return path


@pytest.fixture
def full(full_path: Path) -> Iterator[Decoder]:
    with Decoder(full_path) as decoder:
        yield decoder


def whole(decoder: Decoder, level: int = 0) -> Image:
    """All pixels of a level."""
    return decoder.read(Region(0, 0, *decoder.levels[level]), level)


def names(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}


@contextmanager
def no_file_above(count: int) -> Iterator[None]:
    """Lets no file grow beyond so many bytes, as a full disk does."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (count, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
