"""What a process gives up for good before it sees bytes that nobody trusts."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
from dataclasses import dataclass

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that a piece of work may take in a process that is confined."""

    memory_bytes: int = 1 << 30
    """Address space of the process, its libraries included."""
    cpu_s: float = 10.0
    """Seconds of computing."""
    wall_s: float = 120.0
    """Seconds until it is over, however little of them it computes."""


_PERMITTED = (
    *("read", "write", "readv", "writev"),  # of what is open: nothing more can be opened
    *("brk", "mmap", "munmap", "mremap", "mprotect", "madvise"),
    *("futex", "sched_yield", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "restart_syscall"),
    *("clock_gettime", "gettimeofday", "getpid", "gettid", "getrandom", "setitimer", "exit", "exit_group"),
)
"""System calls that are left: memory, clocks, and what is open already."""

_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | errno.EPERM
"""Actions of libseccomp: SCMP_ACT_ALLOW, SCMP_ACT_ERRNO(EPERM)."""


def confine(memory_bytes: int) -> tuple[str, ...]:
    """Give up what this system lets a process give up without privileges; return which barriers stand now.

    `memory`: its address space is limited. `descriptors`: it can open no file, pipe or socket. `calls` (Linux with
    libseccomp): every system call but those for memory, clocks and open files fails, so that it cannot start programs,
    signal or watch processes, remove or rename files, nor undo any of this. All libraries must be loaded before.
    """
    barriers = []
    if resource is not None:
        for limit, most, barrier in (
            (resource.RLIMIT_CORE, 0, ""),  # what is in memory may be of a patient
            (resource.RLIMIT_FSIZE, 0, ""),
            (resource.RLIMIT_AS, memory_bytes, "memory"),
            (resource.RLIMIT_NOFILE, 0, "descriptors"),
        ):
            with contextlib.suppress(OSError, ValueError):  # macOS has no limit of the address space
                resource.setrlimit(limit, (most, most))
                barriers.append(barrier)
    if _library is not None and _filter_calls(_library):
        barriers.append("calls")
    return tuple(filter(None, barriers))


def _filter_calls(library: ctypes.CDLL) -> bool:
    """Have the kernel refuse all calls but those permitted; return whether it does."""
    library.seccomp_init.restype = ctypes.c_void_p
    rules = library.seccomp_init(ctypes.c_uint32(_REFUSE))
    if not rules:
        return False
    for name in _PERMITTED:
        number = library.seccomp_syscall_resolve_name(name.encode())
        if number >= 0:  # a processor may lack a call
            library.seccomp_rule_add(ctypes.c_void_p(rules), ctypes.c_uint32(_ALLOW), number, 0)
    return bool(library.seccomp_load(ctypes.c_void_p(rules)) == 0)


def _libseccomp() -> ctypes.CDLL | None:
    try:
        return ctypes.CDLL("libseccomp.so.2") if os.name == "posix" else None
    except OSError:
        return None


_library = _libseccomp()
"""Loaded now: once it is confined, a process can load nothing."""
