"""OpenVINO without its telemetry.

Left alone, `import openvino` tells a server of its maker that it was imported, under an identifier that it keeps in the
home folder, by a process that it forks. Nobody who opens a slide asked for that, and a fork beside a thread that
multiplies matrices was seen to wait for ever (OpenBLAS 0.3.31 ends its own threads first, which then never ends).
OpenVINO does without what cannot be imported; a program that has imported its telemetry by itself keeps it.
"""

from __future__ import annotations

import sys

_TELEMETRY = "openvino_telemetry"

_was_there = _TELEMETRY in sys.modules
if not _was_there:
    sys.modules[_TELEMETRY] = None  # type: ignore[assignment]  # so an import of it fails
try:
    import openvino
    from openvino import opset13 as ops
finally:
    if not _was_there:
        del sys.modules[_TELEMETRY]

__all__ = ["openvino", "ops"]
