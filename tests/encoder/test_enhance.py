"""Files with a floor: it holds on every block that is decoded, and what it costs is what it must."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histocodec.decoder import BICUBIC, Decoder
from histocodec.demo.synthetic import tissue, write_slide
from histocodec.encoder import EncodeReport, EncodeSettings, encode
from histocodec.encoder.measure import half_width
from histocodec.errors import BudgetError, CorruptContainer, RoiError, SettingsError
from histocodec.format.regions import RegionsOfInterest
from histocodec.generators.bicubic import BicubicGenerator
from histocodec.geometry import Image, Region, Size, TileGrid
from histocodec.pixels.metrics import psnr, ssim
from histocodec.pixels.residual import Mode, fingerprint
from histocodec.source import open_source
from histocodec.training.data.patches import read_image
from histocodec.validation import validate
from tests.places import FindData

FLOOR = 33.0


def _encoded(slide: Path, output: Path, **options: object) -> EncodeReport:
    with open_source(slide) as source:
        return encode(source, output, BicubicGenerator(4), EncodeSettings(**options))  # type: ignore[arg-type]


def _square(size: Size, x: int, y: int, side: int) -> RegionsOfInterest:
    ring = [[x, y], [x + side, y], [x + side, y + side], [x, y + side], [x, y]]
    feature = {
        "type": "Feature",
        "properties": {"name": "a nest"},
        "geometry": {"type": "Polygon", "coordinates": [ring]},
    }
    return RegionsOfInterest.from_geojson(json.dumps(feature).encode(), size)


def _psnr_by_block(decoder: Decoder, image: Image, side: int | None = None) -> dict[tuple[int, int], float]:
    """side: of squares; None for the blocks."""
    grid = TileGrid(decoder.levels[0], side or decoder.block_size)
    found = {}
    for index in range(grid.count):
        part = grid.covered(*grid.address(index))
        original = image[part.y : part.bottom, part.x : part.right]
        found[grid.address(index)] = psnr(original, decoder.read(part))
    return found


@pytest.fixture(scope="module")
def pixels(slide_path: Path) -> Image:
    """What the encoder reads of the slide, which is a JPEG."""
    with open_source(slide_path) as source:
        return source.read(Region(0, 0, *source.size))


@pytest.fixture(scope="module")
def four_blocks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A slide of two blocks by two, for what codes it many times over."""
    path = tmp_path_factory.mktemp("four-blocks") / "slide.tif"
    write_slide(path, tissue(Size(620, 560), seed=7))
    return path


@pytest.fixture(scope="module")
def bounded(tmp_path_factory: pytest.TempPathFactory, slide_path: Path) -> Path:
    """`slide_path` with a floor, bicubic, at a fixed base quality."""
    path = tmp_path_factory.mktemp("bounded") / "slide.hc.tif"
    _encoded(slide_path, path, ratio=None, quality=30.0, min_psnr_db=FLOOR)
    return path


def test_the_floor_holds_on_every_block(bounded: Path, pixels: Image) -> None:
    with Decoder(bounded) as decoder:
        by_block = _psnr_by_block(decoder, pixels)
        layer = decoder.manifest.layers.enhancement
        assert layer is not None
        assert layer.psnr_db is not None
        assert decoder.manifest.tier == "bounded"
        assert min(by_block.values()) >= FLOOR
        by_square = _psnr_by_block(decoder, pixels, 256)  # 1100 x 900 px leave no sliver
        assert min(by_square.values()) >= FLOOR
        assert layer.square == 256
        assert layer.lowest_db == pytest.approx(min(by_square.values()), abs=1e-3)
        assert layer.psnr_db.worst == pytest.approx(min(by_block.values()), abs=1e-3)
        assert layer.psnr_db.mean == pytest.approx(np.mean([min(v, 100) for v in by_block.values()]), abs=1e-3)
    assert validate(bounded, deep=True) == []


def test_blocks_that_meet_the_floor_pay_nothing(bounded: Path, pixels: Image) -> None:
    with Decoder(bounded) as whole, Decoder(bounded, enhancement=False) as predicted:
        layer = whole.container.enhancement
        assert layer is not None
        assert whole.is_enhanced
        assert not predicted.is_enhanced
        by_square = _psnr_by_block(predicted, pixels, 256)
        below = dict.fromkeys(_psnr_by_block(predicted, pixels), False)
        for (column, row), value in by_square.items():
            below[column // 2, row // 2] |= value < FLOOR
        for index in range(layer.grid.count):
            assert (layer.modes[index] != Mode.ABSENT) == below[layer.grid.address(index)]
        assert 0 < sum(below.values()) < layer.grid.count


def test_without_the_layer_it_is_the_file_that_has_none(bounded: Path, slide_path: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain.hc.tif"
    _encoded(slide_path, plain, ratio=None, quality=30.0)
    with Decoder(plain) as other, Decoder(bounded, enhancement=False) as decoder:
        region = Region(0, 0, *decoder.levels[0])
        assert np.array_equal(decoder.read(region), other.read(region))


@settings(deadline=None, max_examples=25)
@given(data=st.data())
def test_a_region_is_cut_out_of_the_whole(bounded: Path, data: st.DataObject) -> None:
    with Decoder(bounded) as decoder:
        width, height = decoder.levels[0]
        x, y = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
        region = Region(x, y, data.draw(st.integers(1, width - x)), data.draw(st.integers(1, height - y)))
        part = decoder.read(region)
    with Decoder(bounded) as decoder:
        whole = decoder.read(Region(0, 0, width, height))
    assert np.array_equal(part, whole[region.y : region.bottom, region.x : region.right])


def test_bicubic_cannot_be_corrected_and_says_so(tmp_path: Path, bounded: Path) -> None:
    with Decoder(bounded, generator=BICUBIC) as decoder:
        assert not decoder.is_enhanced


def test_the_quality_map_is_what_was_measured(bounded: Path, pixels: Image) -> None:
    with Decoder(bounded, enhancement=False) as decoder:
        quality_map, facts = decoder.container.quality_map, decoder.manifest.quality
        assert quality_map is not None
        assert facts is not None
        grid = TileGrid(decoder.levels[0], decoder.block_size)
        measured = np.argwhere(quality_map.measured)
        assert len(measured) == facts.blocks > 0
        for row, column in measured.tolist():
            part = grid.covered(column, row)
            original, made = pixels[part.y : part.bottom, part.x : part.right], decoder.read(part)
            assert quality_map.psnr_db[row, column] == pytest.approx(psnr(original, made), abs=1.1e-3)
            assert quality_map.ssim[row, column] == pytest.approx(ssim(original, made), abs=2e-5)
        assert facts.psnr_half_width_db == 0  # all of it was measured
        assert facts.worst_block is not None
        column, row = facts.worst_block
        assert quality_map.psnr_db[row, column] == pytest.approx(np.nanmin(quality_map.psnr_db))
        assert facts.psnr_db.worst == pytest.approx(np.nanmin(quality_map.psnr_db), abs=2e-3)


def test_regions_of_interest_have_a_floor_of_their_own(tmp_path: Path, slide_path: Path, pixels: Image) -> None:
    regions = _square(Size(1100, 900), 700, 100, 100)
    path = tmp_path / "roi.hc.tif"
    _encoded(slide_path, path, ratio=None, quality=28.0, regions=regions, roi_psnr_db=38.0)
    with Decoder(path) as decoder:
        by_block = _psnr_by_block(decoder, pixels)
        by_square = _psnr_by_block(decoder, pixels, 256)
        assert min(by_square[column, row] for column in (2, 3) for row in (0, 1)) >= 38.0
        assert min(by_block.values()) < 30.0  # nothing is asked for elsewhere
        layer = decoder.container.enhancement
        assert layer is not None
        assert np.count_nonzero(layer.modes) == 1
        stored = decoder.container.regions()
        assert stored == regions
        assert stored is not None
        assert b"a nest" in stored.to_geojson()


def test_a_floor_alone_finds_a_split_that_takes_fewer_bytes_than_bad_ones(tmp_path: Path, four_blocks: Path) -> None:
    best = _encoded(four_blocks, tmp_path / "best.hc.tif", ratio=None, min_psnr_db=FLOOR).size_bytes
    for quality in (36.0, 44.0):
        other = _encoded(four_blocks, tmp_path / f"{quality}.hc.tif", ratio=None, quality=quality, min_psnr_db=FLOOR)
        assert best < other.size_bytes


def test_a_ratio_and_a_floor_both_hold_where_they_can(tmp_path: Path, four_blocks: Path) -> None:
    report = _encoded(four_blocks, tmp_path / "both.hc.tif", ratio=2.0, min_psnr_db=28.0)
    assert report.ratio_to_source >= 2.0
    with open_source(four_blocks) as source, Decoder(report.path) as decoder:
        pixels = source.read(Region(0, 0, *source.size))
        assert min(_psnr_by_block(decoder, pixels).values()) >= 28.0


def test_where_they_cannot_the_encoder_says_by_how_much_and_what_would(tmp_path: Path, four_blocks: Path) -> None:
    output = tmp_path / "out.hc.tif"
    with pytest.raises(
        BudgetError, match=r"times as many: .* (--ratio [\d.]+|no ratio) can be met with this floor"
    ) as caught:
        _encoded(four_blocks, output, ratio=16.0, min_psnr_db=40.0)
    assert caught.value.needed_bytes > caught.value.budget_bytes
    assert not output.exists()


def test_a_decoder_that_predicts_otherwise_refuses_to_add_residuals(
    bounded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Decoder(bounded) as decoder:
        layer = decoder.container.enhancement
        assert layer is not None
        index = int(np.flatnonzero(layer.modes == Mode.RESIDUAL)[0])
        place = layer.grid.covered(*layer.grid.address(index))
        decoder.read(place)
        decoder.clear_cache()

        def shifted(image: Image) -> object:
            return fingerprint(
                np.where(image < 250, image + 3 * (np.indices(image.shape).sum(0) % 2), image).astype(np.uint8)
            )

        monkeypatch.setattr("histocodec.decoder.fingerprint", shifted)
        with pytest.raises(CorruptContainer) as caught:
            decoder.read(place)
        assert caught.value.code == "prediction-mismatch"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"min_psnr_db": 60.0}, "8 bits"),
        ({"min_psnr_db": 5.0}, "10 to 50 dB"),
        ({"roi_psnr_db": 40.0}, "go together"),
        ({"regions": _square(Size(10, 10), 1, 1, 2)}, "go together"),
        ({"min_psnr_db": 40.0, "regions": _square(Size(10, 10), 1, 1, 2), "roi_psnr_db": 35.0}, "above"),
        ({"enhancement_codec": "avif"}, "nothing to enhance"),
        ({"min_psnr_db": 34.0, "base": "auto"}, "base auto"),
    ],
)
def test_settings_that_make_no_sense_are_refused(options: dict[str, object], reason: str) -> None:
    with pytest.raises(SettingsError, match=reason):
        EncodeSettings(**options)  # type: ignore[arg-type]


def test_half_width_is_that_of_a_sample_without_replacement() -> None:
    rng = np.random.default_rng(1)
    population = rng.normal(30, 2, 400)
    covered = []
    for _ in range(500):
        sample = rng.choice(population, 40, replace=False)
        covered.append(abs(sample.mean() - population.mean()) <= half_width(sample.tolist(), 400))
    assert 0.92 < np.mean(covered) < 0.985
    assert half_width([1.0, 2.0], 2) == 0.0


def test_a_deidentified_file_keeps_geometries_and_no_names(tmp_path: Path, slide_path: Path) -> None:
    regions = _square(Size(1100, 900), 700, 100, 100)
    path = tmp_path / "bare.hc.tif"
    _encoded(slide_path, path, ratio=None, quality=28.0, regions=regions, roi_psnr_db=34.0, deidentify=True)
    with Decoder(path) as decoder:
        stored = decoder.container.regions()
    assert stored is not None
    assert b"a nest" not in stored.to_geojson()
    grid = TileGrid(Size(1100, 900), 64)
    assert stored.tiles(grid) == regions.tiles(grid)


def test_regions_fill_the_budget_and_cost_the_rest_what_the_note_says(
    tmp_path: Path, slide_path: Path, pixels: Image
) -> None:
    plain = _encoded(slide_path, tmp_path / "plain.hc.tif", ratio=6.0)
    regions = _square(Size(1100, 900), 700, 100, 60)
    report = _encoded(
        slide_path, tmp_path / "roi.hc.tif", ratio=6.0, regions=regions, roi_psnr_db=32.0, rest_loss_db=2.0
    )
    budget = slide_path.stat().st_size / 6
    assert 0.99 * budget <= report.size_bytes <= budget  # so small a slide has few tiles to be filled with
    with Decoder(plain.path) as before, Decoder(report.path) as after:
        better, worse = _psnr_by_block(before, pixels), _psnr_by_block(after, pixels)
        loss = [better[address] - worse[address] for address in better if address != (1, 0)]
        stated = after.manifest.layers.enhancement
        assert stated is not None
        assert stated.rest_loss_db is not None
    assert max(loss) <= 2.0
    assert stated.rest_loss_db.worst == pytest.approx(max(loss), abs=1e-3)
    assert stated.rest_loss_db.mean == pytest.approx(np.mean(loss), abs=1e-3)
    (note,) = (note for note in report.notes if "cost the tissue outside" in note)
    assert f"{max(loss):.2f} dB at most" in note
    assert report.psnr_db == stated.tissue_psnr_db
    with pytest.raises(SettingsError, match="floor for all tiles"):
        EncodeSettings(ratio=None, regions=regions, roi_psnr_db=32.0)


def test_regions_that_would_ruin_the_rest_are_refused_with_what_would_do(tmp_path: Path, slide_path: Path) -> None:
    """What the sentence proposes does."""
    output = tmp_path / "roi.hc.tif"
    options = {"ratio": 6.0, "regions": _square(Size(1100, 900), 700, 100, 60), "roi_psnr_db": 38.0}
    with pytest.raises(BudgetError, match=r"more than the 0\.6 dB that any block of it may lose") as caught:
        _encoded(slide_path, output, **options, rest_loss_db=0.6)
    assert not output.exists()
    proposed = {
        name: float(value) for name, value in re.findall(r"--(rest-loss|roi-psnr|ratio) ([\d.]+)", str(caught.value))
    }
    assert {"rest-loss"} <= proposed.keys()
    names = {"rest-loss": "rest_loss_db", "roi-psnr": "roi_psnr_db", "ratio": "ratio"}
    for name, value in proposed.items():
        _encoded(slide_path, tmp_path / f"{name}.hc.tif", **{**options, "rest_loss_db": 0.6, names[name]: value})


@pytest.mark.parametrize("codec", ["avif", "jpeg"])
def test_a_codec_of_whole_qualities_fills_the_budget_too(tmp_path: Path, codec: str) -> None:
    """Tiles that no region sees are coded one step finer while there is room, and the rest of it is the regions'."""
    slide, size = tmp_path / "slide.tif", Size(2600, 2100)
    write_slide(slide, tissue(size, seed=11))
    options = {"ratio": 16.0, "regions": _square(size, 20, 20, 60), "roi_psnr_db": 36.0, "rest_loss_db": 5.0}
    report = _encoded(slide, tmp_path / "x.hc.tif", codec=codec, **options)
    assert 0.99 <= report.size_bytes / (slide.stat().st_size / 16.0) <= 1  # a slide of four tiles, of AVIF


def test_regions_on_glass_alone_are_mentioned(tmp_path: Path) -> None:
    image = np.full((1024, 1536, 3), 240, np.uint8)
    image[:512, :512] = tissue(Size(512, 512), seed=3)
    write_slide(tmp_path / "slide.tif", image)
    for x, mentioned in ((1200, True), (100, False)):
        regions = _square(Size(1536, 1024), x, 100, 100)
        output = tmp_path / f"{x}.hc.tif"
        notes = _encoded(
            tmp_path / "slide.tif", output, ratio=None, quality=28.0, regions=regions, roi_psnr_db=30.0
        ).notes
        assert any("touch glass alone" in note for note in notes) == mentioned


def test_regions_that_touch_nothing_are_an_error(tmp_path: Path, slide_path: Path) -> None:
    """Their bounds reach over the slide's corner, they do not."""
    ring = [[1050, 950], [1150, 950], [1150, 850], [1050, 950]]
    text = json.dumps({"type": "Polygon", "coordinates": [ring]}).encode()
    regions = RegionsOfInterest.from_geojson(text, Size(1100, 900))
    with pytest.raises(RoiError, match="no region of interest touches"):
        _encoded(slide_path, tmp_path / "x.hc.tif", ratio=None, quality=28.0, regions=regions, roi_psnr_db=32.0)


def test_regions_outside_the_slide_are_mentioned(tmp_path: Path, slide_path: Path) -> None:
    inside, far = _square(Size(1100, 900), 700, 100, 100), _square(Size(5000, 5000), 3000, 3000, 50)
    regions = RegionsOfInterest((*inside.features, *far.features), Size(1100, 900))
    report = _encoded(slide_path, tmp_path / "x.hc.tif", ratio=None, quality=28.0, regions=regions, roi_psnr_db=30.0)
    assert "1 of 2 regions of interest lie outside the slide" in report.notes


@pytest.mark.parametrize(("codec", "base"), [("jp2k", "10x"), ("avif", "20x")])
def test_the_floor_holds_on_tissue_that_no_network_saw_in_training(
    find_data: FindData, tmp_path: Path, codec: str, base: str
) -> None:
    """A tile of another lab, with the generator that ships, glass and edges around it."""
    tiles = sorted(find_data("foreign/tnbc").glob("*.jxl"))
    image = np.full((600, 900, 3), 242, np.uint8)
    image[30:542, 300:812] = read_image(tiles[1])[:512, :512]
    slide = tmp_path / "slide.tif"
    write_slide(slide, image)
    with open_source(slide) as source:
        options = EncodeSettings(codec=codec, base=base, ratio=None, quality=35.0, min_psnr_db=32.0)  # type: ignore[arg-type]
        report = encode(source, tmp_path / "slide.hc.tif", settings=options)
        read = source.read(Region(0, 0, *source.size))
    with Decoder(report.path) as decoder:
        assert min(_psnr_by_block(decoder, read, 256).values()) >= 32.0
        assert decoder.manifest.layers.enhancement is not None
        assert decoder.manifest.layers.enhancement.tiles > 0
    assert validate(report.path, deep=True) == []
