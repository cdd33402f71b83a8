"""Formats by the names of outputs: chosen, refused, atomic, and of one memory whatever the slide."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from histocodec.decoder import Decoder
from histocodec.demo.synthetic import write_slide
from histocodec.encoder import EncodeSettings, encode
from histocodec.errors import NoSpace, OutputError, OutputExists, RegionError, SettingsError
from histocodec.generators.bicubic import BicubicGenerator
from histocodec.geometry import Image, Region
from histocodec.source import open_source
from histocodec.views.export import export_slide
from histocodec.views.formats import FORMATS, format_of
from tests.places import REPOSITORY
from tests.test_packaging import BLOCKING
from tests.views.conftest import names, no_file_above

EVERY = ["out.tif", "out.ome.tif", "out.zarr", "out.dcm"]
FOLDERS = ["out.zarr", "out.dcm"]


def content(folder: Path) -> dict[str, bytes]:
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.tif", "TIFF"),
        ("a.TIFF", "TIFF"),
        ("a.ome.tif", "OME-TIFF"),
        ("a.b.OME.TIFF", "OME-TIFF"),
        ("a.zarr", "OME-Zarr"),
        ("a.ome.zarr", "OME-Zarr"),
        ("a.dcm", "DICOM"),
    ],
)
def test_the_name_chooses_the_format(name: str, expected: str) -> None:
    assert format_of(Path(name)).name == expected


@pytest.mark.parametrize("name", ["a", "a.svs", "zarr", "a.tif.gz"])
def test_another_name_is_refused_with_all_that_could_be_meant(full: Decoder, tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError, match=r"\.ome\.tif, .*\.zarr or \.dcm, found"):
        export_slide(full, tmp_path / name)


@pytest.mark.parametrize("name", EVERY)
def test_nothing_is_written_of_what_cannot_be(full: Decoder, tmp_path: Path, name: str) -> None:
    out = tmp_path / name
    with pytest.raises(RegionError, match="does not lie within"):
        export_slide(full, out, region=Region(2000, 0, 500, 10))
    with pytest.raises(SettingsError, match="takes no quality"):
        export_slide(full, out, compression="lossless", quality=50)
    with pytest.raises(SettingsError, match="must be one of"):
        export_slide(full, out, compression="webp")  # type: ignore[arg-type]
    with pytest.raises(OutputError, match="does not exist"):
        export_slide(full, tmp_path / "missing" / name)
    assert not names(tmp_path)


def test_zarr_is_lossless_alone(full: Decoder, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="compression of OME-Zarr must be one of lossless, found jpeg"):
        export_slide(full, tmp_path / "out.zarr", compression="jpeg")


@pytest.mark.parametrize("name", EVERY)
def test_progress_ends_with_all_tiles(full: Decoder, tmp_path: Path, name: str) -> None:
    told: list[tuple[int, int]] = []
    export_slide(full, tmp_path / name, level=1, progress=lambda *step: told.append(step))
    total = told[-1][1]
    assert told == [(done, total) for done in range(1, total + 1)]


# Folders are there, whole, or not at all


@pytest.mark.parametrize("name", FOLDERS)
def test_what_is_there_stays_unless_it_may_be_replaced(full: Decoder, tmp_path: Path, name: str) -> None:
    out = tmp_path / name
    export_slide(full, out, level=1)
    before = content(out)
    with pytest.raises(OutputExists, match="--overwrite replaces it"):
        export_slide(full, out, level=2)
    assert content(out) == before
    export_slide(full, out, level=2, overwrite=True)
    assert len(content(out)) < len(before)
    assert names(tmp_path) == {name}


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_of_other_things_is_never_replaced(full: Decoder, tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "thesis.doc").write_text("three years")
    with pytest.raises(OutputError, match="holds other things"):
        export_slide(full, tmp_path / name, overwrite=True)
    assert content(tmp_path / name) == {"thesis.doc": b"three years"}


def test_a_scanners_own_instances_are_never_replaced(full: Decoder, tmp_path: Path) -> None:
    pydicom = pytest.importorskip("pydicom", reason="pydicom is not installed (histocodec[export])")
    export_slide(full, tmp_path / "out.dcm", level=2)
    scanned = pydicom.dcmread(tmp_path / "out.dcm" / "level-0.dcm")
    scanned.Manufacturer = "A scanner"
    scanned.save_as(tmp_path / "out.dcm" / "level-0.dcm")
    before = content(tmp_path)
    with pytest.raises(OutputError, match="holds other things"):
        export_slide(full, tmp_path / "out.dcm", level=2, overwrite=True)
    assert content(tmp_path) == before


def test_a_folder_that_holds_the_file_itself_is_not_replaced(full_path: Path, tmp_path: Path) -> None:
    with Decoder(full_path) as decoder:
        export_slide(decoder, tmp_path / "out.zarr", level=2)
    inside = tmp_path / "out.zarr" / "case.hc.tif"
    inside.write_bytes(full_path.read_bytes())
    with Decoder(inside) as decoder, pytest.raises(OutputError, match="holds the file that is being read"):
        export_slide(decoder, tmp_path / "out.zarr", level=2, overwrite=True)
    assert inside.exists()


@pytest.mark.parametrize("name", EVERY)
def test_a_full_disk_leaves_nothing_and_takes_nothing(full: Decoder, tmp_path: Path, name: str) -> None:
    out = tmp_path / name
    with no_file_above(20_000), pytest.raises(NoSpace, match="nothing was written under this name"):
        export_slide(full, out)
    assert not names(tmp_path)
    export_slide(full, out, level=2)
    before = content(tmp_path)
    with no_file_above(20_000), pytest.raises(NoSpace):
        export_slide(full, out, overwrite=True)
    assert content(tmp_path) == before


@pytest.mark.parametrize("name", EVERY)
def test_giving_up_leaves_nothing(full: Decoder, tmp_path: Path, name: str) -> None:
    def stop(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_slide(full, tmp_path / name, progress=stop)
    assert not names(tmp_path)


# Libraries, and memory


def test_a_missing_library_gets_a_sentence_that_names_the_extra(full_path: Path, tmp_path: Path) -> None:
    program = BLOCKING.format(blocked={"zarr", "pydicom", "ome_types"}) + (
        "import histocodec\n"
        "with histocodec.Decoder(sys.argv[1]) as decoder:\n"
        "    for name in ('a.ome.tif', 'a.zarr', 'a.dcm'):\n"
        "        try:\n"
        "            histocodec.export_slide(decoder, Path(sys.argv[2]) / name)\n"
        "        except histocodec.SettingsError as error:\n"
        "            print(error)\n"
        "    histocodec.export_slide(decoder, Path(sys.argv[2]) / 'a.tif', level=1)\n"
        "try:\n"
        "    histocodec.open_zarr(sys.argv[1])\n"
        "except histocodec.SettingsError as error:\n"
        "    print(error)\n"
    )
    command = [sys.executable, "-c", program, str(full_path), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=REPOSITORY)
    assert done.stdout.splitlines() == [
        f"{purpose} takes {library}, which is not installed: pip install 'histocodec[export]'"
        for purpose, library in (
            ("writing OME-TIFF", "ome_types"),
            ("writing OME-Zarr", "zarr"),
            ("writing DICOM", "pydicom"),
            ("open_zarr", "zarr"),
        )
    ], done.stderr
    assert names(tmp_path) == {"a.tif"}


PEAKS = """
import resource
import sys
from pathlib import Path
import histocodec

short, long, folder = map(Path, sys.argv[1:])

def export(path, out):
    with histocodec.Decoder(path, cache_bytes=8 << 20) as decoder:
        histocodec.export_slide(decoder, out)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

for suffix in (".tif", ".ome.tif", ".zarr", ".dcm"):
    export(short, folder / f"short{suffix}")
    before = export(short, folder / f"again{suffix}")
    print(suffix, export(long, folder / f"long{suffix}") - before)
"""


def test_memory_does_not_grow_with_the_slide(tmp_path: Path, slide_image: Image) -> None:
    pytest.importorskip("resource")
    strip = slide_image[:896, :1024]
    pixels_mb = {}
    for name, repeats in (("short", 3), ("long", 27)):
        image = np.tile(strip, (repeats, 1, 1))
        pixels_mb[name] = image.nbytes / 1e6
        write_slide(tmp_path / f"{name}.tif", image)
        with open_source(tmp_path / f"{name}.tif") as source:
            settings = EncodeSettings(codec="jpeg", ratio=None, quality=60, verify="none")
            encode(source, tmp_path / f"{name}.hc.tif", BicubicGenerator(4), settings)
    (tmp_path / "out").mkdir()
    command = [sys.executable, "-c", PEAKS, *(str(tmp_path / name) for name in ("short.hc.tif", "long.hc.tif", "out"))]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=REPOSITORY)
    grown_mb = {line.split()[0]: int(line.split()[1]) / 1024 for line in done.stdout.splitlines()}
    assert list(grown_mb) == [".tif", ".ome.tif", ".zarr", ".dcm"]
    more_mb = pixels_mb["long"] - pixels_mb["short"]
    assert max(grown_mb.values()) < more_mb / 3, grown_mb


def test_every_format_is_named_once() -> None:
    suffixes = [suffix for chosen in FORMATS for suffix in chosen.suffixes]
    assert len(suffixes) == len(set(suffixes))
