"""`import histocodec`: exact, documented, and without torch."""

from __future__ import annotations

import subprocess
import sys

import histocodec


def test_all_is_sorted_and_each_name_is_documented() -> None:
    assert histocodec.__all__ == sorted(histocodec.__all__)
    for name in histocodec.__all__:
        assert getattr(histocodec, name).__doc__ or name == "__version__"


def test_importing_loads_no_torch() -> None:
    code = "import sys, histocodec; sys.exit('torch' in sys.modules or 'pyvips' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
