"""Writes a file so that it is either there, whole, under its name, or not there at all."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from ..errors import HistocodecError, NoSpace, OutputBusy, OutputError, OutputExists
from .exchange import exchange

try:
    import fcntl
except ImportError:  # Windows: no advisory locks, and so no OutputBusy
    fcntl = None  # type: ignore[assignment]

_NO_SPACE = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file system or a limit of this process allows no file of this size",
}
"""Sentences for errors of the operating system that more room would cure."""
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
"""Errors of network file systems that have no locks."""

_WRITING_ON_S = 2.0
"""Seconds in which threads end that were writing when something failed."""
_LONGEST_NAME = 255
"""Most bytes of a name, on nearly every file system."""


def check_output(path: Path, *, overwrite: bool, source: Path | str | None = None) -> None:
    """Refuse an output early, before any work. Raises OutputExists or OutputError.

    source: the file that is being read, which its own product must not replace, whatever `overwrite` says; the name of
    one that is on no disk does no harm.
    """
    with writing_errors(path):
        if path.is_dir():
            raise OutputError(path, "is a folder, expected the name of a file to write")
        if path.exists():
            if isinstance(source, Path) and source.exists() and path.samefile(source):
                raise OutputError(path, "is the file that is being read; expected another name to write to")
            if not path.is_file():
                raise OutputError(path, "is a device, pipe or socket, expected the name of a file to write")
            if not overwrite:
                raise OutputExists(path, "exists already; nothing was changed (--overwrite replaces it)")
        if not path.parent.is_dir():
            raise OutputError(path, f"the folder {path.parent} does not exist")
        if not os.access(path.parent, os.W_OK):
            raise OutputError(path, f"the folder {path.parent} cannot be written to")


def check_space(path: Path, needed_bytes: int) -> None:
    """Raise NoSpace if the disk that holds `path` has less room than `needed_bytes`."""
    with writing_errors(path):
        free = shutil.disk_usage(path.parent).free
    if free < needed_bytes:
        raise NoSpace(path, f"needs about {needed_bytes / 1e6:.1f} MB of free disk, found {free / 1e6:.1f} MB")


@contextmanager
def writing_errors(path: Path) -> Iterator[None]:
    """Turn an operating system error while writing into NoSpace or OutputError about `path`."""
    try:
        yield
    except HistocodecError:  # some are errors of the operating system too, of other files
        raise
    except OSError as error:
        if error.errno in _NO_SPACE:
            raise NoSpace(path, f"{_NO_SPACE[error.errno]}; nothing was written under this name") from error
        raise OutputError(path, f"cannot be written: {error.strerror or error}") from error


@contextmanager
def atomic_output(path: Path, *, overwrite: bool) -> Iterator[IO[bytes]]:
    """Open a binary file that becomes `path` when the block ends, and vanishes if the block raises.

    The bytes go to the sibling `.NAME.partial`, which is locked while it is written. A process that is killed leaves
    the sibling behind; the next writer of the same name takes it over, so that strays cannot gather.
    Raises OutputExists, OutputBusy, NoSpace or OutputError.
    """
    check_output(path, overwrite=overwrite)
    partial = _partial(path)
    with writing_errors(path), open(partial, "r+b", opener=_create_untruncated) as file:
        _lock(file, partial, path)
        try:
            file.truncate(0)
            yield file
            file.flush()
            os.fsync(file.fileno())
            check_output(path, overwrite=overwrite)
            if fcntl is None:
                file.close()  # Windows does not rename an open file
            partial.replace(path)
        except BaseException:
            if fcntl is None:
                file.close()
            partial.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)  # what has its name is no longer ours to take away


@contextmanager
def atomic_folder(
    path: Path, *, is_ours: Callable[[Path], bool] | None = None, overwrite: bool = False
) -> Iterator[Path]:
    """Give a folder to fill, which becomes `path` when the block ends, and vanishes if the block raises.

    There must be nothing under that name, or an empty folder; with `overwrite`, a folder of which `is_ours` holds is
    replaced. As with `atomic_output`, a process that is killed leaves the sibling `.NAME.partial` behind, and the next
    writer of the same name takes its place. At every moment the folder is there that was there before, or the new one;
    where the system cannot let two folders change places, the next writer puts the former one back.
    Raises OutputExists, OutputBusy, NoSpace or OutputError.
    """
    check_folder(path, is_ours=is_ours, overwrite=overwrite)
    partial = _partial(path)
    with writing_errors(path), partial.with_name(f"{partial.name}.lock").open("wb") as lock:
        _lock(lock, Path(lock.name), path)
        try:
            _put_back(path)
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            yield partial
            _sync_files(partial)
            check_folder(path, is_ours=is_ours, overwrite=overwrite)
            _replace_folder(path, partial)
        except BaseException:
            _remove(partial)
            raise
        finally:
            if fcntl is None:
                lock.close()
            Path(lock.name).unlink(missing_ok=True)


def check_folder(path: Path, *, is_ours: Callable[[Path], bool] | None = None, overwrite: bool = False) -> None:
    """Refuse a folder early, before any work. Raises OutputExists or OutputError.

    is_ours, overwrite: a folder that is there may be replaced if both hold; without the former, none may.
    """
    with writing_errors(path):
        if path.is_symlink() or (path.exists() and not path.is_dir()):
            raise OutputError(path, "is a file, expected the name of a folder to make")
        if path.is_dir() and any(path.iterdir()):
            if is_ours is None:
                raise OutputExists(path, "exists already and is not empty; nothing was changed")
            if not is_ours(path):
                raise OutputError(path, "is a folder that holds other things; expected another name to write to")
            if not overwrite:
                raise OutputExists(path, "exists already; nothing was changed (--overwrite replaces it)")
        if not path.parent.is_dir():
            raise OutputError(path, f"the folder {path.parent} does not exist")
        if not os.access(path.parent, os.W_OK):
            raise OutputError(path, f"the folder {path.parent} cannot be written to")


def _replace_folder(path: Path, whole: Path) -> None:
    """Give a whole folder its name; what had it changes places with it, and is deleted."""
    former = whole if path.is_dir() and exchange(whole, path) else None
    if former is None:
        former = _former(path)
        shutil.rmtree(former, ignore_errors=True)
        if path.is_dir():
            path.rename(former)
        try:
            whole.rename(path)
        except OSError:
            _put_back(path)
            raise
    _sync_folder(path.parent)
    shutil.rmtree(former, ignore_errors=True)


def _remove(folder: Path) -> None:
    """Delete a folder in which threads of a library may be writing for another moment, as zarr's do after an error."""
    until, absent = time.monotonic() + _WRITING_ON_S, 0
    while absent < 3 and time.monotonic() < until:
        absent = 0 if folder.exists() else absent + 1
        shutil.rmtree(folder, ignore_errors=True)
        time.sleep(0.01)


def _former(path: Path) -> Path:
    partial = _partial(path)
    return partial.with_name(f"{partial.name}.former")


def _put_back(path: Path) -> None:
    """Give a folder its name again that was moved aside for another one, which did not come to take its place."""
    former = _former(path)
    if former.is_dir() and not path.exists():
        former.rename(path)


def discard_partial(path: Path) -> None:
    """Take away what a writer of `path` left that was killed; nothing if another one is writing it now."""
    partial = _partial(path)
    try:
        with partial.open("r+b") as file:
            _lock(file, partial, path)
            partial.unlink(missing_ok=True)
    except (OSError, OutputBusy):
        return


def _partial(path: Path) -> Path:
    """Return the sibling that is written; if the name leaves no room for more, it is named by that name's digest."""
    name = f".{path.name}.partial"
    if len(os.fsencode(name)) > _LONGEST_NAME:
        name = f".{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:32]}.partial"
    return path.with_name(name)


def _create_untruncated(name: str, flags: int) -> int:
    """Open a file as it is, since it may be another writer's until the lock is ours."""
    return os.open(name, flags | os.O_CREAT, 0o666)


def _lock(file: IO[bytes], partial: Path, path: Path) -> None:
    """Lock the file. Raises OutputBusy if another process holds it, or has just finished and renamed it."""
    if fcntl is None:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        ours = os.fstat(file.fileno()).st_ino == partial.stat().st_ino
    except (BlockingIOError, FileNotFoundError):
        ours = False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        return
    if not ours:
        raise OutputBusy(path, "another process is writing it")


def _sync_files(folder: Path) -> None:
    """Have all that lies in a folder on the disk: a name must not be there before its bytes."""
    for file in folder.rglob("*"):
        if file.is_file():
            with file.open("r+b") as opened:
                os.fsync(opened.fileno())


def _sync_folder(folder: Path) -> None:
    """Make a rename durable, where the system lets a folder be opened."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError:
        pass
    finally:
        os.close(descriptor)
