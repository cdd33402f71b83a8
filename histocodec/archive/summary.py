"""Sums over a catalogue: how many slides are in which state, and what the finished ones took and reached."""

from __future__ import annotations

from dataclasses import dataclass

from .catalogue import Catalogue


@dataclass(frozen=True, slots=True)
class Summary:
    """The sums of an archive."""

    states: dict[str, int]
    """Number of slides in each state."""
    source_bytes: int
    """Of all slides."""
    done_source_bytes: int
    """Of those that are done, as the following."""
    output_bytes: int
    layers: dict[str, int]
    """Bytes by what they hold."""
    seconds: float
    cpu_seconds: float
    peak_bytes: int | None
    psnr_mean_db: float | None
    """Mean of the slides' means."""
    psnr_5_db: float | None
    """Mean of their 5th percentiles."""
    psnr_lowest_db: float | None
    """The lowest that was measured."""
    verified: int
    problems: int
    """Files that verification found fault with."""
    errors: dict[str, int]
    """Slides that failed, by class of error."""

    @property
    def slides(self) -> int:
        """Number of slides."""
        return sum(self.states.values())

    @property
    def left(self) -> int:
        """Number of slides that wait or are being worked on."""
        return self.states["waiting"] + self.states["running"]

    @property
    def projected_bytes(self) -> int | None:
        """Bytes of the archive when all is done, as far as the slides that are done tell."""
        if not self.done_source_bytes:
            return None
        return round(self.output_bytes * self.source_bytes / self.done_source_bytes)

    @property
    def projected_hours(self) -> float | None:
        """Hours of one process for what is left, as far as the slides that are done tell."""
        if not self.done_source_bytes:
            return None
        return round(self.seconds * (self.source_bytes / self.done_source_bytes - 1) / 3600, 3)

    def facts(self) -> dict[str, object]:
        """Return the sums as JSON values."""
        return {
            "slides": self.slides,
            **self.states,
            "source_bytes": self.source_bytes,
            "done_source_bytes": self.done_source_bytes,
            "output_bytes": self.output_bytes,
            "bytes_by_layer": self.layers,
            "ratio": round(self.done_source_bytes / self.output_bytes, 3) if self.output_bytes else None,
            "seconds": round(self.seconds, 1),
            "cpu_seconds": round(self.cpu_seconds, 1),
            "peak_bytes": self.peak_bytes,
            "psnr_mean_db": self.psnr_mean_db,
            "psnr_5_db": self.psnr_5_db,
            "psnr_lowest_db": self.psnr_lowest_db,
            "projected_bytes": self.projected_bytes,
            "projected_hours_of_one_process": self.projected_hours,
            "verified": self.verified,
            "problems": self.problems,
            "errors": self.errors,
        }


def summary(catalogue: Catalogue) -> Summary:
    """Sum up a catalogue, by the database alone."""
    database = catalogue.database
    states = {"waiting": 0, "running": 0, "done": 0, "failed": 0}
    states |= dict(database.execute("SELECT state, count(*) FROM slide GROUP BY state").fetchall())
    total = database.execute("SELECT coalesce(sum(source_bytes), 0) FROM slide").fetchone()[0]
    sums = database.execute(
        """
        SELECT coalesce(sum(source_bytes), 0) AS done_source_bytes, coalesce(sum(output_bytes), 0) AS output_bytes,
            coalesce(sum(base_bytes), 0) AS base, coalesce(sum(reduced_bytes), 0) AS reduced,
            coalesce(sum(enhancement_bytes), 0) AS enhancement, coalesce(sum(original_bytes), 0) AS original,
            coalesce(sum(other_bytes), 0) AS other, coalesce(sum(seconds), 0) AS seconds,
            coalesce(sum(cpu_seconds), 0) AS cpu_seconds, max(peak_bytes) AS peak_bytes,
            round(avg(psnr_mean_db), 4) AS psnr_mean_db, round(avg(psnr_5_db), 4) AS psnr_5_db,
            min(psnr_lowest_db) AS psnr_lowest_db, count(verified) AS verified, count(verify_problem) AS problems
        FROM slide WHERE state = 'done'
        """
    ).fetchone()
    errors = database.execute(
        "SELECT error_class, count(*) FROM slide WHERE state = 'failed' GROUP BY error_class ORDER BY 2 DESC, 1"
    ).fetchall()
    return Summary(
        states=states,
        source_bytes=total,
        layers={name: sums[name] for name in ("base", "reduced", "enhancement", "original", "other")},
        errors=dict(map(tuple, errors)),
        **{
            name: sums[name]
            for name in (
                *("done_source_bytes", "output_bytes", "seconds", "cpu_seconds", "peak_bytes", "psnr_mean_db"),
                *("psnr_5_db", "psnr_lowest_db", "verified", "problems"),
            )
        },
    )
