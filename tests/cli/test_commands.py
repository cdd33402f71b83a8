"""The command line: results on stdout, one line on stderr for an error, honest exit codes, never a traceback."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import openslide
import pytest
import tifffile
from PIL import Image as PILImage

import histocodec.generators.catalogue
from histocodec import cli
from histocodec.cli import encode
from histocodec.decoder import Decoder
from histocodec.demo.synthetic import write_slide
from histocodec.format.descriptions import OTHER_BASE
from histocodec.format.reader import Container
from histocodec.generators.licences import use_of
from histocodec.generators.package import package_of
from histocodec.geometry import Image, Region
from histocodec.version import __version__
from tests.format.conformance.make_vectors.writing import VECTORS
from tests.generators.inputs import generator_package


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str

    def value(self) -> Any:
        """Of `--json`."""
        assert self.code == 0, self.err
        return json.loads(self.out)

    def sentence(self, code: int = 1) -> str:
        """What was said of an error: one line on stderr, after those on how far it came, and nothing else."""
        assert self.code == code
        assert self.out == ""
        *lines, last = self.err.splitlines(keepends=True)
        assert all(is_progress(line) for line in lines)
        assert last.startswith("histocodec: ")
        assert last.endswith("\n")
        return last

    def usage(self) -> str:
        """What was said of a usage error: on stderr, without line breaks and frames."""
        assert self.code == 2
        assert self.out == ""
        assert "Traceback" not in self.err
        return " ".join(self.err.replace("│", " ").split())


def is_progress(text: str) -> bool:
    """Whether stderr holds nothing but lines on progress, and perhaps how long it took."""
    line = re.compile(r"[a-z ]+: \d+ % \(\d+ of \d+\), \d+\.\d s|done in \d+\.\d s")
    return all(line.fullmatch(said) for said in text.splitlines())


Run = Callable[..., Done]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run a command line in this process, exactly as `python -m histocodec` does."""

    def in_process(*arguments: object) -> Done:
        monkeypatch.setattr(sys, "argv", ["histocodec", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        captured = capfd.readouterr()
        return Done(int(caught.value.code or 0), captured.out, captured.err)

    return in_process


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "histocodec", *map(str, arguments)]


@pytest.fixture
def slide(slide_path: Path, tmp_path: Path) -> Path:
    """A slide alone in its folder, as a user has it."""
    return Path(shutil.copy(slide_path, tmp_path / "case.tif"))


def names(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}


# As a process


def test_encode_as_a_process(slide: Path) -> None:
    done = subprocess.run(
        command("encode", slide, "--generator", "bicubic-x4"), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert is_progress(done.stderr)
    assert names(slide.parent) == {"case.tif", "case.hc.tif"}
    assert f"{slide.stat().st_size / (slide.parent / 'case.hc.tif').stat().st_size:.4g}" in done.stdout


def test_an_error_of_a_process(tmp_path: Path) -> None:
    done = subprocess.run(command("encode", tmp_path / "none.svs"), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"histocodec: {tmp_path / 'none.svs'}: no such file\n"


def test_a_reader_that_goes_away(container_path: Path) -> None:
    """The pipe `histocodec info FILE | head -1` ends without a traceback."""
    with subprocess.Popen(
        command("info", container_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 1


@pytest.fixture(scope="module")
def slow_slide(tmp_path_factory: pytest.TempPathFactory, slide_image: Image) -> Path:
    """4400 x 3600 px: takes seconds to encode."""
    path = tmp_path_factory.mktemp("slow") / "slow.tif"
    write_slide(path, np.tile(slide_image, (4, 4, 1)))
    return path


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc to see when an encode has begun")
@pytest.mark.parametrize(
    ("number", "code", "said"),
    [
        (signal.SIGINT, 130, "histocodec: interrupted; nothing was written\n"),
        (signal.SIGTERM, -signal.SIGTERM, ""),
        (getattr(signal, "SIGKILL", 9), -9, ""),
    ],
)
def test_a_signal_in_the_middle(slow_slide: Path, tmp_path: Path, number: int, code: int, said: str) -> None:
    begun = command("encode", slow_slide, "-o", tmp_path / "case.hc.tif", "--generator", "bicubic-x4")
    # A shell's background job ignores SIGINT, and so does whatever it starts.
    heed = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    pipe = subprocess.PIPE
    with subprocess.Popen(begun, stdout=pipe, stderr=pipe, text=True, preexec_fn=heed) as process:
        while not _holds_a_file_in(process.pid, tmp_path):
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(number)
        out, err = process.communicate()
    assert (process.returncode, out, err) == (code, "", said)
    assert not names(tmp_path)


def _holds_a_file_in(pid: int, folder: Path) -> bool:
    """Whether a process has its nameless temporary files open."""
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            if link.readlink().is_relative_to(folder):
                return True
        except FileNotFoundError:
            continue
    return False


# Results


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


# Errors


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


# preview


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
