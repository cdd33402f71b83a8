"""A run with processes that stand in for the real ones: order, failures, lost processes, memory, an early stop."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from histocodec.archive.catalogue import Catalogue
from histocodec.archive.choices import Choices
from histocodec.archive.forecast import check_room, discard_estimates, forecast
from histocodec.archive.lock import ArchiveLock
from histocodec.archive.pool import Pool
from histocodec.archive.records import ESTIMATE
from histocodec.archive.run import EXPECTED_BYTES, Begun, Ended, Event, Limits, PutBack, Repeated, run
from histocodec.archive.verification import verify
from histocodec.errors import MissingFile, NoSpace, OutputBusy, OutputError
from histocodec.runtime.usage import memory_of
from tests.archive.inputs import catalogued, write_files
from tests.places import REPOSITORY

STAND_IN = (sys.executable, "-m", "tests.archive.stand_in")

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and locks of POSIX")


@pytest.fixture(autouse=True)
def _at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))


def archive_of(tmp_path: Path, *names: str) -> Catalogue:
    write_files(tmp_path / "in", *names)
    return catalogued(tmp_path / "archive", tmp_path / "in")[0]


def events(catalogue: Catalogue, limits: Limits, **pool: object) -> list[Event]:
    with Pool(command=STAND_IN, **pool) as processes:  # type: ignore[arg-type]
        return [*run(catalogue, processes, limits)]


def states(catalogue: Catalogue) -> dict[str, str]:
    return {row["output"].removesuffix(".hc.tif"): row["state"] for row in catalogue.rows()}


def test_one_that_fails_stops_no_other(tmp_path: Path) -> None:
    with archive_of(tmp_path, "a.svs", "bad.svs", "inner/c.svs") as catalogue:
        told = events(catalogue, Limits(jobs=2, cores=4))
        assert states(catalogue) == {"a": "done", "bad": "failed", "inner/c": "done"}
        ended = {event.row["output"]: event.row for event in told if isinstance(event, Ended)}
        assert ended["bad.hc.tif"]["error_class"] == "UnreadableSource"
        assert len([event for event in told if isinstance(event, Begun)]) == 3
        made = [(tmp_path / "archive" / name).read_text() for name in ("a.hc.tif", "inner/c.hc.tif")]
        assert made == ["made of a.svs by 2 threads", "made of c.svs by 4 threads"], "the last one has all cores"
        assert events(catalogue, Limits()) == [], "what failed is tried again only if asked for"


def test_a_lost_process_is_tried_again_alone(tmp_path: Path) -> None:
    with archive_of(tmp_path, "a.svs", "crash.svs", "fragile.svs", "z.svs") as catalogue:
        told = events(catalogue, Limits(jobs=2, cores=2))
        assert states(catalogue) == {"a": "done", "crash": "failed", "fragile": "done", "z": "done"}
        assert {event.row["output"] for event in told if isinstance(event, Repeated)} == {
            "crash.hc.tif",
            "fragile.hc.tif",
        }
        (failed,) = catalogue.rows("state = 'failed'")
        assert (failed["error_class"], failed["attempts"]) == ("ProcessLost", 1)
        assert "signal 9" in failed["error"]
    assert not list((tmp_path / "archive").rglob("*.partial"))


@pytest.mark.skipif(memory_of(os.getpid()) is None, reason="the system does not tell the memory of a process")
def test_a_process_that_takes_too_much_memory_is_ended(tmp_path: Path) -> None:
    with archive_of(tmp_path, "a.svs", "big.svs", "c.svs") as catalogue:
        events(catalogue, Limits(jobs=1, memory_bytes=300 << 20), memory_bytes=300 << 20)
        assert states(catalogue) == {"a": "done", "big": "failed", "c": "done"}
        (failed,) = catalogue.rows("state = 'failed'")
        assert failed["error_class"] == "MemoryLimit"
        assert "--memory" in failed["error"]


def test_limits_divide_the_machine() -> None:
    limits = Limits(jobs=4, memory_bytes=2 * EXPECTED_BYTES, cores=8)
    assert limits.jobs_within(None) == 2
    assert limits.jobs_within(EXPECTED_BYTES // 2) == 4
    assert limits.jobs_within(10 * EXPECTED_BYTES) == 1
    assert [limits.threads(left) for left in (9, 4, 2, 1)] == [2, 2, 4, 8]
    assert Limits(jobs=8, cores=2).threads(100) == 1


def test_an_early_stop_leaves_what_is_true(tmp_path: Path) -> None:
    with archive_of(tmp_path, "a.svs", "slow.svs", "z.svs") as catalogue:
        with Pool(command=STAND_IN) as pool, closing(run(catalogue, pool, Limits(jobs=2))) as told:
            begun = 0
            for event in told:
                begun += isinstance(event, Begun)
                if begun == 3:
                    break
        assert states(catalogue) == {"a": "done", "slow": "waiting", "z": states(catalogue)["z"]}
        assert states(catalogue)["z"] in ("waiting", "done")
    left = {path.name for path in (tmp_path / "archive").iterdir() if path.suffix == ".partial"}
    assert not left, "the process took away what it had half written"


def test_a_file_that_is_not_the_archives_own_is_not_replaced(tmp_path: Path) -> None:
    write_files(tmp_path / "archive", "a.hc.tif")
    with archive_of(tmp_path, "a.svs") as catalogue:
        events(catalogue, Limits())
        (row,) = catalogue.rows()
        assert (row["state"], row["error_class"]) == ("failed", "OutputExists")
    assert (tmp_path / "archive" / "a.hc.tif").read_text() == "a.hc.tif"


def test_one_process_at_a_time_works_on_an_archive(tmp_path: Path) -> None:
    holder = "import sys, time, pathlib; from histocodec.archive.lock import ArchiveLock\n"
    holder += "lock = ArchiveLock(pathlib.Path(sys.argv[1])); print('held', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", holder, tmp_path], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(OutputBusy, match="another process is working"):
            ArchiveLock(tmp_path, wait_s=0)
        os.kill(other.pid, signal.SIGKILL)
        ArchiveLock(tmp_path).close()


def test_workers_hold_the_lock_and_end_with_their_parent(tmp_path: Path) -> None:
    lock = ArchiveLock(tmp_path)
    with (
        archive_of(tmp_path, "slow.svs") as catalogue,
        Pool(command=STAND_IN, inherited=[lock.descriptor]) as pool,
        closing(run(catalogue, pool, Limits())) as told,
    ):
        assert isinstance(next(told), Begun)
        lock.close()
        with pytest.raises(OutputBusy):
            ArchiveLock(tmp_path, wait_s=0)
        worker = pool._workers[0].process
        assert worker.stdin is not None
        worker.stdin.close()  # as if this process had ended
        assert worker.wait(30) == 0
        ArchiveLock(tmp_path).close()


def test_a_full_disk_ends_the_run_and_fails_no_slide(tmp_path: Path) -> None:
    with archive_of(tmp_path, "a.svs", "b-full.svs", "c.svs", "d.svs") as catalogue:
        full = r"b-full\.hc\.tif: the disk is full; 3 slides wait; the same command goes on once there is room"
        with pytest.raises(NoSpace, match=full):
            events(catalogue, Limits())
        assert states(catalogue) == {"a": "done", "b-full": "waiting", "c": "waiting", "d": "waiting"}
        assert not any(isinstance(event, PutBack) for event in events(catalogue, Limits())), "now there is room"
        assert set(states(catalogue).values()) == {"done"}


def test_room_and_a_sample_before_it_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"{number}.svs" for number in range(10)]
    with archive_of(tmp_path, *names) as catalogue:
        check_room(catalogue, tmp_path)
        with Pool(command=STAND_IN) as pool:
            found = forecast(catalogue, pool, Limits(), tmp_path)
        write_files(tmp_path, f"{ESTIMATE}killed/estimate.hc.tif")
        discard_estimates(tmp_path)
        assert not list(tmp_path.glob(f"{ESTIMATE}*"))
        assert (found.slides, found.sampled, found.source_bytes) == (10, 3, 50)
        assert (found.output_bytes, found.hours, found.psnr_mean_db) == (1000, 0.1, 30.0)
        assert set(states(catalogue).values()) == {"waiting"}
        monkeypatch.setattr("histocodec.runtime.files.shutil.disk_usage", lambda _: type("Disk", (), {"free": 1})())
        check_room(catalogue, tmp_path)  # a quality: nobody knows the bytes beforehand
    sized = by_ratio()
    write_files(tmp_path / "more", "large.svs")
    with catalogued(tmp_path / "second", tmp_path / "more", choices=sized)[0] as catalogue, pytest.raises(NoSpace):
        check_room(catalogue, tmp_path)
    monkeypatch.setattr("histocodec.archive.forecast.os.access", lambda *_: False)
    with (
        catalogued(tmp_path / "second", tmp_path / "more", choices=sized)[0] as catalogue,
        pytest.raises(OutputError, match="cannot be written to"),
    ):
        check_room(catalogue, tmp_path)


def by_ratio() -> Choices:
    return Choices(codec="jp2k", ratio=2.0)


def test_verification_notes_what_it_finds(tmp_path: Path) -> None:
    with archive_of(tmp_path, "a.svs", "b.svs", "c.svs") as catalogue:
        events(catalogue, Limits())
        with catalogue.writing() as database:
            database.execute("UPDATE slide SET source = 'bad.svs' WHERE id = 2")
        with Pool(command=STAND_IN) as pool:
            found = {ended.row["id"]: ended.row["verify_problem"] for ended in verify(catalogue, pool, Limits(jobs=2))}
        assert found == {1: None, 2: "FileError: its bytes are not those", 3: None}
        with Pool(command=STAND_IN) as pool:
            assert [ended.row["id"] for ended in verify(catalogue, pool, Limits(), names=["c"])] == [3]
            with pytest.raises(MissingFile, match="fits nothing"):
                list(verify(catalogue, pool, Limits(), names=["nothing"]))


def test_the_memory_of_the_parent_does_not_grow(tmp_path: Path) -> None:
    """What is kept of a slide is in the catalogue: a thousand of them take no more than the first hundred."""
    if memory_of(os.getpid()) is None:
        pytest.skip("the system does not tell the memory of a process")
    with archive_of(tmp_path, *(f"{number:04}.svs" for number in range(600))) as catalogue:
        used: list[int] = []
        began = time.monotonic()
        with Pool(command=STAND_IN) as pool:
            for event in run(catalogue, pool, Limits(jobs=2)):
                if isinstance(event, Ended) and event.row["id"] % 200 == 0:
                    used += [memory_of(os.getpid()) or 0]
        assert catalogue.count("done") == 600, time.monotonic() - began
        assert used[-1] - used[0] < 2 << 20
