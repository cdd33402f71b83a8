"""The benchmark of kept originals, on a small slide."""

from __future__ import annotations

from pathlib import Path

from benchmarks.originals import measured, table
from histocodec.demo.synthetic import tissue, write_slide
from histocodec.geometry import Size


def test_a_slide_is_measured_and_comes_back(tmp_path: Path) -> None:
    slide = tmp_path / "slide.tif"
    write_slide(slide, tissue(Size(1024, 1024), seed=3))
    row = measured(slide, None)
    assert row["source"] == slide.stat().st_size
    assert int(str(row["reconstructed"])) + int(str(row["original"])) == row["whole"]
    assert int(str(row["original"])) < slide.stat().st_size < int(str(row["jpeg_xl_pixels"]))
    head, _, line = table([row]).splitlines()
    assert head.count("|") == line.count("|")
    assert f"| {int(str(row['whole'])) / slide.stat().st_size:.3f} |" in line
