"""The command line: results on stdout, honest exit codes, never a traceback."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import fsspec
import numpy as np
import openslide
import pytest
import tifffile
from PIL import Image as PILImage

import histocodec.generators.catalogue
from histocodec.decoder import Decoder
from histocodec.format.descriptions import OTHER_BASE
from histocodec.format.reader import Container
from histocodec.generators.licences import use_of
from histocodec.generators.package import package_of
from histocodec.geometry import Region
from histocodec.version import __version__
from tests.cli.calling import Run, is_progress, names
from tests.format.conformance.make_vectors.writing import VECTORS
from tests.generators.inputs import generator_package


def test_version(run: Run) -> None:
    assert run("--version").out == f"histocodec {__version__}\n"


def test_no_arguments_show_the_commands(run: Run) -> None:
    done = run()
    assert "encode" in done.out + done.err
    assert "validate" in done.out + done.err


def test_encode_prints_json(run: Run, slide: Path) -> None:
    facts = run("encode", slide, "--generator", "bicubic-x4", "--json").value()
    size_bytes = (slide.parent / "case.hc.tif").stat().st_size
    assert facts["output"] == str(slide.parent / "case.hc.tif")
    assert facts["bytes"] == size_bytes
    assert facts["ratio_to_source"] == pytest.approx(slide.stat().st_size / size_bytes, abs=1e-3)
    assert facts["ratio_to_source"] >= 16
    assert facts["ratio_to_raw"] == pytest.approx(3 * 1100 * 900 / size_bytes, abs=1e-3)
    assert facts["bits_per_full_pixel"] == pytest.approx(8 * size_bytes / (1100 * 900), abs=1e-6)
    assert facts["base"] == {"size": [275, 225], "mpp": 1.0, "scale": 4, "codec": "av1"} | {
        "quality": pytest.approx(40, abs=20)
    }
    for measure, low, high in (("psnr_db", 20, 40), ("ssim", 0.4, 1)):
        assert set(facts[measure]) == {"mean", "percentile_5", "worst", "lowest", "of"}
        assert facts[measure]["of"] == facts["measured_blocks"]
        assert facts[measure]["worst"] == facts[measure]["lowest"], "all of it was measured"
        assert low < facts[measure]["worst"] <= facts[measure]["percentile_5"] <= facts[measure]["mean"] < high
    assert facts["bicubic_psnr_db"] == facts["psnr_db"]["mean"]


def test_json_has_the_same_keys_where_nothing_was_measured(run: Run, slide: Path) -> None:
    facts = run("encode", slide, "--generator", "bicubic-x4", "--verify", "none", "--json").value()
    assert facts["measured_blocks"] == 0
    assert [facts[key] for key in ("psnr_db", "ssim", "bicubic_psnr_db")] == [None, None, None]


def test_info_prints_json(run: Run, container_path: Path) -> None:
    facts = run("info", container_path, "--json").value()
    with Container(container_path) as container:
        assert facts["bytes"] == container.size_bytes == container_path.stat().st_size
        assert facts["base_bytes"] == container.tile_bytes(0)
        assert facts["psnr_db"]["mean"] == container.manifest.quality.psnr_db.mean  # type: ignore[union-attr]
    assert facts["size"] == [1100, 900]
    assert facts["mpp"] == 0.25
    assert facts["reduced_levels"] == [[35, 29]]
    assert facts["generator"]["digest"] == "builtin:bicubic-x4"
    assert [step["method"] for step in facts["lossy_history"]] == ["ISO_10918_1", "ISO_15444_1"]
    assert facts["deidentified"] is False
    assert facts["notice"] == "not for primary diagnosis"


def test_info_reads_well(run: Run, container_path: Path) -> None:
    done = run("info", container_path)
    assert done.code == 0
    lines = dict(line.split("  ", 1) for line in done.out.splitlines() if not line.startswith(" "))
    facts = {name: value.strip() for name, value in lines.items()}
    assert facts["size"] == "1100 x 900 px"
    assert facts["bytes"] == str(container_path.stat().st_size)
    assert facts["level 0"] == "reconstructed by bicubic-x4 builtin:bicubic-x4"
    assert facts["PSNR dB"].startswith("mean 3")
    assert facts["deidentified"] == "no"
    assert not set("{}[]") & set(done.out)


def test_validate(run: Run, container_path: Path) -> None:
    assert run("validate", container_path).out.startswith(f"{container_path}: valid")
    assert run("validate", container_path, "--deep").out == f"{container_path}: valid\n"
    assert run("validate", container_path, "--json").value() == []


def test_validate_lists_what_is_wrong(run: Run, container_path: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.hc.tif"
    data = bytearray(container_path.read_bytes())
    with Container(container_path) as container:
        for tile in (0, 1):
            stored = container.tile(0, tile)
            data[data.index(stored) + len(stored) // 2] ^= 0xFF
    damaged.write_bytes(data)
    done = run("validate", damaged)
    assert done.code == 1
    assert [line.split(":")[0] for line in done.out.splitlines()] == ["tile-checksum"] * 2
    assert "level 0 tile 1" in done.out
    assert is_progress(done.err)
    as_json = run("validate", damaged, "--json")
    assert as_json.code == 1
    assert [problem["place"] for problem in json.loads(as_json.out)] == ["level 0 tile 0", "level 0 tile 1"]


def test_validate_of_what_is_no_container(run: Run, slide_path: Path, tmp_path: Path) -> None:
    done = run("validate", slide_path)
    assert done.code == 1
    assert is_progress(done.err)
    assert done.out.startswith("not-bigtiff: ")
    assert "No such file" in run("validate", tmp_path / "none.hc.tif").sentence()


def test_decode_to_a_tiff(run: Run, container_path: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.tif"
    done = run("decode", container_path, out, "--compression", "lossless")
    assert done.code == 0
    assert is_progress(done.err)
    assert done.out == f"{out}: {out.stat().st_size} bytes\n"
    with openslide.OpenSlide(out) as slide:
        assert slide.dimensions == (1100, 900)


@pytest.mark.parametrize(
    ("name", "library"), [("out.ome.tif", "ome_types"), ("out.zarr", "zarr"), ("out.dcm", "pydicom")]
)
def test_decode_to_what_other_programs_read(
    run: Run, container_path: Path, tmp_path: Path, name: str, library: str
) -> None:
    pytest.importorskip(library, reason=f"{library} is not installed (histocodec[export])")
    out = tmp_path / name
    done = run("decode", container_path, out, "--tier", "base")
    assert done.code == 0
    assert is_progress(done.err)
    files = [file for file in (out.rglob("*") if out.is_dir() else [out]) if file.is_file()]
    assert done.out == f"{out}: {sum(file.stat().st_size for file in files)} bytes\n"
    assert "exists already" in run("decode", container_path, out).sentence()
    assert run("decode", container_path, out, "--tier", "base", "--overwrite").code == 0


@pytest.mark.parametrize("name", ["out.png", "out.jpg", "out.JPEG"])
def test_decode_to_a_picture(run: Run, container_path: Path, tmp_path: Path, name: str) -> None:
    assert run("decode", container_path, tmp_path / name, "--region", "101,203,305,207").code == 0
    with PILImage.open(tmp_path / name) as picture, Decoder(container_path) as decoder:
        pixels, expected = np.asarray(picture).astype(int), decoder.read(Region(101, 203, 305, 207))
    assert np.abs(pixels - expected).mean() < (0.001 if name.endswith("png") else 6)


def test_files_by_their_urls(run: Run, container_path: Path, tmp_path: Path) -> None:
    fsspec.filesystem("memory").pipe("/cli/slide.hc.tif", container_path.read_bytes())
    url = "memory://cli/slide.hc.tif"
    facts, local = run("info", url, "--json").value(), run("info", container_path, "--json").value()
    assert facts.pop("file") == url
    assert local.pop("file") == str(container_path)
    assert facts == local
    assert run("validate", url).out.startswith(f"{url}: valid")
    for number, file in enumerate((url, container_path)):
        assert run("decode", file, tmp_path / f"{number}.png", "--region", "101,203,305,207").code == 0
    assert (tmp_path / "0.png").read_bytes() == (tmp_path / "1.png").read_bytes()
    assert run("quality", url, tmp_path / "quality.png").code == 0
    none = "memory://cli/none.hc.tif"
    assert run("info", none).sentence() == f"histocodec: {none}: No such file or directory\n"
    assert "no file system is known for nonsense://" in run("info", "nonsense://cli/a.hc.tif").sentence()


@pytest.mark.filterwarnings("ignore:.* a codec library rounds otherwise:RuntimeWarning")
def test_a_base_that_decodes_otherwise_is_told(run: Run, tmp_path: Path) -> None:
    path = VECTORS / "invalid" / "base-mismatch-av1.hc.tif"
    done = run("decode", path, tmp_path / "out.tif")
    assert done.code == 0
    assert done.out.rstrip().endswith(OTHER_BASE)
    with tifffile.TiffFile(tmp_path / "out.tif") as tiff:
        assert OTHER_BASE in tiff.pages.first.description
    done = run("validate", path, "--deep")
    assert done.code == 1
    assert done.out.startswith("base-mismatch: level 0: 1 of 1 tiles have other pixels here")
    assert run("validate", path).code == 0  # which decodes nothing


def test_decode_of_a_coarser_level(run: Run, container_path: Path, tmp_path: Path) -> None:
    assert run("decode", container_path, tmp_path / "out.png", "--level", 2).code == 0
    with PILImage.open(tmp_path / "out.png") as picture:
        assert picture.size == (35, 29)


def test_models(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, package in run("models", "--json").value().items():
        assert package["bytes"] == len(histocodec.generators.catalogue.shipped_packages()[name].data)
    said = run("models").out
    assert "dev/monuseg, middle 512 px, uncoded: 29.89 dB, +2.26 over bicubic" in said  # jp2k-x4
    assert "dev/monuseg, middle 512 px, uncoded: 39.16 dB, +1.91 over bicubic" in said  # jp2k-x2
    stated = [package.card for package in histocodec.generators.catalogue.shipped_packages().values()]
    for key, values in (
        ("generation", [str(card.generation) for card in stated]),
        ("licence", [card.licence for card in stated]),
        ("use", [use_of(card.licence) for card in stated]),
    ):
        assert re.findall(rf"^  {key} +(.*)$", said, re.MULTILINE) == values
    monkeypatch.setattr(histocodec.generators.catalogue, "MODELS_FOLDER", tmp_path)
    assert run("models", "--json").value() == {}
    none = run("models")
    assert (none.code, none.out) == (0, "")
    assert "No learned generator ships" in none.err


def test_models_export(run: Run, container_path: Path, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    first = run("models", "export", folder, "jp2k-x2")
    assert first.code == 0
    assert [line.rpartition(": ")[0] for line in first.out.splitlines()] == [
        str(folder / f"jp2k-x2{suffix}") for suffix in (".safetensors", ".md")
    ]
    assert "exporting: 100 % (2 of 2)" in first.err
    assert run("models", "export", folder, "jp2k-x2").out.count(": was there") == 2
    for name in names(folder):
        assert (folder / name).read_bytes() == (histocodec.generators.catalogue.MODELS_FOLDER / name).read_bytes()
    (folder / "jp2k-x2.md").write_text("mine")
    assert "jp2k-x2.md: exists already with another content" in run("models", "export", folder).sentence()
    assert names(folder) == {"jp2k-x2.safetensors", "jp2k-x2.md"}
    assert "no package nothing ships" in run("models", "export", folder, "nothing").sentence()
    assert "one of them" in run("models", "export", folder, "jp2k-x2", "--all").usage()
    held = run("models", "export", tmp_path / "more", "--for", container_path, "--for", container_path)
    assert held.out == "nothing to export: each file holds what it needs\n"


def test_a_file_is_decoded_with_the_package_of_a_folder(run: Run, slide: Path, tmp_path: Path) -> None:
    made = generator_package(4, "ours-x4")
    package = package_of(made.net, dataclasses.replace(made.card, licence="CC BY-NC 4.0", generation=7))
    (tmp_path / "keep").mkdir()
    (tmp_path / "keep" / "ours.safetensors").write_bytes(package.data)
    arguments = ("--generator", tmp_path / "keep" / "ours.safetensors", "--no-embed-generator", "--verify", "none")
    report = run("encode", slide, *arguments, "--json").value()
    stated = {"name": "ours-x4", "generation": 7, "licence": "CC BY-NC 4.0", "embedded": False}
    assert report["generator"].items() >= stated.items()
    assert any(
        "ours-x4, which decoding needs, are under CC BY-NC 4.0: non-commercial" in note for note in report["notes"]
    )
    file, picture = tmp_path / "case.hc.tif", tmp_path / "out.png"
    facts = run("info", file, "--json").value()
    assert facts["generator"].items() >= stated.items()
    assert (facts["generator_use"], facts["complete"]) == ("non-commercial use only", False)
    said = run("info", file).out
    assert "generation 7, licence CC BY-NC 4.0" in said
    assert re.search(r"^use of the generator's weights +non-commercial use only$", said, re.MULTILINE)
    region = (picture, "--region", "0,0,256,256")
    wanted = run("decode", file, *region).sentence()
    assert f"ours-x4 {package.digest} of generation 7" in wanted
    assert (
        f"{tmp_path / 'none'} (no such folder)"
        in run("decode", file, *region, "--models", tmp_path / "none").sentence()
    )
    assert run("decode", file, *region, "--models", tmp_path / "keep").code == 0
    assert run("validate", file).code == 1
    assert run("validate", file, "--models", tmp_path / "keep").code == 0
    assert run("compare", slide, file, "--count", 1, "--models", tmp_path / "keep").code == 0
    assert run("models", "export", tmp_path / "models", "--for", file).sentence().count("of generation 7") == 1
    done = run("models", "export", tmp_path / "models", "--for", file, "--models", tmp_path / "keep")
    assert done.out == f"{tmp_path / 'models' / 'ours-x4.safetensors'}: {len(package.data)} bytes\n"
    assert run("decode", file, *region, "--overwrite").code == 0  # the folder beside the file


def test_an_archive_needs_no_other_file(run: Run, slide: Path, tmp_path: Path) -> None:
    package = tmp_path / "ours.safetensors"
    package.write_bytes(generator_package(4, "ours-x4").data)
    refused = run("encode", slide, "--generator", package, "--archive", "--no-embed-generator")
    assert "--archive stores the generator" in refused.usage()
    report = run("encode", slide, "--generator", package, "--archive", "--verify", "none", "--json").value()
    package.unlink()
    assert report["complete"] is True
    assert any(note.startswith("an archive: ours-x4, ") for note in report["notes"])
    assert run("info", tmp_path / "case.hc.tif", "--json").value()["complete"] is True
    assert run("validate", tmp_path / "case.hc.tif").code == 0


def test_a_preview_is_a_picture_and_numbers(run: Run, slide: Path) -> None:
    sheet = slide.with_name("sheet.png")
    options = "--generator", "bicubic-x4", "--ratio", "8", "--ratio", "900", "--json"
    facts = run("preview", slide, "-o", sheet, *options).value()
    assert facts["output"] == str(sheet)
    assert facts["8x"]["size_bytes"] <= slide.stat().st_size / 8
    assert facts["8x"]["minutes"] > 0
    assert 15 < facts["8x"]["psnr_db"] < 50
    assert "a ratio of 900" in facts["900x"]["refused"]
    with PILImage.open(sheet) as picture:
        assert picture.format == "PNG"
    assert names(slide.parent) == {"case.tif", "sheet.png"}
    assert "exists already" in run("preview", slide, "-o", sheet, *options).sentence()


def test_previews_that_cannot_be_made(run: Run, slide: Path) -> None:
    assert "must end in .png" in run("preview", slide, "-o", slide.with_name("sheet.jpg")).usage()
    assert "--region takes" in run("preview", slide, "--region", "1,2,3").usage()
    bicubic = "--generator", "bicubic-x4"
    assert "lie within" in run("preview", slide, *bicubic, "--region", "1000,0,200,200").sentence()
    assert "px a side" in run("preview", slide, *bicubic, "--region", "0,0,5,200").sentence()
    assert "ratio must be 1 to 1000" in run("preview", slide, *bicubic, "--ratio", "0.5").sentence()
    assert "no such file" in run("preview", slide.with_name("none.svs")).sentence()
    assert names(slide.parent) == {"case.tif"}
