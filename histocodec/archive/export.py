"""Sends files of an archive elsewhere, at a tier, and proves that they arrived."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ..errors import FileError, HistocodecError, NoSpace, OutputError
from ..format.entries import Tier
from ..format.reader import Container
from ..format.tiers import strip, stripped
from ..runtime.digest import sha256_of
from ..runtime.far_folder import FarFolder
from ..runtime.files import writing_errors
from .catalogue import Catalogue, Row
from .checksums import Line, written
from .selecting import chosen
from .staging import at_hand

SUMS = PurePosixPath("SHA256SUMS")
"""Name of the list that goes with the files, as `sha256sum --check` takes it."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of one file."""

    row: Row
    was_there: bool = False
    size_bytes: int = 0
    error: str | None = None


def export(
    catalogue: Catalogue, names: Sequence[str], to: str | Path, tier: Tier | None, *, folder: Path | None = None
) -> Iterator[Sent]:
    """Send the files of slides, one after the other, and at last the list of their digests.

    names: as `chosen` takes them; none for all. to: a folder or URL. tier: what is left of each; None for all of it.
    folder: for temporary files; None for the system's. What is there already, and the same, is not sent again.
    Raises NoSpace where a disk is full.
    """
    far = FarFolder(to)
    with tempfile.TemporaryDirectory(prefix="histocodec-export-", dir=folder) as temporary:
        sums, lines = Path(temporary) / str(SUMS), []
        for row in chosen(catalogue, names):
            place = PurePosixPath(row["output"])
            try:
                with at_hand(catalogue.output(row)) as whole:
                    file = _at_tier(row, whole, tier, Path(temporary) / "file.hc.tif")
                    digest, size = sha256_of(file), file.stat().st_size
                    was_there = far.sha256(place) == digest
                    if not was_there:
                        far.send(file, place)
                        if far.sha256(place) != digest:
                            raise OutputError(far.where(place), "other bytes arrived than were sent, by SHA-256")
            except NoSpace:
                raise  # the others and the list would fail for the same reason
            except (HistocodecError, OSError) as error:
                yield Sent(row, error=str(error))
            else:
                lines.append(written(Line(digest, str(place))) + "\n")
                yield Sent(row, was_there, size)
        with writing_errors(sums):
            sums.write_bytes("".join(lines).encode())
        far.send(sums, SUMS)


def _at_tier(row: Row, file: Path, tier: Tier | None, temporary: Path) -> Path:
    """Return a file with what is to be sent: the one itself where nothing has to be taken off."""
    with Container(file) as container:
        manifest = container.manifest
    if sha256_of(file) != row["output_sha256"]:
        raise FileError(file, "its bytes are not those that were written, by SHA-256")
    if tier is None or stripped(manifest, tier).tier == manifest.tier:
        return file
    strip(file, temporary, stripped(manifest, tier).tier, overwrite=True)
    return temporary
