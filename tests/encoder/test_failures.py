"""Encoding that cannot end: what was there before survives, and nothing is left behind."""

from __future__ import annotations

import errno
import importlib
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import IO

import pytest

from histocodec.encoder import EncodeSettings, encode
from histocodec.errors import (
    NoSpace,
    OutputError,
    OutputExists,
    SourceReadError,
)
from histocodec.geometry import Image
from histocodec.runtime import scratch as spool
from histocodec.runtime.parallel import ordered_map
from histocodec.source import Source, open_source
from tests.encoder.inputs import BICUBIC, QUICK, ArraySource, names

AS_THE_FIXTURE = EncodeSettings(codec="jp2k")
OLD = b"an older file" * 1000


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("histocodec-worker")]


@pytest.mark.parametrize("reads", range(4), ids=["at once", "half-way", "measuring", "measuring, later"])
def test_a_source_that_fails_leaves_the_old_file(slide_image: Image, out: Path, reads: int) -> None:
    out.write_bytes(OLD)
    source = ArraySource(slide_image, reads_left=reads)
    with pytest.raises(SourceReadError, match="the disk was pulled out"):
        encode(source, out, BICUBIC, overwrite=True)
    assert out.read_bytes() == OLD
    assert names(out.parent) == {out.name}
    assert not threads()


@pytest.mark.parametrize("stage", ["reading", "coding", "measuring"])
def test_ctrl_c_leaves_nothing(slide: Source, out: Path, stage: str) -> None:
    def interrupt(now: str, done: int, total: int) -> None:
        if now == stage:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        encode(slide, out, BICUBIC, progress=interrupt)
    assert not names(out.parent)
    assert not threads()  # which might read a source that the caller closes next


def test_no_work_outlives_a_ctrl_c_that_hits_the_start_of_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pool has not noted such a thread, and does not wait for it; a slide that it reads must not be closed yet."""
    running, start = threading.Event(), threading.Thread.start

    def work(item: int) -> None:
        running.set()
        time.sleep(0.2)
        running.clear()

    def start_interrupted(thread: threading.Thread) -> None:
        start(thread)
        assert running.wait(10)
        raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "start", start_interrupted)
    with pytest.raises(KeyboardInterrupt):
        list(ordered_map(work, range(4), workers=2))
    assert not running.is_set()


def test_an_output_that_exists_is_refused_before_the_source_is_read(slide_image: Image, out: Path) -> None:
    out.write_bytes(OLD)
    with pytest.raises(OutputExists):
        encode(ArraySource(slide_image, reads_left=0), out, BICUBIC)
    assert out.read_bytes() == OLD


def test_overwrite_replaces(slide: Source, out: Path, container_path: Path) -> None:
    out.write_bytes(OLD)
    encode(slide, out, BICUBIC, AS_THE_FIXTURE, overwrite=True)
    assert out.read_bytes() == container_path.read_bytes()


def test_a_slide_is_never_replaced_by_its_own_container(slide_path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "case.tif"
    shutil.copy(slide_path, copy)
    with open_source(copy) as source, pytest.raises(OutputError, match="is the file that is being read"):
        encode(source, copy, BICUBIC, overwrite=True)
    assert copy.read_bytes() == slide_path.read_bytes()


ENCODE_SLOWLY = """
    import importlib, io, sys, time
    from histocodec.encoder import encode
    from histocodec.format.writer import write_container
    from histocodec.generators.bicubic import BicubicGenerator
    from histocodec.source import open_source

    def progress(stage, done, total):
        print(stage, flush=True)
        time.sleep(0.05)

    def write_slowly(file, *arguments, **options):
        if not isinstance(file, io.BytesIO):  # which is only weighed
            file.write(b"half of a file" * 1000)
            file.flush()
            print("writing", flush=True)
            time.sleep(60)
        write_container(file, *arguments, **options)

    importlib.import_module("histocodec.encoder.contents").write_container = write_slowly
    with open_source(sys.argv[1]) as source:
        encode(source, sys.argv[2], BicubicGenerator(4), progress=progress)
"""


@pytest.mark.parametrize("stage", ["reading", "coding", "measuring", "writing"])
def test_kill_9_leaves_no_container_and_nothing_after_the_next_run(
    slide_path: Path, out: Path, stage: str, container_path: Path
) -> None:
    command = [sys.executable, "-c", textwrap.dedent(ENCODE_SLOWLY), str(slide_path), str(out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert any(line.strip() == stage for line in process.stdout)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert names(out.parent) == ({f".{out.name}.partial"} if stage == "writing" else set())
    with open_source(slide_path) as source:
        encode(source, out, BICUBIC, AS_THE_FIXTURE)
    assert names(out.parent) == {out.name}
    assert out.read_bytes() == container_path.read_bytes()


@pytest.mark.parametrize("limit", [50_000, 250_000], ids=["first tile", "second tile"])
def test_a_disk_that_fills_up_while_reading(slide: Source, out: Path, limit: int) -> None:
    out.write_bytes(OLD)
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with pytest.raises(NoSpace):
            encode(slide, out, BICUBIC, overwrite=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert out.read_bytes() == OLD
    assert names(out.parent) == {out.name}


def test_a_disk_that_fills_up_while_writing(slide: Source, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module("histocodec.encoder.contents")
    real = module.write_container

    def write_half(file: IO[bytes], *arguments: object, **options: object) -> None:
        if hasattr(file, "name"):
            file.write(b"half of a file")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(file, *arguments, **options)

    monkeypatch.setattr(module, "write_container", write_half)
    out.write_bytes(OLD)
    with pytest.raises(NoSpace, match="the disk is full"):
        encode(slide, out, BICUBIC, QUICK, overwrite=True)
    assert out.read_bytes() == OLD
    assert names(out.parent) == {out.name}


def test_a_disk_that_is_still_full_when_temporary_files_are_closed(
    slide_image: Image, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Closing one writes what is left in its buffer, and fails once more."""
    close = spool._AnonymousFile.close

    def close_on_a_full_disk(file: spool._AnonymousFile) -> None:
        close(file)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(spool._AnonymousFile, "close", close_on_a_full_disk)
    with pytest.raises(NoSpace):
        encode(ArraySource(slide_image, reads_left=2), out, BICUBIC)
    assert not names(out.parent)


def test_too_little_room_is_noticed_before_reading(
    slide_image: Image, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(out.parent)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage._replace(free=200_000))
    with pytest.raises(NoSpace, match=r"needs about 0\.2 MB of free disk, found 0\.2 MB"):
        encode(ArraySource(slide_image, reads_left=0), out, BICUBIC)


FILL_DISKS = """
    import subprocess, sys
    from pathlib import Path
    from histocodec.encoder import EncodeSettings, encode
    from histocodec.errors import NoSpace
    from histocodec.generators.bicubic import BicubicGenerator
    from histocodec.source import open_source

    folder = Path(sys.argv[2])
    out, old = folder / "case.hc.tif", b"an older file" * 100
    full = written = 0
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", folder], check=True)
    with open_source(sys.argv[1]) as source:
        for kilobytes in range(100, 1000, 60):
            subprocess.run(["mount", "-o", f"remount,size={kilobytes}k", folder], check=True)
            out.write_bytes(old)
            try:
                encode(source, out, BicubicGenerator(4), EncodeSettings(codec="jp2k", verify="none"), overwrite=True)
                written += 1
            except NoSpace:
                assert out.read_bytes() == old
                full += 1
            assert [entry.name for entry in folder.iterdir()] == [out.name]
    print(full, written)
"""


def test_disks_of_every_size(slide_path: Path, tmp_path: Path) -> None:
    """Real full disks, in a mount namespace that ends with the process."""
    unshare = ["unshare", "--user", "--map-root-user", "--mount"]
    probe = ["sh", "-c", f"mount -t tmpfs tmpfs {tmp_path} && mount -o remount,size=100k {tmp_path}"]
    if not shutil.which("unshare") or subprocess.run([*unshare, *probe], capture_output=True, check=False).returncode:
        pytest.skip("this system lets the tests mount no file system")
    command = [*unshare, sys.executable, "-c", textwrap.dedent(FILL_DISKS), str(slide_path), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    full, written = map(int, done.stdout.split())
    assert full >= 3
    assert written >= 3
