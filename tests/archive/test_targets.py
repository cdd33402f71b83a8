"""Names of outputs: clashes are found before anything is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from histocodec.archive.discovery import CONTAINER, Selection, find
from histocodec.archive.targets import make_folders, refuse_existing, targets
from histocodec.errors import OutputError, OutputExists
from tests.archive.inputs import write_files


def pairs(folder: Path, output: Path | None, *, end: str = CONTAINER) -> list[tuple[str, Path]]:
    found = find([folder], "slides" if end == CONTAINER else "containers", Selection(recursive=True))
    return [(each.place.as_posix(), target) for each, target in targets(found, output, end)]


def test_beside_the_source_or_in_a_folder_with_the_tree(tmp_path: Path) -> None:
    write_files(tmp_path / "in", "a.svs", "inner/b.tif")
    assert [target for _, target in pairs(tmp_path / "in", None)] == [
        tmp_path / "in" / "a.hc.tif",
        tmp_path / "in" / "inner" / "b.hc.tif",
    ]
    there = pairs(tmp_path / "in", tmp_path / "out")
    assert there == [
        ("a.svs", tmp_path / "out" / "a.hc.tif"),
        ("inner/b.tif", tmp_path / "out" / "inner" / "b.hc.tif"),
    ]
    assert not (tmp_path / "out").exists()


def test_two_slides_of_one_output(tmp_path: Path) -> None:
    write_files(tmp_path, "a.svs", "A.tif")
    with pytest.raises(OutputError, match=r"A.tif and .*a.svs would both become"):
        pairs(tmp_path, tmp_path / "out")


def test_an_output_is_no_input(tmp_path: Path) -> None:
    write_files(tmp_path, "a.hc.tif", "a.tif")
    (tmp_path / "b").mkdir()
    found = [
        *find([tmp_path], "containers", Selection()),
        *find([tmp_path / "a.tif"], "containers", Selection()),
    ]
    with pytest.raises(OutputError, match="is what is read"):
        targets(found, tmp_path, ".tif")


def test_what_is_meant_twice_is_done_once(tmp_path: Path) -> None:
    write_files(tmp_path, "a.svs")
    found = find([tmp_path, tmp_path / "a.svs", tmp_path / "*.svs"], "slides", Selection())
    assert len(targets(found, None, CONTAINER)) == 1


def test_outputs_that_exist_are_listed_together(tmp_path: Path) -> None:
    write_files(tmp_path / "in", "a.svs", "b.svs", "c.svs")
    found = targets(find([tmp_path / "in"], "slides", Selection()), tmp_path / "out", CONTAINER)
    make_folders(found)
    refuse_existing(found)
    write_files(tmp_path / "out", "a.hc.tif", "c.hc.tif")
    with pytest.raises(OutputExists, match=r"2 of the outputs exist.*a\.hc\.tif.*c\.hc\.tif"):
        refuse_existing(found)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    write_files(tmp_path, "a.svs", "file")
    found = targets(find([tmp_path / "a.svs"], "slides", Selection()), tmp_path / "file", CONTAINER)
    with pytest.raises(OutputError, match="cannot be made"):
        make_folders(found)
