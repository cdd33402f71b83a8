"""The database of a catalogue: SQLite, whose errors are about its file, as those of all other files are."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import FileError, NoSpace, OutputError

_WAIT_S = 30
"""Seconds that a writer waits for another one."""
_PRIMARY = 0xFF
"""Bits of a code that say what kind of error it is."""


class Database(sqlite3.Connection):
    """A connection in which every statement is a transaction, unless one was begun."""

    path: Path
    """The file."""

    @classmethod
    def at(cls, path: Path) -> Database:
        """Open a file; make it if there is none. Raises OutputError, NoSpace."""
        return cls._opened(path, str(path))

    @classmethod
    def reading(cls, path: Path) -> Database:
        """Open a file where nothing can be written. Raises OutputError."""
        # Where the last writer has left nothing beside it, SQLite must not look for more.
        beside = path.with_name(f"{path.name}-wal")
        left = beside.exists() and beside.stat().st_size > 0
        return cls._opened(path, f"{path.absolute().as_uri()}?mode=ro{'' if left else '&immutable=1'}")

    @classmethod
    def vanishing(cls) -> Database:
        """Make one that nobody else sees."""
        return cls._opened(Path("temporary catalogue"), "")

    @classmethod
    def _opened(cls, path: Path, name: str) -> Database:
        is_uri = name.startswith("file:")
        with _errors_of(path):
            database: Database = sqlite3.connect(name, timeout=_WAIT_S, isolation_level=None, factory=cls, uri=is_uri)
        database.path = path
        return database

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        """Run a statement. Raises NoSpace, OutputError, FileError for what is no database."""
        with _errors_of(self.path):
            return super().execute(sql, parameters)

    def executescript(self, sql_script: str, /) -> sqlite3.Cursor:
        """Run several statements. Raises as `execute`."""
        with _errors_of(self.path):
            return super().executescript(sql_script)

    @contextmanager
    def writing(self) -> Iterator[Database]:
        """Write whole or not at all while the block runs."""
        self.execute("BEGIN IMMEDIATE")
        try:
            yield self
            self.execute("COMMIT")
        except BaseException:
            if self.in_transaction:  # some errors have ended it already
                self.execute("ROLLBACK")
            raise


@contextmanager
def _errors_of(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.IntegrityError, sqlite3.ProgrammingError):  # of statements, not of the file
        raise
    except sqlite3.DatabaseError as error:
        kind = getattr(error, "sqlite_errorcode", 0) & _PRIMARY
        if kind == sqlite3.SQLITE_FULL:
            raise NoSpace(path, "the disk is full; the catalogue is as it was before") from error
        if kind in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
            raise FileError(path, f"expected the catalogue of an archive: {error}") from error
        raise OutputError(path, f"the catalogue cannot be written: {error}") from error
