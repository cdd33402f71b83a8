"""How programs start whose OpenSlide reads containers: this folder comes first on the path of every Python of theirs.

Python runs the `sitecustomize` that it finds first, before the program.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from ...views.dispatch import SETTINGS_VARIABLE


def program_environment(settings: Mapping[str, str | None]) -> dict[str, str]:
    """Return this process' environment with what makes a program below it, and its workers, read containers."""
    folder, rest = str(Path(__file__).parent), os.environ.get("PYTHONPATH")
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([folder, *([rest] if rest else [])]),
        SETTINGS_VARIABLE: json.dumps(settings),
    }
