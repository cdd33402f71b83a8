"""The exception tree: one root, one class per way of being wrong.

::

    HistocodecError
    ├── SettingsError             a setting or argument out of its range (also a ValueError)
    ├── RegionError               a region outside the image, or a level that is not there (also a ValueError)
    ├── FileError                 a file that should be read, but cannot be (also an OSError)
    │   ├── MissingFile           there is no such file (also a FileNotFoundError)
    │   └── ChangedFile           another file has taken its place on the server while it was open
    ├── SourceError               the slide that should be encoded
    │   ├── UnreadableSource      not an image that any reader knows, or cut off
    │   │   └── MissingSource     there is no such file (also a FileNotFoundError)
    │   ├── MissingResolution     no micrometres per pixel in the file, none given
    │   ├── UnsupportedResolution micrometres per pixel outside what a base can be made from
    │   └── SourceReadError       opened, then failed while pixels were read
    ├── RoiError                  the regions of interest: not GeoJSON, or not of this slide
    ├── OutputError               the file that should be written
    │   ├── OutputExists          there is a file of that name, and no leave to replace it
    │   ├── OutputBusy            another process is writing it
    │   └── NoSpace               the disk is full, or will be
    ├── BudgetError               the file cannot keep within its byte budget, or a floor, or the loss that it allows
    ├── PairMismatch              a slide and a file that cannot have been made of it
    ├── ContainerError            the histocodec file that should be read
    │   ├── NotAContainer         not a BigTIFF with a histocodec manifest
    │   ├── UnsupportedVersion    written by a later version of the format
    │   └── CorruptContainer      its parts contradict each other, or are damaged
    │       └── DecodingCrash     what decodes a part of it crashed, hung, or took too much memory, in its sandbox
    ├── ClusterError              a cluster that is not there, or went away while it worked
    ├── TrainingDiverged          the loss of a training run is no longer a number
    ├── TrainingPaused            the time that a call was given is over; the next call goes on
    └── GeneratorError            the generator
        ├── UnknownGenerator      no generator of that name or digest at hand
        ├── GeneratorMismatch     a generator, but not the one that the file names
        └── InvalidPackage        a package that cannot be trusted

Every message says what was expected, what was found, and where. Attributes hold the same for programs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class HistocodecError(Exception):
    """The root: catch this to catch everything that histocodec raises on purpose. Pickles, as workers need it."""

    def __reduce__(self) -> tuple[Callable[..., HistocodecError], tuple[Any, ...]]:
        return _raised_elsewhere, (type(self), self.args, self.__dict__)


def _raised_elsewhere(
    kind: type[HistocodecError], args: tuple[object, ...], facts: dict[str, object]
) -> HistocodecError:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(facts)
    return error


class SettingsError(HistocodecError, ValueError):
    """A setting or argument is out of its range."""


class RegionError(HistocodecError, ValueError):
    """A region lies outside the image, or a level does not exist."""


def _named(path: str | Path) -> Path | str:
    """Return a path, or a URL as it is: a path would lose one of its slashes."""
    return path if isinstance(path, str) and "://" in path else Path(path)


class _PathError(HistocodecError):
    """An error about one file; `path` is that file, a text if it is a URL."""

    def __init__(self, path: str | Path, reason: str) -> None:
        self.path = _named(path)
        self.reason = reason
        super().__init__(f"{self.path}: {reason}")


class FileError(_PathError, OSError):
    """A file that should be read cannot be, for a reason that the operating system gives."""

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


class MissingFile(FileError, FileNotFoundError):
    """There is no file of that name."""


class ChangedFile(FileError):
    """A file on a server was replaced by another one while it was open: parts of both would make a mixture."""


def file_error(path: str | Path, error: OSError) -> FileError:
    """Build the error for a file that the operating system cannot open or read, with what it says."""
    if not isinstance(error, FileNotFoundError):
        found = FileError(path, f"cannot be read: {error.strerror or error}")
    elif os.path.islink(path):  # noqa: PTH114  (Path.is_link would raise where this says no)
        found = MissingFile(path, f"a link to {os.readlink(path)}: No such file or directory")  # noqa: PTH115
    else:
        found = MissingFile(path, "No such file or directory")
    found.errno = error.errno
    return found


class SourceError(_PathError):
    """Something is wrong with the slide that should be encoded."""


class UnreadableSource(SourceError):
    """The source is not an image that any reader knows, or it is cut off."""


class MissingSource(UnreadableSource, FileNotFoundError):
    """There is no source of that name."""


class MissingResolution(SourceError):
    """The source does not state its micrometres per pixel, and none were given."""


class UnsupportedResolution(SourceError):
    """The source's micrometres per pixel are outside what a base can be made from."""


class SourceReadError(SourceError):
    """The source opened, then failed while its pixels were read."""


class RoiError(HistocodecError):
    """The regions of interest are not GeoJSON that can be used, or none of them lies on the slide.

    Attributes: `reason`, and `path`, their file; None if they were not read from a file of their own.
    """

    def __init__(self, reason: str, path: str | Path | None = None) -> None:
        self.path = None if path is None else Path(path)
        self.reason = reason
        super().__init__(reason if path is None else f"{path}: {reason}")


class OutputError(_PathError):
    """Something is wrong with the file that should be written."""


class OutputExists(OutputError):
    """A file of that name exists and may not be replaced."""


class OutputBusy(OutputError):
    """Another process is writing the same file."""


class NoSpace(OutputError):
    """The disk is full, or would be."""


class BudgetError(HistocodecError):
    """The byte budget cannot be met.

    Attributes: `budget_bytes`, and `needed_bytes`, the bytes that the attempt took (at least `budget_bytes`).
    """

    def __init__(self, budget_bytes: int, needed_bytes: int, reason: str) -> None:
        self.budget_bytes = budget_bytes
        self.needed_bytes = needed_bytes
        super().__init__(reason)


class PairMismatch(HistocodecError):
    """A slide and a histocodec file that cannot have been made of it.

    Attributes: `slide` and `file`, their paths, and `reason`.
    """

    def __init__(self, slide: str | Path, file: str | Path, reason: str) -> None:
        self.slide = _named(slide)
        self.file = _named(file)
        self.reason = reason
        super().__init__(f"{self.file} was not made of {self.slide}: {reason}")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a histocodec file."""

    code: str
    """One of the codes that the format's specification lists."""
    place: str
    """A manifest field, `directory 2`, `level 0 tile 17` ..."""
    sentence: str
    """A sentence on what was expected, and what was found."""

    def __str__(self) -> str:
        return f"{self.place}: {self.sentence} [{self.code}]"


class ContainerError(_PathError):
    """Something is wrong with the histocodec file that should be read; `problems` has all that was found."""

    def __init__(self, path: str | Path, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        more = f" (and {len(problems) - 1} more: histocodec validate lists them)" if len(problems) > 1 else ""
        super().__init__(path, f"{self.problems[0]}{more}")

    @property
    def code(self) -> str:
        """Code of the first problem."""
        return self.problems[0].code


class NotAContainer(ContainerError):
    """The file is not a BigTIFF with a histocodec manifest."""


class UnsupportedVersion(ContainerError):
    """The file was written by a later version of the format."""


class CorruptContainer(ContainerError):
    """The file's parts contradict each other, or are damaged."""


class DecodingCrash(CorruptContainer):
    """What decodes a part of the file crashed, hung, or took too much memory: in its sandbox, so without other harm."""


class ClusterError(HistocodecError):
    """The cluster that should do the work is not there, or went away; what it has done stays."""


class TrainingDiverged(HistocodecError):
    """The loss of a training run is no longer a number."""


class TrainingPaused(HistocodecError):
    """The time that a call was given is over before the last step; the same call goes on from its checkpoint."""


class GeneratorError(HistocodecError):
    """Something is wrong with the generator."""


class UnknownGenerator(GeneratorError):
    """No generator of that name or digest is at hand."""


class GeneratorMismatch(GeneratorError):
    """A generator was given, but it is not the one that the file names."""


class InvalidPackage(GeneratorError):
    """A package is damaged, or does not state what it must."""
