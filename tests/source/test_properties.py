"""Properties of a slide, within bounds."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from histocodec.cli import app
from histocodec.geometry import Image
from histocodec.source import open_source
from histocodec.source._properties import MOST_BYTES, bounded
from tests.source.inputs import CM_025, TILED, write


def test_a_description_larger_than_a_slide_is_cut_with_a_note(tmp_path: Path, slide: Image) -> None:
    long = "<x>" + "A1b2" * (MOST_BYTES // 3) + "</x>"
    path = write(tmp_path / "a.tif", (slide, {**TILED, "description": long}), compression="jpeg", **CM_025)
    file = tmp_path / "a.hc.tif"
    result = CliRunner().invoke(
        app, ["encode", str(path), "-o", str(file), "--quality", "30", "--generator", "bicubic-x4"]
    )
    assert result.exit_code == 0
    assert f"property tiff.ImageDescription cut to 65536 of {len(long)} characters" in result.stdout
    with open_source(path) as source:
        assert source.properties["tiff.ImageDescription"].startswith(long[:65536])
        assert source.properties["openslide.comment"] == "[the same as tiff.ImageDescription]"


def test_properties_within_bounds_stay_whole() -> None:
    long = "x" * (MOST_BYTES - 1000)
    assert bounded({"a": "1", "b": long}) == ({"a": "1", "b": long}, ())
    kept, notes = bounded({"a": "µ" * MOST_BYTES, "b": "y" * 100_000, "c": "y" * 100_000, "d": "1"})
    assert len(kept["a"]) < 70_000
    assert (kept["b"], kept["c"], kept["d"]) == ("y" * 100_000, "[the same as b]", "1")
    assert len(notes) == 1
