"""The commands on files that are there: quality, compare, strip, enhance, regions; encode and decode with a floor."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PILImage
from typer.testing import CliRunner, Result

from histocodec.cli import app
from histocodec.errors import HistocodecError
from histocodec.geometry import Region
from histocodec.source import open_source
from tests.format.conformance.make_vectors.writing import VECTORS

REGION = {
    "type": "Feature",
    "properties": {"name": "a nest"},
    "geometry": {"type": "Polygon", "coordinates": [[[700, 100], [800, 100], [800, 200], [700, 100]]]},
}


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def picture_of(path: Path) -> PILImage.Image:
    """A picture, read whole."""
    with PILImage.open(path) as picture:
        picture.load()
        return picture


def refused(*arguments: object) -> str:
    """What the command says as it fails."""
    result = run(*arguments)
    assert result.exit_code != 0
    return str(result.exception) if isinstance(result.exception, HistocodecError) else result.stderr


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, slide_path: Path) -> dict[str, Path]:
    """A slide, its bounded file, and regions."""
    folder = tmp_path_factory.mktemp("files")
    regions, full = folder / "regions.geojson", folder / "full.hc.tif"
    regions.write_text(json.dumps(REGION))
    done = run(
        *("encode", slide_path, "-o", full, "--generator", "bicubic-x4", "--quality", 28, "--min-psnr", 30),
        *("--roi", regions, "--roi-psnr", 36, "--json"),
    )
    assert done.exit_code == 0, done.output
    return {"slide": slide_path, "full": full, "regions": regions}


def test_info_states_floors_regions_and_tiles(files: dict[str, Path]) -> None:
    facts = json.loads(run("info", files["full"], "--json").stdout)
    assert facts["tier"] == "bounded"
    assert facts["enhancement"]["min_psnr_db"] == 30
    assert facts["enhancement"]["roi_psnr_db"] == 36
    assert facts["enhancement"]["regions_of_interest"] == 1
    assert 0 < facts["enhancement"]["tiles"] <= facts["enhancement"]["of_tiles"]
    assert 30 <= facts["lowest_square_db"] <= facts["psnr_db"]["worst"] <= facts["psnr_db"]["mean"]
    assert facts["everything_psnr_db"]["worst"] >= 30
    assert facts["square"] == 256
    assert set(facts["without_enhancement"]["worst_block"]) == {"x", "y", "side"}
    assert facts["without_enhancement"]["psnr_db"]["worst"] < 30, "what the layer is for"
    text = run("info", files["full"]).stdout
    assert "no square of 256 px below 30 dB as decoded" in text
    assert "no square of 256 px in a block that a region of interest touches below 36 dB as decoded" in text


def test_what_encode_prints_is_what_holds(files: dict[str, Path], tmp_path: Path) -> None:
    """Of the decoded file: `compare` finds the same. What held before the layer is stated apart."""
    output = tmp_path / "again.hc.tif"
    again = ("encode", files["slide"], "-o", output, "--generator", "bicubic-x4", "--quality", 28, "--min-psnr", 30)
    facts = json.loads(run(*again, "--json").stdout)
    found = json.loads(run("compare", files["slide"], output, "--all", "--json").stdout)
    for key in ("mean", "percentile_5", "worst", "lowest"):
        assert facts["psnr_db"][key] == pytest.approx(found["psnr_db"][key], abs=1e-3)
        assert facts["everything_psnr_db"][key] == pytest.approx(found["everything"]["psnr_db"][key], abs=1e-3)
    assert facts["lowest_square_db"] == pytest.approx(found["everything"]["lowest_square_db"], abs=1e-3)
    text = run("info", output).stdout
    assert f"worst of all: {facts['psnr_db']['worst']:.4g}" in text.split("before the enhancement layer")[0]


def test_compare_exits_with_one_below_a_floor(files: dict[str, Path], tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    passed = run("compare", files["slide"], files["full"], "--all", "--min-psnr", 30, "--html", page, "--json")
    assert passed.exit_code == 0, passed.output
    assert json.loads(passed.stdout)["below_floor"] == []
    assert page.read_text("utf-8").startswith("<!DOCTYPE html>")
    predicted = (
        "compare",
        files["slide"],
        files["full"],
        "--all",
        "--tier",
        "reconstructed",
        "--min-psnr",
        30,
        "--json",
    )
    failed = run(*predicted)
    assert failed.exit_code == 1
    assert json.loads(failed.stdout)["below_floor"]
    assert "number of dB" in refused("compare", files["slide"], files["full"], "--min-psnr", "nan")


def test_quality_is_a_picture(files: dict[str, Path], tmp_path: Path) -> None:
    picture = tmp_path / "map.png"
    assert run("quality", files["full"], picture).exit_code == 0
    assert picture_of(picture).width == 1640
    assert "exists" in refused("quality", files["full"], picture)
    assert "must end in .png" in refused("quality", files["full"], tmp_path / "map.jpg")
    unmeasured = tmp_path / "unmeasured.hc.tif"
    run("encode", files["slide"], "-o", unmeasured, "--generator", "bicubic-x4", "--quality", 28, "--verify", "none")
    assert "has no quality map" in refused("quality", unmeasured, tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()


def test_strip_enhance_and_regions(files: dict[str, Path], tmp_path: Path) -> None:
    small, again, regions = tmp_path / "small.hc.tif", tmp_path / "again.hc.tif", tmp_path / "out.geojson"
    assert run("strip", files["full"], small).exit_code == 0
    assert run("enhance", small, files["full"], again).exit_code == 0
    assert again.read_bytes() == files["full"].read_bytes()
    assert run("regions", files["full"], regions).exit_code == 0
    assert json.loads(regions.read_text())["features"] == [REGION]
    assert "no regions of interest" in refused("regions", small, tmp_path / "none.geojson")
    assert "reconstructed" in refused("strip", files["full"], tmp_path / "base.hc.tif", "--tier", "base")


def test_decode_stops_at_a_tier(files: dict[str, Path], tmp_path: Path) -> None:
    sizes = {}
    for tier in ("base", "reconstructed", "bounded"):
        picture = tmp_path / f"{tier}.png"
        assert run("decode", files["full"], picture, "--tier", tier).exit_code == 0
        sizes[tier] = picture_of(picture)
    assert sizes["base"].size == (275, 225)
    assert sizes["reconstructed"].size == sizes["bounded"].size == (1100, 900)
    assert sizes["reconstructed"].tobytes() != sizes["bounded"].tobytes()
    assert "without the file's enhancement layer" in str(sizes["reconstructed"].info["Description"])
    small = tmp_path / "small.hc.tif"
    run("strip", files["full"], small)
    assert "not of tier bounded" in refused("decode", small, tmp_path / "x.png", "--tier", "bounded")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("not JSON", "JSON"),
        ('{"type": "Topology"}', "GeoJSON"),
        (json.dumps({**REGION, "geometry": {"type": "Point", "coordinates": [99000.5, 88000]}}), "outside"),
    ],
)
def test_regions_that_cannot_be_used(files: dict[str, Path], tmp_path: Path, text: str, reason: str) -> None:
    bad, output = tmp_path / "bad.geojson", tmp_path / "out.hc.tif"
    bad.write_text(text)
    assert reason in refused("encode", files["slide"], "-o", output, "--roi", bad, "--roi-psnr", 36)
    assert not output.exists()


def test_a_region_needs_a_floor_and_a_floor_a_region(files: dict[str, Path], tmp_path: Path) -> None:
    assert "go together" in refused("encode", files["slide"], "-o", tmp_path / "x.hc.tif", "--roi-psnr", 36)
    assert "go together" in refused("encode", files["slide"], "-o", tmp_path / "x.hc.tif", "--roi", files["regions"])
    assert "8 bits" in refused("encode", files["slide"], "-o", tmp_path / "x.hc.tif", "--min-psnr", 70)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, slide_path: Path) -> Path:
    """A file that keeps its original, and an enhancement layer."""
    path = tmp_path_factory.mktemp("whole") / "whole.hc.tif"
    done = run(
        *("encode", slide_path, "-o", path, "--generator", "bicubic-x4", "--quality", 28, "--min-psnr", 30),
        *("--keep-original", "--json"),
    )
    assert done.exit_code == 0, done.output
    facts = json.loads(done.stdout)
    assert facts["bytes"] == path.stat().st_size == facts["original_bytes"] + facts["bytes_without_original"]
    return path


def test_restore_and_verify_source(whole: Path, slide_path: Path, tmp_path: Path) -> None:
    output = tmp_path / "again.tif"
    done = run("restore", whole, output)
    assert done.exit_code == 0, done.output
    assert "the same as were encoded" in done.stdout
    assert output.read_bytes() == slide_path.read_bytes()
    assert "exists already" in refused("restore", whole, output)
    assert "what" in run("verify-source", whole, output).stdout
    output.write_bytes(b"another")
    assert "was not made of" in refused("verify-source", whole, output)


def test_tiers_of_a_whole_file(whole: Path, files: dict[str, Path], tmp_path: Path) -> None:
    bounded, small, again = tmp_path / "bounded.hc.tif", tmp_path / "small.hc.tif", tmp_path / "again.hc.tif"
    assert run("strip", whole, bounded).exit_code == 0
    assert run("strip", whole, small, "--tier", "reconstructed").exit_code == 0
    assert small.stat().st_size < bounded.stat().st_size < whole.stat().st_size
    assert run("enhance", small, whole, again).exit_code == 0
    assert again.read_bytes() == whole.read_bytes()
    assert "keeps no original" in refused("restore", bounded, tmp_path / "a.tif")
    assert "keeps none" in refused("decode", bounded, tmp_path / "a.tif", "--tier", "original")


def test_info_of_an_original(whole: Path, slide_path: Path) -> None:
    facts = json.loads(run("info", whole, "--json").stdout)
    assert facts["tier"] == "original"
    assert facts["original"]["pixels"] == "jpeg tiles of 256 px"
    assert facts["original"]["bytes"] + facts["bytes_without_original"] == facts["bytes"]
    assert facts["source"]["files"][0]["name"] == slide_path.name
    shown = run("info", whole).stdout
    assert facts["source"]["files"][0]["sha256"] in shown


def test_info_of_a_damaged_original() -> None:
    """The rest of the file is what it is."""
    facts = json.loads(run("info", VECTORS / "invalid/original-damaged-kind.hc.tif", "--json").stdout)
    assert facts["original"]["pixels"].startswith("none: original: a segment of an unknown kind")
    assert facts["size"] == [70, 30]


def test_decode_and_quality_of_an_original(whole: Path, slide_path: Path, tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    assert run("decode", whole, picture, "--tier", "original", "--region", "100,50,300,200").exit_code == 0
    with open_source(slide_path) as source:
        expected = source.read(Region(100, 50, 300, 200))
    shown = picture_of(picture)
    np.testing.assert_array_equal(np.asarray(shown), expected)
    assert "original: the pixels of the source" in str(shown.info)
    assert "reconstructed by" not in str(shown.info)
    exact = json.loads(run("quality", whole, "--exact", "--json").stdout)
    compared = json.loads(run("compare", slide_path, whole, "--json").stdout)
    assert (exact["psnr_db"], exact["worst_blocks"]) == (compared["psnr_db"], compared["worst_blocks"])
    drawn = run("quality", whole, tmp_path / "q.png", "--exact")
    assert drawn.exit_code == 0, drawn.output
    assert (tmp_path / "q.png").exists()
    assert "--exact" in refused("quality", whole)
    assert "verify-source" in refused("compare", slide_path, whole, "--tier", "original")
    pyramid = tmp_path / "p.tif"
    assert run("decode", whole, pyramid, "--tier", "original", "--compression", "lossless").exit_code == 0
    with open_source(pyramid) as again, open_source(slide_path) as source:
        assert again.size == source.size
        np.testing.assert_array_equal(again.read(Region(0, 0, 500, 500)), source.read(Region(0, 0, 500, 500)))


def test_an_original_is_not_kept_of_what_is_deidentified(slide_path: Path, tmp_path: Path) -> None:
    said = refused("encode", slide_path, "-o", tmp_path / "a.hc.tif", "--keep-original", "--deidentify")
    assert "label, names and dates" in said
    assert list(tmp_path.iterdir()) == []
