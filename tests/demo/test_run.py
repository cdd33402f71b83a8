"""The demonstration: one picture, what was measured, and nothing left behind."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PILImage

from histocodec.demo import run as demo
from histocodec.demo.run import SPOT, ZOOM, nuclei_rich_spot, run_demo
from histocodec.encoder import encode
from histocodec.errors import HistocodecError, MissingResolution, OutputError, OutputExists, UnreadableSource
from histocodec.generators.bicubic import BicubicGenerator
from histocodec.geometry import Image, Region, Size
from histocodec.source import open_source

WIDTH = 2 * 32 + 4 * SPOT * ZOOM + 3 * 16


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made; also makes the demonstration small, and independent of weights."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setattr(demo, "SYNTHETIC_SIZE", Size(1100, 900))
    monkeypatch.setattr(demo, "encode", functools.partial(encode, generator=BicubicGenerator(4)))
    return folder


def run(slide: Path | None, output: Path, *, overwrite: bool = False, mpp: float | None = None) -> dict[str, object]:
    return run_demo(slide, output, mpp=mpp, overwrite=overwrite, progress=lambda stage, done, total: None)


def test_a_synthetic_slide_becomes_one_picture(tmp_path: Path, scratch: Path) -> None:
    output = tmp_path / "demo.png"
    stages: list[str] = []
    facts = run_demo(None, output, mpp=None, overwrite=False, progress=lambda stage, done, total: stages.append(stage))
    expected = ["painting", "reading", "coding", "colours", "measuring", "checking", "decoding"]
    assert list(dict.fromkeys(stages)) == expected
    assert facts["picture"] == str(output)
    assert isinstance(facts["ratio to the slide's file"], float)
    assert facts["ratio to the slide's file"] >= 16
    assert "dB" in " ".join(facts)
    with PILImage.open(output) as picture:
        assert picture.width == WIDTH
        assert SPOT * ZOOM + 200 < picture.height < SPOT * ZOOM + 600
        picture.load()
        said = picture.text["Description"]  # type: ignore[attr-defined]
        panels = [np.asarray(picture.convert("RGB").crop(_panel(number))) for number in range(4)]
    assert "reconstructed by bicubic-x4 builtin:bicubic-x4" in said
    assert "Not for primary diagnosis" in said
    assert "mean PSNR" in said
    assert not any(scratch.iterdir())
    # The stored base in blocks of 4 x 4 full pixels, and twice the same bicubic.
    assert np.array_equal(panels[0], panels[0][:: 4 * ZOOM, :: 4 * ZOOM].repeat(4 * ZOOM, 0).repeat(4 * ZOOM, 1))
    assert np.array_equal(panels[1], panels[2])
    assert not np.array_equal(panels[1], panels[3])


def _panel(number: int) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of a panel in the picture."""
    left, top, side = 32 + number * (SPOT * ZOOM + 16), 32 + 44, SPOT * ZOOM
    return left, top, left + side, top + side


def test_the_original_is_shown_pixel_for_pixel(slide_path: Path, tmp_path: Path, scratch: Path) -> None:
    run(slide_path, tmp_path / "demo.png")
    with PILImage.open(tmp_path / "demo.png") as picture:
        shown = np.asarray(picture.convert("RGB").crop(_panel(3)))[::ZOOM, ::ZOOM]
    with open_source(slide_path) as source:
        slide = source.read(Region(0, 0, *source.size))
    corners = np.argwhere((slide[: 900 - SPOT + 1, : 1100 - SPOT + 1] == shown[0, 0]).all(-1))
    found = [(y, x) for y, x in corners if np.array_equal(slide[y : y + SPOT, x : x + SPOT], shown)]
    assert len(found) == 1


def test_a_slide_of_ones_own_is_left_alone(slide_path: Path, tmp_path: Path, scratch: Path) -> None:
    before = slide_path.read_bytes()
    run(slide_path, tmp_path / "demo.png")
    assert slide_path.read_bytes() == before
    assert {entry.name for entry in slide_path.parent.iterdir()} == {slide_path.name}


def test_what_exists_is_refused_before_any_work(
    tmp_path: Path, scratch: Path, slide_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(demo, "tissue")
    output = tmp_path / "demo.png"
    output.write_bytes(b"old")
    with pytest.raises(OutputExists):
        run(None, output)
    assert output.read_bytes() == b"old"
    with pytest.raises(OutputError, match="is the file that is being read"):
        run(slide_path, slide_path, overwrite=True)


def test_bad_slides_raise_what_encode_raises(tmp_path: Path, scratch: Path) -> None:
    flat = tmp_path / "flat.png"
    PILImage.new("RGB", (300, 300), "white").save(flat)
    with pytest.raises(MissingResolution):
        run(flat, tmp_path / "demo.png")
    with pytest.raises(UnreadableSource):
        run(tmp_path / "none.svs", tmp_path / "demo.png")
    assert not any(scratch.iterdir())
    assert not (tmp_path / "demo.png").exists()


def test_a_file_that_is_not_valid_is_an_error(tmp_path: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "validate", lambda *arguments, **options: ["a problem"])
    with pytest.raises(HistocodecError, match="the file just written is not valid: a problem"):
        run(None, tmp_path / "demo.png")
    assert not any(scratch.iterdir())


# The spot that is shown

GLASS, STROMA, NUCLEUS, FOLD = (243, 242, 244), (225, 170, 200), (90, 60, 140), (80, 40, 90)


@pytest.fixture
def base() -> Image:
    """300 x 400 px: glass, a field of pale stroma, and in it a crowd of nuclei at (230..290, 110..170)."""
    image = np.full((300, 400, 3), GLASS, np.uint8)
    image[40:260, 60:360] = STROMA
    for y in range(110, 170, 8):
        for x in range(230, 290, 8):
            image[y : y + 4, x : x + 4] = NUCLEUS
    return image


@pytest.mark.parametrize("side", [20, 40, 60])
def test_the_spot_lies_where_the_nuclei_are(base: Image, side: int) -> None:
    x, y = nuclei_rich_spot(base, side)
    assert 222 <= x <= 298 - side
    assert 102 <= y <= 178 - side


def test_a_fold_is_no_crowd_of_nuclei(base: Image) -> None:
    base[180:250, 80:200] = FOLD
    x, y = nuclei_rich_spot(base, 40)
    assert 222 <= x <= 258
    assert 102 <= y <= 138


def test_no_glass_is_shown(base: Image) -> None:
    base[:, 262:] = GLASS  # cuts the crowd of nuclei in two
    x, y = nuclei_rich_spot(base, 40)
    assert 200 <= x <= 222
    assert 102 <= y <= 138


def test_a_spot_as_large_as_the_slide(base: Image) -> None:
    assert nuclei_rich_spot(base[:40, :40], 40) == (0, 0)
