"""Brings slides back out of an archive that kept its originals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath, PurePosixPath

from ..errors import HistocodecError, NoSpace, SettingsError
from ..format.entries import SourceEntry
from ..format.reader import Container
from ..format.restoration import restore
from ..runtime.digest import sha256_of
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

    But for a full disk, for which each of the others would fail too: they are not begun.
    names: as `chosen` takes them; none for all. Slides without an original are said to have none. What is there
    already, and the same by SHA-256, is not written again.
    """
    left = chosen(catalogue, names)
    for row in left:
        try:
            yield row, _restore(catalogue, row, folder, overwrite, progress), None
        except NoSpace as error:
            yield row, (), str(error)
            for other in left:
                yield other, (), "not begun, as the disk is full"
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
    is_set = len(source.files) > 1
    target = into / (bare_name(place) if is_set else source.files[0].name or PurePath(row["source"]).name)
    there = tuple(target / (one.name or "") for one in source.files) if is_set else (target,)
    if _are_there(there, source):
        return there
    return restore(file, target, overwrite=overwrite and not is_set, progress=progress)


def _are_there(paths: tuple[Path, ...], source: SourceEntry) -> bool:
    """Tell whether files were restored before, by a call that did not come to its end."""
    pairs = list(zip(paths, source.files, strict=True))
    as_long = all(path.is_file() and path.stat().st_size == file.bytes for path, file in pairs)
    return as_long and all(sha256_of(path) == file.sha256 for path, file in pairs)
