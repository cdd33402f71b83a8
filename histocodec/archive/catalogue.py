"""The catalogue of an archive: a row a slide, in SQLite, written by one process and read by any."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing, suppress
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from ..errors import FileError, MissingFile, OutputError
from ..runtime.closing import Closing
from ..runtime.far_folder import FarFile, FarFolder
from .choices import Choices
from .database import Database
from .records import Outcome
from .schema import MIGRATIONS, migrate, version_of

NAME = "histocodec-archive.sqlite"
"""Name of the catalogue in the archive's folder."""

Row = Mapping[str, Any]
"""A slide: values by column."""

_CLEARED = (
    "error_class = NULL, error = NULL, seconds = NULL, cpu_seconds = NULL, peak_bytes = NULL, host = NULL, "
    "began = NULL, ended = NULL, verified = NULL, verify_problem = NULL"
)
"""What is no longer true of a slide that is to be done again."""


class Catalogue(Closing):
    """An open catalogue."""

    def __init__(self, database: Database, folder: Path) -> None:
        """Take a database whose schema is this version's. folder: the archive's."""
        database.row_factory = sqlite3.Row
        self.database, self.folder = database, folder
        found = database.execute("SELECT files FROM place").fetchone()
        self.files = FarFolder(found[0] if found else folder)
        """Where the files are: the archive's folder, or a URL."""
        self._choices: dict[str, Choices] = {}

    @classmethod
    def create(cls, folder: Path) -> Catalogue:
        """Open the catalogue of a folder for writing; make it if there is none. Raises OutputError, FileError."""
        with ExitStack() as stack:
            database = stack.enter_context(closing(Database.at(folder / NAME)))
            _check(database)
            # Readers are not kept waiting, and a process that is killed leaves whole transactions.
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = NORMAL")
            migrate(database)
            found = cls(database, folder)
            stack.pop_all()
        return found

    @classmethod
    def open(cls, folder: Path) -> Catalogue:
        """Open the catalogue of a folder; a copy where nothing can be written. Raises MissingFile if there is none.

        Raises FileError, OutputError.
        """
        path = folder / NAME
        if not path.is_file():
            raise MissingFile(folder, f"expected an archive, found no catalogue {NAME}")
        if os.access(folder, os.W_OK) and os.access(path, os.W_OK):
            with suppress(OutputError):  # as on a full disk
                return cls.create(folder)
        return cls(_copied(path), folder)

    @classmethod
    def rehearsal(cls, folder: Path) -> Catalogue:
        """Return a copy of a folder's catalogue, or an empty one, that vanishes: whatever is tried with it."""
        copy = Database.vanishing()
        if (folder / NAME).is_file():
            with cls.open(folder) as there:
                there.database.backup(copy)
        migrate(copy)
        return cls(copy, folder)

    def close(self) -> None:
        """Release the file."""
        self.database.close()

    def writing(self) -> AbstractContextManager[Database]:
        """Write whole or not at all while the block runs."""
        return self.database.writing()

    def rows(self, where: str = "1", values: tuple[object, ...] = (), order: str = "id") -> Iterator[Row]:
        """Yield slides, one after the other from the disk. where, order: SQL of this package."""
        yield from self.database.execute(f"SELECT * FROM slide WHERE {where} ORDER BY {order}", values)

    def row(self, number: int) -> Row:
        """Return a slide by its number."""
        found: Row = self.database.execute("SELECT * FROM slide WHERE id = ?", (number,)).fetchone()
        return found

    def count(self, state: str) -> int:
        """Return the number of slides in a state."""
        found: int = self.database.execute("SELECT count(*) FROM slide WHERE state = ?", (state,)).fetchone()[0]
        return found

    def output(self, row: Row) -> str:
        """Return the path of a slide's file, or its URL."""
        return self.files.where(PurePosixPath(row["output"]))

    def found(self, row: Row) -> FarFile | None:
        """Return the file that is under the name of a slide's file now; None if there is none. Raises FileError."""
        return self.files.file(PurePosixPath(row["output"]))

    def keep_files(self, url: str) -> None:
        """Let the files be under a URL from the beginning. Raises OutputError for an archive that has others."""
        if self.files.name == url:
            return
        if self.database.execute("SELECT count(*) FROM slide").fetchone()[0]:
            raise OutputError(self.folder, f"its files are in {self.files.name}, and stay there: not in {url}")
        files = FarFolder(url)
        with self.writing() as database:
            database.execute("INSERT INTO place VALUES (?)", (url,))
        self.files = files

    def note_choices(self, choices: Choices) -> str:
        """Keep settings; return their digest."""
        self.database.execute("INSERT OR IGNORE INTO settings VALUES (?, ?)", (choices.digest, choices.to_json()))
        return choices.digest

    def choices(self, digest: str) -> Choices:
        """Return settings by their digest."""
        if digest not in self._choices:
            found = self.database.execute("SELECT chosen FROM settings WHERE digest = ?", (digest,)).fetchone()
            self._choices[digest] = Choices.from_json(found[0])
        return self._choices[digest]

    def take_up(self) -> int:
        """Let what was running when a process ended wait again; return how many there were."""
        with self.writing() as database:
            return database.execute("UPDATE slide SET state = 'waiting' WHERE state = 'running'").rowcount

    def retry(self) -> int:
        """Let what failed wait again; return how many there were."""
        with self.writing() as database:
            return database.execute(f"UPDATE slide SET state = 'waiting', {_CLEARED} WHERE state = 'failed'").rowcount

    def again(self, number: int) -> None:
        """Let a slide wait, as the one before it is no longer true. Belongs into `writing`."""
        self.database.execute(f"UPDATE slide SET state = 'waiting', {_CLEARED} WHERE id = ?", (number,))

    def claim(self) -> Row | None:
        """Begin the next slide that waits, and return it as it was before; None if none waits."""
        with self.writing() as database:
            found: Row | None = database.execute(
                "SELECT * FROM slide WHERE state = 'waiting' ORDER BY id LIMIT 1"
            ).fetchone()
            if found is not None:
                # From now on a file under the output's name may be this archive's own.
                owns = found["owns_output"] or self.found(found) is None
                database.execute(
                    "UPDATE slide SET state = 'running', owns_output = ? WHERE id = ?", (int(owns), found["id"])
                )
        return None if found is None else self.row(found["id"])

    def finish(self, outcome: Outcome) -> None:
        """Note what came of an encode."""
        values: dict[str, object] = {
            name: getattr(outcome, name)
            for name in ("seconds", "cpu_seconds", "peak_bytes", "host", "began", "ended", "error_class", "error")
        }
        values["state"] = "failed" if outcome.measured is None else "done"
        if outcome.measured is not None:
            values |= msgspec.structs.asdict(outcome.measured)
            values |= {"verified": None, "verify_problem": None}
        with self.writing() as database:
            database.execute(
                f"UPDATE slide SET attempts = attempts + 1, {', '.join(f'{name} = ?' for name in values)} WHERE id = ?",
                (*values.values(), outcome.number),
            )

    def note_verified(self, outcome: Outcome) -> None:
        """Note what came of a verification."""
        problem = None if outcome.error is None else f"{outcome.error_class}: {outcome.error}"
        with self.writing() as database:
            database.execute(
                "UPDATE slide SET verified = ?, verify_problem = ? WHERE id = ?",
                (outcome.ended, problem, outcome.number),
            )


def _copied(path: Path) -> Database:
    """Return a copy, which vanishes, of a catalogue that can only be read."""
    copy = Database.vanishing()
    with closing(Database.reading(path)) as there:
        _check(there)
        there.backup(copy)
    migrate(copy)
    return copy


def _check(database: Database) -> None:
    """Raise FileError for what is no catalogue, or one of a later version."""
    version = version_of(database)
    tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    if version > len(MIGRATIONS):
        raise FileError(
            database.path,
            f"a catalogue of version {version}, this histocodec knows up to {len(MIGRATIONS)}: use a later one",
        )
    if not version and tables:
        raise FileError(database.path, "expected the catalogue of an archive, found another database")
