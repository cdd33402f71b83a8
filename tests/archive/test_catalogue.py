"""The catalogue: states, migrations, one writer and many readers, a hundred thousand rows."""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path

import pytest

from histocodec.archive import schema
from histocodec.archive.catalogue import NAME, Catalogue
from histocodec.archive.choices import Choices
from histocodec.archive.summary import summary
from histocodec.errors import FileError, MissingFile, NoSpace, SettingsError, UnknownGenerator
from tests.archive.inputs import QUICK, catalogued, finish, outcome, write_files


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    write_files(tmp_path / "in", "a.svs", "b.svs", "inner/c.svs")
    return tmp_path / "in"


def test_a_slide_from_waiting_to_done(sources: Path, tmp_path: Path) -> None:
    catalogue, _ = catalogued(tmp_path / "archive", sources)
    with catalogue:
        row = catalogue.claim()
        assert row is not None
        assert (row["output"], row["state"], row["attempts"], row["owns_output"]) == ("a.hc.tif", "running", 0, 1)
        assert catalogue.choices(row["settings"]) == QUICK
        catalogue.finish(outcome(row["id"]))
        row = catalogue.row(row["id"])
        assert (row["state"], row["attempts"], row["ratio"], row["error"]) == ("done", 1, 5.0, None)
        second = catalogue.claim()
        assert second is not None
        catalogue.finish(outcome(second["id"], measured=None, error_class="SourceError", error="broken"))
        assert catalogue.row(second["id"])["state"] == "failed"
        assert summary(catalogue).states == {"waiting": 1, "running": 0, "done": 1, "failed": 1}
        assert summary(catalogue).errors == {"SourceError": 1}
        assert catalogue.retry() == 1
        assert catalogue.count("waiting") == 2
        assert catalogue.row(second["id"])["error"] is None


def test_what_was_running_waits_again(sources: Path, tmp_path: Path) -> None:
    catalogue, _ = catalogued(tmp_path / "archive", sources)
    first = catalogue.claim()
    catalogue.close()  # as a process ends that is killed
    with Catalogue.open(tmp_path / "archive") as again:
        assert again.count("running") == 1
        assert again.take_up() == 1
        assert first is not None
        assert again.row(first["id"])["attempts"] == 0


def test_a_file_that_was_there_before_is_not_owned(sources: Path, tmp_path: Path) -> None:
    write_files(tmp_path / "archive", "a.hc.tif")
    catalogue, _ = catalogued(tmp_path / "archive", sources)
    with catalogue:
        rows = [catalogue.claim() for _ in range(2)]
        assert [row["owns_output"] for row in rows if row] == [0, 1]


def test_a_reader_is_not_kept_waiting(sources: Path, tmp_path: Path) -> None:
    catalogue, _ = catalogued(tmp_path / "archive", sources)
    with catalogue, catalogue.writing(), Catalogue.open(tmp_path / "archive") as reader:
        assert summary(reader).states["waiting"] == 3


def test_a_rehearsal_changes_nothing(sources: Path, tmp_path: Path) -> None:
    with Catalogue.rehearsal(tmp_path / "none") as catalogue:
        catalogue.note_choices(QUICK)
    assert not (tmp_path / "none").exists()
    catalogued(tmp_path / "archive", sources)[0].close()
    with Catalogue.rehearsal(tmp_path / "archive") as copy:
        assert copy.claim() is not None
        with Catalogue.open(tmp_path / "archive") as there:
            assert there.count("waiting") == 3


def test_migrations_lead_on_from_any_version(sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    catalogued(tmp_path / "archive", sources)[0].close()
    later = (*schema.MIGRATIONS, "ALTER TABLE slide ADD COLUMN later TEXT DEFAULT 'yes'")
    monkeypatch.setattr(schema, "MIGRATIONS", later)
    monkeypatch.setattr("histocodec.archive.catalogue.MIGRATIONS", later)
    with Catalogue.open(tmp_path / "archive") as catalogue:
        assert schema.version_of(catalogue.database) == len(later)
        assert [row["later"] for row in catalogue.rows()] == ["yes"] * 3
    monkeypatch.undo()
    with pytest.raises(FileError, match=f"version {len(later)}.* up to {len(schema.MIGRATIONS)}"):
        Catalogue.open(tmp_path / "archive")


def test_a_migration_that_breaks_leaves_the_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = sqlite3.connect(tmp_path / "x.sqlite", isolation_level=None)
    schema.migrate(database)
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, "CREATE TABLE more (id); CREATE TABLE slide (id)"))
    with pytest.raises(sqlite3.Error):
        schema.migrate(database)
    database.close()
    again = sqlite3.connect(tmp_path / "x.sqlite")
    assert schema.version_of(again) == 1
    assert not again.execute("SELECT name FROM sqlite_master WHERE name = 'more'").fetchall()
    again.close()


@pytest.mark.parametrize("content", [b"", b"no database at all, but long enough to look like one" * 50])
def test_what_is_no_catalogue(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(MissingFile, match="found no catalogue"):
        Catalogue.open(tmp_path)
    (tmp_path / NAME).write_bytes(content)
    if content:
        with pytest.raises(FileError, match="expected the catalogue"):
            Catalogue.open(tmp_path)
    else:
        Catalogue.open(tmp_path).close()  # an empty file is an empty database


def test_another_database_stays_as_it_is(tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / NAME)
    other.execute("CREATE TABLE mine (id)")
    other.commit()
    other.close()
    before = (tmp_path / NAME).read_bytes()
    with pytest.raises(FileError, match="another database"):
        Catalogue.create(tmp_path)
    assert (tmp_path / NAME).read_bytes() == before


def test_settings_have_one_digest() -> None:
    assert Choices().digest == Choices(codec="av1", ratio=None).digest != Choices(ratio=12.0).digest
    assert Choices.from_json(QUICK.to_json()) == QUICK
    with pytest.raises(SettingsError, match="cannot be read"):
        Choices.from_json('{"of_the_future": 1}')
    assert Choices().settings().ratio == 16
    assert Choices(min_psnr_db=30.0).settings().ratio is None
    with pytest.raises(SettingsError):
        Choices(ratio=4.0, quality=30.0).check()
    with pytest.raises(UnknownGenerator):
        Choices(generator="none").check()
    with pytest.raises(SettingsError, match="none"):
        Choices(downsampling="none").check()
    QUICK.check()
    Choices(generator="av1-x4", downsampling="sharp-x4").check()


def test_a_hundred_thousand_rows_are_summed_up_in_a_second(sources: Path, tmp_path: Path) -> None:
    catalogue, _ = catalogued(tmp_path / "archive", sources)
    with catalogue:
        finish(catalogue)
        columns = [row[1] for row in catalogue.database.execute("PRAGMA table_info(slide)") if row[1] != "id"]
        unique = {"output": "output || n", "name_key": "name_key || n", "source": "source || n"}
        with catalogue.writing():
            catalogue.database.execute(
                "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 99997) "
                f"INSERT INTO slide ({', '.join(columns)}) "
                f"SELECT {', '.join(unique.get(name, name) for name in columns)} FROM slide, numbers WHERE slide.id = 1"
            )
        began = time.process_time()
        total = summary(catalogue)
        assert time.process_time() - began < 1
        assert total.states["done"] == total.slides == 100_000
        assert total.output_bytes == 400_000


def test_one_that_can_only_be_read(sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is noted of it is gone with the process. tests/crash/refusals.py has it on a disk that is read-only."""
    catalogue, _ = catalogued(tmp_path / "archive", sources)
    with catalogue:
        finish(catalogue)
    before = (tmp_path / "archive" / NAME).read_bytes()
    monkeypatch.setattr(os, "access", lambda *_: False)
    with Catalogue.open(tmp_path / "archive") as reading:
        assert reading.count("done") == 3
        reading.again(1)
        assert reading.count("done") == 2
    with Catalogue.rehearsal(tmp_path / "archive") as copy:
        assert copy.count("done") == 3
    assert (tmp_path / "archive" / NAME).read_bytes() == before


def test_one_on_a_full_disk_can_be_read(sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite needs room beside it to open a catalogue as others may write it at the same time."""
    catalogue, _ = catalogued(tmp_path / "archive", sources)
    catalogue.close()

    def full(folder: Path) -> Catalogue:
        raise NoSpace(folder / NAME, "the disk is full")

    monkeypatch.setattr(Catalogue, "create", full)
    with Catalogue.open(tmp_path / "archive") as reading:
        assert reading.count("waiting") == 3
