"""The path of a slide that OpenSlide itself is to read, although containers may be dispatched elsewhere."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class AsStored(os.PathLike[str]):
    """A path that `install_openslide` leaves to OpenSlide: a source is read as its file stores it."""

    path: Path

    def __fspath__(self) -> str:
        return str(self.path)
