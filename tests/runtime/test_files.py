"""A file is either there, whole, under its name, or not there at all."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
import types
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from histocodec.errors import NoSpace, OutputBusy, OutputError, OutputExists
from histocodec.runtime import files
from histocodec.runtime.files import atomic_folder, atomic_output, check_output, check_space, writing_errors

fcntl = pytest.importorskip("fcntl", reason="locks and kills as POSIX has them")

OLD, NEW = b"old" * 50_000, b"new" * 60_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "case.hc.tif"


def partial_of(path: Path) -> Path:
    return path.with_name(f".{path.name}.partial")


def write(path: Path, data: bytes = NEW, *, overwrite: bool = True) -> None:
    with atomic_output(path, overwrite=overwrite) as file:
        file.write(data)


def names(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}


@contextmanager
def unprivileged() -> Iterator[None]:
    """Runs as nobody where the tests run as root, who may write everywhere."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder whose parents nobody may search too, which pytest's own do not allow."""
    folder = Path(tempfile.mkdtemp(prefix="histocodec-test-"))
    folder.chmod(0o755)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


def test_the_file_appears_whole(path: Path) -> None:
    write(path, overwrite=False)
    assert path.read_bytes() == NEW
    assert names(path.parent) == {path.name}


def test_a_reader_never_sees_a_part(path: Path) -> None:
    with atomic_output(path, overwrite=False) as file:
        for _ in range(10):
            file.write(NEW)
            file.flush()
            assert not path.exists()
    assert path.stat().st_size == 10 * len(NEW)


def test_an_open_reader_keeps_the_old_file(path: Path) -> None:
    path.write_bytes(OLD)
    with path.open("rb") as reader:
        assert reader.read(1000) == OLD[:1000]
        write(path)
        assert reader.read() == OLD[1000:]
    assert path.read_bytes() == NEW


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, MemoryError])
def test_the_old_file_survives_a_writer_that_fails(path: Path, error: type[BaseException]) -> None:
    path.write_bytes(OLD)

    def fail() -> None:
        with atomic_output(path, overwrite=True) as file:
            file.write(NEW)
            raise error

    with pytest.raises(error):
        fail()
    assert path.read_bytes() == OLD
    assert names(path.parent) == {path.name}


def test_a_new_file_is_as_readable_as_any_other(path: Path) -> None:
    write(path)
    other = path.with_name("other")
    other.touch()
    assert path.stat().st_mode == other.stat().st_mode


def test_a_file_that_exists_is_refused_before_anything_is_written(path: Path) -> None:
    path.write_bytes(OLD)
    with pytest.raises(OutputExists, match=r"case\.hc\.tif: exists already.*--overwrite") as caught:
        write(path, overwrite=False)
    assert caught.value.path == path
    assert path.read_bytes() == OLD
    assert names(path.parent) == {path.name}


def test_a_file_that_appears_meanwhile_is_not_replaced(path: Path) -> None:
    def write_late() -> None:
        with atomic_output(path, overwrite=False) as file:
            file.write(NEW)
            path.write_bytes(OLD)

    with pytest.raises(OutputExists):
        write_late()
    assert path.read_bytes() == OLD
    assert names(path.parent) == {path.name}


def test_a_killed_writer_leaves_one_stray_that_the_next_takes_over(path: Path) -> None:
    script = """
        import os, signal, sys
        from pathlib import Path
        from histocodec.runtime.files import atomic_output
        with atomic_output(Path(sys.argv[1]), overwrite=True) as file:
            file.write(b"x" * 1_000_000)
            file.flush()
            os.kill(os.getpid(), signal.SIGKILL)
    """
    for _ in range(2):
        killed = subprocess.run([sys.executable, "-c", textwrap.dedent(script), str(path)], check=False)
        assert killed.returncode == -signal.SIGKILL
        assert names(path.parent) == {partial_of(path).name}
    write(path, overwrite=False)
    assert path.read_bytes() == NEW  # and nothing of the longer stray
    assert names(path.parent) == {path.name}


def test_a_failed_writer_removes_the_stray_too(path: Path) -> None:
    partial_of(path).write_bytes(OLD)

    def fail() -> None:
        with atomic_output(path, overwrite=True):
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert not names(path.parent)


def test_two_writers_at_once(path: Path) -> None:
    with atomic_output(path, overwrite=True) as first:
        first.write(NEW[:10])
        with pytest.raises(OutputBusy, match="another process is writing it"):
            write(path, OLD)
        assert partial_of(path).exists()  # the second must not take away what the first is writing
        first.write(NEW[10:])
    assert path.read_bytes() == NEW
    assert names(path.parent) == {path.name}


def test_a_late_locker_does_not_truncate_the_finished_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second writer opens the partial file, the first finishes, and only then the second gets the lock."""
    real = fcntl.flock

    def flock_late(file: object, operation: int) -> None:
        if partial_of(path).exists():
            partial_of(path).replace(path)
        real(file, operation)

    partial_of(path).write_bytes(NEW)
    monkeypatch.setattr(fcntl, "flock", flock_late)
    with pytest.raises(OutputBusy):
        write(path, OLD)
    assert path.read_bytes() == NEW


def test_a_file_system_without_locks_is_written_to(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(file: object, operation: int) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", flock)
    write(path)
    assert path.read_bytes() == NEW


# Where nothing can be written


def test_a_folder_is_no_output(tmp_path: Path) -> None:
    for overwrite in (False, True):
        with pytest.raises(OutputError, match="is a folder"):
            check_output(tmp_path, overwrite=overwrite)


def test_a_device_or_socket_is_never_replaced(path: Path) -> None:
    with pytest.raises(OutputError, match="is a device"):
        check_output(Path(os.devnull), overwrite=True)
    if len(str(path)) < 100:  # a socket's name may not be longer
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(str(path))
            with pytest.raises(OutputError, match="socket"):
                check_output(path, overwrite=True)


def test_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"the folder .*nowhere does not exist"):
        write(tmp_path / "nowhere" / "case.hc.tif")
    assert not names(tmp_path)


def test_a_file_where_a_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(OLD)
    with pytest.raises(OutputError):
        write(tmp_path / "file" / "case.hc.tif")


@pytest.mark.parametrize("mode", [0o555, 0o000], ids=["read-only", "closed"])
def test_a_folder_that_may_not_be_written_to(public_folder: Path, mode: int) -> None:
    public_folder.chmod(mode)
    with unprivileged(), pytest.raises(OutputError, match="cannot be written"):
        write(public_folder / "case.hc.tif")
    public_folder.chmod(0o755)
    assert not names(public_folder)


def test_a_name_that_is_too_long(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="File name too long"):
        check_output(tmp_path / ("x" * 300), overwrite=False)
    assert not names(tmp_path)


@pytest.mark.parametrize("name", ["x" * 250, "x" * 255, "\u4e2d" * 85])
def test_a_name_that_leaves_no_room_for_the_partial_files(tmp_path: Path, name: str) -> None:
    write(tmp_path / name)
    assert names(tmp_path) == {name}


def test_the_file_that_is_read_is_not_replaced(path: Path) -> None:
    path.write_bytes(OLD)
    link = path.with_name("link")
    link.symlink_to(path)
    for name in (path, link):
        with pytest.raises(OutputError, match="is the file that is being read"):
            check_output(name, overwrite=True, source=path)
    check_output(path.with_name("other"), overwrite=True, source=path)


# No room


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_errors_of_room_are_no_space(path: Path, number: int) -> None:
    with pytest.raises(NoSpace, match="nothing was written under this name"), writing_errors(path):
        raise OSError(number, os.strerror(number))


def test_other_errors_keep_their_reason(path: Path) -> None:
    with pytest.raises(OutputError, match="Input/output error") as caught, writing_errors(path):
        raise OSError(errno.EIO, os.strerror(errno.EIO))
    assert not isinstance(caught.value, NoSpace)
    with pytest.raises(OutputError, match="encoder error -2"), writing_errors(path):
        raise OSError("encoder error -2")


def test_space_is_asked_for_beforehand(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: types.SimpleNamespace(free=5_000_000))
    check_space(path, 5_000_000)
    with pytest.raises(NoSpace, match=r"needs about 7\.0 MB of free disk, found 5\.0 MB"):
        check_space(path, 7_000_000)


def test_a_disk_that_fills_up(path: Path, file_size_limit: None) -> None:
    path.write_bytes(OLD)
    with pytest.raises(NoSpace):
        write(path, NEW * 10)
    assert path.read_bytes() == OLD
    assert names(path.parent) == {path.name}


@pytest.fixture
def file_size_limit() -> Iterator[None]:
    """No file of this process grows over 200 kB: a full disk for those who may not mount one."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


# Folders that may be replaced


def fill(path: Path, text: str, *, overwrite: bool = True) -> None:
    with atomic_folder(path, is_ours=lambda folder: (folder / "ours").exists(), overwrite=overwrite) as folder:
        (folder / "ours").write_text(text)
        (folder / "deep").mkdir()
        (folder / "deep" / text).write_text(text)


def test_a_folder_of_ours_is_replaced_as_a_whole(tmp_path: Path) -> None:
    fill(tmp_path / "out", "old")
    fill(tmp_path / "out", "new")
    assert (tmp_path / "out" / "ours").read_text() == "new"
    assert names(tmp_path / "out" / "deep") == {"new"}
    assert names(tmp_path) == {"out"}


@pytest.mark.usefixtures("without_exchange")
def test_a_folder_that_cannot_get_its_name_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path / "out", "old")
    rename = Path.rename

    def failing(self: Path, target: Path) -> Path:
        if self.name == ".out.partial":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(OutputError, match="Input/output error"):
        fill(tmp_path / "out", "new")
    assert (tmp_path / "out" / "ours").read_text() == "old"
    assert names(tmp_path) == {"out"}


def test_a_folder_is_replaced_only_if_it_is_ours_and_that_is_wanted(tmp_path: Path) -> None:
    fill(tmp_path / "out", "old")
    with pytest.raises(OutputExists, match="--overwrite"):
        fill(tmp_path / "out", "new", overwrite=False)
    (tmp_path / "out" / "ours").unlink()
    with pytest.raises(OutputError, match="holds other things"):
        fill(tmp_path / "out", "new")
    assert names(tmp_path / "out" / "deep") == {"old"}


def test_a_folder_is_there_at_every_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two renames would leave a moment between them in which a killed process leaves nothing under the name."""
    fill(tmp_path / "out", "old")
    seen, real = [], shutil.rmtree

    def looking(folder: Path, *, ignore_errors: bool) -> None:
        seen.append((tmp_path / "out" / "ours").read_text())
        real(folder, ignore_errors=ignore_errors)

    monkeypatch.setattr(shutil, "rmtree", looking)
    monkeypatch.setattr(Path, "rename", lambda *names: pytest.fail("a rename"))
    fill(tmp_path / "out", "new")
    assert seen == ["old", "new"]


def test_folders_that_cannot_change_places_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path / "out", "old")

    def failing(one: Path, other: Path) -> bool:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(files, "exchange", failing)
    with pytest.raises(OutputError, match="Input/output error"):
        fill(tmp_path / "out", "new")
    assert (tmp_path / "out" / "ours").read_text() == "old"
    assert names(tmp_path) == {"out"}


@pytest.fixture
def without_exchange(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system that cannot let two folders change places."""
    monkeypatch.setattr(files, "exchange", lambda one, other: False)


@pytest.mark.usefixtures("without_exchange")
def test_a_former_folder_comes_back_when_its_successor_did_not(tmp_path: Path) -> None:
    """What a process leaves that is killed between two renames; the next one fails as well, later."""
    fill(tmp_path / "out", "old")
    (tmp_path / "out").rename(tmp_path / ".out.partial.former")

    def fail() -> None:
        with atomic_folder(tmp_path / "out", is_ours=lambda folder: True, overwrite=True):
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert (tmp_path / "out" / "ours").read_text() == "old"
    assert names(tmp_path) == {"out"}
    fill(tmp_path / "out", "new")
    assert (tmp_path / "out" / "ours").read_text() == "new"
    assert names(tmp_path) == {"out"}


def test_a_file_that_has_its_name_stays_whatever_comes_then(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C behind the rename must not take away what another writer of the name has begun."""

    def interrupted(folder: Path) -> None:
        partial_of(path).write_bytes(OLD)
        raise KeyboardInterrupt

    monkeypatch.setattr(files, "_sync_folder", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(path)
    assert path.read_bytes() == NEW
    assert partial_of(path).read_bytes() == OLD


def test_a_folder_in_which_threads_still_write_vanishes_too(tmp_path: Path) -> None:
    def writes_on(folder: Path) -> None:
        for number in range(20):
            (folder / "inner").mkdir(parents=True, exist_ok=True)
            (folder / "inner" / str(number)).touch()
            time.sleep(0.005)

    def fails(pool: ThreadPoolExecutor) -> None:
        with atomic_folder(tmp_path / "out") as folder:
            pool.submit(writes_on, folder)
            time.sleep(0.02)
            raise RuntimeError

    with ThreadPoolExecutor(1) as pool, pytest.raises(RuntimeError):
        fails(pool)
    assert not list(tmp_path.iterdir())
