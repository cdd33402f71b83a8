"""A slide against its file: the right numbers of the right pixels."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from skimage.color import deltaE_cie76, rgb2lab
from skimage.metrics import structural_similarity

from histocodec.cli.info import render
from histocodec.comparison.compare import ComparedBlock, Comparison, compare
from histocodec.comparison.page import html_report
from histocodec.decoder import BICUBIC, Decoder
from histocodec.demo.synthetic import tissue, write_slide
from histocodec.errors import PairMismatch, SettingsError, SourceReadError
from histocodec.geometry import Image, Region, Size
from histocodec.source import Source, open_source
from tests.comparison.inputs import Page, psnr_db

TILE = 512
FULL = Region(0, 0, 1100, 900)


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


def test_tissue_alone_unless_all_is_asked_for(source: Source, half_glass: Decoder) -> None:
    comparison = compare(source, half_glass)
    assert [(block.column, block.row) for block in comparison.blocks] == [(0, 0), (0, 1)]
    assert comparison.method == "all 2 blocks of tissue"
    assert [group.name for group in comparison.groups] == ["tissue"]
    everything = compare(source, half_glass, blocks="all")
    assert [block.tissue for block in everything.blocks] == [True, False, False, True, False, False]
    assert everything.method == "all 6 blocks"


def test_tissue_is_stated_first_and_glass_does_not_lift_it(source: Source, half_glass: Decoder) -> None:
    alone, both = compare(source, half_glass), compare(source, half_glass, blocks="all")
    tissue, everything = both.groups
    assert (tissue.name, everything.name) == ("tissue", "everything")
    assert tissue.psnr_db == alone.first.psnr_db
    facts = both.facts()
    assert facts["measured"] == "all 2 blocks of tissue"
    assert {key: facts[key] for key in tissue.facts()} == tissue.facts()
    stated = facts["everything"]
    assert isinstance(stated, dict)
    assert stated.pop("blocks") == 6
    assert stated == everything.facts()
    assert everything.psnr_db.mean != tissue.psnr_db.mean


def test_glass_alone_is_stated_as_everything(source: Source, decoder: Decoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder.container, "tissue_map", np.zeros((2, 3), np.uint8))
    comparison = compare(source, decoder, blocks="all")
    assert [group.name for group in comparison.groups] == ["everything"]
    assert comparison.facts()["measured"] == "all 6 blocks of tissue and glass"


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
    assert "PSNR of the lowest of 3 blocks of tissue" in said


def test_a_sample_is_spread_and_seeded(source: Source, decoder: Decoder, comparison: Comparison) -> None:
    samples = [compare(source, decoder, blocks="all", count=3, seed=seed) for seed in range(4)]
    for sample in samples:
        numbers = [block.row * 3 + block.column for block in sample.blocks]
        assert [number // 2 for number in numbers] == [0, 1, 2]
        assert set(sample.blocks) < set(comparison.blocks)
    assert len({sample.blocks for sample in samples}) > 1
    assert compare(source, decoder, blocks="all", count=3, seed=2) == samples[2]
    assert samples[2].method == "3 of 6 blocks, spread over the slide, drawn with seed 2"


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
    assert len(facts["worst_blocks"]) == 6
    assert facts["worst_blocks"][0] == {
        "x": region.x,
        "y": region.y,
        "width": region.width,
        "height": region.height,
        "tissue": worst.tissue,
        "in_region": False,
        "lowest_square_db": pytest.approx(worst.lowest_db, abs=1e-4),
        **{name: pytest.approx(value, abs=1e-4) for name, value in scores_of(worst).items()},
    }
