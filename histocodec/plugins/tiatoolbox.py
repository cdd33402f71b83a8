"""A `WSIReader` of TIAToolbox, which its engines and extractors take in place of a path; `register()` for paths too."""

from __future__ import annotations

from typing import Any

from ..errors import NotAContainer
from ..views.dispatch import open_container
from .classes import on_demand


def register() -> None:
    """Have `WSIReader.open` give containers to HistocodecWSIReader; TIAToolbox would take them for TIFFs at 1.25x."""
    from tiatoolbox.wsicore.wsireader import WSIReader

    plain = WSIReader.try_tiff
    if getattr(plain, "reads_containers", False):
        return

    def try_tiff(input_path: Any, last_suffix: str, mpp: Any, power: Any, post_proc: Any) -> Any:
        """Return the reader of a container, else what TIAToolbox returns."""
        if last_suffix in (".tif", ".tiff"):
            try:
                return __getattr__("HistocodecWSIReader")(input_path, mpp=mpp, power=power, post_proc=post_proc)
            except NotAContainer:
                pass
        return plain(input_path, last_suffix, mpp, power, post_proc)

    try_tiff.reads_containers = True  # type: ignore[attr-defined]
    WSIReader.try_tiff = staticmethod(try_tiff)


def _reader() -> type:
    """Build the class on that of TIAToolbox's reader of OpenSlide."""
    from tiatoolbox.wsicore.wsireader import OpenSlideWSIReader, WSIReader

    class HistocodecWSIReader(OpenSlideWSIReader):  # type: ignore[misc]
        """A container as TIAToolbox reads slides: level 0 is reconstructed."""

        def __init__(self, input_img: Any, mpp: Any = None, power: Any = None, post_proc: Any = "auto") -> None:
            """Open a container. mpp, power, post_proc: as of every WSIReader. Raises FileError, ContainerError."""
            WSIReader.__init__(self, input_img=input_img, mpp=mpp, power=power, post_proc=post_proc)
            self.openslide_wsi = open_container(str(self.input_path))

    return HistocodecWSIReader


__getattr__ = on_demand(__name__, {"HistocodecWSIReader": _reader})
