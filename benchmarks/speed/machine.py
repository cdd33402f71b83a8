"""The machine and the software that numbers were made with."""

from __future__ import annotations

import contextlib
import datetime
import importlib.metadata
import platform
import re
import subprocess
from pathlib import Path
from typing import Any

import psutil

import histocodec
from histocodec.runtime.parallel import core_count

ISA_FLAGS = ("avx2", "avx_vnni", "avx512f", "avx512_vnni", "amx_int8", "asimddp", "i8mm")
"""Flags of a CPU that the speed of 8-bit networks depends on, as Linux names them."""


def environment(vips: str | None) -> dict[str, Any]:
    """Describe the machine and the software, without names or places."""
    packages = ("imagecodecs", "numpy", "openslide-bin", "openslide-python", "openvino", "tifffile", "torch")
    return {
        "cpu": cpu_model(),
        "isa": isa(),
        "cores": core_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "histocodec": histocodec.__version__,
        "packages": {name: importlib.metadata.version(name) for name in packages},
        "vips": vips and subprocess.run([vips, "--version"], capture_output=True, text=True, check=True).stdout.strip(),
        "date": datetime.date.today().isoformat(),
    }


def cpu_model() -> str:
    """Return the name of the processor."""
    with contextlib.suppress(OSError):
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
        if found:
            return found.group(1)
    return platform.processor() or "unknown"


def isa() -> list[str]:
    """Return those of ISA_FLAGS that this machine has; on Linux alone."""
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        flags = next((line for line in lines if line.lower().startswith(("flags", "features"))), "").split()
        return [flag for flag in ISA_FLAGS if flag in flags]
    return []
