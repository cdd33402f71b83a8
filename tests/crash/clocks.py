"""A clock that is set back by ten years: between two runs of an archive, and in the middle of one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from .commands import RUN
from .judge import look
from .tally import Tally

_BACK = "-10y"
_WAIT_S = 300.0


def library() -> Path | None:
    """Return libfaketime, as Debian's package faketime has it; None if it is not installed."""
    return next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))), None)


def clock_set_back(material: Path, folder: Path, preload: Path) -> Tally:
    """Run an archive while the clock changes; slides that are as they were must be seen to be so."""
    tally = Tally()
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "tmp").mkdir(parents=True)
    (folder / "out").mkdir()
    clock = folder / "clock"
    clock.write_text("+0")
    environment = os.environ | {
        "LD_PRELOAD": str(preload),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "NO_FAKE_STAT": "1",
        "TMPDIR": str(folder / "tmp"),
    }
    environment.pop("SOURCE_DATE_EPOCH", None)

    def started(*words: str) -> subprocess.Popen[str]:
        command = [
            sys.executable,
            "-m",
            "histocodec",
            "archive",
            "run",
            str(material / "slides"),
            "--to",
            str(folder / "out"),
            *RUN,
            *words,
        ]
        return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)

    def expect(kind: str, process: subprocess.Popen[str], said: str) -> None:
        _, told = process.communicate(timeout=_WAIT_S)
        tally.counts[kind] += 1
        if process.returncode or said not in told:
            tally.findings.append(f"{kind}: {process.returncode}: expected {said!r}: {told[-300:]}")

    process = started("--log", str(folder / "log.jsonl"))
    while process.poll() is None and not list((folder / "out").glob("*.hc.tif")):
        time.sleep(0.01)
    clock.write_text(_BACK)
    expect("clock set back in the middle", process, "3 new")
    before = look(folder)
    expect("clock set back between two runs", started(), "3 unchanged")
    clock.write_text("+0")
    expect("clock set right again", started(), "3 unchanged")
    for file in (material / "slides").iterdir():
        os.utime(file, (0, 0))
    expect("slides older than they were", started(), "3 unchanged")
    if look(folder).units != before.units:
        tally.findings.append("the archive is not as it was")
    return tally
