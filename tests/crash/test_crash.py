"""A part of the campaign, and that it would find what is wrong."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.crash.children import Ended
from tests.crash.judge import look, problems, problems_after, problems_of_message
from tests.crash.moments import spread
from tests.places import REPOSITORY

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="signals, and a look at open files, as Linux has them")

FAULTS = """
import json, os, sys
from pathlib import Path
from tests.crash.faults import Fault, install
install(Fault(**json.loads(sys.argv[1])))
path = Path(sys.argv[2])
with path.open("wb") as file:
    file.write(bytes(100_000))
path.replace(path.with_name("named"))
"""


def test_a_part_of_the_campaign(tmp_path: Path) -> None:
    """`python -m tests.crash --moments 1000` is the whole of it."""
    summary = tmp_path / "summary.json"
    command = [sys.executable, "-m", "tests.crash", "--moments", "16", "--failures", "10", "--each", "1"]
    command += ["--of", "encode,enhance,strip,restore", "--kinds", "kills,failures,inputs,folders"]
    command += ["--folder", str(tmp_path), "--json", str(summary)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(summary.read_text())
    assert found["findings"] == 0
    assert found["kills"] == 16
    assert {name for name in found["counts"] if name.startswith("input ")} >= {"input cut off", "input replaced"}


@pytest.mark.parametrize(
    ("fault", "code", "left"),
    [
        ({"action": "kill", "at": 1}, -signal.SIGKILL, {"file": 0}),
        ({"action": "half", "at": 1}, -signal.SIGKILL, {"file": 50_000}),
        ({"action": "kill", "at": 2}, -signal.SIGKILL, {"file": 100_000}),
        ({"action": "ENOSPC", "at": 1}, 1, {"file": 0}),
        ({"action": "EIO", "at": 2}, 1, {"file": 100_000}),
        ({"action": "trace"}, 0, {"named": 100_000}),
    ],
)
def test_faults_happen_where_they_are_told_to(
    tmp_path: Path, fault: dict[str, object], code: int, left: dict[str, int]
) -> None:
    folder, trace = tmp_path / "folder", tmp_path / "trace"
    folder.mkdir()
    words = [sys.executable, "-c", FAULTS, json.dumps(fault | {"trace": str(trace)}), str(folder / "file")]
    done = subprocess.run(words, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert {path.name: path.stat().st_size for path in folder.iterdir()} == left
    assert ["open", "write", "rename"][: len(trace.read_text().split())] == trace.read_text().split()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for name in ("before", "whole", "now"):
        (tmp_path / name / "out").mkdir(parents=True)
        (tmp_path / name / "tmp").mkdir()
    (tmp_path / "before" / "out" / "a.hc.tif").write_bytes(b"old")
    (tmp_path / "whole" / "out" / "a.hc.tif").write_bytes(b"new")
    return tmp_path


KILLED, DONE = Ended(-signal.SIGKILL, "", 0.1), Ended(0, "", 0.1)
FAILED = Ended(1, "histocodec: out/a.hc.tif: the disk is full", 0.1)


@pytest.mark.parametrize(
    ("ended", "content", "left", "expected"),
    [
        (KILLED, b"old", ".a.hc.tif.partial", ""),
        (KILLED, b"new", "", ""),
        (KILLED, b"ne", "", "neither as it was nor whole"),
        (KILLED, None, "", "is gone"),
        (FAILED, b"old", "", ""),
        (FAILED, b"old", ".a.hc.tif.partial", "left .a.hc.tif.partial"),
        (DONE, b"old", "", "it said that all was done"),
        (Ended(1, "histocodec: [Errno 28] No space left", 0.1), b"old", "", "names no file"),
        (Ended(1, "Traceback\nOSError: of out/a", 0.1), b"old", "", "a traceback"),
    ],
)
def test_what_is_wrong_is_found(place: Path, ended: Ended, content: bytes | None, left: str, expected: str) -> None:
    out = place / "now" / "out"
    if content is not None:
        (out / "a.hc.tif").write_bytes(content)
    if left:
        (out / left).touch()
    found = list(problems(ended, look(place / "before"), look(place / "now"), look(place / "whole")))
    assert (not found) == (not expected)
    assert expected in " ".join(found)


def test_what_the_next_run_leaves_is_found(place: Path) -> None:
    out, whole = place / "now" / "out", look(place / "whole")
    (out / "a.hc.tif").write_bytes(b"new")
    assert not list(problems_after(DONE, look(place / "before"), look(place / "now"), whole))
    refused = Ended(1, "histocodec: out/a.hc.tif: exists already", 0.1)
    assert not list(problems_after(refused, look(place / "now"), look(place / "now"), whole))
    assert list(problems_after(refused, look(place / "before"), look(place / "now"), whole))
    (out / ".a.hc.tif.partial").touch()
    assert "the next run left" in " ".join(problems_after(DONE, look(place / "before"), look(place / "now"), whole))


def test_exit_codes_are_those_that_are_documented() -> None:
    assert not list(problems_of_message(FAILED))
    assert "ended with 70" in next(problems_of_message(Ended(70, FAILED.said, 0.1)))


def test_moments_are_all_over() -> None:
    assert spread(range(10), 3) == [0, 3, 6]
    assert spread(range(3), 10) == [0, 1, 2]
