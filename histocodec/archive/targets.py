"""Names what is written for each of many files, and finds every clash before anything is written."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ..errors import OutputError, OutputExists
from .discovery import Found

Pair = tuple[Found, Path]
"""What is read, and what is written for it."""

_SHOWN = 10
"""Clashes that an error lists."""


def targets(items: Iterable[Found], folder: Path | None, end: str) -> list[Pair]:
    """Return what is read and written: in `folder` with the tree kept, or beside the source. end: of the name.

    Raises OutputError if two have the same name, also where only capitals differ, or one is what another is read from.
    """
    pairs = [(found, found.output(folder, end) if folder else _beside(found, end)) for found in distinct(items)]
    read = {_key(file): file for found, _ in pairs for file in found.files}
    written: dict[str, Pair] = {}
    clashes = []
    for found, output in pairs:
        key = _key(output)
        if key in read:
            clashes.append((output, f"{output} is what is read"))
        elif key in written:
            clashes.append((output, f"{written[key][0].location} and {found.location} would both become {output}"))
        else:
            written[key] = found, output
    if clashes:
        raise OutputError(clashes[0][0], f"name clashes, nothing was written: {_listed([why for _, why in clashes])}")
    return pairs


def distinct(items: Iterable[Found]) -> list[Found]:
    """Return what was found, each once."""
    return list({_key(found.location): found for found in items}.values())


def refuse_existing(pairs: Iterable[Pair]) -> None:
    """Raise OutputExists if there is something under a name that is to be written."""
    there = [output for _, output in pairs if output.exists()]
    if there:
        names = _listed([str(output) for output in there])
        raise OutputExists(
            there[0],
            f"{len(there)} of the outputs exist already, nothing was written (--overwrite replaces them, "
            f"--skip-existing leaves them as they are): {names}",
        )


def make_folders(pairs: Iterable[Pair]) -> None:
    """Make the folders of what is written. Raises OutputError."""
    for folder in dict.fromkeys(output.parent for _, output in pairs):
        make_folder(folder)


def make_folder(folder: Path) -> None:
    """Make a folder, and those that it lies in. Raises OutputError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(folder, f"cannot be made: {error.strerror or error}") from error


def _beside(found: Found, end: str) -> Path:
    return found.beside / found.output(Path(), end).name


def _key(path: Path | str) -> str:
    """Return what two names have in common that some file system takes for one; of a URL, itself."""
    return path if isinstance(path, str) else str(path.absolute()).casefold()


def _listed(texts: list[str]) -> str:
    more = f"; and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
    return "; ".join(texts[:_SHOWN]) + more
