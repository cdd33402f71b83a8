"""Two names change places at once, where the operating system can do that: Python has no function for it."""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

_HERE, _EXCHANGE = -100, 2
"""AT_FDCWD: names are counted from the working folder; RENAME_EXCHANGE. Both of Linux, which alone has this call."""
_CANNOT = {errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP}
"""Errors of kernels and file systems that do not know it."""


def exchange(one: Path, other: Path) -> bool:
    """Let two names of one file system change places; return False where nothing was done. Raises OSError."""
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None) if os.name == "posix" else None
    if call is None:
        return False
    if call(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in _CANNOT:
        return False
    raise OSError(number, os.strerror(number), str(one))
