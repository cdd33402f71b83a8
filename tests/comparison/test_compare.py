"""A slide against its file: the right numbers of the right pixels, and a report that can be shown around."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as PILImage
from skimage.color import deltaE_cie76, rgb2lab
from skimage.metrics import structural_similarity

from histocodec.cli.info import render
from histocodec.comparison import heatmap, page
from histocodec.comparison.compare import ComparedBlock, Comparison, compare
from histocodec.comparison.page import html_report
from histocodec.comparison.pictures import histograms_picture, map_picture, worst_squares
from histocodec.comparison.sheet import MARGIN, MARK, WIDTH
from histocodec.decoder import BICUBIC, Decoder
from histocodec.demo.synthetic import tissue, write_slide
from histocodec.encoder import EncodeSettings, encode
from histocodec.errors import PairMismatch, SettingsError, SourceReadError
from histocodec.format.entries import LossyStep
from histocodec.generators.bicubic import BicubicGenerator
from histocodec.geometry import Image, Region, Size
from histocodec.source import Source, open_source

TILE = 512
FULL = Region(0, 0, 1100, 900)
HOSTILE = "<img src=x onerror=alert(1)>&\"'"


@pytest.fixture
def source(slide_path: Path) -> Iterator[Source]:
    with open_source(slide_path) as opened:
        yield opened


@pytest.fixture
def decoder(container_path: Path) -> Iterator[Decoder]:
    with Decoder(container_path) as opened:
        yield opened


@pytest.fixture(scope="module")
def comparison(slide_path: Path, container_path: Path) -> Comparison:
    """Compare every block."""
    with open_source(slide_path) as source, Decoder(container_path) as decoder:
        return compare(source, decoder, blocks="all")


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `slide.tif` of 523 x 521 px, whose edge tiles are 11 px wide and 9 px high, and `slide.hc.tif`."""
    folder = tmp_path_factory.mktemp("narrow")
    write_slide(folder / "slide.tif", tissue(Size(523, 521), seed=3))
    with open_source(folder / "slide.tif") as source:
        settings = EncodeSettings(ratio=None, quality=40, verify="none")
        encode(source, folder / "slide.hc.tif", BicubicGenerator(4), settings)
    return folder


def psnr_db(a: Image, b: Image) -> float:
    mse = np.mean((a.astype(np.float64) - b) ** 2)
    return 100.0 if mse == 0 else float(20 * np.log10(255) - 10 * np.log10(mse))


def averaged(image: Image) -> Image:
    """4 x 4 means, halves up, the edges repeated."""
    height, width = image.shape[:2]
    padded = np.pad(image, ((0, -height % 4), (0, -width % 4), (0, 0)), mode="edge").astype(np.float64)
    cells = padded.reshape(padded.shape[0] // 4, 4, padded.shape[1] // 4, 4, 3)
    means: Image = np.floor(cells.mean((1, 3)) + 0.5).astype(np.uint8)
    return means


def colour_difference(a: Image, b: Image) -> float:
    return float(deltaE_cie76(rgb2lab(a), rgb2lab(b)).mean())


def expected_score(original: Image, decoded: Image, stored: Image, column: int, row: int) -> dict[str, float | None]:
    """Return a block's scores, cut out of whole images."""
    rows, columns = slice(row * TILE, (row + 1) * TILE), slice(column * TILE, (column + 1) * TILE)
    a, b = original[rows, columns], decoded[rows, columns]
    base = stored[row * TILE // 4 : (row + 1) * TILE // 4, column * TILE // 4 : (column + 1) * TILE // 4]
    ssim = None
    if min(a.shape[:2]) >= 11:
        ssim = structural_similarity(
            a, b, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, channel_axis=2, data_range=255
        )
    return {
        "psnr_db": psnr_db(a, b),
        "ssim": ssim,
        "colour_error": colour_difference(averaged(a), averaged(b)),
        "consistency_db": psnr_db(base, averaged(b)),
    }


def lowest_square(original: Image, decoded: Image, column: int, row: int) -> float:
    """Return the PSNR of a block's worst 256 px, cut out of whole images."""
    found = []
    for y, x in ((y, x) for y in (row * TILE, row * TILE + 256) for x in (column * TILE, column * TILE + 256)):
        a, b = (image[y : y + 256, x : x + 256] for image in (original, decoded))
        if a.size:
            found.append(psnr_db(a, b))
    return min(found)


def scores_of(block: ComparedBlock) -> dict[str, float | None]:
    names = ("psnr_db", "ssim", "colour_error", "consistency_db")
    return {name: getattr(block, name) for name in names}


# Numbers


def test_every_tile_agrees_with_whole_images(comparison: Comparison, source: Source, decoder: Decoder) -> None:
    original, decoded = source.read(FULL), decoder.read(FULL)
    stored = decoder.read(Region(0, 0, 275, 225), 1)
    assert [(block.column, block.row) for block in comparison.blocks] == [
        (0, 0),
        (1, 0),
        (2, 0),
        (0, 1),
        (1, 1),
        (2, 1),
    ]
    for block in comparison.blocks:
        expected = expected_score(original, decoded, stored, block.column, block.row)
        assert scores_of(block) == pytest.approx(expected, abs=2e-3)
        assert block.lowest_db == pytest.approx(lowest_square(original, decoded, block.column, block.row), abs=2e-3)
        assert block.tissue == bool(decoder.container.tissue_map[block.row, block.column])


def test_edges_are_measured_on_what_lies_within_the_slide(narrow: Path) -> None:
    with open_source(narrow / "slide.tif") as source, Decoder(narrow / "slide.hc.tif") as decoder:
        comparison = compare(source, decoder, blocks="all")
        whole = Region(0, 0, 523, 521)
        images = source.read(whole), decoder.read(whole), decoder.read(Region(0, 0, 131, 131), 1)
    assert [comparison.region(block) for block in comparison.blocks] == [
        Region(0, 0, 512, 512),
        Region(512, 0, 11, 512),
        Region(0, 512, 512, 9),
        Region(512, 512, 11, 9),
    ]
    assert [block.ssim is None for block in comparison.blocks] == [False, False, True, True]
    for block in comparison.blocks:
        assert scores_of(block) == pytest.approx(expected_score(*images, block.column, block.row), abs=2e-3)
    everything = comparison.groups[1]
    assert everything.ssim is not None
    ssims = [block.ssim for block in comparison.blocks[:2]]
    assert everything.ssim.mean == pytest.approx(np.mean([s for s in ssims if s is not None]), abs=1e-4)


def test_the_summaries_are_of_the_tiles(comparison: Comparison) -> None:
    values = {name: [scores_of(block)[name] for block in comparison.blocks] for name in scores_of(comparison.blocks[0])}
    for name in ("psnr_db", "ssim", "consistency_db"):
        found = dataclasses.astuple(getattr(comparison.groups[1], name))
        known = np.array(values[name], np.float64)
        assert found == pytest.approx((known.mean(), np.percentile(known, 5), known.min()), abs=1e-4)
    errors = np.array(values["colour_error"], np.float64)
    everything = comparison.groups[1]
    found = dataclasses.astuple(everything.colour_error)
    assert found == pytest.approx((errors.mean(), np.percentile(errors, 95), errors.max()), abs=1e-4)
    assert everything.colour_error.worst > everything.colour_error.mean


def test_equal_pixels_are_100_db(source: Source, decoder: Decoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "read", decoder.read)
    comparison = compare(source, decoder)
    assert {block.psnr_db for block in comparison.blocks} == {100.0}
    assert {block.colour_error for block in comparison.blocks} == {0.0}
    assert [block.ssim for block in comparison.blocks] == pytest.approx([1.0] * len(comparison.blocks))
    assert comparison.notes == ()


def test_consistency_is_of_the_file_alone(
    comparison: Comparison, source: Source, decoder: Decoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = source.read
    monkeypatch.setattr(source, "read", lambda region: read(region) // 2)
    darker = compare(source, decoder, blocks="all")
    assert darker.first.consistency_db == comparison.first.consistency_db
    assert darker.first.psnr_db.mean < comparison.first.psnr_db.mean - 5
    assert darker.first.colour_error.mean > comparison.first.colour_error.mean + 20


def test_the_measured_mean_is_what_the_file_states(source: Source, decoder: Decoder) -> None:
    """Of blocks at the edges the part within the slide counts, in both."""
    quality = decoder.manifest.quality
    assert quality is not None
    found = [block.psnr_db for block in compare(source, decoder).blocks]
    assert len(found) == quality.blocks == 6
    assert np.mean(found) == pytest.approx(quality.psnr_db.mean, abs=1e-4)


# Which tiles


@pytest.fixture
def half_glass(decoder: Decoder, monkeypatch: pytest.MonkeyPatch) -> Decoder:
    """The decoder of a file that marks the left column alone as tissue."""
    tissue_map: NDArray[np.uint8] = np.array([[1, 0, 0], [1, 0, 0]], np.uint8)
    monkeypatch.setattr(decoder.container, "tissue_map", tissue_map)
    return decoder


def test_tissue_alone_unless_all_is_asked_for(source: Source, half_glass: Decoder) -> None:
    comparison = compare(source, half_glass)
    assert [(block.column, block.row) for block in comparison.blocks] == [(0, 0), (0, 1)]
    assert comparison.method == "all 2 tiles of tissue"
    assert [group.name for group in comparison.groups] == ["tissue"]
    everything = compare(source, half_glass, blocks="all")
    assert [block.tissue for block in everything.blocks] == [True, False, False, True, False, False]
    assert everything.method == "all 6 tiles"


def test_tissue_is_stated_first_and_glass_does_not_lift_it(source: Source, half_glass: Decoder) -> None:
    alone, both = compare(source, half_glass), compare(source, half_glass, blocks="all")
    tissue, everything = both.groups
    assert (tissue.name, everything.name) == ("tissue", "everything")
    assert tissue.psnr_db == alone.first.psnr_db
    facts = both.facts()
    assert facts["measured"] == "all 2 tiles of tissue"
    assert {key: facts[key] for key in tissue.facts()} == tissue.facts()
    stated = facts["everything"]
    assert isinstance(stated, dict)
    assert stated.pop("tiles") == 6
    assert stated == everything.facts()
    assert everything.psnr_db.mean != tissue.psnr_db.mean


def test_glass_alone_is_stated_as_everything(source: Source, decoder: Decoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder.container, "tissue_map", np.zeros((2, 3), np.uint8))
    comparison = compare(source, decoder, blocks="all")
    assert [group.name for group in comparison.groups] == ["everything"]
    assert comparison.facts()["measured"] == "all 6 tiles of tissue and glass"


def test_only_of_all_tiles_one_is_the_worst(source: Source, decoder: Decoder, comparison: Comparison) -> None:
    def stated(measure: str, found: Comparison) -> dict[str, float | None]:
        return found.facts()[measure]  # type: ignore[return-value]

    some = compare(source, decoder, blocks="all", count=3)
    for measure, extreme in (("psnr_db", "lowest"), ("colour_error", "highest")):
        assert stated(measure, some)["worst"] is None
        assert stated(measure, some)[extreme] == getattr(some.first, measure).worst
        assert stated(measure, some)["of"] == 3
        assert stated(measure, comparison)["worst"] == stated(measure, comparison)[extreme]
    text = render(some.facts())
    assert "lowest of 3: " in text
    assert "highest of 3: " in text
    assert "worst of" not in text
    assert "worst of all 6: " in render(comparison.facts())
    said = Page(html_report(source, decoder, some)).said
    assert "Lowest of 3" in said
    assert "PSNR of the lowest of 3 tiles of tissue" in said


def test_a_sample_is_spread_and_seeded(source: Source, decoder: Decoder, comparison: Comparison) -> None:
    samples = [compare(source, decoder, blocks="all", count=3, seed=seed) for seed in range(4)]
    for sample in samples:
        numbers = [block.row * 3 + block.column for block in sample.blocks]
        assert [number // 2 for number in numbers] == [0, 1, 2]
        assert set(sample.blocks) < set(comparison.blocks)
    assert len({sample.blocks for sample in samples}) > 1
    assert compare(source, decoder, blocks="all", count=3, seed=2) == samples[2]
    assert samples[2].method == "3 of 6 tiles, spread over the slide, drawn with seed 2"


def test_a_count_beyond_the_slide_is_all(source: Source, decoder: Decoder, comparison: Comparison) -> None:
    assert compare(source, decoder, blocks="all", count=7).blocks == comparison.blocks


def test_progress_counts_the_tiles(source: Source, decoder: Decoder) -> None:
    calls: list[tuple[int, int]] = []
    compare(source, decoder, blocks="all", count=4, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]


# What is wrong


def test_a_slide_of_another_size(decoder: Decoder, narrow: Path) -> None:
    with open_source(narrow / "slide.tif") as other, pytest.raises(PairMismatch) as caught:
        compare(other, decoder)
    assert (caught.value.slide, caught.value.file) == (narrow / "slide.tif", decoder.path)
    assert "expected a slide of 1100 x 900 px, found 523 x 521 px" in str(caught.value)


@pytest.mark.parametrize(("factor", "accepted"), [(0.985, False), (0.995, True), (1.005, True), (1.015, False)])
def test_another_resolution(slide_path: Path, decoder: Decoder, factor: float, accepted: bool) -> None:
    with open_source(slide_path, mpp=decoder.mpp * factor) as source:
        if accepted:
            compare(source, decoder, count=1)
            return
        with pytest.raises(PairMismatch, match=r"expected 0\.25 um/px, found 0\.2\d+ um/px"):
            compare(source, decoder, count=1)


def test_another_slide_of_that_size_is_doubted(tmp_path: Path, decoder: Decoder) -> None:
    write_slide(tmp_path / "other.tif", tissue(Size(1100, 900), seed=8))
    with open_source(tmp_path / "other.tif") as other:
        comparison = compare(other, decoder)
    (note,) = comparison.notes
    assert decoder.manifest.quality is not None
    assert f"was {decoder.manifest.quality.psnr_db.mean:.2f} dB when the file was made" in note


@pytest.mark.parametrize(("above_db", "doubted"), [(2.9, False), (3.1, True)])
def test_the_mean_may_be_3_db_below_what_is_stated(
    source: Source, decoder: Decoder, above_db: float, doubted: bool
) -> None:
    quality = decoder.manifest.quality
    assert quality is not None
    stated = dataclasses.replace(quality.psnr_db, mean=quality.psnr_db.mean + above_db)
    raised = dataclasses.replace(quality, psnr_db=stated)
    decoder.manifest = dataclasses.replace(decoder.manifest, quality=raised)
    assert bool(compare(source, decoder).notes) == doubted


def test_glass_does_not_make_up_for_tissue(source: Source, half_glass: Decoder, comparison: Comparison) -> None:
    tissue_db, glass_db = (
        float(np.mean([block.psnr_db for block in comparison.blocks if (block.column == 0) == tissue]))
        for tissue in (True, False)
    )
    assert glass_db > tissue_db
    quality = half_glass.manifest.quality
    assert quality is not None
    stated = dataclasses.replace(quality, psnr_db=dataclasses.replace(quality.psnr_db, mean=tissue_db + 3.1))
    half_glass.manifest = dataclasses.replace(half_glass.manifest, quality=stated)
    (note,) = compare(source, half_glass, blocks="all").notes
    assert f"the mean PSNR of tissue is {tissue_db:.2f} dB" in note


def test_bicubic_is_held_to_what_bicubic_reached(slide_path: Path, container_path: Path) -> None:
    with open_source(slide_path) as source, Decoder(container_path, generator=BICUBIC) as decoder:
        quality = decoder.manifest.quality
        assert quality is not None
        stated = dataclasses.replace(quality.psnr_db, mean=quality.psnr_db.mean + 10)
        decoder.manifest = dataclasses.replace(decoder.manifest, quality=dataclasses.replace(quality, psnr_db=stated))
        comparison = compare(source, decoder)
    assert comparison.notes == ()
    assert comparison.label == "reconstructed by bicubic-x4 builtin:bicubic-x4"


def test_a_slide_that_was_decoded_is_no_original(source: Source, decoder: Decoder) -> None:
    source.properties["tiff.ImageDescription"] = "Aperio-compatible histocodec 1\r\nreconstructed by x|MPP = 0.25"
    assert compare(source, decoder, count=1).notes == (
        "the slide is itself a reconstruction: reconstructed by a generator that is not named",
    )


def test_what_cannot_be_compared(source: Source, decoder: Decoder, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="count of at least 1, found 0"):
        compare(source, decoder, count=0)
    with pytest.raises(SettingsError, match="tissue or all, found glass"):
        compare(source, decoder, blocks="glass")  # type: ignore[arg-type]
    monkeypatch.setattr(decoder.container, "tissue_map", np.zeros((2, 3), np.uint8))
    with pytest.raises(SettingsError, match="marks no block as tissue"):
        compare(source, decoder)
    assert len(compare(source, decoder, blocks="all").blocks) == 6
    source.close()
    with pytest.raises(SourceReadError):
        compare(source, decoder, blocks="all")


# What it comes to


def test_the_worst_come_first(comparison: Comparison) -> None:
    ranked = comparison.ranked()
    assert [block.lowest_db for block in ranked] == sorted(block.lowest_db for block in comparison.blocks)
    assert comparison.below(ranked[2].lowest_db) == ranked[:2]
    assert comparison.below(0) == []
    assert comparison.below(100.1) == ranked
    for floor_db in (float("nan"), float("inf")):
        with pytest.raises(SettingsError, match="floor"):
            comparison.below(floor_db)


def test_the_facts_are_json(comparison: Comparison, container_path: Path) -> None:
    facts = json.loads(json.dumps(comparison.facts(), allow_nan=False))
    assert facts["file"] == str(container_path)
    assert facts["size"] == [1100, 900]
    assert facts["psnr_db"]["worst"] == pytest.approx(comparison.first.psnr_db.worst)
    assert facts["colour_error"].keys() == {"mean", "percentile_95", "worst", "highest", "of"}
    assert facts["lowest_square_db"] == pytest.approx(comparison.ranked()[0].lowest_db, abs=1e-4)
    assert facts["notice"] == "not for primary diagnosis"
    worst, region = comparison.ranked()[0], comparison.region(comparison.ranked()[0])
    assert len(facts["worst_tiles"]) == 6
    assert facts["worst_tiles"][0] == {
        "x": region.x,
        "y": region.y,
        "width": region.width,
        "height": region.height,
        "tissue": worst.tissue,
        "in_region": False,
        "lowest_square_db": pytest.approx(worst.lowest_db, abs=1e-4),
        **{name: pytest.approx(value, abs=1e-4) for name, value in scores_of(worst).items()},
    }


# Pictures


def pixels(picture: PILImage.Image) -> Image:
    assert picture.mode == "RGB"
    assert picture.width == WIDTH
    return np.asarray(picture)


def test_the_worst_squares_are_pixels_of_the_slide(comparison: Comparison, source: Source, decoder: Decoder) -> None:
    shown = list(worst_squares(source, decoder, comparison, count=2))
    assert [square.block for square in shown] == comparison.ranked()[:2]
    for square in shown:
        region = square.region
        assert max(region.width, region.height) <= 256
        assert np.array_equal(square.original, source.read(region))
        assert np.array_equal(square.decoded, decoder.read(region))
        assert psnr_db(square.original, square.decoded) == pytest.approx(square.block.lowest_db, abs=1e-3)
        expected = np.clip(128 + 4 * (square.decoded.astype(int) - square.original), 0, 255)
        assert np.array_equal(square.difference, expected)
    assert len(list(worst_squares(source, decoder, comparison))) == 6


LEFT, TOP, ACROSS, DOWN = 32, 32, 1390, 1137
"""Where the slide lies in its map: 1100 x 900 px, times 1390 / 1100."""


def test_the_worst_tile_is_outlined_in_its_place(
    comparison: Comparison, decoder: Decoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heatmap, "badge", lambda draw, centre, number: None)
    for block in comparison.blocks:
        alone = dataclasses.replace(comparison, blocks=(block,))
        rows, columns = np.nonzero((pixels(map_picture(decoder, alone, count=1)) == MARK).all(-1))
        region = comparison.region(block)
        factor = ACROSS / 1100
        left, right = LEFT + region.x * factor, LEFT + region.right * factor
        top, bottom = TOP + region.y * factor, TOP + region.bottom * factor
        found = (columns.min(), columns.max() + 1, rows.min(), rows.max() + 1)
        assert found == pytest.approx((left - 4, right + 4, top - 4, bottom + 4), abs=1)
    assert not (pixels(map_picture(decoder, comparison, count=0)) == MARK).all(-1).any()
    drawn = (pixels(map_picture(decoder, comparison, count=2)) == MARK).all(-1)
    assert drawn.sum() > len(rows)


def test_the_map_is_coloured_where_tiles_were_compared(comparison: Comparison, decoder: Decoder) -> None:
    middle = next(block for block in comparison.blocks if (block.column, block.row) == (1, 0))
    shown = pixels(map_picture(decoder, dataclasses.replace(comparison, blocks=(middle,)), count=0))
    ground = shown[TOP : TOP + DOWN, LEFT : LEFT + ACROSS].astype(int)
    coloured = np.ptp(ground, axis=-1) > 0
    x, y = round(512 * ACROSS / 1100), round(512 * ACROSS / 1100)
    expected = np.zeros_like(coloured)
    expected[:y, x : 2 * x] = True
    assert np.mean(coloured != expected) < 0.005


def test_low_and_high_psnr_have_the_colours_of_the_scale(comparison: Comparison, decoder: Decoder) -> None:
    levels = {0: 20.0, 1: 30.0, 2: 40.0}
    tiles = tuple(dataclasses.replace(block, psnr_db=levels[block.column]) for block in comparison.blocks)
    shown = pixels(map_picture(decoder, dataclasses.replace(comparison, blocks=tiles), count=0)).astype(int)
    low, middle, high = (
        shown[TOP + 300 : TOP + 500, LEFT + round(x * ACROSS / 1100) :][:, :60].mean((0, 1)) for x in (200, 700, 1040)
    )
    # From dark blue over teal to pale yellow, as the bar runs from its lower end to its upper.
    assert low.sum() < middle.sum() < high.sum()
    assert low[2] > low[0]
    assert high[0] > high[2]
    bar = shown[TOP : TOP + DOWN, LEFT + ACROSS + 36 + 14]
    assert bar[-1].sum() < bar[DOWN // 2].sum() < bar[0].sum()


def test_the_colours_are_those_of_the_tissue(half_glass: Decoder, comparison: Comparison) -> None:
    """Glass of 60 dB leaves the colours of tissue of 20 to 30 dB as they are without it."""
    levels = {(0, 0): 20.0, (0, 1): 30.0}
    tiles = tuple(
        dataclasses.replace(block, psnr_db=levels.get((block.column, block.row), 60.0)) for block in comparison.blocks
    )
    both, alone = (
        dataclasses.replace(comparison, blocks=tiles),
        dataclasses.replace(comparison, blocks=tuple(block for block in tiles if block.column == 0)),
    )
    shown, expected = (pixels(map_picture(half_glass, found, count=0)) for found in (both, alone))
    tissue = np.s_[TOP : TOP + DOWN, LEFT : LEFT + round(500 * ACROSS / 1100)]
    assert np.array_equal(shown[tissue], expected[tissue])


def test_a_tall_slide_fits_into_its_map(decoder: Decoder, comparison: Comparison) -> None:
    ground = heatmap._Ground.of(Size(1000, 40000))
    assert ground.shape == Size(32, 1300)
    assert ground.place(Region(500, 39000, 500, 1000))[1:] == (MARGIN + 1268, ground.left + 32, MARGIN + 1300)
    assert MARGIN < ground.left < WIDTH // 2


def test_histograms_have_bars_and_lines(comparison: Comparison) -> None:
    shown = pixels(histograms_picture(comparison))
    assert shown.shape[0] == 1080
    panels = [shown[y : y + 540, x : x + 820] for y in (0, 540) for x in (0, 820)]
    for panel in panels:
        assert (panel == (0x9F, 0xB6, 0xC9)).all(-1).sum() > 1000
        assert (panel == (0xB0, 0x00, 0x24)).all(-1).sum() > 50
    without = dataclasses.replace(
        comparison, blocks=tuple(dataclasses.replace(block, ssim=None) for block in comparison.blocks)
    )
    panel = pixels(histograms_picture(without))[:540, 820:]
    assert not (panel == (0x9F, 0xB6, 0xC9)).all(-1).any()


# The report


@pytest.fixture(scope="module")
def report(slide_path: Path, container_path: Path, comparison: Comparison) -> bytes:
    with open_source(slide_path) as source, Decoder(container_path) as decoder:
        return html_report(source, decoder, comparison)


@pytest.fixture
def without_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports are made faster."""
    monkeypatch.setattr(page, "_image", lambda picture, alternative: "")


class Page(HTMLParser):
    """Tags, attributes and text; asserts that every tag is closed where it should be."""

    VOID = frozenset({"meta", "img"})

    def __init__(self, report: bytes) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(report.decode("utf-8"))
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text.append(data)

    @property
    def said(self) -> str:
        return " ".join(" ".join(self.text).split())


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
    assert str(decoder.path.parent) not in said
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
def test_the_report_says_whether_the_floor_holds(source: Source, decoder: Decoder, comparison: Comparison) -> None:
    between = (comparison.ranked()[1].lowest_db + comparison.ranked()[2].lowest_db) / 2
    failed = Page(html_report(source, decoder, comparison, floor_db=between)).said
    assert f"Failed. 2 of 6 tiles have a square of 256 px below the floor of {between:g} dB" in failed
    only_one = (comparison.ranked()[0].lowest_db + comparison.ranked()[1].lowest_db) / 2
    assert (
        "Failed. 1 of 6 tiles has a square of 256 px below"
        in Page(html_report(source, decoder, comparison, floor_db=only_one)).said
    )
    passed = Page(html_report(source, decoder, comparison, floor_db=5)).said
    assert "Passed. None of 6 tiles has a square of 256 px below the floor of 5 dB" in passed


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
