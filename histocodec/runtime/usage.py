"""What a process takes of the machine: its memory now, and the most that it had."""

from __future__ import annotations

import sys
from pathlib import Path

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]


def reset_peak_memory() -> None:
    """Let `peak_memory` count from now on, where the system can (Linux); elsewhere it counts from the beginning."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def peak_memory() -> int | None:
    """Return the most bytes of memory that this process had in use; None where the system does not tell."""
    found = _status("self", "VmHWM")
    if found is None and resource is not None:
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return used if sys.platform == "darwin" else used << 10
    return found


def memory_of(pid: int) -> int | None:
    """Return the bytes of memory that a process has in use; None where the system does not tell, or it has ended."""
    return _status(str(pid), "VmRSS")


def _status(process: str, key: str) -> int | None:
    """Return a number of bytes that Linux states of a process."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        name, _, value = line.partition(":")
        if name == key:
            return int(value.split()[0]) << 10
    return None
