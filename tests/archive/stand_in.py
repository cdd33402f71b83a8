"""A process that does tasks without any slide: what becomes of one is in its name. It stands in for the real one.

`bad` fails, `full` finds no room, `crash` ends the process, `fragile` ends it unless it works alone, `big` takes
400 MB, `slow` takes a minute; all others write their output at once.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from histocodec.archive.records import Estimate, Outcome, Task
from histocodec.archive.worker import serve
from histocodec.errors import HistocodecError, NoSpace
from histocodec.runtime.files import atomic_output
from histocodec.runtime.progress import Progress
from tests.archive.inputs import outcome


def do(task: Task, progress: Progress) -> Outcome:
    """Do what the name says, and what a real one does for the rest."""
    name = Path(task.source).name
    print("a library prints to stdout", flush=True)
    progress("pretending", 1, 2)
    marks = Path(task.output).parent / f".{name}.tried"
    if task.kind == "estimate":
        found = Estimate(output_bytes=100, seconds=36.0, psnr_mean_db=30.0, ratio=2.0)
        return outcome(task.number, measured=None, estimate=found)
    if task.kind == "verify":
        wrong: dict[str, Any] = (
            {"error_class": "FileError", "error": "its bytes are not those"} if "bad" in name else {}
        )
        return outcome(task.number, measured=None, **wrong)
    if "bad" in name:
        return outcome(task.number, measured=None, error_class="UnreadableSource", error=f"{task.source}: bad")
    try:
        return written(task, name, marks)
    except HistocodecError as error:
        return outcome(task.number, measured=None, error_class=type(error).__name__, error=str(error))


def written(task: Task, name: str, marks: Path) -> Outcome:
    """Write the output, or end in the middle."""
    with atomic_output(Path(task.output), overwrite=task.overwrite) as out:
        if "full" in name and not marks.exists():
            marks.touch()
            raise NoSpace(task.output, "the disk is full")
        out.write(f"made of {name} by {task.threads} threads".encode())
        if "crash" in name or ("fragile" in name and not marks.exists()):
            marks.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if "big" in name:
            held = bytearray(400 << 20)
            held[::4096] = b"\1" * len(held[::4096])
            time.sleep(60)
        if "slow" in name:
            time.sleep(60)
    return outcome(task.number, size=Path(task.output).stat().st_size)


if __name__ == "__main__":
    serve(do)
