"""A reader of wsidata, and so of LazySlide: `register()`, then `open_wsi` takes containers."""

from __future__ import annotations

from ..views.dispatch import open_container
from .classes import on_demand

NAME = "histocodec"
"""The reader's name, as `open_wsi(path, reader=...)` takes it."""


def register() -> None:
    """Have wsidata try containers before its own readers, which would open them at the base's resolution."""
    from wsidata.reader import READERS

    if NAME not in READERS:
        READERS[NAME] = __getattr__("HistocodecReader")
        READERS.priority.insert(0, NAME)


def _reader() -> type:
    """Build the class on that of wsidata's reader of OpenSlide."""
    from wsidata.reader import OpenSlideReader

    class HistocodecReader(OpenSlideReader):  # type: ignore[misc]
        """A container as wsidata's reader of OpenSlide reads slides."""

        name = NAME
        pkg_namespaces = "histocodec"
        pkgs = "histocodec"
        extensions = (".tif", ".tiff")
        _chunk_px = None  # that OpenSlide paints in pieces does not concern a decoder

        def create_reader(self) -> None:
            """Open the file. Raises ContainerError, which has wsidata try its other readers."""
            self.set_reader(open_container(self.file))

    return HistocodecReader


__getattr__ = on_demand(__name__, {"HistocodecReader": _reader})
