"""Says how far a run is: a line a slide, and of all of them how many are done, how fast, and how long it will take."""

from __future__ import annotations

import dataclasses
import sys
import time

import msgspec
from rich.console import Console
from rich.live import Live
from rich.text import Text

from ..archive.catalogue import Catalogue, Row
from ..archive.forecast import Forecast
from ..archive.journal import Journal
from ..archive.run import Begun, Ended, Event, PutBack, Repeated, Tick
from ..archive.scan import Scanned
from ..archive.summary import Summary, summary
from ..runtime.closing import Closing
from .info import printable

_SUMMARY_EVERY_S = 30.0
"""Seconds between two lines on all slides, where there is no terminal."""


class Lines(Closing):
    """Lines on stderr, and the same facts in the journal. On a terminal the last line is on all slides, and stays."""

    def __init__(self, journal: Journal) -> None:
        """Begin."""
        self._journal = journal
        self._live: Live | None = None
        if sys.stderr.isatty():
            self._live = Live(console=Console(stderr=True), refresh_per_second=2, transient=True)
            self._live.start()
        self._total = self._ended = self._failed = 0
        self._bytes_left = self._bytes_ended = 0
        self._began = self._spoke = time.monotonic()
        self._stages: dict[int, str] = {}

    def close(self) -> None:
        """Take the last line away."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def say(self, text: str) -> None:
        """Print a line."""
        line = printable(text)
        if self._live is not None:
            self._live.console.print(Text(line), soft_wrap=True)
        else:
            print(line, file=sys.stderr, flush=True)

    def scanned(self, counts: Scanned) -> None:
        """Say what was found."""
        facts = dataclasses.asdict(counts)
        self._journal.note("scanned", **facts)
        self.say("found: " + ", ".join(f"{count} {name}" for name, count in facts.items() if count or name == "new"))

    def foreseen(self, found: Forecast) -> None:
        """Say what is expected."""
        self._journal.note("estimated", **found.facts())
        if found.output_bytes is None or found.hours is None:
            self.say("no estimate: no slide of the sample could be encoded")
            return
        quality = "" if found.psnr_mean_db is None else f", {found.psnr_mean_db:.2f} dB"
        self.say(
            f"estimate for {found.slides} slides, from {found.sampled}: {size(found.output_bytes)} of "
            f"{size(found.source_bytes)}, {duration(3600 * found.hours)}{quality}; free: {size(found.free_bytes)}"
        )

    def begin(self, catalogue: Catalogue) -> None:
        """Count what waits."""
        self._total, self._bytes_left = catalogue.database.execute(
            "SELECT count(*), coalesce(sum(source_bytes), 0) FROM slide WHERE state = 'waiting'"
        ).fetchone()
        self._began = self._spoke = time.monotonic()
        self._journal.note("begin", waiting=self._total, source_bytes=self._bytes_left)

    def event(self, event: Event) -> None:
        """Say what happened."""
        match event:
            case Begun(row):
                self._stages[row["id"]] = "begins"
                self._journal.note("slide begun", **_names(row))
            case Ended(row, outcome):
                self._stages.pop(row["id"], None)
                self._count(row)
                facts = msgspec.to_builtins(outcome)
                facts.pop("number"), facts.pop("type")
                self._journal.note(f"slide {row['state']}", **_names(row), **facts)
                self.say(
                    f"{self._ended} of {self._total}: {self.done(row) if row['state'] == 'done' else self.failure(row)}"
                )
            case Repeated(row, reason):
                self._journal.note("slide repeated", **_names(row), reason=reason)
                self.say(f"{row['output']}: {reason}; it will be tried once more")
            case PutBack(row, reason):
                self._stages.pop(row["id"], None)
                self._journal.note("slide put back", **_names(row), reason=reason)
                self.say(f"{row['output']}: {reason}; it waits, and no other is begun")
            case Tick(stage):
                if stage is not None and stage.number in self._stages:
                    self._stages[stage.number] = f"{stage.stage} {100 * stage.done // max(1, stage.total)} %"
        self._of_all()

    def end(self, catalogue: Catalogue) -> Summary:
        """Sum up the archive; what is said afterwards stands alone."""
        self.close()
        total = summary(catalogue)
        self._journal.note("end", **total.facts())
        self.say(f"done in {duration(time.monotonic() - self._began)}")
        return total

    def done(self, row: Row) -> str:
        """Return what is said of a slide that is done."""
        said = f"{row['output']}: {size(row['output_bytes'])}, ratio {row['ratio']:.4g}"
        if row["psnr_mean_db"] is not None:
            said += f", {row['psnr_mean_db']:.2f} dB, lowest {row['psnr_lowest_db']:.2f}"
        return f"{said}, {duration(row['seconds'])}"

    def failure(self, row: Row) -> str:
        """Return what is said of a slide that failed."""
        reason = row["error"] if str(row["source"]) in row["error"] else f"{row['source']}: {row['error']}"
        return printable(f"failed: {reason} [{row['error_class']}]")

    def _count(self, row: Row) -> None:
        self._ended += 1
        self._failed += row["state"] == "failed"
        self._bytes_ended += row["source_bytes"]
        self._bytes_left -= row["source_bytes"]

    def _of_all(self) -> None:
        """Show the line on all slides; without a terminal now and then."""
        passed = time.monotonic() - self._began
        if self._live is None and time.monotonic() - self._spoke < _SUMMARY_EVERY_S:
            return
        self._spoke = time.monotonic()
        line = f"{self._ended} of {self._total} slides, {self._failed} failed"
        if self._ended and passed:
            left = passed * self._bytes_left / max(self._bytes_ended, 1)
            line += (
                f", {3600 * self._ended / passed:.0f} slides an hour, {size(self._bytes_ended / passed)} a second, "
                f"{duration(left)} left"
            )
        if self._stages:
            line += f" ({'; '.join(self._stages.values())})"
        if self._live is not None:
            self._live.update(Text(line))
        else:
            self.say(line)


def _names(row: Row) -> dict[str, object]:
    return {"slide": row["output"], "source": row["source"]}


def size(count: float) -> str:
    """Return a number of bytes for people.

    Examples:
        >>> size(1_234_567), size(900)
        ('1.23 MB', '900 B')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


def duration(seconds: float) -> str:
    """Return a time for people.

    Examples:
        >>> duration(3.21), duration(125), duration(7300)
        ('3.2 s', '2 min 05 s', '2 h 01 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, within = divmod(minutes, 60)
    return f"{hours} h {within:02d} min" if hours else f"{minutes} min {rest:02d} s"
