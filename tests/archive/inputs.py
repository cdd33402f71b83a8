"""Small slides of many kinds, and catalogues without slides, for the tests of archives."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import numpy as np

from histocodec.archive.catalogue import Catalogue
from histocodec.archive.choices import Choices
from histocodec.archive.discovery import Selection, find
from histocodec.archive.records import Measured, Outcome
from histocodec.archive.scan import Scanned, scan
from histocodec.demo.synthetic import tissue, write_slide
from histocodec.geometry import Size

QUICK = Choices(codec="jp2k", quality=32.0, generator="bicubic-x4")
"""Settings that take the least time."""


def write_files(folder: Path, *names: str) -> None:
    """Files with their names for content."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)


def write_slides(folder: Path, count: int, *, side: int = 264) -> list[Path]:
    """Synthetic slides, in three folders, each from its own seed."""
    paths = [folder / f"{'abc'[index % 3]}" / f"slide-{index:03}.tif" for index in range(count)]
    for seed, path in enumerate(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_slide(path, tissue(Size(side, side - 24), seed))
    return paths


def damage(paths: list[Path]) -> None:
    """Five slides, damaged in five ways."""
    empty, text, cut, bitten, loop = paths
    data = {path: path.read_bytes() for path in paths}
    empty.write_bytes(b"")
    text.write_text("no slide at all")
    cut.write_bytes(data[cut][: len(data[cut]) // 3])
    half = len(data[bitten]) // 2
    bitten.write_bytes(bytes(np.random.default_rng(1).integers(0, 256, half, np.uint8)) + data[bitten][half:])
    loop.write_bytes(data[loop][:8] + b"\0" * (len(data[loop]) - 8))


def catalogued(folder: Path, *sources: Path, choices: Choices = QUICK) -> tuple[Catalogue, Scanned]:
    """A catalogue of a folder that sources were scanned into, and what was found."""
    folder.mkdir(exist_ok=True)
    catalogue = Catalogue.create(folder)
    catalogue.take_up()
    return catalogue, scan(catalogue, find(sources, "slides", Selection(recursive=True)), choices)


def outcome(number: int, *, size: int = 4, sha256: str = "ab", **changed: Any) -> Outcome:
    """An encode that came out well, or as `changed` says."""
    facts: dict[str, Any] = {
        "number": number,
        "seconds": 2.0,
        "cpu_seconds": 3.0,
        "peak_bytes": 1 << 20,
        "host": "here",
        "began": "2026-01-01T00:00:00Z",
        "ended": "2026-01-01T00:00:02Z",
        "measured": Measured(
            source_sha256=sha256,
            output_sha256="cd",
            output_bytes=size,
            base_bytes=1,
            reduced_bytes=1,
            enhancement_bytes=0,
            original_bytes=0,
            other_bytes=size - 2,
            full_pixels=100,
            ratio=5.0,
            psnr_mean_db=30.0 + number,
            psnr_5_db=29.0,
            psnr_lowest_db=20.0 + number,
            generator="bicubic-x4",
            generator_digest="builtin:bicubic-x4",
            notes="",
        ),
    }
    return Outcome(**(facts | changed))


def finish(catalogue: Catalogue, **changed: Any) -> None:
    """Claim every slide, and finish it, with a file of four bytes."""
    while (row := catalogue.claim()) is not None:
        path = Path(catalogue.output(row))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"file")
        catalogue.finish(outcome(row["id"], **changed))


def lasting(catalogue: Catalogue) -> list[tuple[object, ...]]:
    """What a catalogue says of its slides, but for times and what depends on the machine."""
    passing = {"seconds", "cpu_seconds", "peak_bytes", "host", "began", "ended", "verified"}
    return [
        tuple((name, row[name]) for name in sqlite3.Row.keys(row) if name not in passing)  # type: ignore[arg-type]
        for row in catalogue.rows()
    ]
