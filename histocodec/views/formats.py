"""The formats that a slide can be written in: what tells them, what they can hold, and who writes them."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import OutputError, SettingsError
from ..runtime.files import atomic_folder, atomic_output, check_folder, check_output
from .extras import imported
from .levels import TILE, Compression, Levels, Lossless

ATTRIBUTE = "histocodec"
"""Attribute of the root of a Zarr hierarchy that says what it is."""
_MANUFACTURER, _OURS = b"\x08\0\x70\0LO", b"\x0a\0histocodec"
"""Manufacturer (0008,0070), and what it is in an export: a scanner's own folder is not one to be replaced."""
_DICOM_HEAD = 8192
"""Bytes of an instance in which it stands."""
_SHARD = 2048
"""Pixels a side of a shard: a file of Zarr, which one thread makes in memory."""


@dataclass(frozen=True)
class Format:
    """A format of exports, and the small module that writes it."""

    name: str
    suffixes: tuple[str, ...]
    """Ends of names, in lower case."""
    compressions: tuple[Compression, ...]
    """What tiles can be coded in, the default first."""
    lossless: Lossless
    module: str
    """Module of `writers`, whose `write(levels, out)` writes the levels to a file, or into a folder."""
    tile: int = TILE
    """Pixels a side of what is made at once."""
    is_ours: Callable[[Path], bool] | None = None
    """Of a format that is a folder: whether a folder is such an export, which may be replaced."""

    def writer(self) -> Callable[[Levels, Any], None]:
        """Return what writes it. Raises SettingsError if a library for it is not installed."""
        module = imported(f"{__package__}.writers.{self.module}", f"writing {self.name}")
        found: Callable[[Levels, Any], None] = module.write
        return found

    def checked(self, compression: Compression | None) -> Compression:
        """Return the compression to use. Raises SettingsError for one that the format cannot hold."""
        if compression is None:
            return self.compressions[0]
        if compression not in self.compressions:
            raise SettingsError(
                f"the compression of {self.name} must be one of {', '.join(self.compressions)}, found {compression}"
            )
        return compression

    def check(self, path: Path, *, overwrite: bool, source: Path | str) -> None:
        """Refuse an output early, before any work. Raises OutputError."""
        if self.is_ours is None:
            check_output(path, overwrite=overwrite, source=source)
        else:
            if isinstance(source, Path) and source.exists() and path.resolve() in source.resolve().parents:
                raise OutputError(path, "holds the file that is being read; expected another name to write to")
            check_folder(path, is_ours=self.is_ours, overwrite=overwrite)

    def output(self, path: Path, *, overwrite: bool) -> AbstractContextManager[Any]:
        """Open the file, or make the folder, that appears under its name when it is whole. Raises OutputError."""
        if self.is_ours is None:
            return atomic_output(path, overwrite=overwrite)
        return atomic_folder(path, is_ours=self.is_ours, overwrite=overwrite)


def format_of(path: Path) -> Format:
    """Return the format of an output by its name. Raises SettingsError."""
    name = path.name.lower()
    for chosen in FORMATS:
        if name.endswith(chosen.suffixes):
            return chosen
    raise SettingsError(f"the output's name must end in {known_suffixes()}, found {path}")


def known_suffixes() -> str:
    """Return the ends of names that tell a format, in words."""
    *most, last = [suffix for chosen in FORMATS for suffix in chosen.suffixes]
    return f"{', '.join(most)} or {last}"


def _is_zarr_export(folder: Path) -> bool:
    try:
        metadata = json.loads((folder / "zarr.json").read_bytes())
    except (OSError, ValueError):
        return False
    attributes = metadata.get("attributes") if isinstance(metadata, dict) else None
    return isinstance(attributes, dict) and ATTRIBUTE in attributes


def _is_dicom_export(folder: Path) -> bool:
    def is_ours(entry: Path) -> bool:
        if entry.suffix != ".dcm" or not entry.is_file():
            return False
        with entry.open("rb") as file:
            _, tag, rest = file.read(_DICOM_HEAD).partition(_MANUFACTURER)
        return bool(tag) and rest.startswith(_OURS)

    return all(is_ours(entry) for entry in folder.iterdir())


FORMATS = (
    Format("OME-TIFF", (".ome.tif", ".ome.tiff"), ("jpeg", "jp2k", "lossless"), "deflate", "ome_tiff"),
    Format("TIFF", (".tif", ".tiff"), ("jpeg", "jp2k", "lossless"), "deflate", "tiff"),
    Format("OME-Zarr", (".zarr",), ("lossless",), "zstd", "ome_zarr", _SHARD, _is_zarr_export),
    Format("DICOM", (".dcm",), ("jpeg", "jp2k", "lossless"), "reversible JPEG 2000", "dicom", TILE, _is_dicom_export),
)
"""All formats; the first one that a name fits is meant."""
