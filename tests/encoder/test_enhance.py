"""Files with a floor: it holds on every block that is decoded, and what it costs is what it must."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histocodec.decoder import BICUBIC, Decoder
from histocodec.demo.synthetic import write_slide
from histocodec.encoder import EncodeSettings, encode
from histocodec.errors import CorruptContainer
from histocodec.generators.bicubic import BicubicGenerator
from histocodec.geometry import Grid, Image, Region, Size
from histocodec.pixels.metrics import psnr, ssim
from histocodec.pixels.resampler import Generator
from histocodec.pixels.residual import Mode
from histocodec.source import open_source
from histocodec.training.data.patches import read_image
from histocodec.validation import validate
from tests.encoder.inputs import FLOOR, encoded, psnr_by_block, square
from tests.places import FindData


@pytest.fixture(scope="module")
def bounded(tmp_path_factory: pytest.TempPathFactory, slide_path: Path) -> Path:
    """`slide_path` with a floor, bicubic, at a fixed base quality."""
    path = tmp_path_factory.mktemp("bounded") / "slide.hc.tif"
    encoded(slide_path, path, ratio=None, quality=30.0, min_psnr_db=FLOOR)
    return path


def test_the_floor_holds_on_every_block(bounded: Path, pixels: Image) -> None:
    with Decoder(bounded) as decoder:
        by_block = psnr_by_block(decoder, pixels)
        layer = decoder.manifest.layers.enhancement
        assert layer is not None
        assert layer.psnr_db is not None
        assert decoder.manifest.tier == "bounded"
        assert min(by_block.values()) >= FLOOR
        by_square = psnr_by_block(decoder, pixels, 256)  # 1100 x 900 px leave no sliver
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
        by_square = psnr_by_block(predicted, pixels, 256)
        below = dict.fromkeys(psnr_by_block(predicted, pixels), False)
        for (column, row), value in by_square.items():
            below[column // 2, row // 2] |= value < FLOOR
        for index in range(layer.grid.count):
            assert (layer.modes[index] != Mode.ABSENT) == below[layer.grid.address(index)]
        assert 0 < sum(below.values()) < layer.grid.count


def test_without_the_layer_it_is_the_file_that_has_none(bounded: Path, slide_path: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain.hc.tif"
    encoded(slide_path, plain, ratio=None, quality=30.0)
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
        grid = Grid(decoder.levels[0], decoder.block_size)
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
    regions = square(Size(1100, 900), 700, 100, 100)
    path = tmp_path / "roi.hc.tif"
    encoded(slide_path, path, ratio=None, quality=28.0, regions=regions, roi_psnr_db=38.0)
    with Decoder(path) as decoder:
        by_block = psnr_by_block(decoder, pixels)
        by_square = psnr_by_block(decoder, pixels, 256)
        assert min(by_square[column, row] for column in (2, 3) for row in (0, 1)) >= 38.0
        assert min(by_block.values()) < 30.0  # nothing is asked for elsewhere
        layer = decoder.container.enhancement
        assert layer is not None
        assert np.count_nonzero(layer.modes) == 1
        stored = decoder.container.regions()
        assert stored == regions
        assert stored is not None
        assert b"a nest" in stored.to_geojson()


class _Named:
    """Bicubic under a name of its own. is_exact: what it says of itself. off: the last sample of a block is another."""

    package, digest, name, scale, halo = None, f"sha256:{'ab' * 32}", "named-x4", 4, 2

    def __init__(self, *, is_exact: bool = True, off: bool = False) -> None:
        self.is_exact, self._off = is_exact, off

    def __call__(self, base: Image) -> Image:
        image = BicubicGenerator(4)(base)
        image[-1, -1, -1] ^= self._off
        return image


def _encoded_by(generator: Generator, slide_path: Path, path: Path) -> Path:
    with open_source(slide_path) as source:
        encode(
            source,
            path,
            generator,
            EncodeSettings(codec="jp2k", ratio=None, quality=30.0, min_psnr_db=FLOOR, verify="none"),
        )
    return path


def test_a_decoder_that_predicts_one_sample_otherwise_refuses_to_add_residuals(
    slide_path: Path, tmp_path: Path
) -> None:
    path = _encoded_by(_Named(), slide_path, tmp_path / "named.hc.tif")
    with Decoder(path, generator=_Named()) as right, Decoder(path, generator=_Named(off=True)) as wrong:
        layer = right.container.enhancement
        assert layer is not None
        tissue = right.container.tissue_map.ravel()
        index = int(np.flatnonzero((layer.modes == Mode.RESIDUAL) & (tissue > 0))[0])
        column, row = layer.grid.address(index)
        place = layer.grid.covered(column, row)
        right.read(place)
        with pytest.raises(CorruptContainer, match=f"block {column}, {row}") as caught:
            wrong.read(place)
        assert caught.value.code == "prediction-mismatch"


def test_what_machines_differ_in_is_corrected_by_native_tiles_alone(slide_path: Path, tmp_path: Path) -> None:
    path = _encoded_by(_Named(is_exact=False), slide_path, tmp_path / "floats.hc.tif")
    with Decoder(path, generator=_Named(is_exact=False)) as decoder:
        layer = decoder.container.enhancement
        assert layer is not None
        assert set(layer.modes.tolist()) == {Mode.ABSENT, Mode.NATIVE}
        assert not layer.prediction_sums.any()


def test_a_deidentified_file_keeps_geometries_and_no_names(tmp_path: Path, slide_path: Path) -> None:
    regions = square(Size(1100, 900), 700, 100, 100)
    path = tmp_path / "bare.hc.tif"
    encoded(slide_path, path, ratio=None, quality=28.0, regions=regions, roi_psnr_db=34.0, deidentify=True)
    with Decoder(path) as decoder:
        stored = decoder.container.regions()
    assert stored is not None
    assert b"a nest" not in stored.to_geojson()
    grid = Grid(Size(1100, 900), 64)
    assert stored.blocks(grid) == regions.blocks(grid)


@pytest.mark.parametrize(("codec", "base"), [("jp2k", "10x"), ("av1", "20x")])
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
        options = EncodeSettings(codec=codec, effort="fast", base=base, ratio=None, quality=35.0, min_psnr_db=32.0)  # type: ignore[arg-type]
        report = encode(source, tmp_path / "slide.hc.tif", settings=options)
        read = source.read(Region(0, 0, *source.size))
    with Decoder(report.path) as decoder:
        assert min(psnr_by_block(decoder, read, 256).values()) >= 32.0
        assert decoder.manifest.layers.enhancement is not None
        assert decoder.manifest.layers.enhancement.tiles > 0
    assert validate(report.path, deep=True) == []
