"""Whatever work does to its process, it is an error of that work, and the next work is done."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import psutil
import pytest

from histocodec.runtime.confinement import Limits
from histocodec.runtime.parallel import core_count
from histocodec.runtime.sandbox import Killed, Refused, Sandbox, Work
from tests.runtime import hostile

LIMITS = Limits(memory_bytes=1 << 30, cpu_s=0.5, wall_s=20)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(hostile.prepare, LIMITS) as shared:
        yield shared


def test_the_bytes_of_a_result_come_back(sandbox: Sandbox) -> None:
    for data in (b"", b"base", bytes(range(256)) * 8000):
        assert sandbox.run(partial(hostile.answer, data), 3_000_000) == data


def test_a_process_does_work_after_work(sandbox: Sandbox) -> None:
    assert len({bytes(sandbox.run(hostile.process, 100)) for _ in range(5)}) == 1


def test_bytes_that_work_makes_nothing_of_are_refused_and_the_process_goes_on(sandbox: Sandbox) -> None:
    before = sandbox.run(hostile.process, 100)
    with pytest.raises(Refused, match=r"^no picture of mine$"):
        sandbox.run(hostile.refuse, 100)
    assert sandbox.run(hostile.process, 100) == before


@pytest.mark.parametrize(
    ("work", "reason"),
    [
        (hostile.segfault, "its process was ended by SIGSEGV"),
        (hostile.spin, "it computed for more than 0.5 s"),
        (hostile.gulp, "it failed: MemoryError"),
        (hostile.leave, "its process ended with code 7"),
        (partial(hostile.answer, bytes(2001)), "it answered 2001 bytes, expected at most 2000"),
        (hostile.answer_a_number, "it failed: TypeError"),
    ],
)
def test_work_that_ends_its_process_is_said_and_the_next_is_done(sandbox: Sandbox, work: Work, reason: str) -> None:
    with pytest.raises(Killed, match=f"^{reason}"):
        sandbox.run(work, 2000)
    assert sandbox.run(partial(hostile.answer, b"next"), 100) == b"next"


def test_work_that_waits_for_ever_ends_in_time() -> None:
    with Sandbox(hostile.prepare, Limits(cpu_s=0.5, wall_s=1.0)) as sandbox:
        sandbox.run(hostile.process, 100)  # so that no start is counted
        began = time.monotonic()
        with pytest.raises(Killed, match=r"^it took more than 1 s"):
            sandbox.run(hostile.stall, 100)
        assert 1.0 <= time.monotonic() - began < 10
        assert sandbox.run(partial(hostile.answer, b"next"), 100) == b"next"


def test_a_process_that_somebody_kills_at_work_is_said_and_the_next_is_done(sandbox: Sandbox) -> None:
    pid = int(sandbox.run(hostile.process, 100))
    killing = threading.Timer(0.3, os.kill, (pid, signal.SIGKILL))
    killing.start()
    with pytest.raises(Killed, match=r"^its process was ended by SIGKILL$"):
        sandbox.run(hostile.stall, 100)
    killing.join()
    assert sandbox.run(partial(hostile.answer, b"next"), 100) == b"next"


def test_a_process_that_died_while_it_had_nothing_to_do_is_replaced(sandbox: Sandbox) -> None:
    process = psutil.Process(int(sandbox.run(hostile.process, 100)))
    process.kill()
    while process.status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    assert sandbox.run(partial(hostile.answer, b"next"), 100) == b"next"


def test_there_are_no_more_processes_than_cores(sandbox: Sandbox) -> None:
    with ThreadPoolExecutor(4 * core_count()) as pool:
        found = [bytes(pid) for pid in pool.map(lambda _: sandbox.run(hostile.process, 100), range(40 * core_count()))]
    assert 1 <= len(set(found)) <= core_count()


def test_closing_ends_the_processes() -> None:
    with Sandbox(hostile.prepare) as sandbox:
        pid = int(sandbox.run(hostile.process, 100))
        assert psutil.pid_exists(pid)
    assert not psutil.pid_exists(pid)


def test_a_process_that_cannot_get_ready_is_said() -> None:
    with Sandbox(hostile.leave) as sandbox, pytest.raises(Killed, match="ended with code 7"):
        sandbox.run(hostile.process, 100)


def test_a_process_that_cannot_be_started_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    with Sandbox(hostile.prepare) as sandbox, pytest.raises(Killed, match=r"no process can be started: .*/nowhere"):
        sandbox.run(hostile.process, 100)


def _other_process(sandbox: Sandbox, sent: multiprocessing.SimpleQueue[bytes]) -> None:
    sent.put(bytes(sandbox.run(hostile.process, 100)))
    sandbox.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_forked_process_has_its_own(sandbox: Sandbox) -> None:
    ours = bytes(sandbox.run(hostile.process, 100))
    context = multiprocessing.get_context("fork")
    sent = context.SimpleQueue()
    child = context.Process(target=_other_process, args=(sandbox, sent))
    child.start()
    assert sent.get() != ours
    child.join(30)
    assert bytes(sandbox.run(hostile.process, 100)) == ours  # closing there ended none of those here


def test_the_environment_stays_outside(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    with Sandbox(hostile.prepare) as fresh:
        pid = int(fresh.run(hostile.process, 100))
        assert "AWS_SECRET_ACCESS_KEY" not in psutil.Process(pid).environ()


# ---------------------------------------------------------------------------------------------------------- confinement


@pytest.mark.parametrize("escape", hostile.ESCAPES)
def test_there_is_no_way_out(sandbox: Sandbox, tmp_path: Path, escape: str) -> None:
    if ("descriptors" if escape in hostile.BY_DESCRIPTORS else "calls") not in sandbox.barriers:
        pytest.skip("this system has no such barrier")
    file = tmp_path / "file"
    file.write_bytes(b"precious")
    found = sandbox.run(partial(hostile.attempt, hostile.ESCAPES[escape](file)), 1000)
    assert any(said in found.decode() for said in ("not permitted", "Too many open files", "not allowed"))
    assert file.read_bytes() == b"precious"
