"""Many files by one command: one after the other, a line each, and a list of those that failed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NoReturn, TypeVar

import typer

from ..archive.cluster import Cluster
from ..archive.discovery import Selection
from ..errors import HistocodecError, NoSpace
from ..runtime.parallel import core_count
from .info import printable
from .running import LOG

SOME_FAILED = 3
"""Exit code of a command on many files of which some failed, and all others are done."""

T = TypeVar("T")
R = TypeVar("R")
Failures = list[tuple[object, str]]
"""What failed, and why."""


def selection_of(recursive: bool, include: Sequence[str] | None, exclude: Sequence[str] | None) -> Selection:
    """Return what the options say of folders."""
    return Selection(recursive, tuple(include or ()), tuple(exclude or ()))


def on_cluster(
    scheduler: str,
    resources: dict[str, float],
    items: Iterable[T],
    work: Callable[[T], R],
    name: Callable[[T], object],
    done: Callable[[T, R], None],
) -> Failures:
    """Do as `one_by_one`, several at a time on a cluster. work: what pickles by value. Raises ClusterError."""
    failures: Failures = []
    with Cluster(scheduler, processes=core_count(), resources=resources) as cluster:
        for item, result in cluster.each(work, items):
            if isinstance(result, BaseException):
                failures.append((name(item), str(result) or type(result).__name__))
            else:
                done(item, result)
    return failures


def one_by_one(
    items: Iterable[T], work: Callable[[T], R], name: Callable[[T], object], done: Callable[[T, R], None]
) -> Failures:
    """Do the work for each item, and tell `done` at once; return those that failed, which stop none of the others.

    A full disk stops them: each would fail for the same reason, some after an hour of work.
    """
    failures: Failures = []
    left = iter(items)
    for item in left:
        LOG.debug("%s: begins", name(item))
        try:
            result = work(item)
        except (HistocodecError, OSError) as error:
            failures.append((name(item), str(error)))
            LOG.debug("failed: %s", printable(" ".join(str(error).splitlines())))
            if isinstance(error, NoSpace):
                failures += [(name(other), "not begun, as the disk is full") for other in left]
        else:
            done(item, result)
    return failures


def end_of_many(failures: Failures, count: int) -> NoReturn:
    """End the command: say how many failed, and which."""
    if failures:
        typer.echo(f"histocodec: {len(failures)} of {count} failed:", err=True)
        for name, reason in failures:
            said = " ".join(reason.splitlines())
            shown = said if said.startswith(str(name)) else f"{name}: {said}"
            typer.echo(f"  {printable(shown)}", err=True)
    raise typer.Exit(SOME_FAILED if failures else 0)
