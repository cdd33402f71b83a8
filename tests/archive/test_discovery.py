"""Files, patterns and folders: what is meant, and what belongs together."""

from __future__ import annotations

import struct
from pathlib import Path, PurePosixPath

import pytest

from histocodec.archive.discovery import Found, Kind, Selection, find, is_one_file
from histocodec.errors import MissingFile
from tests.archive.inputs import write_files


def places(*sources: object, kind: Kind = "slides", **selection: object) -> list[str]:
    return [str(found.place) for found in find(map(str, sources), kind, Selection(**selection))]  # type: ignore[arg-type]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    write_files(
        tmp_path / "tree",
        *("b.svs", "a.tif", "a.hc.tif", "notes.txt", "picture.png", ".hidden.tif", "inner/c.ndpi", "inner/deep/d.tif"),
        *(".trash/e.tif", "set.mrxs", "set/Data0000.dat", "set/Slidedat.ini", "set/preview.tif"),
    )
    return tmp_path / "tree"


def test_a_folder_has_its_slides_in_order(tree: Path) -> None:
    assert places(tree) == ["a.tif", "b.svs", "set.mrxs"]
    assert places(tree, kind="containers") == ["a.hc.tif"]


def test_recursive_keeps_the_tree_and_leaves_out_data_of_a_set(tree: Path) -> None:
    assert places(tree, recursive=True) == ["a.tif", "b.svs", "set.mrxs", "inner/c.ndpi", "inner/deep/d.tif"]


def test_include_and_exclude(tree: Path) -> None:
    assert places(tree, include=("*.png",)) == ["picture.png"]
    assert places(tree, recursive=True, include=("inner/*",)) == ["inner/c.ndpi", "inner/deep/d.tif"]
    assert places(tree, recursive=True, exclude=("a.*", "deep")) == ["b.svs", "set.mrxs", "inner/c.ndpi"]


def test_patterns(tree: Path) -> None:
    assert places(tree / "*.tif") == ["a.tif"]
    assert places(tree / "**" / "*.tif", recursive=True) == ["a.tif", "d.tif"]
    assert places(tree / "inn*", recursive=True) == ["inner/c.ndpi", "inner/deep/d.tif"]


def test_a_file_is_taken_by_name_whatever_it_is(tree: Path) -> None:
    assert places(tree / "notes.txt", tree / "none.svs") == ["notes.txt", "none.svs"]
    assert places("s3://bucket/a/b.hc.tif", kind="containers") == ["b.hc.tif"]


def test_a_name_with_the_characters_of_a_pattern_is_a_name(tmp_path: Path) -> None:
    write_files(tmp_path, "case[1].tif")
    assert places(tmp_path / "case[1].tif") == ["case[1].tif"]
    assert is_one_file([tmp_path / "case[1].tif"])
    assert not is_one_file([tmp_path / "case*.tif"])
    assert not is_one_file([tmp_path])
    assert is_one_file(["s3://bucket/what[ever].hc.tif"])


def test_nothing_found_is_an_error(tree: Path) -> None:
    with pytest.raises(MissingFile, match="--recursive looks into"):
        places(tree / "inner" / "deep" / "..", include=("*.svs",))
    with pytest.raises(MissingFile, match=r"found none$"):
        places(tree, include=("*.czi",), recursive=True)


def test_the_files_of_a_set_are_one_slide(tree: Path) -> None:
    found = next(each for each in find([tree], "slides", Selection()) if each.place.name == "set.mrxs")
    assert [file.name for file in found.files] == ["set.mrxs", "Data0000.dat", "Slidedat.ini", "preview.tif"]


def test_a_vms_set_is_one_slide(tmp_path: Path) -> None:
    write_files(tmp_path, "map.jpg", "part(0).jpg", "other.jpg")
    (tmp_path / "slide.vms").write_text("[Virtual Microscope Specimen]\nImageFile=part(0).jpg\nMapFile=map.jpg\n")
    (found,) = find([tmp_path], "slides", Selection())
    assert [file.name for file in found.files] == ["slide.vms", "map.jpg", "part(0).jpg"]


def dicom(path: Path, uid: str) -> None:
    """The beginning of a DICOM file of a series."""
    value = uid.encode() + b"\0" * (len(uid) % 2)
    path.write_bytes(bytes(128) + b"DICM" + struct.pack("<HH2sH", 0x20, 0xE, b"UI", len(value)) + value)


def test_a_dicom_series_is_one_slide(tmp_path: Path) -> None:
    for name, uid in (("3.dcm", "1.2.3"), ("1.dcm", "1.2.3"), ("2.dcm", "1.2.4")):
        dicom(tmp_path / name, uid)
    found = list(find([tmp_path], "slides", Selection()))
    assert [[file.name for file in each.files] for each in found] == [["1.dcm", "3.dcm"], ["2.dcm"]]
    (named,) = find([tmp_path / "3.dcm"], "slides", Selection())
    assert [file.name for file in named.files] == ["3.dcm", "1.dcm"]


def test_outputs_keep_the_place(tmp_path: Path) -> None:
    found = Found(Path("x/a/b.c.hc.tif"), PurePosixPath("a/b.c.hc.tif"), ())
    assert found.output(tmp_path, ".tif") == tmp_path / "a" / "b.c.tif"
    assert found.beside == Path("x/a")
