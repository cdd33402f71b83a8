"""The files that a viewer was given: nothing else is ever shown, whatever is asked for."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ..errors import HistocodecError, MissingFile
from ..runtime.byte_source import is_url
from ..runtime.closing import Closing
from .shown import Shown

_ENDINGS = (".hc.tif", ".tiff", ".tif")
_UNUSUAL = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True)
class Named:
    """One of the files, under the name that it has in addresses."""

    name: str
    title: str
    """The name of its file, for people."""
    shown: Shown | None
    """None if it cannot be shown."""
    error: str = ""
    """The reason for that."""


class Slides(Closing):
    """The named files, open as far as they can be opened."""

    def __init__(self, files: Sequence[Named]) -> None:
        self.files = {file.name: file for file in files}
        self._open = ExitStack()
        for file in files:
            if file.shown is not None:
                self._open.enter_context(file.shown)

    @classmethod
    def opened(cls, locations: Sequence[str], open_one: Callable[[str], Shown]) -> Slides:
        """Open paths and URLs, in their order; one that is damaged or cannot be reached gets the reason instead.

        Raises MissingFile for a path where nothing is: it was mistyped.
        """
        files: list[Named] = []
        try:
            for location in locations:
                title = _title(location)
                name = _free_name(title, {file.name for file in files})
                try:
                    files.append(Named(name, title, open_one(location)))
                except (HistocodecError, OSError) as error:
                    if isinstance(error, MissingFile) and not is_url(location):
                        raise
                    files.append(Named(name, title, None, " ".join(str(error).split())))
        except BaseException:
            cls(files).close()
            raise
        return cls(files)

    def close(self) -> None:
        """Release all files."""
        self._open.close()


def _title(location: str) -> str:
    """Return the file's name in a path or URL, without what may be secret in it.

    Examples:
        >>> _title("https://x.org/a%20b/case%201.hc.tif?key=secret"), _title("folder/case.hc.tif")
        ('case 1.hc.tif', 'case.hc.tif')
    """
    path = unquote(urlsplit(location).path) if is_url(location) else location
    return Path(path).name or "slide"


def _free_name(title: str, taken: set[str]) -> str:
    """Return a name for addresses that is not taken.

    Examples:
        >>> _free_name("case 1.hc.tif", {"case-1"}), _free_name("..", set())
        ('case-1-2', 'slide')
    """
    ending = next((ending for ending in _ENDINGS if title.lower().endswith(ending)), "")
    stem = _UNUSUAL.sub("-", title.removesuffix(title[len(title) - len(ending) :])).strip("-.") or "slide"
    number, name = 1, stem
    while name in taken:
        number += 1
        name = f"{stem}-{number}"
    return name
