"""Says beforehand what a run will take: bytes, hours and decibels, from a sample of its slides; and what forbids it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import OutputError
from ..runtime.files import check_space
from .catalogue import Catalogue, Row
from .executor import Executor
from .records import ESTIMATE, Outcome, Task
from .run import Limits

SAMPLE = 3
"""Slides that are looked at."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is expected of the slides that wait."""

    slides: int
    source_bytes: int
    free_bytes: int
    """Free room on the archive's disk."""
    sampled: int = 0
    """Slides that the following is taken from; it is None where there is none."""
    output_bytes: int | None = None
    hours: float | None = None
    """One slide after the other, each with all cores of one machine."""
    psnr_mean_db: float | None = None
    ratio: float | None = None
    failed: tuple[str, ...] = ()
    """Sentences on slides of the sample that cannot be encoded."""

    def facts(self) -> dict[str, object]:
        """Return them as JSON values."""
        return {
            "slides": self.slides,
            "source_bytes": self.source_bytes,
            "free_bytes": self.free_bytes,
            "sampled_slides": self.sampled,
            "output_bytes": self.output_bytes,
            "ratio": self.ratio,
            "hours": self.hours,
            "psnr_mean_db": self.psnr_mean_db,
            "failed": list(self.failed),
        }


def check_room(catalogue: Catalogue, folder: Path) -> None:
    """Raise OutputError for a folder that cannot be written, NoSpace if what waits will not fit on its disk.

    folder: there, on the disk that is written to. Reckoned by the ratio, where there is one, and with the originals.
    """
    if not os.access(folder, os.W_OK):
        raise OutputError(folder, "cannot be written to")
    needed = 0.0
    for settings, size in catalogue.database.execute(
        "SELECT settings, sum(source_bytes) FROM slide WHERE state = 'waiting' GROUP BY settings"
    ):
        choices = catalogue.choices(settings)
        if choices.expected_ratio is not None:
            needed += size / choices.expected_ratio
        if choices.keep_original:
            needed += size
    check_space(folder / "any", round(needed))


def forecast(catalogue: Catalogue, pool: Executor, limits: Limits, folder: Path, *, sample: int = SAMPLE) -> Forecast:
    """Try a sample of what waits, one after the other on all cores.

    folder: for temporary files, and on the disk whose free room is stated. A cluster's workers take their own.
    """
    slides, source_bytes = catalogue.database.execute(
        "SELECT count(*), coalesce(sum(source_bytes), 0) FROM slide WHERE state = 'waiting'"
    ).fetchone()
    rows, outcomes = list(_sample(catalogue, slides, sample)), []
    for row in rows:
        pool.submit(
            Task(
                number=row["id"],
                kind="estimate",
                source=row["source"],
                output=str(folder) if pool.slots is None else "",
                choices=catalogue.choices(row["settings"]),
                threads=limits.cores,
            )
        )
        while pool.busy:
            told = pool.next(3600)
            if isinstance(told, Outcome):
                outcomes.append((row, told))
    free = shutil.disk_usage(folder).free
    made = [(row, outcome.estimate) for row, outcome in outcomes if outcome.estimate is not None]
    failed = tuple(outcome.error for _, outcome in outcomes if outcome.error is not None)
    looked_at = sum(row["source_bytes"] for row, _ in made)
    if not made or not looked_at:
        return Forecast(slides, source_bytes, free, failed=failed)
    share = source_bytes / looked_at
    measured = [found.psnr_mean_db for _, found in made if found.psnr_mean_db is not None]
    output_bytes = round(share * sum(found.output_bytes for _, found in made))
    return Forecast(
        slides,
        source_bytes,
        free,
        sampled=len(made),
        output_bytes=output_bytes,
        # Each had all cores; several at a time share them.
        hours=round(share * sum(found.seconds for _, found in made) / 3600, 3),
        psnr_mean_db=round(sum(measured) / len(measured), 2) if measured else None,
        ratio=round(source_bytes / max(output_bytes, 1), 2),
        failed=failed,
    )


def discard_estimates(folder: Path) -> None:
    """Take away what estimates left in an archive whose processes were killed; the archive must be locked."""
    for left in folder.glob(f"{ESTIMATE}*"):
        shutil.rmtree(left, ignore_errors=True)


def _sample(catalogue: Catalogue, slides: int, count: int) -> Iterator[Row]:
    """Yield slides that wait, spread over all of them by size, since time goes with it."""
    count = min(count, slides)
    for index in range(count):
        at = (2 * index + 1) * slides // (2 * count)
        yield catalogue.database.execute(
            "SELECT * FROM slide WHERE state = 'waiting' ORDER BY source_bytes, id LIMIT 1 OFFSET ?", (at,)
        ).fetchone()
