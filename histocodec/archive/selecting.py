"""Chooses slides of a catalogue by names and patterns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import PurePath, PurePosixPath

from ..errors import MissingFile
from .catalogue import Catalogue, Row
from .discovery import bare_name


def chosen(catalogue: Catalogue, names: Sequence[str], *, state: str = "done") -> Iterator[Row]:
    """Yield the slides in a state that a name or pattern fits; all of them if none is given.

    A name is that of the source or of the file, with its end or without, or a path of either. Raises MissingFile
    behind the last one for a name that fits none.
    """
    unmet = dict.fromkeys(names)
    for row in catalogue.rows("state = ?", (state,)):
        fitting = [name for name in names if _fits(row, name)]
        for name in fitting:
            unmet.pop(name, None)
        if fitting or not names:
            yield row
    if unmet:
        raise MissingFile(catalogue.folder, f"no slide that is {state} fits {', '.join(unmet)}")


def _fits(row: Row, pattern: str) -> bool:
    output, source = PurePosixPath(row["output"]), PurePath(row["source"])
    names = (str(output), output.name, bare_name(output), str(source), source.name)
    return any(name == pattern or fnmatchcase(name, pattern) for name in names)
