"""Whoever computes a network by OpenVINO tells nobody: no message, no identifier, no process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

IMPORTS = """
import os, sys

def forked():
    raise SystemExit("a process was forked")

os.register_at_fork(before=forked)
from histocodec.generators.engines import openvino_engine
assert "openvino_telemetry" not in sys.modules
from openvino.tools.ovc import telemetry_utils
assert telemetry_utils.tm.__name__.endswith("telemetry_stub"), telemetry_utils.tm
"""

OWN = """
import sys, types
sys.modules["openvino_telemetry"] = own = types.ModuleType("openvino_telemetry")
try:
    from histocodec.generators.engines import silent_openvino
except ImportError:  # of what is not in this stand-in
    pass
assert sys.modules["openvino_telemetry"] is own
"""


def test_an_import_sends_nothing(tmp_path: Path) -> None:
    environment = {**os.environ, "HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", IMPORTS], check=True, env=environment, timeout=120)
    assert list(tmp_path.iterdir()) == []


def test_what_a_program_has_imported_itself_stays() -> None:
    subprocess.run([sys.executable, "-c", OWN], check=True, timeout=120)
