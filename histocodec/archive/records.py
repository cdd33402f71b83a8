"""What is said of one slide between the processes: a task to do, and what came of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

import msgspec

from .choices import Choices

ESTIMATE = ".histocodec-estimate-"
"""Beginning of the names of folders in which estimates are made."""


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What a finished encode reached; the fields are columns of the catalogue."""

    source_sha256: str | None
    """SHA-256 of the source's file; of several, of their digests in order. None if the file states none."""
    output_sha256: str
    output_bytes: int
    base_bytes: int
    """Tiles of the base."""
    reduced_bytes: int
    """Tiles of the reduced levels."""
    enhancement_bytes: int
    original_bytes: int
    other_bytes: int
    """Everything else: index, checksums, labels, an embedded generator."""
    full_pixels: int
    ratio: float
    """Bytes of the source over those of the file."""
    psnr_mean_db: float | None
    psnr_5_db: float | None
    psnr_lowest_db: float | None
    generator: str
    generator_digest: str
    notes: str
    """Sentences for the user, one a line."""


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """What a sample says of one slide."""

    output_bytes: int
    seconds: float
    psnr_mean_db: float | None
    ratio: float
    """Bytes of the source over those of the file."""


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """One slide to be worked on by another process."""

    number: int
    """Number of the slide in the catalogue."""
    kind: Literal["encode", "estimate", "verify"]
    source: str
    """The file to open."""
    output: str
    """The file that is written, or verified; of an estimate the folder for temporary files."""
    choices: Choices = Choices()
    threads: int | None = 1
    """Cores that it uses; None: all of the process."""
    overwrite: bool = False
    output_sha256: str | None = None
    """Verification: the digest that the file must have."""
    source_sha256: str | None = None
    """Verification: the digest that the source must have, where it is at hand."""
    psnr_mean_db: float | None = None
    """Verification: the mean that was measured at encoding."""
    deep: bool = False
    """Verification: decode every tile."""
    against_source: bool = False
    """Verification: measure the file against its source again."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True, tag="outcome"):
    """What came of a task."""

    number: int
    seconds: float
    cpu_seconds: float
    peak_bytes: int | None
    """Most memory that the process had in use; None where the system does not tell."""
    host: str
    began: str
    """Time in UTC, ISO 8601."""
    ended: str
    measured: Measured | None = None
    """Of an encode that was finished."""
    estimate: Estimate | None = None
    """Of an estimate that was made."""
    error_class: str | None = None
    """Name of the exception; None if all is well."""
    error: str | None = None
    """Sentence of the exception."""
    traceback: str | None = None
    """Of an exception that nobody foresaw."""


class Stage(msgspec.Struct, frozen=True, kw_only=True, tag="stage"):
    """How far a task is."""

    number: int
    stage: str
    done: int
    total: int


def timestamp() -> str:
    """Return the time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
