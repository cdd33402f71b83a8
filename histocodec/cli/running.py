"""Shows how far a long command is: a bar on a terminal, lines elsewhere, and a log if one is asked for."""

from __future__ import annotations

import logging
import platform
import re
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as ProgressBar

from ..errors import HistocodecError, OutputError
from ..runtime.files import writing_errors
from ..runtime.parallel import core_count, limit_cores
from ..runtime.progress import Progress
from ..version import __version__
from .info import printable

LOG = logging.getLogger("histocodec")
_TRACE = 5
"""Level of records that are for the log alone."""
_ALWAYS = logging.INFO + 5
"""Level of records that also reach people who do not want to see each step."""

_LINE_EVERY_S = 10.0
"""Seconds between two lines in a stage whose steps are long."""
_OWN_LOG = re.compile(rb"\d{4}-\d\d-\d\dT")
"""Beginning of every log that was written here: a date and the hour."""


class Interrupted(HistocodecError):
    """Ctrl-C was pressed; typer alone would say nothing."""


@contextmanager
def running(
    verbose: bool, log: Path | None, workers: int | None, *, lost: str = "nothing was written"
) -> Iterator[Progress]:
    """Give a command its progress(stage, done, total), and say at the end how long it took.

    On a terminal stderr has a bar for each stage; elsewhere a line every tenth of a stage or ten seconds. verbose: more
    lines. log: a file that gets everything, with the time, and the traceback of an error that nobody foresaw. workers:
    at most so many cores; None: all. lost: what follows "interrupted" in the message after Ctrl-C.
    Raises OutputError for a log that cannot be written.
    """
    limit_cores(workers)
    is_terminal = sys.stderr.isatty()
    began = time.monotonic()
    with ExitStack() as stack:
        level = logging.DEBUG if verbose else _ALWAYS if is_terminal else logging.INFO
        stack.enter_context(_logging(_Stderr(level), libraries=verbose))
        if log is not None:
            stack.enter_context(_logging(_log_file(log), libraries=True))
        LOG.debug("histocodec %s, Python %s, at most %d cores", __version__, platform.python_version(), core_count())
        LOG.log(_TRACE, "%s", sys.argv[1:])
        lines = stack.enter_context(_Lines())
        bar = stack.enter_context(_bar()) if is_terminal else None

        def progress(stage: str, done: int, total: int) -> None:
            lines(stage, done, total)
            if bar is not None:
                bar(stage, done, total)

        try:
            yield progress
        except KeyboardInterrupt:
            LOG.log(_TRACE, "interrupted")
            raise Interrupted(f"interrupted; {lost}") from None
        except typer.Exit:
            raise
        except Exception as error:
            foreseen = isinstance(error, HistocodecError)
            LOG.log(_TRACE, "failed after %s: %s", _duration(began), error, exc_info=not foreseen)
            raise
        LOG.log(_ALWAYS, "done in %s", _duration(began))


class _Stderr(logging.Handler):
    """Writes to whatever sys.stderr is at that moment, since a bar that is shown puts itself in its place."""

    def emit(self, record: logging.LogRecord) -> None:
        print(record.getMessage(), file=sys.stderr, flush=True)


def _log_file(path: Path) -> logging.Handler:
    """Open a log to append to. Raises OutputError for any other file: a slide named by mistake stays as it is."""
    with writing_errors(path):
        if path.exists():
            if not path.is_file():
                raise OutputError(path, "is no file, expected the name of a log to write")
            with path.open("rb") as file:
                begins = file.read(16)
            if begins and not _OWN_LOG.match(begins):
                raise OutputError(path, "exists already and is no log of histocodec; nothing was changed")
        handler = _LogFile(path, encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(_OneLine("%(asctime)s %(message)s", "%Y-%m-%dT%H:%M:%S%z"))
    handler.setLevel(_TRACE)
    return handler


class _LogFile(logging.FileHandler):
    """Writes a log; where that can be done no longer, says so once, and the work goes on without."""

    is_lost = False

    def emit(self, record: logging.LogRecord) -> None:
        if not self.is_lost:
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        self._lose(sys.exc_info()[1])

    def close(self) -> None:
        try:
            super().close()
        except OSError as error:  # what is still buffered has no room either
            self._lose(error)

    def _lose(self, error: BaseException | None) -> None:
        if not self.is_lost:
            reason = getattr(error, "strerror", None) or error
            said = f"histocodec: {self.baseFilename}: the log cannot be written, what follows is not in it: {reason}"
            print(printable(said), file=sys.stderr, flush=True)
        self.is_lost = True


class _OneLine(logging.Formatter):
    """Keeps a message on its line, even with control characters from a file's name."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        return printable(super().formatMessage(record))


@contextmanager
def _logging(handler: logging.Handler, *, libraries: bool) -> Iterator[None]:
    """Send everything that is logged here to `handler` as well; if libraries, also what tifffile finds odd."""
    before = LOG.level
    LOG.setLevel(_TRACE)
    loggers = [LOG, *([logging.getLogger("tifffile")] if libraries else [])]
    for logger in loggers:
        logger.addHandler(handler)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(handler)
        LOG.setLevel(before)
        handler.close()


class _Lines:
    """Logs a line every tenth of a stage, and every ten seconds; a context manager."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._stage, self._said, self._tenth = "", "", 0
        self._began = self._spoke = time.monotonic()

    def __call__(self, stage: str, done: int, total: int) -> None:
        with self._lock:
            if stage != self._stage:
                self._stage, self._tenth, self._began = stage, 0, time.monotonic()
                LOG.debug("%s: begins", stage)
            tenth = 10 * done // max(total, 1)
            self._said = f"{stage}: {100 * done // max(total, 1)} % ({done} of {total})"
            if tenth > self._tenth:
                self._tenth = tenth
                self._speak()

    def __enter__(self) -> _Lines:
        self._watch = threading.Thread(target=self._remind, name="histocodec-progress", daemon=True)
        self._watch.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._watch.join()

    def _remind(self) -> None:
        """Log a line when nothing was said for a while: in a stage of long steps, or before the first."""
        while not self._ended.wait(0.5):
            with self._lock:
                if time.monotonic() - self._spoke >= _LINE_EVERY_S:
                    self._speak()

    def _speak(self) -> None:
        self._spoke = time.monotonic()
        LOG.info("%s, %s", self._said or "working", _duration(self._began))


@contextmanager
def _bar() -> Iterator[Progress]:
    """Show a bar for each stage on stderr while the block runs."""
    columns = TextColumn("{task.description:>10}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with ProgressBar(*columns, console=Console(stderr=True)) as bar:
        tasks: dict[str, object] = {}

        def progress(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage, total=total)
            bar.update(tasks[stage], completed=done, total=total)  # type: ignore[arg-type]

        yield progress


def _duration(began: float) -> str:
    """Return the time since `began`, of time.monotonic(), for people: seconds, minutes or hours."""
    seconds = time.monotonic() - began
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {seconds:02d} s"
