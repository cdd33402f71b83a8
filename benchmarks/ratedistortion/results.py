"""The committed results: JSON, one row a line."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.speed.machine import cpu_model
from histocodec.version import __version__

from .methods import encoder_versions
from .tiles import Plan

RESULTS = Path(__file__).parents[1] / "results" / "ratedistortion.json"

_LISTS = ("rows", "slide_rows")


def environment(plan: Plan, seconds: float) -> dict[str, Any]:
    """Describe the machine and the software of a run. seconds: its duration, without what its cache had."""
    packages = [method.generator for method in plan.methods() if method.generator is not None]
    return {
        "histocodec": __version__,
        "libraries": encoder_versions(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "processor": cpu_model(),
        "cores": os.cpu_count(),
        "generators": {package.card.name: package.digest for package in packages},
        "run_s": round(seconds),
    }


def write_results(path: Path, results: dict[str, Any]) -> None:
    """Write the sections, then the rows, one a line: changes show as lines."""
    parts = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in results.items() if key not in _LISTS]
    for key in _LISTS:
        if key in results:
            rows = ",\n".join(json.dumps(row) for row in results[key])
            parts.append(f"{json.dumps(key)}: [\n{rows}\n]")
    path.write_text("{\n" + ",\n".join(parts) + "\n}\n")


def read_results(path: Path) -> dict[str, Any]:
    """Read the results that `write_results` wrote."""
    results: dict[str, Any] = json.loads(path.read_text())
    return results
