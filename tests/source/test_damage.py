"""Slides of which some tiles are damaged: refused, or filled with the background where that is asked for."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

from histocodec.cli import app
from histocodec.decoder import Decoder
from histocodec.demo.synthetic import tissue
from histocodec.encoder import EncodeSettings, encode
from histocodec.errors import SettingsError, SourceReadError, UnreadableSource
from histocodec.format.reader import Container
from histocodec.generators.bicubic import BicubicGenerator
from histocodec.geometry import Image, Region, Size
from histocodec.source import open_source
from histocodec.validation import validate

CM_025: dict[str, Any] = {"resolution": (40000, 40000), "resolutionunit": "CENTIMETER"}  # 0.25 um/px
APERIO = "Aperio Image Library v11\r\n700x500 (128x128) JPEG|AppMag = 40|MPP = 0.25"
COLUMNS, ROWS, TILE = 6, 4, 128
QUICK = EncodeSettings(codec="jp2k", ratio=None, quality=30)


@pytest.fixture(scope="module")
def slide() -> Image:
    """6 x 4 tiles, the last column and row of them not whole."""
    return tissue(Size(700, 500), seed=6)


def write(path: Path, image: Image, **options: Any) -> Path:
    common: dict[str, Any] = {"photometric": "rgb", "metadata": None, "tile": (TILE, TILE), **CM_025}
    tifffile.imwrite(path, image, **(common | options))
    return path


def garble(path: Path, tiles: Sequence[int], page: int = 0) -> Path:
    with tifffile.TiffFile(path) as tiff:
        places = [(tiff.pages[page].dataoffsets[k], tiff.pages[page].databytecounts[k]) for k in tiles]
    data, random = bytearray(path.read_bytes()), np.random.default_rng(0)
    for offset, count in places:
        data[offset : offset + count] = random.bytes(count)
    path.write_bytes(data)
    return path


def tiles_of(damaged: Sequence[Region]) -> set[int]:
    """Numbers of the tiles that regions cover, each of which is whole tiles."""
    found: list[int] = []
    for place in damaged:
        assert place.x % TILE == place.y % TILE == 0
        for y in range(place.y, place.bottom, TILE):
            found += [y // TILE * COLUMNS + x // TILE for x in range(place.x, place.right, TILE)]
    assert len(found) == len(set(found))
    return set(found)


def filled(image: Image, damaged: Sequence[Region]) -> Image:
    expected = image.copy()
    for place in damaged:
        expected[place.y : place.bottom, place.x : place.right] = 255
    return expected


READERS: dict[str, dict[str, Any]] = {
    "OpenSlide, deflate": {"compression": "zlib"},
    "OpenSlide, LZW": {"compression": "lzw"},
    "OpenSlide, JPEG": {"compression": "jpeg"},
    "OpenSlide, Aperio": {"compression": "jpeg", "description": APERIO},
    "tifffile, PNG": {"compression": "png"},
    "tifffile, JPEG XL": {"compression": "jpegxl"},
    "tifffile, JPEG 2000": {"compression": "jpeg2000"},
}
PLACES: dict[str, list[int]] = {
    "inside": [8],
    "corners": [0, 5, 18, 23],
    "an edge": [5, 11, 17, 23],
    "a block": [7, 8, 9, 13, 14, 15],
    "here and there": [1, 8, 10, 20],
}


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize("name", READERS)
def test_damaged_tiles_are_filled_and_named(name: str, where: str, tmp_path: Path, slide: Image) -> None:
    path = write(tmp_path / ("a.svs" if "Aperio" in name else "a.tif"), slide, **READERS[name])
    whole = Region(0, 0, 700, 500)
    with open_source(path) as source:
        sound = source.read(whole)
    garble(path, PLACES[where])
    with open_source(path) as source, pytest.raises(SourceReadError, match="--on-damage fill"):
        source.read(whole)
    with open_source(path, on_damage="fill") as source:
        assert source.damaged == ()
        image = source.read(whole)
        assert tiles_of(source.damaged) == {*PLACES[where]}
        np.testing.assert_array_equal(image, filled(sound, source.damaged))
        # And again, now that they are known.
        np.testing.assert_array_equal(source.read(Region(100, 90, 500, 400)), image[90:490, 100:600])


@pytest.mark.parametrize("name", ["OpenSlide, deflate", "tifffile, PNG"])
def test_threads_find_the_same_damage(name: str, tmp_path: Path, slide: Image) -> None:
    path = garble(write(tmp_path / "a.tif", slide, **READERS[name]), [2, 9, 23])
    regions = [Region(x, y, 100, 100) for y in range(0, 500, 100) for x in range(0, 700, 100)]
    with open_source(path, on_damage="fill") as source, ThreadPoolExecutor(4) as pool:
        image = np.empty_like(slide)
        for region, part in zip(regions, pool.map(source.read, regions), strict=True):
            image[region.y : region.bottom, region.x : region.right] = part
        assert tiles_of(source.damaged) == {2, 9, 23}
        np.testing.assert_array_equal(image, filled(slide, source.damaged))


@pytest.mark.parametrize("compression", ["lzw", "zlib", "zstd"])
def test_a_damaged_strip(compression: str, tmp_path: Path, slide: Image) -> None:
    path = garble(write(tmp_path / "a.tif", slide, tile=None, rowsperstrip=40, compression=compression), [3, 12])
    with open_source(path) as source, pytest.raises(SourceReadError):
        source.read(Region(0, 100, 700, 60))
    with open_source(path, on_damage="fill") as source:
        image = source.read(Region(0, 0, 700, 500))
        assert source.damaged == (Region(0, 120, 700, 40), Region(0, 480, 700, 20))
        np.testing.assert_array_equal(image, filled(slide, source.damaged))


def test_a_slide_that_vanishes_is_not_damaged(tmp_path: Path, slide: Image) -> None:
    """Else everything not yet read would become background."""
    path = garble(write(tmp_path / "a.tif", slide, compression="zlib"), [7])
    with open_source(path, on_damage="fill") as source:
        source.read(Region(0, 0, 20, 20))
        path.unlink()
        with pytest.raises(SourceReadError, match="can be opened no longer"):
            source.read(Region(0, 0, 700, 500))


def test_damage_in_an_overview_alone_does_not_matter(tmp_path: Path, slide: Image) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as tiff:
        common: dict[str, Any] = {"photometric": "rgb", "metadata": None, "tile": (TILE, TILE), "compression": "zlib"}
        tiff.write(slide, **common, **CM_025)
        tiff.write(slide[::2, ::2], subfiletype=1, **common)
    garble(path, [0, 1], page=1)
    for on_damage in ("refuse", "fill"):
        with open_source(path, on_damage=on_damage) as source:
            np.testing.assert_array_equal(source.read(Region(0, 0, 700, 500)), slide)
            assert source.damaged == ()


@pytest.mark.parametrize("compression", ["zlib", "png"])
def test_a_slide_that_is_cut_off(compression: str, tmp_path: Path, slide: Image) -> None:
    path = write(tmp_path / "a.tif", slide, compression=compression)
    with tifffile.TiffFile(path) as tiff:
        (start,) = tiff.pages[0].dataoffsets[15:16]
    path.write_bytes(path.read_bytes()[: start + 20])
    with pytest.raises(UnreadableSource, match=r"cut off: 9 of 24 .*--on-damage fill"):
        open_source(path)
    with open_source(path, on_damage="fill") as source:
        image = source.read(Region(0, 0, 700, 500))
        assert tiles_of(source.damaged) == {*range(15, 24)}
        np.testing.assert_array_equal(image, filled(slide, source.damaged))


def test_a_flat_image_cannot_be_filled(tmp_path: Path, slide: Image) -> None:
    import PIL.Image

    path = tmp_path / "a.png"
    PIL.Image.fromarray(slide).save(path)
    path.write_bytes(path.read_bytes()[:100_000])
    for on_damage in ("refuse", "fill"):
        with (
            open_source(path, mpp=0.25, on_damage=on_damage) as source,
            pytest.raises(SourceReadError, match="it is one stream, and what lies behind damage is lost"),
        ):
            source.read(Region(0, 0, 700, 500))


def test_on_damage_is_one_of_two(tmp_path: Path, slide: Image) -> None:
    with pytest.raises(SettingsError, match="refuse or fill"):
        open_source(write(tmp_path / "a.tif", slide), on_damage="ignore")  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------------- the archive


@pytest.fixture
def damaged(tmp_path: Path, slide: Image) -> Path:
    return garble(write(tmp_path / "a.tif", slide, compression="zlib"), [7, 8, 23])


PLACES_OF_DAMAGED = ((128, 128, 256, 128), (640, 384, 60, 116))


def test_the_archive_of_a_damaged_slide(tmp_path: Path, damaged: Path, slide: Image) -> None:
    file = tmp_path / "a.hc.tif"
    with open_source(damaged) as source, pytest.raises(SourceReadError, match="--on-damage fill"):
        encode(source, file, BicubicGenerator(4), QUICK)
    assert not file.exists()
    with open_source(damaged, on_damage="fill") as source:
        report = encode(source, file, BicubicGenerator(4), QUICK)
    assert report.manifest.slide.damaged == PLACES_OF_DAMAGED
    assert any("could not be read, and hold the background: 2" in note for note in report.notes)
    with Container(file) as container:
        assert container.manifest == report.manifest
        assert "background in place of what is damaged" in container.manifest.slide.lossy_history[-1].derivation
    assert validate(file, deep=True) == []
    with Decoder(file) as decoder:
        decoded = decoder.read(Region(0, 0, 700, 500)).astype(float)
    assert decoded[150:230, 150:360].min() > 240
    assert np.abs(decoded[:128] - slide[:128]).mean() < 12


def test_an_original_with_damage_is_sound_as_it_was_kept(tmp_path: Path, damaged: Path) -> None:
    """Its files come back; of which some tiles are no pictures, so that it cannot be shown."""
    file = tmp_path / "a.hc.tif"
    with open_source(damaged, on_damage="fill") as source:
        encode(source, file, BicubicGenerator(4), dataclasses.replace(QUICK, keep_original=True))
    with Container(file) as container:
        assert container.original is not None
        assert container.original.grid is None
    assert validate(file, deep=True) == []


def test_a_sound_slide_says_nothing_of_damage(tmp_path: Path, slide: Image) -> None:
    files = [tmp_path / "refuse.hc.tif", tmp_path / "fill.hc.tif"]
    path = write(tmp_path / "a.tif", slide)  # once: a file says when its source was last changed
    for file in files:
        on_damage: Any = file.name.partition(".")[0]
        with open_source(path, on_damage=on_damage) as source:
            encode(source, file, BicubicGenerator(4), QUICK)
    assert files[0].read_bytes() == files[1].read_bytes()
    with Container(files[0]) as container:
        assert container.manifest.slide.damaged is None
        assert b"damaged" not in container.manifest.to_json()


def test_a_slide_of_which_nothing_is_left(tmp_path: Path, slide: Image) -> None:
    path = garble(write(tmp_path / "a.tif", slide, compression="zlib"), range(24))
    with (
        open_source(path, on_damage="fill") as source,
        pytest.raises(SourceReadError, match="no part of it can be read"),
    ):
        encode(source, tmp_path / "a.hc.tif", BicubicGenerator(4), QUICK)
    assert not (tmp_path / "a.hc.tif").exists()


def test_more_damage_than_a_file_can_list(tmp_path: Path) -> None:
    image = tissue(Size(1024, 1024), seed=1)
    path = write(tmp_path / "a.tif", image, tile=(16, 16), compression="png")
    garble(path, [row * 64 + column for row in range(64) for column in range(row % 2, 64, 2)])
    with (
        open_source(path, on_damage="fill") as source,
        pytest.raises(SourceReadError, match="at most 1000 damaged places, found 2048"),
    ):
        encode(source, tmp_path / "a.hc.tif", BicubicGenerator(4), QUICK)


def test_on_the_command_line(tmp_path: Path, damaged: Path) -> None:
    def run(*arguments: str) -> Any:
        return CliRunner().invoke(app, [*arguments])

    file = str(tmp_path / "a.hc.tif")
    quick = ["-o", file, "--quality", "30", "--generator", "bicubic-x4"]
    assert run("encode", str(damaged), *quick).exit_code == 1
    assert run("encode", str(damaged), *quick, "--on-damage", "fill").exit_code == 0
    places = [dict(zip(("x", "y", "width", "height"), place, strict=True)) for place in PLACES_OF_DAMAGED]
    assert json.loads(run("info", file, "--json").stdout)["damaged"] == places
    assert "x 640, y 384, width 60, height 116" in run("info", file).stdout
    valid = run("validate", "--deep", file)
    assert valid.exit_code == 0
    assert "places where the slide was damaged, and background stands: 2" in valid.stdout
    compared = run("compare", str(damaged), file, "--all", "--json")
    assert compared.exit_code == 0
    assert json.loads(compared.stdout)["psnr_db"]["worst"] > 20


@pytest.mark.parametrize("name", ["OpenSlide, JPEG", "OpenSlide, Aperio"])
def test_a_tile_that_states_more_bytes_than_the_file_has(tmp_path: Path, slide: Image, name: str) -> None:
    """Libtiff asks for that much memory, and OpenSlide ends the process where it does not get it."""
    path = write(tmp_path / "a.svs", slide, **READERS[name])
    whole = read(path)
    with tifffile.TiffFile(path, mode="r+") as tiff:
        page = tiff.pages[0]
        assert isinstance(page, tifffile.TiffPage)
        counts = [*page.databytecounts]
        counts[7] = 3_000_000_000
        page.tags["TileByteCounts"].overwrite(counts, dtype="I")
    with pytest.raises(UnreadableSource, match="1 of 24 tiles or strips lie beyond"):
        open_source(path)
    with open_source(path, on_damage="fill") as source:
        image = source.read(Region(0, 0, *source.size))
        assert tiles_of(source.damaged) == {7}
        assert np.abs(image - filled(whole, source.damaged).astype(float)).max() <= 1


def test_a_tile_that_is_too_short_is_no_pixels_from_memory(tmp_path: Path, slide: Image) -> None:
    """A tag that nobody understands does not lead to a reader that looks less closely."""
    path = write(tmp_path / "a.tif", slide)
    with tifffile.TiffFile(path, mode="r+") as tiff:
        page = tiff.pages[0]
        assert isinstance(page, tifffile.TiffPage)
        page.tags["TileByteCounts"].overwrite([count - 8 for count in page.databytecounts], dtype="I")
        page.tags["XResolution"].overwrite(7, dtype="H")
    with pytest.raises(UnreadableSource), open_source(path, mpp=0.25) as source:
        source.read(Region(0, 0, *source.size))


def read(path: Path) -> Image:
    with open_source(path) as source:
        return source.read(Region(0, 0, *source.size))
