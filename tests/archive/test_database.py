"""The database of a catalogue: errors of SQLite are about its file, and what is not written is not there."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from histocodec.archive.database import Database
from histocodec.errors import FileError, NoSpace, OutputError


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    found = Database.at(tmp_path / "catalogue")
    found.execute("CREATE TABLE note (said TEXT UNIQUE)")
    yield found
    found.close()


def fill(database: Database) -> None:
    for number in range(1000):
        database.execute("INSERT INTO note VALUES (?)", (f"{number:1000}",))


def test_a_full_disk(database: Database) -> None:
    """SQLite itself ends the transaction then; the next one works, once there is room."""
    database.execute("PRAGMA max_page_count = 20")
    with pytest.raises(NoSpace, match="catalogue: the disk is full") as caught, database.writing():
        fill(database)
    assert caught.value.path == database.path
    assert database.execute("SELECT count(*) FROM note").fetchone()[0] == 0
    database.execute("PRAGMA max_page_count = 4096")
    with database.writing():
        fill(database)
    assert database.execute("SELECT count(*) FROM note").fetchone()[0] == 1000


def test_whole_or_not_at_all(database: Database) -> None:
    def fail() -> None:
        with database.writing():
            database.execute("INSERT INTO note VALUES ('a')")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert database.execute("SELECT count(*) FROM note").fetchone()[0] == 0


def test_a_commit_that_fails_is_taken_back(database: Database) -> None:
    database.execute("PRAGMA foreign_keys = ON")
    database.execute("CREATE TABLE answer (to_note TEXT REFERENCES note (said) DEFERRABLE INITIALLY DEFERRED)")
    with pytest.raises(sqlite3.IntegrityError), database.writing():
        database.execute("INSERT INTO answer VALUES ('to nothing')")
    with database.writing():
        database.execute("INSERT INTO note VALUES ('a')")
    assert database.execute("SELECT count(*) FROM answer").fetchone()[0] == 0


def test_a_file_that_can_only_be_read(database: Database) -> None:
    database.execute("INSERT INTO note VALUES ('a')")
    database.close()
    reading = Database.reading(database.path)
    assert reading.execute("SELECT said FROM note").fetchone()[0] == "a"
    with pytest.raises(OutputError, match=r"cannot be written: attempt to write a readonly database"):
        reading.execute("INSERT INTO note VALUES ('b')")
    reading.close()


def test_what_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database" * 100)
    database = Database.at(tmp_path / "text")
    with pytest.raises(FileError, match="expected the catalogue of an archive"):
        database.execute("SELECT 1 FROM sqlite_master")
    database.close()
    with pytest.raises(OutputError, match="unable to open"):
        Database.at(tmp_path / "nowhere" / "catalogue")


def test_errors_of_a_statement_are_not_of_the_file(database: Database) -> None:
    database.execute("INSERT INTO note VALUES ('a')")
    with pytest.raises(sqlite3.IntegrityError):
        database.execute("INSERT INTO note VALUES ('a')")


def test_one_that_vanishes() -> None:
    database = Database.vanishing()
    database.execute("CREATE TABLE note (said TEXT)")
    database.close()
