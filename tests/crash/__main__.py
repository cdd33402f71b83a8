"""Stops commands at many moments, and says what became of their files.

    python -m tests.crash --moments 1000 --json crash.json

What follows is done by a process that has one thread, since others cannot be forked, that makes the same bytes twice,
and that may mount file systems where anybody may; they end with it.
"""

from __future__ import annotations

import os
import subprocess
import sys

_SETTINGS = {
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    "SOURCE_DATE_EPOCH": "1772271000",
    "PYTHONDONTWRITEBYTECODE": "1",
}


def main() -> None:
    """Become that process."""
    words = [sys.executable, "-m", "tests.crash.campaign", *sys.argv[1:]]
    settings = dict(_SETTINGS)
    for options in (["--mount"], ["--user", "--map-root-user", "--mount"]):
        if _works(["unshare", *options, "mount", "-t", "tmpfs", "tmpfs", "/mnt"]):
            words = ["unshare", *options, *words]
            settings["CRASH_NAMESPACE"] = "1"
            break
    os.execvpe(words[0], words, os.environ | settings)


def _works(words: list[str]) -> bool:
    try:
        return subprocess.run(words, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


if __name__ == "__main__":
    main()
