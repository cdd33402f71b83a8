"""The tables of a catalogue, and how one of an earlier version becomes one of this."""

from __future__ import annotations

import sqlite3

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE place (
        files TEXT NOT NULL
    );
    CREATE TABLE settings (
        digest TEXT PRIMARY KEY,
        chosen TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE slide (
        id INTEGER PRIMARY KEY,
        output TEXT NOT NULL,
        name_key TEXT NOT NULL UNIQUE,
        source TEXT NOT NULL UNIQUE,
        source_files INTEGER NOT NULL,
        source_bytes INTEGER NOT NULL,
        source_modified_ns INTEGER NOT NULL,
        settings TEXT NOT NULL REFERENCES settings (digest),
        state TEXT NOT NULL CHECK (state IN ('waiting', 'running', 'done', 'failed')),
        owns_output INTEGER NOT NULL DEFAULT 0,
        attempts INTEGER NOT NULL DEFAULT 0,
        source_sha256 TEXT,
        output_sha256 TEXT,
        output_bytes INTEGER,
        base_bytes INTEGER,
        reduced_bytes INTEGER,
        enhancement_bytes INTEGER,
        original_bytes INTEGER,
        other_bytes INTEGER,
        full_pixels INTEGER,
        ratio REAL,
        psnr_mean_db REAL,
        psnr_5_db REAL,
        psnr_lowest_db REAL,
        generator TEXT,
        generator_digest TEXT,
        notes TEXT,
        seconds REAL,
        cpu_seconds REAL,
        peak_bytes INTEGER,
        host TEXT,
        began TEXT,
        ended TEXT,
        error_class TEXT,
        error TEXT,
        verified TEXT,
        verify_problem TEXT
    );
    CREATE INDEX slide_by_state ON slide (state, id);
    CREATE INDEX slide_by_digest ON slide (source_sha256);
    """,
)
"""Statements that lead from each version of the schema to the next one; a new catalogue runs them all."""


def version_of(database: sqlite3.Connection) -> int:
    """Return the version of a catalogue's schema; 0 of one that is new."""
    version: int = database.execute("PRAGMA user_version").fetchone()[0]
    return version


def migrate(database: sqlite3.Connection) -> None:
    """Bring a catalogue to this version, each step whole or not at all. It must be no later one."""
    for version in range(version_of(database), len(MIGRATIONS)):
        database.executescript(f"BEGIN IMMEDIATE; {MIGRATIONS[version]}; PRAGMA user_version = {version + 1}; COMMIT;")
