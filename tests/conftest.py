"""Fixtures that many tests share. All are made once a session and must not be written to."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.mosaic import default_data
from histocodec.demo.synthetic import tissue, write_slide
from histocodec.encoder import EncodeSettings, encode
from histocodec.generators.bicubic import BicubicGenerator
from histocodec.geometry import Image, Size
from histocodec.source import open_source
from tests.places import NO_DATA, FindData


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many tests had no data, and how to get it."""
    reasons = [str(report.longrepr) for report in terminalreporter.stats.get("skipped", [])]
    if count := sum(NO_DATA in reason for reason in reasons):
        terminalreporter.write_line(
            f"{count} tests skipped: {NO_DATA}; set HISTOCODEC_DATA to the folder that benchmarks/README.md describes"
        )


@pytest.fixture(scope="session")
def find_data() -> FindData:
    """Find real slides and tiles; where they are not at hand, a test is skipped."""

    def find(place: str) -> Path:
        path = default_data() / place
        if not path.exists():
            pytest.skip(f"{NO_DATA}: {place}")
        return path

    return find


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
    """`slide_path` in JPEG 2000 and bicubic: neither weights nor torch are needed to decode it."""
    path = tmp_path_factory.mktemp("container") / "slide.hc.tif"
    with open_source(slide_path) as source:
        encode(source, path, BicubicGenerator(4), EncodeSettings(codec="jp2k"))
    return path


@pytest.fixture(scope="session")
def tissue_slide_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A slide of tissue, 2600 x 2600 px: more than 16 whole blocks of 512 px, which tuning needs."""
    path = tmp_path_factory.mktemp("tissue-slide") / "slide.tif"
    write_slide(path, tissue(Size(2600, 2600), seed=3))
    return path
