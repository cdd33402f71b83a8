"""Containers as uncompressed TIFFs in a folder of the operating system (FUSE), for every program there is."""

from __future__ import annotations

import errno
import logging
import os
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from ..errors import HistocodecError, SettingsError
from .virtual_tiff import VirtualTiff

LOG = logging.getLogger("histocodec")
DEVICE = Path("/dev/fuse")
"""Where Linux has FUSE."""


def mount(
    files: Sequence[VirtualTiff],
    folder: str | Path,
    *,
    mounted: Callable[[], None] = lambda: None,
) -> None:
    """Show files in an empty folder until it is unmounted (`fusermount3 -u`, `umount`) or Ctrl-C is pressed.

    mounted: is called when they can be seen, by this user alone. Raises SettingsError for a folder
    that cannot take them, files of one name, and where the system has no FUSE.
    """
    folder = Path(folder)
    if not folder.is_dir() or any(folder.iterdir()):
        raise SettingsError(f"{folder}: expected an empty folder to mount on, found {_found(folder)}")
    operations = _operations(_fuse())
    shown = operations(dict(_named(files)), mounted)
    try:
        _fuse().FUSE(shown, str(folder.absolute()), foreground=True, ro=True, fsname="histocodec")
    except RuntimeError as error:
        if shown.was_mounted:  # libfuse calls it an error to be ended by a signal
            return
        # libfuse has said on stderr why.
        raise SettingsError(f"{folder}: cannot be mounted on by this user ({error})") from error


def _fuse() -> ModuleType:
    """Return the binding of libfuse. Raises SettingsError with what is missing."""
    if sys.platform == "linux" and not os.access(DEVICE, os.R_OK | os.W_OK):
        state = "may not be opened by this user" if DEVICE.exists() else "is not there"
        raise SettingsError(f"no files can be mounted here: {DEVICE} {state} (containers have to be given it)")
    try:
        import mfusepy
    except ModuleNotFoundError as error:
        raise SettingsError("mount needs mfusepy, which is not installed: pip install 'histocodec[mount]'") from error
    except OSError as error:
        remedy = {"linux": "apt install fuse3, or your system's like", "darwin": "install macFUSE"}
        advice = remedy.get(sys.platform, "install WinFsp")
        raise SettingsError(f"no files can be mounted here: this system has no libfuse: {advice}") from error
    found: ModuleType = mfusepy
    return found


def _named(files: Sequence[VirtualTiff]) -> Iterator[tuple[str, VirtualTiff]]:
    """Yield files with their names. Raises SettingsError if two have the same."""
    seen: dict[str, VirtualTiff] = {}
    for file in files:
        if file.name in seen:
            one, other = seen[file.name].decoder.path, file.decoder.path
            raise SettingsError(f"{one} and {other} would both be {file.name}: mount them on two folders")
        seen[file.name] = file
        yield file.name, file


def _found(folder: Path) -> str:
    if not folder.exists():
        return "nothing"
    return "a folder with content" if folder.is_dir() else "a file"


def _operations(fuse: ModuleType) -> Any:
    """Build the class of what FUSE asks for."""

    class ShownFiles(fuse.Operations):  # type: ignore[misc, name-defined]
        """A folder of files that are read, and no more."""

        use_ns = True

        def __init__(self, files: dict[str, VirtualTiff], mounted: Callable[[], None]) -> None:
            self._files = files
            self._mounted = mounted
            self.was_mounted = False
            self._owner = {"st_uid": os.getuid(), "st_gid": os.getgid()}

        def init_with_config(self, connection: Any, config: Any) -> None:
            """Begin: what is asked for is read, no more and in one piece, since the decoder has the cache."""
            if config is not None:
                config.direct_io = 1
            self.was_mounted = True
            self._mounted()

        def getattr(self, path: str, fh: int | None = None) -> dict[str, int]:
            """Return what a file is."""
            if path == "/":
                return {"st_mode": stat.S_IFDIR | 0o555, "st_nlink": 2, **self._owner}
            file = self._file(path)
            changed = self._changed(file)
            return {
                "st_mode": stat.S_IFREG | 0o444,
                "st_nlink": 1,
                "st_size": file.size_bytes,
                "st_mtime": changed,
                "st_ctime": changed,
                **self._owner,
            }

        def readdir(self, path: str, fh: int) -> list[str]:
            """Return the names of all files."""
            return [".", "..", *self._files]

        def open(self, path: str, flags: int) -> int:
            """Open a file to be read."""
            self._file(path)
            if flags & (os.O_WRONLY | os.O_RDWR):
                raise fuse.FuseOSError(errno.EROFS)
            return 0

        def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
            """Read bytes; a tile that is damaged is an input/output error."""
            file = self._file(path)
            try:
                return file.read_at(offset, size)
            except (HistocodecError, OSError) as error:
                LOG.warning("%s", error)
                raise fuse.FuseOSError(errno.EIO) from error

        def _file(self, path: str) -> VirtualTiff:
            try:
                return self._files[path.removeprefix("/")]
            except KeyError:
                raise fuse.FuseOSError(errno.ENOENT) from None

        def _changed(self, file: VirtualTiff) -> int:
            """Return when a container was written, in nanoseconds; of one on a server nothing is known."""
            try:
                return Path(file.decoder.path).stat().st_mtime_ns
            except OSError:
                return 0

    return ShownFiles
