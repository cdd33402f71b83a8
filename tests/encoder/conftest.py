"""Fixtures that several tests of this folder share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from histocodec.geometry import Image, Region
from histocodec.source import Source, open_source


@pytest.fixture
def slide(slide_path: Path) -> Iterator[Source]:
    with open_source(slide_path) as source:
        yield source


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "case.hc.tif"


@pytest.fixture(scope="module")
def pixels(slide_path: Path) -> Image:
    """What the encoder reads of the slide, which is a JPEG."""
    with open_source(slide_path) as source:
        return source.read(Region(0, 0, *source.size))
