"""What the command line refuses: one line on stderr, exit code 1, and nothing written; never a traceback."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image as PILImage

import histocodec.generators.catalogue
from histocodec.cli import encode
from tests.cli.calling import Run, names


def test_a_slide_that_exists_as_a_container(run: Run, slide: Path) -> None:
    out = slide.parent / "case.hc.tif"
    out.write_bytes(b"old")
    assert "exists already" in run("encode", slide, "--generator", "bicubic-x4").sentence()
    assert out.read_bytes() == b"old"
    assert run("encode", slide, "--generator", "bicubic-x4", "--overwrite").code == 0
    assert out.stat().st_size > 3


def test_encode_refuses_bad_sources(run: Run, slide: Path, tmp_path: Path) -> None:
    text = tmp_path / "notes.svs"
    text.write_text("no image")
    flat = tmp_path / "flat.png"
    PILImage.new("RGB", (64, 64)).save(flat)
    cut = tmp_path / "cut.tif"
    cut.write_bytes(slide.read_bytes()[:-50_000])
    assert "expected a slide or an image file" in run("encode", text).sentence()
    assert "--mpp" in run("encode", flat).sentence()
    assert "out of range" in run("encode", flat, "--mpp", 5).sentence()
    assert "cut" in run("encode", cut).sentence()
    (tmp_path / "empty").mkdir()
    assert "expected slides, found none" in run("encode", tmp_path / "empty").sentence()
    assert names(tmp_path) == {"case.tif", "notes.svs", "flat.png", "cut.tif", "empty"}


def test_encode_refuses_bad_outputs(run: Run, slide: Path) -> None:
    assert "is a folder" in run("encode", slide, "-o", slide.parent).sentence()
    assert "does not exist" in run("encode", slide, "-o", slide.parent / "no" / "case.hc.tif").sentence()
    assert "is the file that is being read" in run("encode", slide, "-o", slide, "--overwrite").sentence()
    assert names(slide.parent) == {"case.tif"}


def test_encode_refuses_bad_settings(run: Run, slide: Path) -> None:
    assert "ratio must be 1 to 1000" in run("encode", slide, "--ratio", 0.5).sentence()
    assert "--ratio" in run("encode", slide, "--ratio", 900, "--generator", "bicubic-x4").sentence()
    assert "quality 300" in run("encode", slide, "--quality", 300).sentence()
    assert "no generator nothing" in run("encode", slide, "--generator", "nothing").sentence()
    assert "not a package" in run("encode", slide, "--generator", slide).sentence()
    assert "needs 4" in run("encode", slide, "--generator", "bicubic-x2").sentence()
    assert "no package" in run("encode", slide, "--generator", "bicubic-x4", "--embed-generator").sentence()
    assert names(slide.parent) == {"case.tif"}


def test_a_missing_default_generator(
    run: Run, slide: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.setattr(histocodec.generators.catalogue, "MODELS_FOLDER", tmp_path_factory.mktemp("no models"))
    assert "no generator av1-x4" in run("encode", slide).sentence()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["encode", "case.svs", "--codec", "gif"], "'gif' is not one of"),
        (["encode", "case.svs", "--ratio", "16", "--quality", "30"], "give --ratio or --quality, not both"),
        (["encode", "case.svs", "--ratio", "much"], "--ratio"),
        (["encode"], "Missing argument"),
        (["decode", "case.hc.tif", "case.bmp"], ".zarr or .dcm, or .png or .jpg, found case.bmp"),
        (["decode", "case.hc.tif", "case.tif", "--region", "1,2,3"], "x,y,width,height in whole pixels, found 1,2,3"),
        (["decode", "case.hc.tif", "case.tif", "--region", "a,b,c,d"], "found a,b,c,d"),
        (["decode", "case.hc.tif", "case.tif", "--compression", "gif"], "'gif' is not one of"),
        (["demo", "-o", "demo.bmp"], "must end in .png, found demo.bmp"),
        (["compress", "case.svs"], "No such command"),
    ],
)
def test_usage_errors(run: Run, arguments: list[str], said: str) -> None:
    assert said in run(*arguments).usage()


def test_decode_refuses_what_is_not_there(run: Run, container_path: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.tif"
    for region in ("1000,0,101,10", "-1,0,5,5", "0,0,0,5"):
        assert "region" in run("decode", container_path, out, f"--region={region}").sentence()
    assert "expected a level of 0 to 2, found 3" in run("decode", container_path, out, "--level", 3).sentence()
    assert "quality 900" in run("decode", container_path, out, "--quality", 900).sentence()
    assert "lossless" in run("decode", container_path, out, "--compression", "lossless", "--quality", 90).sentence()
    assert not names(tmp_path)


def test_decode_refuses_other_generators(run: Run, container_path: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.tif"
    said = run("decode", container_path, out, "--generator", "bicubic-x2").sentence()
    assert "names generator bicubic-x4 builtin:bicubic-x4" in said
    assert "found bicubic-x2" in said
    assert "no generator nothing" in run("decode", container_path, out, "--generator", "nothing").sentence()
    assert not names(tmp_path)


def test_decode_never_replaces_its_own_file(run: Run, container_path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "case.hc.tif"
    shutil.copy(container_path, copy)
    assert "is the file that is being read" in run("decode", copy, copy, "--overwrite").sentence()
    assert copy.read_bytes() == container_path.read_bytes()


def test_decode_leaves_what_exists(run: Run, container_path: Path, tmp_path: Path) -> None:
    for name in ("out.tif", "out.png"):
        (tmp_path / name).write_bytes(b"old")
        assert "exists already" in run("decode", container_path, tmp_path / name).sentence()
        assert (tmp_path / name).read_bytes() == b"old"


@pytest.mark.parametrize("verb", ["info", "decode"])
def test_what_is_no_container(run: Run, slide_path: Path, tmp_path: Path, verb: str) -> None:
    more = [tmp_path / "out.tif"] if verb == "decode" else []
    assert "not-bigtiff" in run(verb, slide_path, *more).sentence()
    assert "No such file" in run(verb, tmp_path / "none.hc.tif", *more).sentence()
    said = "Is a directory" if verb == "decode" else "found none"
    assert said in run(verb, tmp_path, *more).sentence()
    assert not names(tmp_path)


def test_a_container_is_no_slide_to_encode(run: Run, container_path: Path, tmp_path: Path) -> None:
    said = run("encode", container_path, "-o", tmp_path / "again.hc.tif").sentence()
    assert "already a histocodec file; decode it first" in said


def test_a_file_that_may_not_be_read_is_one_line_too(run: Run, slide: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What no module foresaw, an operating system's error or a lack of memory, ends in a line as well."""

    def fail(error: Exception) -> Callable[..., None]:
        def raise_it(*arguments: object, **options: object) -> None:
            raise error

        return raise_it

    monkeypatch.setattr(encode, "open_source", fail(OSError(5, "Input/output error\nin two lines")))
    assert "Input/output error in two lines" in run("encode", slide).sentence()
    monkeypatch.setattr(encode, "open_source", fail(MemoryError()))
    assert "out of memory" in run("encode", slide).sentence()
    monkeypatch.setattr(
        encode, "open_source", fail(ModuleNotFoundError("No module named 'openslide'", name="openslide"))
    )
    assert "needs the package openslide, which is not installed" in run("encode", slide).sentence()
