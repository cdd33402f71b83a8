"""The commands on files that are there: quality, compare, strip, enhance, regions; encode and decode with a floor."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image as PILImage
from typer.testing import CliRunner, Result

from histocodec.cli import app
from histocodec.errors import HistocodecError

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
