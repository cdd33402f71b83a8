"""The report: one file that can be shown around."""

from __future__ import annotations

import base64
import dataclasses
import io
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PILImage

from histocodec.comparison import page
from histocodec.comparison.compare import Comparison, compare
from histocodec.comparison.page import html_report
from histocodec.comparison.pictures import histograms_picture, map_picture, worst_squares
from histocodec.decoder import Decoder
from histocodec.format.entries import LossyStep
from histocodec.source import Source, open_source
from tests.comparison.inputs import Page, psnr_db

HOSTILE = "<img src=x onerror=alert(1)>&\"'"


@pytest.fixture
def without_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make reports faster: without the pictures that take seconds to draw and to code."""
    monkeypatch.setattr(page, "_image", lambda picture, alternative: "")
    monkeypatch.setattr(page, "_pixels", lambda image: None)
    for name in ("map_picture", "histograms_picture"):
        monkeypatch.setattr(page, name, lambda *_: PILImage.new("RGB", (8, 8)))


def test_the_report_needs_nothing_but_itself(report: bytes) -> None:
    page = Page(report)
    assert {tag for tag, _ in page.tags}.isdisjoint({"script", "link", "iframe", "object", "base", "form"})
    for tag, attributes in page.tags:
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in ("src", "href", "srcset"):
                assert tag == "img"
                assert value is not None
                assert re.match("data:image/(png|jpeg|webp);base64,", value)
    around_pictures = re.sub(rb"base64,[A-Za-z0-9+/=]*", b"", report)
    assert not re.search(rb"(?i)//|https?:|url\(|@import|@font-face", around_pictures)


def test_the_report_holds_the_pictures(report: bytes, source: Source, decoder: Decoder, comparison: Comparison) -> None:
    page = Page(report)
    pictures = []
    for tag, attributes in page.tags:
        if tag == "img":
            assert attributes["alt"]
            picture = PILImage.open(io.BytesIO(base64.b64decode(str(attributes["src"]).partition(",")[2])))
            assert (str(picture.width), str(picture.height)) == (attributes["width"], attributes["height"])
            pictures.append(np.asarray(picture))
    drawn = np.asarray(map_picture(decoder, comparison))
    assert psnr_db(pictures[0], drawn) > 35
    assert pictures[1].shape[:2] == np.asarray(histograms_picture(comparison)).shape[:2]
    for number, square in enumerate(worst_squares(source, decoder, comparison)):
        for shown, image in zip(
            pictures[2 + 3 * number :], (square.original, square.decoded, square.difference), strict=False
        ):
            assert np.array_equal(shown, image), "without loss"


def test_pixels_are_shown_one_to_one(report: bytes) -> None:
    """No style shrinks what is not in a figure: a pixel of the slide is one of the page."""
    text = report.decode()
    assert "figure img { display: block; width: 100%" in text
    assert not re.search(r"(?m)^(?:\.pixels )?img \{[^}]*[ ;]width: ", text)
    shown = re.findall(r"<img width=(\d+) height=(\d+) alt='Square", text)
    assert len(shown) == 18
    assert max(int(width) for width, _ in shown) <= 271


def test_the_report_says_what_was_measured(
    report: bytes, source: Source, decoder: Decoder, comparison: Comparison
) -> None:
    said = Page(report).said
    assert "reconstructed by bicubic-x4 builtin:bicubic-x4" in said
    assert "Not for primary diagnosis." in said
    assert "slide.tif" in said
    assert "slide.hc.tif" in said
    assert str(Path(decoder.path).parent) not in said
    assert f"{source.size_bytes / decoder.container.size_bytes:.1f} ×" in said
    assert "1100 × 900 px at 0.25 µm/px" in said
    for summary in (comparison.first.psnr_db, comparison.groups[1].psnr_db, comparison.first.consistency_db):
        assert f"{summary.mean:.2f} {summary.percentile_5:.2f} {summary.worst:.2f}" in said
    errors = comparison.first.colour_error
    assert f"{errors.mean:.2f} {errors.percentile_95:.2f} {errors.worst:.2f}" in said
    for number, block in enumerate(comparison.ranked(), 1):
        region = comparison.region(block)
        assert f"{number} {region.x} {region.y} {region.width} × {region.height}" in said
    assert "averaged 4 x 4 to one and coded as jp2k" in said
    assert "floor" not in said


@pytest.mark.usefixtures("without_pictures")
@pytest.mark.usefixtures("without_pictures")
def test_the_report_says_whether_the_floor_holds(source: Source, decoder: Decoder, comparison: Comparison) -> None:
    between = (comparison.ranked()[1].lowest_db + comparison.ranked()[2].lowest_db) / 2
    failed = Page(html_report(source, decoder, comparison, floor_db=between)).said
    assert f"Failed. 2 of 6 blocks have a square of 256 px below the floor of {between:g} dB" in failed
    only_one = (comparison.ranked()[0].lowest_db + comparison.ranked()[1].lowest_db) / 2
    assert (
        "Failed. 1 of 6 blocks has a square of 256 px below"
        in Page(html_report(source, decoder, comparison, floor_db=only_one)).said
    )
    passed = Page(html_report(source, decoder, comparison, floor_db=5)).said
    assert "Passed. None of 6 blocks has a square of 256 px below the floor of 5 dB" in passed


@pytest.mark.usefixtures("without_pictures")
def test_text_of_strangers_is_text(
    source: Source, container_path: Path, comparison: Comparison, tmp_path: Path
) -> None:
    named = tmp_path / f"{HOSTILE}.hc.tif"
    shutil.copyfile(container_path, named)
    source.path = tmp_path / f"{HOSTILE}\udcff.svs"  # as Python names a file whose name is not UTF-8
    source.vendor = HOSTILE
    source.properties["aperio.Patient"] = "Doe, Jane"
    with Decoder(named) as decoder:
        slide = dataclasses.replace(decoder.manifest.slide, lossy_history=(LossyStep(HOSTILE, 2.0, HOSTILE),))
        decoder.manifest = dataclasses.replace(decoder.manifest, slide=slide, software=HOSTILE)
        report = html_report(source, decoder, dataclasses.replace(comparison, notes=(HOSTILE,)))
    page = Page(report)
    assert b"<img src=x" not in report
    assert all("onerror" not in attributes for _, attributes in page.tags)
    # The title, the two names above and below, the format, the software, the note, and method and derivation.
    assert page.said.count(HOSTILE) == 10
    assert f"{HOSTILE}?.svs" in page.said
    assert "Doe" not in page.said


def test_the_same_comparison_gives_the_same_report(
    report: bytes, source: Source, decoder: Decoder, comparison: Comparison
) -> None:
    assert html_report(source, decoder, comparison) == report


@pytest.mark.usefixtures("without_pictures")
def test_a_report_of_tiles_too_small_for_ssim(narrow: Path) -> None:
    with open_source(narrow / "slide.tif") as source, Decoder(narrow / "slide.hc.tif") as decoder:
        comparison = compare(source, decoder, blocks="all")
        small = tuple(block for block in comparison.blocks if block.ssim is None)
        said = Page(html_report(source, decoder, dataclasses.replace(comparison, blocks=small))).said
    assert "SSIM – – –" in said
