"""Faults at the n-th change of the file system: a process is killed there, or told by its system that it failed.

What changes files goes through here: `open` for writing and what is written to it, the functions of `os`, and SQL.
"""

from __future__ import annotations

import _io
import builtins
import errno
import io
import os
import signal
import sqlite3
import stat
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

FUNCTIONS = {
    **dict.fromkeys(("rename", "replace", "link", "symlink"), "rename"),
    **dict.fromkeys(("unlink", "remove", "rmdir"), "unlink"),
    **dict.fromkeys(("mkdir",), "mkdir"),
    **dict.fromkeys(("fsync", "fdatasync"), "fsync"),
    **dict.fromkeys(("truncate", "ftruncate"), "truncate"),
    **dict.fromkeys(("utime",), "utime"),
    **dict.fromkeys(("write", "pwrite"), "write"),
}
"""Functions of `os` that change files, and the kind of event that each is."""

FAILS = {
    "ENOSPC": {"open", "write", "fsync", "rename", "mkdir", "truncate", "statement"},
    "EDQUOT": {"open", "write", "fsync", "rename", "mkdir"},
    "EIO": {"open", "write", "fsync", "rename", "mkdir", "truncate", "utime", "unlink", "statement"},
    "EROFS": {"open", "rename", "mkdir", "unlink", "utime", "statement"},
}
"""Events that may fail with an error of the system."""
_SQL = {
    "ENOSPC": (sqlite3.SQLITE_FULL, "database or disk is full"),
    "EIO": (sqlite3.SQLITE_IOERR, "disk I/O error"),
    "EROFS": (sqlite3.SQLITE_READONLY, "attempt to write a readonly database"),
}


@dataclass(frozen=True)
class Fault:
    """What happens, and at which event, from 0."""

    action: str = "trace"
    """trace: every event is noted; kill: before it; half: in the middle of a write; stop: until somebody
    lets it go on; or the name of an error."""
    at: int = 0
    lasting: bool = False
    """True if an error is that of every later write as well, as on a disk that stays full."""
    once: str = ""
    """File that is made when it happens, and keeps it from happening in another process."""
    trace: str = ""
    """File to which each event is appended, a kind a line."""


def kill() -> NoReturn:
    """End this process as nothing else does: no handler, no buffer, no lock is given the time for anything."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("unreachable")


class _Injector:
    """Counts events, and lets the fault happen."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._append, self._open = os.write, os.open
        self.begin(Fault())

    def begin(self, fault: Fault) -> None:
        """Count from 0, for another fault."""
        self._fault, self._seen = fault, 0
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        self._trace = self._open(fault.trace, flags) if fault.trace else None

    def __call__(self, kind: str, path: Any = None) -> bool:
        """Note an event; return True if half of it is to be done before the process ends. Raises OSError."""
        with self._lock:
            number, self._seen = self._seen, self._seen + 1
        if self._trace is not None:
            self._append(self._trace, f"{kind}\n".encode())
        fault = self._fault
        is_now = number == fault.at
        if fault.action == "trace" or not (is_now or (fault.lasting and number > fault.at)):
            return False
        if is_now and fault.once:
            try:
                os.close(self._open(fault.once, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
            except FileExistsError:
                return False
        if fault.action == "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
            return False
        if fault.action == "kill":
            kill()
        if fault.action == "half":
            if kind == "write":
                return True
            kill()
        if kind not in FAILS[fault.action]:
            return False
        if kind == "statement":
            code, said = _SQL[fault.action]
            error = sqlite3.OperationalError(said)
            error.sqlite_errorcode = code
            raise error
        code = getattr(errno, fault.action)
        raise OSError(code, os.strerror(code), None if path is None else os.fspath(path))


_installed: list[_Injector] = []
"""The one of this process, if there is one."""


def install(fault: Fault) -> None:
    """Let a fault happen in this process, in the place of one that was to happen before."""
    if _installed:
        _installed[0].begin(fault)
        return
    event = _Injector()
    event.begin(fault)
    _installed.append(event)
    for name, kind in FUNCTIONS.items():
        setattr(os, name, _counted(getattr(os, name), kind, event))
    os.open = _counted_os_open(os.open, event)
    replacement = _counted_open(builtins.open, event)
    builtins.open = io.open = _io.open = replacement
    sqlite3.connect = _counted_connect(sqlite3.connect, event)


def _is_file(descriptor: int) -> bool:
    """Tell whether a descriptor is of a file on a disk: not a pipe, nor of the system's own."""
    status = os.fstat(descriptor)
    return stat.S_ISREG(status.st_mode) and "/proc/" not in os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115


def _counted(real: Callable[..., Any], kind: str, event: _Injector) -> Callable[..., Any]:
    def call(*arguments: Any, **options: Any) -> Any:
        if kind == "write" and not _is_file(arguments[0]):
            return real(*arguments, **options)
        if event(kind, None if isinstance(arguments[0], int) else arguments[0]):
            real(arguments[0], memoryview(arguments[1])[: len(arguments[1]) // 2], *arguments[2:])
            kill()
        return real(*arguments, **options)

    return call


def _counted_os_open(real: Callable[..., int], event: _Injector) -> Callable[..., int]:
    def call(path: Any, flags: int, *arguments: Any, **options: Any) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            event("open", path)
        return real(path, flags, *arguments, **options)

    return call


def _counted_open(real: Callable[..., Any], event: _Injector) -> Callable[..., Any]:
    class CountedFile(io.FileIO):
        is_counted = True

        def write(self, data: Any, /) -> int:
            if self.is_counted and event("write"):
                view = memoryview(data).cast("B")
                super().write(view[: len(view) // 2])
                kill()
            return super().write(data)

        def truncate(self, size: int | None = None, /) -> int:
            event("truncate")
            return super().truncate(size)

    def call(
        file: Any,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        closefd: bool = True,
        opener: Any = None,
    ) -> Any:
        if not set(mode) & set("wax+"):
            return real(file, mode, buffering, encoding, errors, newline, closefd, opener)
        if not isinstance(file, int):
            event("open", file)
        raw = CountedFile(file, mode.replace("b", "").replace("t", ""), closefd, opener)
        raw.is_counted = _is_file(raw.fileno())
        if buffering == 0:
            return raw
        size = buffering if buffering > 1 else io.DEFAULT_BUFFER_SIZE
        buffered = io.BufferedRandom(raw, size) if "+" in mode else io.BufferedWriter(raw, size)
        if "b" in mode:
            return buffered
        text = io.TextIOWrapper(buffered, encoding, errors, newline, line_buffering=buffering == 1)
        text.mode = mode  # type: ignore[misc]
        return text

    return call


def _counted_connect(real: Callable[..., Any], event: _Injector) -> Callable[..., Any]:
    class Counted(sqlite3.Connection):
        def executescript(self, script: str, /) -> sqlite3.Cursor:
            event("statement")
            return super().executescript(script)

        def execute(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
            event("statement")
            return super().execute(sql, *arguments)

    def call(*arguments: Any, factory: type[sqlite3.Connection] = sqlite3.Connection, **options: Any) -> Any:
        # Between the class that is asked for and SQLite's own, so that it hears of errors as of the system's.
        return real(*arguments, factory=type("Connection", (factory, Counted), {}), **options)

    return call
