"""`view` as it is typed: it says where the page is, serves until Ctrl-C, and ends with a sentence where it cannot."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import psutil
import pytest

from tests.places import REPOSITORY

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(REPOSITORY), "DISPLAY": "", "WAYLAND_DISPLAY": ""}


@contextmanager
def viewing(*arguments: str | Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run `histocodec view` until the block ends; yield the process and the address that it printed."""
    command = [sys.executable, "-m", "histocodec", "view", "--port", "0", *map(str, arguments)]
    with subprocess.Popen(
        command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            lines = []
            for line in process.stdout:
                lines.append(line.strip())
                if line.rstrip().endswith("/"):
                    break
            assert lines, process.stderr.read() if process.stderr else ""
            yield process, lines[-1]
        finally:
            process.kill()


def refused(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "histocodec", "view", *map(str, arguments)]
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is sent as a signal")
def test_it_serves_until_ctrl_c(container_path: Path, tmp_path: Path) -> None:
    (tmp_path / "cut.hc.tif").write_bytes(container_path.read_bytes()[:2000])
    with viewing(container_path, tmp_path / "cut.hc.tif", "--tiles", "webp") as (process, url):
        with urlopen(url) as page:
            assert b"<title>histocodec</title>" in page.read()
        with urlopen(f"{url}slide/slide.dzi") as descriptor:
            assert b'Format="webp"' in descriptor.read()
        with pytest.raises(HTTPError, match="403"):
            urlopen(Request(url, headers={"Host": "evil.example"}))
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        assert process.stderr is not None
        said = process.stderr.read()
        assert re.search(r"^histocodec: .*cut\.hc\.tif: ", said, re.MULTILINE)
        assert "Traceback" not in said


@pytest.mark.parametrize(("options", "count"), [((), 0), (("--allow-host", "slides.example.org"), 1)])
def test_tiles_for_others_are_decoded_in_a_sandbox(container_path: Path, options: tuple[str, ...], count: int) -> None:
    with viewing(container_path, *options) as (process, url):
        with urlopen(f"{url}slide/slide_files/0/0_0.jpeg") as tile:
            assert tile.status == 200
        children = psutil.Process(process.pid).children()
        assert sum("histocodec.runtime.sandboxed" in child.cmdline() for child in children) == count


def test_a_port_that_is_taken_is_an_error_in_one_line(container_path: Path) -> None:
    with viewing(container_path) as (_, url):
        port = url.rstrip("/").rpartition(":")[2]
        run = refused(container_path, "--port", port)
    assert run.returncode == 1
    (line,) = run.stderr.strip().splitlines()
    assert line.startswith(f"histocodec: port {port} of 127.0.0.1 cannot be had: ")


def test_a_file_that_is_nowhere_is_an_error(tmp_path: Path) -> None:
    run = refused(tmp_path / "nothing.hc.tif", "--port", "0")
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr.strip().endswith("nothing.hc.tif: No such file or directory")


def test_without_the_extra_it_says_what_to_install(container_path: Path) -> None:
    code = "import sys; sys.modules['uvicorn'] = None; sys.argv = sys.argv[1:]; from histocodec import cli; cli.main()"
    run = subprocess.run(
        [sys.executable, "-c", code, "histocodec", "view", container_path],
        env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert run.returncode == 1
    assert run.stderr.strip().endswith("uvicorn, which is not installed: pip install 'histocodec[viewer]'")
