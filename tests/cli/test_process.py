"""The command line as a process: signals, and readers that go away."""

from __future__ import annotations

import signal
import subprocess
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from histocodec.demo.synthetic import write_slide
from histocodec.geometry import Image
from tests.cli.calling import command, is_progress, names


def test_encode_as_a_process(slide: Path) -> None:
    done = subprocess.run(
        command("encode", slide, "--generator", "bicubic-x4"), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert is_progress(done.stderr)
    assert names(slide.parent) == {"case.tif", "case.hc.tif"}
    assert f"{slide.stat().st_size / (slide.parent / 'case.hc.tif').stat().st_size:.4g}" in done.stdout


def test_an_error_of_a_process(tmp_path: Path) -> None:
    done = subprocess.run(command("encode", tmp_path / "none.svs"), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"histocodec: {tmp_path / 'none.svs'}: no such file\n"


def test_a_reader_that_goes_away(container_path: Path) -> None:
    """The pipe `histocodec info FILE | head -1` ends without a traceback."""
    with subprocess.Popen(
        command("info", container_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 1


@pytest.fixture(scope="module")
def slow_slide(tmp_path_factory: pytest.TempPathFactory, slide_image: Image) -> Path:
    """4400 x 3600 px: takes seconds to encode."""
    path = tmp_path_factory.mktemp("slow") / "slow.tif"
    write_slide(path, np.tile(slide_image, (4, 4, 1)))
    return path


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc to see when an encode has begun")
@pytest.mark.parametrize(
    ("number", "code", "said"),
    [
        (signal.SIGINT, 130, "histocodec: interrupted; nothing was written\n"),
        (signal.SIGTERM, -signal.SIGTERM, ""),
        (getattr(signal, "SIGKILL", 9), -9, ""),
    ],
)
def test_a_signal_in_the_middle(slow_slide: Path, tmp_path: Path, number: int, code: int, said: str) -> None:
    begun = command("encode", slow_slide, "-o", tmp_path / "case.hc.tif", "--generator", "bicubic-x4")
    # A shell's background job ignores SIGINT, and so does whatever it starts.
    heed = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    pipe = subprocess.PIPE
    with subprocess.Popen(begun, stdout=pipe, stderr=pipe, text=True, preexec_fn=heed) as process:
        while not _holds_a_file_in(process.pid, tmp_path):
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(number)
        out, err = process.communicate()
    assert (process.returncode, out, err) == (code, "", said)
    assert not names(tmp_path)


def _holds_a_file_in(pid: int, folder: Path) -> bool:
    """Whether a process has its nameless temporary files open."""
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            if link.readlink().is_relative_to(folder):
                return True
        except FileNotFoundError:
            continue
    return False
