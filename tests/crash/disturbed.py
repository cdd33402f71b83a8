"""What others do to the files of a command while it runs: it is stopped at an event, and goes on afterwards."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from .children import Ended, command, run
from .faults import Fault
from .judge import Seen, Units, look, problems_of_message
from .moments import Subject, spread
from .tally import Tally

_TICK_S = 0.02
"""Seconds in which a system may not tell two changes of a file by their times: it counts in ticks."""


def cut_off(path: Path, other: Path) -> None:
    """Leave the first half."""
    os.truncate(path, path.stat().st_size // 2)


def write_over(path: Path, other: Path) -> None:
    """Write another file's bytes in the place of its own."""
    with path.open("r+b") as file:
        file.write(other.read_bytes())
        file.truncate()
    shutil.copystat(other, path)


def write_over_unseen(path: Path, other: Path) -> None:
    """Write as many other bytes, and set the time back: a program that keeps times, or means harm."""
    status, data = path.stat(), other.read_bytes()
    with path.open("r+b") as file:
        file.write(data[: status.st_size].ljust(status.st_size, b"\0"))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def replace(path: Path, other: Path) -> None:
    """Give its name to another file."""
    beside = path.with_name("beside")
    shutil.copy2(other, beside)
    beside.replace(path)


def delete(path: Path, other: Path) -> None:
    """Take it away."""
    path.unlink()


def link(path: Path, other: Path) -> None:
    """Do it no harm: one link more, and other rights."""
    path.with_name("another-link").hardlink_to(path)
    path.chmod(0o640)


CHANGES: dict[str, Callable[[Path, Path], None]] = {
    "cut off": cut_off,
    "written over": write_over,
    "written over unseen": write_over_unseen,
    "replaced": replace,
    "deleted": delete,
    "linked": link,
}
"""What becomes of an input; `other` is a file of its kind."""


@dataclass(frozen=True)
class Disturbance:
    """Commands, and the input that changes while they run."""

    command: str
    changed: str
    other: str
    """Material that it becomes."""


DISTURBANCES = (
    Disturbance("encode", "slide.tif", "other.tif"),
    Disturbance("encode, all layers, over another", "slide.tif", "other.tif"),
    Disturbance("encode, several files", "other.dcm/level-0.dcm", "another.dcm/level-0.dcm"),
    Disturbance("enhance", "small.hc.tif", "other.hc.tif"),
    Disturbance("strip", "whole.hc.tif", "set.hc.tif"),
    Disturbance("restore", "whole.hc.tif", "set.hc.tif"),
    Disturbance("decode to TIFF", "whole.hc.tif", "other.hc.tif"),
)


def changed_inputs(subject: Subject, disturbance: Disturbance, moments: int) -> Tally:
    """Change an input in every way, before so many events of a command."""
    tally, words = Tally(), subject.command.words(subject.material)
    other = subject.material / disturbance.other
    for name, change in CHANGES.items():
        truths = [subject.before.units, subject.whole.units, _of_changed(subject, disturbance, change)]
        for at in spread(range(len(subject.events)), moments):
            subject.prepare()
            child = command(subject.folder, words, Fault("stop", at))
            if child.stops():
                time.sleep(_TICK_S)
                change(subject.folder / disturbance.changed, other)
                ended = child.go_on()
            else:
                ended = child.wait()
            tally.counts[f"input {name}"] += 1
            tally.counts["refused" if ended.code else "done"] += 1
            after = look(subject.folder)
            wrong = list(_wrong(ended, after, truths))
            tally.findings += [f"input {name} before event {at}: {problem}" for problem in wrong]
    return tally


def vanishing_folders(subject: Subject, moments: int) -> Tally:
    """Take the folder of the outputs away before so many events of a command; it must succeed once there is one."""
    tally, words = Tally(), subject.command.words(subject.material)
    for at in spread(range(len(subject.events)), moments):
        subject.prepare()
        child = command(subject.folder, words, Fault("stop", at))
        elsewhere = subject.folder / "elsewhere"
        stopped = child.stops()
        if stopped:
            (subject.folder / "out").rename(elsewhere)
        ended = child.go_on() if stopped else child.wait()
        tally.counts["output folder gone"] += 1
        tally.counts["refused" if ended.code else "done"] += 1
        wrong = list(problems_of_message(ended))
        if not stopped:
            continue
        if ended.code == 0 and subject.command.of != "archive":
            wrong.append("it said that all was done, and its folder was gone")
        shutil.rmtree(subject.folder / "out", ignore_errors=True)
        elsewhere.rename(subject.folder / "out")
        after = look(subject.folder)
        wrong += _neither(after, [subject.before.units, subject.whole.units])
        again = run(subject.folder, words)
        if again.code == 3:
            again = run(subject.folder, ("archive", "retry", "out"))
        refused = again.code == 1 and "exists already" in again.said and after.units == subject.whole.units
        if (again.code and not refused) or look(subject.folder).units != subject.whole.units:
            wrong.append(f"the next run ended with {again.code}: {again.said[-200:]}")
        tally.findings += [f"output folder gone before event {at}: {problem}" for problem in wrong]
    return tally


def _of_changed(subject: Subject, disturbance: Disturbance, change: Callable[[Path, Path], None]) -> Units:
    """Return what the command makes of an input that had changed before; what was there, if it refuses it."""
    subject.prepare()
    change(subject.folder / disturbance.changed, subject.material / disturbance.other)
    run(subject.folder, subject.command.words(subject.material))
    return look(subject.folder).units


def _wrong(ended: Ended, after: Seen, truths: list[Units]) -> Iterator[str]:
    yield from _neither(after, truths)
    yield from problems_of_message(ended)
    if after.temporary:
        yield f"left {', '.join(sorted(after.temporary))}"
    if ended.code == 0 and after.units == truths[0]:
        yield "it said that all was done, and wrote nothing"


def _neither(after: Seen, truths: list[Units]) -> Iterator[str]:
    for name, found in after.units.items():
        if found not in [truth.get(name) for truth in truths]:
            yield f"{name} is of none of the inputs"
