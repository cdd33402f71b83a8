"""Files of servers on this machine's disk while they are worked on; files of disks as they are."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import OutputError, OutputExists
from ..runtime.byte_source import is_url
from ..runtime.digest import sha256_of
from ..runtime.far_folder import split_url


@contextmanager
def at_hand(location: str | Path) -> Iterator[Path]:
    """Give the path of a file, under its own name, while the block runs. Raises FileError."""
    if not is_url(location):
        yield Path(location)
        return
    folder, place = split_url(str(location))
    with tempfile.TemporaryDirectory(prefix="histocodec-fetched-") as temporary:
        path = Path(temporary) / place.name
        folder.fetch(place, path)
        yield path


@contextmanager
def sent(location: str | Path, *, overwrite: bool) -> Iterator[tuple[Path, bool]]:
    """Give a path to write to, and whether what is there may be replaced; a URL gets the file when the block ends well.

    Nothing is under a URL before the file is whole here, and it is read back. Raises OutputError, OutputExists.
    """
    if not is_url(location):
        yield Path(location), overwrite
        return
    folder, place = split_url(str(location))
    if not overwrite and folder.file(place) is not None:
        raise OutputExists(str(location), "exists already; nothing was changed (--overwrite replaces it)")
    with tempfile.TemporaryDirectory(prefix="histocodec-written-") as temporary:
        path = Path(temporary) / place.name
        yield path, False
        folder.send(path, place)
        if folder.sha256(place) != sha256_of(path):
            raise OutputError(str(location), "other bytes arrived than were sent, by SHA-256")


def sha256_at(location: str | Path) -> str:
    """Return the SHA-256 of a file or of what is under a URL. Raises FileError."""
    with at_hand(location) as path:
        return sha256_of(path)
