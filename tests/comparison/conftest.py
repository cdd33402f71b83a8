"""Fixtures that several tests of this folder share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from histocodec.comparison.compare import Comparison, compare
from histocodec.comparison.page import html_report
from histocodec.decoder import Decoder
from histocodec.demo.synthetic import tissue, write_slide
from histocodec.encoder import EncodeSettings, encode
from histocodec.generators.bicubic import BicubicGenerator
from histocodec.geometry import Size
from histocodec.source import Source, open_source


@pytest.fixture
def source(slide_path: Path) -> Iterator[Source]:
    with open_source(slide_path) as opened:
        yield opened


@pytest.fixture
def decoder(container_path: Path) -> Iterator[Decoder]:
    with Decoder(container_path) as opened:
        yield opened


@pytest.fixture(scope="session")
def comparison(slide_path: Path, container_path: Path) -> Comparison:
    """Compare every block."""
    with open_source(slide_path) as source, Decoder(container_path) as decoder:
        return compare(source, decoder, blocks="all")


@pytest.fixture(scope="session")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `slide.tif` of 523 x 521 px, whose edge tiles are 11 px wide and 9 px high, and `slide.hc.tif`."""
    folder = tmp_path_factory.mktemp("narrow")
    write_slide(folder / "slide.tif", tissue(Size(523, 521), seed=3))
    with open_source(folder / "slide.tif") as source:
        settings = EncodeSettings(codec="jp2k", ratio=None, quality=40, verify="none")
        encode(source, folder / "slide.hc.tif", BicubicGenerator(4), settings)
    return folder


@pytest.fixture
def half_glass(decoder: Decoder, monkeypatch: pytest.MonkeyPatch) -> Decoder:
    """The decoder of a file that marks the left column alone as tissue."""
    tissue_map: NDArray[np.uint8] = np.array([[1, 0, 0], [1, 0, 0]], np.uint8)
    monkeypatch.setattr(decoder.container, "tissue_map", tissue_map)
    return decoder


@pytest.fixture(scope="module")
def report(slide_path: Path, container_path: Path, comparison: Comparison) -> bytes:
    with open_source(slide_path) as source, Decoder(container_path) as decoder:
        return html_report(source, decoder, comparison)
