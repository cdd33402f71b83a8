"""Lets one process at a time work on an archive, its own processes included."""

from __future__ import annotations

import os
import time
from pathlib import Path

from ..errors import OutputBusy, OutputError
from ..runtime.closing import Closing
from ..runtime.files import writing_errors

try:
    import fcntl
except ImportError:  # Windows: no advisory locks
    fcntl = None  # type: ignore[assignment]

NAME = ".histocodec-archive.lock"

_WAIT_S = 20.0
"""Seconds in which the processes of one that was killed must have ended."""


class ArchiveLock(Closing):
    """The right to write an archive. Whoever inherits `descriptor` holds it as well, until it ends."""

    def __init__(self, folder: Path, *, wait_s: float = _WAIT_S) -> None:
        """Take it. Raises OutputBusy if another process holds it, OutputError."""
        path = folder / NAME
        with writing_errors(path):
            self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        until = time.monotonic() + wait_s
        while fcntl is not None:
            try:
                fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() >= until:
                    self.close()
                    raise OutputBusy(folder, "another process is working on this archive") from None
                time.sleep(0.1)
            except OSError as error:
                self.close()
                raise OutputError(path, f"cannot be locked: {error.strerror or error}") from error

    def close(self) -> None:
        """Give it back."""
        os.close(self.descriptor)
