"""What a scan notices: new, changed, moved, lost, and names that clash."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from histocodec.archive.scan import Scanned
from histocodec.errors import OutputError
from tests.archive.inputs import QUICK, catalogued, finish, write_files


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    write_files(tmp_path / "in", "a.svs", "inner/b.svs")
    return tmp_path / "in"


def archived(tmp_path: Path, sources: Path) -> Path:
    """An archive in which all is done; every slide has the digest of the first."""
    folder = tmp_path / "archive"
    catalogue, found = catalogued(folder, sources)
    with catalogue:
        assert found == Scanned(new=2)
        finish(catalogue, sha256=hashlib.sha256(b"a.svs").hexdigest())
    return folder


def test_nothing_has_changed(sources: Path, tmp_path: Path) -> None:
    catalogue, found = catalogued(archived(tmp_path, sources), sources)
    with catalogue:
        assert found == Scanned(unchanged=2)
        assert catalogue.count("waiting") == 0


def test_another_time_of_change_and_the_same_bytes(sources: Path, tmp_path: Path) -> None:
    folder = archived(tmp_path, sources)
    os.utime(sources / "a.svs", (1, 1))
    catalogue, found = catalogued(folder, sources)
    with catalogue:
        assert found == Scanned(unchanged=2)
        assert catalogue.row(1)["source_modified_ns"] == 1_000_000_000


@pytest.mark.parametrize("content", ["longer than it was", "b.svs"])
def test_a_changed_source_waits_again(sources: Path, tmp_path: Path, content: str) -> None:
    folder = archived(tmp_path, sources)
    (sources / "a.svs").write_text(content)
    os.utime(sources / "a.svs", (1, 1))
    catalogue, found = catalogued(folder, sources)
    with catalogue:
        assert found == Scanned(changed=1, unchanged=1)
        assert [row["output"] for row in catalogue.rows("state = 'waiting'")] == ["a.hc.tif"]


def test_other_settings_wait_again(sources: Path, tmp_path: Path) -> None:
    folder = archived(tmp_path, sources)
    other = type(QUICK)(codec="jp2k", quality=30.0)
    catalogue, found = catalogued(folder, sources, choices=other)
    with catalogue:
        assert found == Scanned(changed=2)
        assert {catalogue.choices(row["settings"]) for row in catalogue.rows()} == {other}


def test_a_file_of_the_archive_that_is_gone(sources: Path, tmp_path: Path) -> None:
    folder = archived(tmp_path, sources)
    (folder / "inner" / "b.hc.tif").unlink()
    catalogue, found = catalogued(folder, sources)
    with catalogue:
        assert found == Scanned(lost=1, unchanged=1)


def test_a_moved_folder_is_found_again_by_digest(sources: Path, tmp_path: Path) -> None:
    folder = archived(tmp_path, sources)
    moved = tmp_path / "elsewhere" / "year"
    moved.parent.mkdir()
    sources.rename(moved)
    (moved / "inner").rename(moved / "other")
    catalogue, found = catalogued(folder, moved)
    with catalogue:
        # b.svs has other bytes than its digest says: it counts as new, under its new name.
        assert found == Scanned(moved=1, new=1)
        assert catalogue.row(1)["source"] == str(moved / "a.svs")
        assert (catalogue.row(1)["state"], catalogue.row(1)["output"]) == ("done", "a.hc.tif")


def test_the_same_bytes_at_two_places_are_two_slides(sources: Path, tmp_path: Path) -> None:
    folder = archived(tmp_path, sources)
    (sources / "copy.svs").write_text("a.svs")
    catalogue, found = catalogued(folder, sources)
    with catalogue:
        assert found == Scanned(new=1, unchanged=2)


def test_names_that_clash_are_found_before_anything_is_entered(tmp_path: Path) -> None:
    write_files(tmp_path / "in", "a.svs", "A.tif", "b.svs")
    with pytest.raises(OutputError, match=r"name clashes.*a\.hc\.tif is the file of .*A\.tif, and would be that of"):
        catalogued(tmp_path / "archive", tmp_path / "in")
    catalogue, found = catalogued(tmp_path / "archive", tmp_path / "in" / "b.svs")
    with catalogue:
        assert found == Scanned(new=1)
        assert catalogue.count("waiting") == 1


def test_a_slide_never_takes_the_place_of_one_that_is_gone(sources: Path, tmp_path: Path) -> None:
    """Another slide of the same name, from elsewhere, must not replace the only copy that there may be."""
    folder = archived(tmp_path, sources)
    (sources / "a.svs").unlink()
    write_files(tmp_path / "other", "a.svs")
    (tmp_path / "other" / "a.svs").write_text("another slide")
    with pytest.raises(OutputError, match="which is no longer there"):
        catalogued(folder, tmp_path / "other")
    assert (folder / "a.hc.tif").read_bytes() == b"file"


def test_what_nobody_lets_us_read_is_counted(sources: Path, tmp_path: Path) -> None:
    if os.geteuid() == 0:
        (sources / "gone.svs").symlink_to(sources / "nowhere")
        found = catalogued(tmp_path / "archive", sources / "gone.svs")[1]
    else:
        (sources / "a.svs").chmod(0)
        found = catalogued(tmp_path / "archive", sources / "a.svs")[1]
    assert (found.new, found.unreadable) == (1, 1)
