"""Two of everything at once: a command is stopped at an event, another one runs, and the first goes on."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from histocodec.archive.lock import ArchiveLock

from .children import Ended, command, run
from .commands import ENCODE, RUN, WHOLE, copy, lay_out
from .faults import Fault
from .judge import Units, look, problems_of_message
from .moments import spread
from .tally import Tally

_BUSY_AFTER_S = 0.3
"""Seconds that a command waits for an archive: the one that has it does not go on meanwhile."""


@dataclass(frozen=True)
class Meeting:
    """Two commands that have a file in common."""

    first: tuple[str, ...]
    second: tuple[str, ...]
    inputs: tuple[str, ...]
    before: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{' '.join(self.first[:4])} | {' '.join(self.second[:4])}"


_ENCODE = ("encode", "slide.tif", "-o", "out/a.hc.tif", *ENCODE)
_ENCODE_OTHER = ("encode", "other.tif", "-o", "out/a.hc.tif", *ENCODE)
_ZARR = ("decode", "whole.hc.tif", "out/a.zarr", "--workers", "1")
_ARCHIVE = ("archive", "run", "slides", "--to", "out", *RUN)
_OVER = "--overwrite"
_OLD = {"out/a.hc.tif": "other.hc.tif"}

MEETINGS = (
    Meeting(_ENCODE, _ENCODE_OTHER, ("slide.tif", "other.tif")),
    Meeting((*_ENCODE, _OVER), (*_ENCODE_OTHER, _OVER), ("slide.tif", "other.tif"), _OLD),
    Meeting(
        ("encode", "slide.tif", "-o", "out/a.hc.tif", *WHOLE, _OVER),
        (*_ENCODE_OTHER, _OVER),
        ("slide.tif", "other.tif"),
        _OLD,
    ),
    Meeting(
        ("strip", "whole.hc.tif", "out/a.hc.tif", _OVER),
        ("enhance", "small.hc.tif", "whole.hc.tif", "out/a.hc.tif", _OVER),
        ("whole.hc.tif", "small.hc.tif"),
    ),
    Meeting(
        ("enhance", "small.hc.tif", "whole.hc.tif", "out/a.hc.tif", _OVER),
        ("strip", "out/a.hc.tif", "out/b.hc.tif", _OVER),
        ("whole.hc.tif", "small.hc.tif"),
        {"out/a.hc.tif": "whole.hc.tif"},
    ),
    Meeting(
        ("decode", "out/a.hc.tif", "out/a.tif", "--workers", "1"),
        (*_ENCODE, _OVER),
        ("slide.tif",),
        _OLD,
    ),
    Meeting((*_ENCODE, _OVER), ("decode", "out/a.hc.tif", "out/a.tif", "--workers", "1"), ("slide.tif",), _OLD),
    Meeting(
        ("restore", "whole.hc.tif", "out/a.tif"), ("restore", "set.hc.tif", "out/a.tif"), ("whole.hc.tif", "set.hc.tif")
    ),
    Meeting(
        _ZARR,
        ("decode", "other.hc.tif", "out/a.zarr", "--workers", "1"),
        ("whole.hc.tif", "other.hc.tif"),
    ),
    Meeting(
        (*_ZARR, _OVER),
        ("decode", "other.hc.tif", "out/a.zarr", "--workers", "1", _OVER),
        ("whole.hc.tif", "other.hc.tif"),
        {"out/a.zarr": "other.zarr"},
    ),
    Meeting(_ARCHIVE, _ARCHIVE, ("slides",)),
    Meeting(
        ("archive", "export", "archived", "--to", "out"),
        ("archive", "export", "archived", "--to", "out"),
        ("archived",),
    ),
    Meeting(
        ("archive", "restore", "archived", "--to", "out", "--all"),
        ("archive", "restore", "archived", "--to", "out", "--all"),
        ("archived",),
    ),
    Meeting(("archive", "verify", "out"), ("archive", "verify", "out"), (), {"out": "archived"}),
)


def meet(meeting: Meeting, material: Path, folder: Path, moments: int) -> Tally:
    """Let the two meet before so many events of the first."""
    tally, trace = Tally(), folder.with_name("trace")
    trace.unlink(missing_ok=True)

    def prepare() -> Units:
        shutil.rmtree(folder, ignore_errors=True)
        lay_out(material, folder, meeting.inputs)
        for name, old in meeting.before.items():
            copy(material / old, folder / name)
        return look(folder).units

    truths = [prepare()]
    run(folder, meeting.first, Fault(trace=str(trace)))
    truths.append(look(folder).units)
    run(folder, meeting.second)
    truths.append(look(folder).units)
    prepare()
    run(folder, meeting.second)
    truths.append(look(folder).units)
    run(folder, meeting.first)
    truths.append(look(folder).units)
    for at in spread(range(len(trace.read_text().split())), moments):
        prepare()
        first = command(folder, meeting.first, Fault("stop", at))
        stopped = first.stops()
        second = command(folder, meeting.second, before=_impatient).wait()
        one = first.go_on() if stopped else first.wait()
        tally.counts["meetings"] += 1
        tally.counts[
            "one refused" if bool(one.code) != bool(second.code) else "both done" if not one.code else "both refused"
        ] += 1
        tally.findings += [f"{meeting}, at event {at}: {problem}" for problem in _wrong(folder, one, second, truths)]
    return tally


def _impatient() -> None:
    defaults = ArchiveLock.__init__.__kwdefaults__
    assert defaults is not None
    defaults["wait_s"] = _BUSY_AFTER_S


def _wrong(folder: Path, first: Ended, second: Ended, truths: list[Units]) -> Iterator[str]:
    after = look(folder)
    for name, found in after.units.items():
        if found not in [truth.get(name) for truth in truths]:
            yield f"{name} is of neither"
    for name in truths[0].keys() - after.units.keys():
        yield f"{name} is gone"
    for which, ended in (("first", first), ("second", second)):
        yield from (f"{which}: {problem}" for problem in problems_of_message(ended))
    if first.code and second.code:
        yield f"both were refused: {first.said[-150:]} | {second.said[-150:]}"
    if after.temporary:
        yield f"left {', '.join(sorted(after.temporary))}"
