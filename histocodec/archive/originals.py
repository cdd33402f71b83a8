"""Brings slides back out of an archive that kept its originals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath, PurePosixPath

from ..errors import HistocodecError, SettingsError
from ..format.reader import Container
from ..format.restoration import restore
from ..runtime.progress import StageProgress, silent
from .catalogue import Catalogue, Row
from .discovery import bare_name
from .selecting import chosen
from .staging import at_hand
from .targets import make_folder

Restored = tuple[Row, tuple[Path, ...], str | None]
"""A slide, the files that were written, and why there are none."""


def restore_originals(
    catalogue: Catalogue,
    names: Sequence[str],
    folder: Path,
    *,
    overwrite: bool = False,
    progress: StageProgress = silent,
) -> Iterator[Restored]:
    """Write the sources of slides into a folder, with the tree of the archive; one that fails stops no other.

    names: as `chosen` takes them; none for all. Slides without an original are said to have none.
    """
    for row in chosen(catalogue, names):
        try:
            yield row, _restore(catalogue, row, folder, overwrite, progress), None
        except (HistocodecError, OSError) as error:
            yield row, (), str(error)


def _restore(
    catalogue: Catalogue, row: Row, folder: Path, overwrite: bool, progress: StageProgress
) -> tuple[Path, ...]:
    place = PurePosixPath(row["output"])
    with at_hand(catalogue.output(row)) as file:
        return _restored(row, place, file, folder.joinpath(*place.parent.parts), overwrite, progress)


def _restored(
    row: Row, place: PurePosixPath, file: Path, into: Path, overwrite: bool, progress: StageProgress
) -> tuple[Path, ...]:
    with Container(file) as container:
        source = container.manifest.source
        if container.original is None or source is None:
            raise SettingsError(f"{file} keeps no original: archive --keep-original does")
    make_folder(into)
    # Of a set the names are within; its own folder keeps those of another set apart.
    if len(source.files) > 1:
        return restore(file, into / bare_name(place), progress=progress)
    name = source.files[0].name or PurePath(row["source"]).name
    return restore(file, into / name, overwrite=overwrite, progress=progress)
