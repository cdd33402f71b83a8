"""The source's files, written again from the original that a container keeps, byte for byte: `restore()`."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from ..errors import CorruptContainer, PairMismatch, Problem, SettingsError, file_error
from ..runtime.digest import sha256_of
from ..runtime.files import atomic_folder, atomic_output, check_folder, check_output, check_space, writing_errors
from ..runtime.parallel import core_count, ordered_map
from ..runtime.progress import StageProgress, silent
from .entries import SourceEntry, SourceFile
from .reader import Container

_CHUNK_BYTES = 1 << 20


def restore(
    path: str | Path,
    output: str | Path | None = None,
    *,
    overwrite: bool = False,
    sandbox: bool = False,
    progress: StageProgress = silent,
) -> tuple[Path, ...]:
    """Write the files that a container was made of, atomically; return their paths, the one to open first.

    output: of a source of one file, the file, or a folder that is there; of several files, a folder that this makes,
    since all of them appear at once. None: by its own name, or that of its first file, beside the container. Each file
    gets the time of change that it had. Nothing gets its name before all bytes are compared with the SHA-256 that was
    recorded when the source was encoded. sandbox: as for Container.
    Raises SettingsError for a container that keeps no original, CorruptContainer for a damaged one, OutputError.
    """
    path = Path(path)
    with Container(path, sandbox=sandbox) as container:
        source = _kept_source(container)
        target = _target(path, source, None if output is None else Path(output))
        if len(source.files) == 1:
            check_output(target, overwrite=overwrite, source=path)
        else:
            check_folder(target)
        check_space(target, sum(file.bytes for file in source.files))
        if len(source.files) == 1:
            with atomic_output(target, overwrite=overwrite) as out:
                for _, data in _restored(container, progress, core_count()):
                    _write(target, out, data)
                _set_time(out, source.files[0])
            return (target,)
        with atomic_folder(target) as folder:
            _write_set(container, source, folder, progress)
        return tuple(target / (file.name or "") for file in source.files)


def check_restored(container: Container, progress: StageProgress = silent, *, workers: int) -> None:
    """Restore the files of an original without writing them. Raises CorruptContainer if they are not the source's."""
    _kept_source(container)
    for _ in _restored(container, progress, workers):
        pass


def verify_source(path: str | Path, slide: str | Path, progress: StageProgress = silent) -> SourceEntry:
    """Compare a slide with what a container states of its source; return that statement.

    The other files of a slide are found by their names, beside the one that is given; of a de-identified container,
    which has no names, only a source of one file can be verified. Raises PairMismatch, which says what differs,
    SettingsError for a container that states nothing, FileError.
    """
    path, slide = Path(path), Path(slide)
    with Container(path) as container:
        source = container.manifest.source
    if source is None:
        raise SettingsError(f"{path} does not state what it was made of")
    if len(source.files) > 1 and any(file.name is None for file in source.files):
        raise SettingsError(f"{path} does not state the names of the {len(source.files)} files that it was made of")
    files = [slide, *(slide.parent / (file.name or "") for file in source.files[1:])]
    total, done = sum(file.bytes for file in source.files), 0
    for file, stated in zip(files, source.files, strict=True):
        try:
            size = file.stat().st_size
            if size != stated.bytes:
                raise PairMismatch(slide, path, f"{file.name} has {size} bytes, its source had {stated.bytes}")
        except OSError as error:
            raise file_error(file, error) from error
        digest = sha256_of(file, _behind(progress, done, total))
        done += size
        if digest != stated.sha256:
            raise PairMismatch(slide, path, f"{file.name} has other bytes than its source, by SHA-256")
    return source


def _behind(progress: StageProgress, done: int, total: int) -> StageProgress:
    """Return the progress of one file, of several together, behind those that are done."""
    return lambda read, _: progress(done + read, total)


def _kept_source(container: Container) -> SourceEntry:
    """Return the files that can be restored. Raises SettingsError if none can."""
    source = container.manifest.source
    if container.original is None or source is None:
        raise SettingsError(
            f"{container.path} keeps no original: it is of tier {container.manifest.tier}; encode --keep-original does"
        )
    return source


def _target(path: Path, source: SourceEntry, output: Path | None) -> Path:
    """Return the file or folder to write. Raises SettingsError if nobody named it."""
    name = source.files[0].name
    if len(source.files) > 1:
        return output or path.parent / Path(name or "").stem
    if output is not None and not output.is_dir():
        return output
    if name is None:
        raise SettingsError(f"{path} does not state the name of its source: say where to restore it")
    return (output or path.parent) / name


def _write_set(container: Container, source: SourceEntry, folder: Path, progress: StageProgress) -> None:
    """Write several files into a folder that is not there yet under its name."""
    places = [folder / (file.name or "") for file in source.files]
    for place in places:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch(exist_ok=False)  # an empty file has no segment
    opened: IO[bytes] | None = None
    at = -1
    try:
        for index, data in _restored(container, progress, core_count()):
            if index != at:
                if opened is not None:
                    opened.close()
                opened, at = places[index].open("wb"), index
            assert opened is not None
            _write(places[index], opened, data)
    finally:
        if opened is not None:
            opened.close()
    for place, file in zip(places, source.files, strict=True):
        with writing_errors(place), place.open("r+b") as out:
            _set_time(out, file)
            os.fsync(out.fileno())


def _restored(container: Container, progress: StageProgress, workers: int) -> Iterator[tuple[int, bytes]]:
    """Yield all bytes of the files, with the number of the file; made on all cores, a bounded number ahead.

    Raises CorruptContainer as soon as a file has ended that is not the source's.
    """
    original, source = container.original, container.manifest.source
    assert original is not None
    assert source is not None
    segments = ordered_map(container.original_segment, range(original.count), workers=workers)
    done = 0
    for index, (count, file) in enumerate(zip(original.files, source.files, strict=True)):
        digest = hashlib.sha256()
        for _ in range(count):
            data = next(segments)
            digest.update(data)
            done += 1
            progress(done, original.count)
            yield index, data
        if digest.hexdigest() != file.sha256:
            sentence = f"file {index + 1} of {len(source.files)} is not the one that was encoded, by SHA-256"
            raise CorruptContainer(container.path, [Problem("original-damaged", "original", sentence)])


def _write(path: Path, out: IO[bytes], data: bytes) -> None:
    with writing_errors(path):
        out.write(data)


def _set_time(out: IO[bytes], file: SourceFile) -> None:
    """Give a file the time of change that the source's had."""
    out.flush()
    if file.modified is not None:
        try:
            moment = datetime.strptime(file.modified, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()
        except ValueError:  # no day of any calendar
            return
        os.utime(out.fileno() if os.utime in os.supports_fd else out.name, (moment, moment))
