"""Annotations that are counted from the corner of a slide's scanned part: said, moved, and given back as they came."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import openslide
import pytest
import tifffile
from typer.testing import CliRunner, Result

import histocodec
from histocodec.cli import app
from histocodec.decoder import Decoder
from histocodec.demo.synthetic import tissue
from histocodec.encoder import EncodeSettings, encode
from histocodec.errors import HistocodecError, RoiError
from histocodec.format.origin import bounds_corner, chosen_origin, scanned_part
from histocodec.format.regions import RegionsOfInterest
from histocodec.generators.bicubic import BicubicGenerator
from histocodec.geometry import Grid, Region, Size
from histocodec.pixels.metrics import psnr
from histocodec.source import open_source

CORNER, SCANNED, GLASS = (2048, 1536), Size(1024, 768), Size(4096, 4096)
RING = [[100, 100.1], [700, 100.1], [700, 600.25], [100, 600.25], [100, 100.1]]
COUNTED_FROM_BOUNDS = {
    "type": "Feature",
    "id": "7",
    "bbox": [100, 100.1, 700, 600.25],
    "geometry": {"type": "Polygon", "coordinates": [RING]},
    "nucleusGeometry": {"type": "Point", "coordinates": [150.3, 200, 5]},
    "properties": {"name": "a nest", "coordinates": [1, 2]},
}


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`case.scn`, a Leica slide of which a part was scanned, and `qupath.geojson`, counted from that part's corner."""
    folder, unit = tmp_path_factory.mktemp("scn"), 250
    description = (
        '<?xml version="1.0"?><scn xmlns="http://www.leica-microsystems.com/scn/2010/10/01">'
        f'<collection name="c" sizeX="{GLASS.width * unit}" sizeY="{GLASS.height * unit}"><image name="i">'
        "<creationDate>2024-04-30T09:32:59Z</creationDate>"
        f'<device model="Leica SCN400" version="1"/><pixels sizeX="{SCANNED.width}" sizeY="{SCANNED.height}">'
        f'<dimension sizeX="{SCANNED.width}" sizeY="{SCANNED.height}" r="0" ifd="0"/></pixels>'
        f'<view sizeX="{SCANNED.width * unit}" sizeY="{SCANNED.height * unit}" offsetX="{CORNER[0] * unit}" '
        f'offsetY="{CORNER[1] * unit}"/><scanSettings><objectiveSettings><objective>40</objective></objectiveSettings>'
        "<illuminationSettings><numericalAperture>0.65</numericalAperture>"
        "<illuminationSource>brightfield</illuminationSource></illuminationSettings></scanSettings></image>"
        "</collection></scn>"
    )
    with tifffile.TiffWriter(folder / "case.scn", bigtiff=True) as tiff:
        tiff.write(
            tissue(SCANNED, seed=5),
            tile=(256, 256),
            photometric="rgb",
            compression="jpeg",
            metadata=None,
            description=description,
            resolution=(40000, 40000),
            resolutionunit="CENTIMETER",
        )
    (folder / "qupath.geojson").write_text(json.dumps(COUNTED_FROM_BOUNDS))
    return folder


@pytest.fixture(scope="module")
def encoded(folder: Path) -> Path:
    """With the regions counted from the bounds."""
    output = folder / "case.hc.tif"
    done = run(
        *("encode", folder / "case.scn", "-o", output, "--generator", "bicubic-x4", "--quality", 30),
        *("--roi", folder / "qupath.geojson", "--roi-psnr", 36, "--roi-origin", "bounds"),
    )
    assert done.exit_code == 0, done.output
    return output


def test_where_it_matters_it_has_to_be_said(folder: Path) -> None:
    output = folder / "unsaid.hc.tif"
    refused = run(
        "encode",
        folder / "case.scn",
        "-o",
        output,
        "--quality",
        30,
        "--roi",
        folder / "qupath.geojson",
        "--roi-psnr",
        36,
    )
    assert isinstance(refused.exception, HistocodecError)
    assert "begins at 2048, 1536" in str(refused.exception)
    assert "--roi-origin bounds" in str(refused.exception)
    with open_source(folder / "case.scn") as source:
        regions = RegionsOfInterest.read(folder / "qupath.geojson", source.size)
        settings = EncodeSettings(codec="jp2k", ratio=None, quality=30.0, regions=regions, roi_psnr_db=36.0)
        with pytest.raises(RoiError, match="in Python: the origin"):
            encode(source, output, BicubicGenerator(4), settings)
    assert not output.exists()


def test_the_floor_lands_on_the_tissue(folder: Path, encoded: Path) -> None:
    """The region reaches from 2148, 1636 to 2748, 2136: every square of the four blocks there is at the floor."""
    with open_source(folder / "case.scn") as source, Decoder(encoded) as decoder:
        layer, regions = decoder.container.enhancement, decoder.container.regions()
        assert layer is not None
        assert regions is not None
        assert regions.blocks(layer.grid) == {(4, 3), (5, 3), (4, 4), (5, 4)}
        squares = Grid(GLASS, 256)
        for column, row in squares.touching(Region(2048, 1536, 1024, 1024)):
            part = squares.covered(column, row)
            assert psnr(source.read(part), decoder.read(part)) >= 36


def test_regions_come_back_as_they_were_given_or_counted_from_the_slide(folder: Path, encoded: Path) -> None:
    given, slide = folder / "given.geojson", folder / "slide.geojson"
    assert "counted from 2048, 1536" in run("regions", encoded, given).stdout
    (feature,) = json.loads(given.read_text())["features"]
    assert feature == COUNTED_FROM_BOUNDS
    assert run("regions", encoded, slide, "--roi-origin", "slide").exit_code == 0
    (feature,) = json.loads(slide.read_text())["features"]
    assert feature["geometry"]["coordinates"][0][0] == [2148, 1636.1]
    assert feature["bbox"] == [2148, 1636.1, 2748, 2136.25]
    assert feature["nucleusGeometry"]["coordinates"] == [2198.3, 1736, 5]
    assert feature["properties"] == COUNTED_FROM_BOUNDS["properties"]


def test_pixels_of_the_slide_and_of_its_bounds_make_the_same_layer(folder: Path, encoded: Path) -> None:
    other = folder / "other.hc.tif"
    run("regions", encoded, folder / "absolute.geojson", "--roi-origin", "slide")
    done = run(
        *("encode", folder / "case.scn", "-o", other, "--generator", "bicubic-x4", "--quality", 30),
        *("--roi", folder / "absolute.geojson", "--roi-psnr", 36, "--roi-origin", "slide"),
    )
    assert done.exit_code == 0, done.output
    with Decoder(encoded) as one, Decoder(other) as two:
        assert one.container.regions() == two.container.regions()
        whole = Region(2048, 1536, 1024, 768)
        assert np.array_equal(one.read(whole), two.read(whole))


def test_what_is_decoded_keeps_the_bounds(folder: Path, encoded: Path) -> None:
    assert run("decode", encoded, folder / "whole.tif").exit_code == 0
    assert run("decode", encoded, folder / "part.tif", "--region", "bounds").exit_code == 0
    assert run("decode", encoded, folder / "small.tif", "--level", 1).exit_code == 0
    places = {"whole": (2048, 1536, 1024, 768), "part": (0, 0, 1024, 768), "small": (512, 384, 256, 192)}
    for name, place in places.items():
        with openslide.OpenSlide(folder / f"{name}.tif") as slide:
            assert scanned_part(slide.properties) == place
    with openslide.OpenSlide(folder / "part.tif") as slide:
        assert slide.dimensions == SCANNED, "where what QuPath counted from the bounds fits as it is"
    with histocodec.open_slide(encoded) as slide:
        assert scanned_part(slide.properties) == (*CORNER, *SCANNED)


def test_slides_without_bounds_need_nothing_said() -> None:
    whole = {"openslide.bounds-x": "0", "openslide.bounds-y": "0", "openslide.bounds-width": "9"}
    for properties in ({}, whole, {"openslide.bounds-x": "x"}):
        assert bounds_corner(properties) == (0, 0)
        for choice in (None, "slide", "bounds"):
            assert chosen_origin(properties, choice) == (0, 0)
