"""An archive of real slides, by the command itself: damaged ones, kills at any moment, and what comes back.

HISTOCODEC_SLIDES and HISTOCODEC_KILLS say how many slides and kills; 500 and 20 are what a release is held to.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from histocodec.archive.catalogue import Catalogue
from histocodec.archive.summary import summary
from tests.archive.inputs import damage, lasting, write_slides
from tests.places import REPOSITORY

SLIDES = int(os.environ.get("HISTOCODEC_SLIDES", "20"))
KILLS = int(os.environ.get("HISTOCODEC_KILLS", "5"))
JOBS = os.environ.get("HISTOCODEC_JOBS", "2")
OPTIONS = ("--recursive", "--codec", "jp2k", "--quality", "32", "--generator", "bicubic-x4", "--jobs", JOBS)

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")


def started(*arguments: object) -> subprocess.Popen[str]:
    """A command in a process of its own, as a shell starts it."""
    return subprocess.Popen(
        [sys.executable, "-m", "histocodec", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
        env=os.environ | {"SOURCE_DATE_EPOCH": "1772271000"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL) and None,
    )


def run(*arguments: object) -> tuple[int, str, str]:
    with started(*arguments) as process:
        out, err = process.communicate()
    return process.returncode, out, err


def digests(folder: Path) -> dict[str, str]:
    """Every file of a folder but the catalogue, hidden ones too, by SHA-256."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and "histocodec-archive" not in path.name)
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Slides, five of them damaged in different ways."""
    folder = tmp_path_factory.mktemp("sources")
    paths = write_slides(folder, SLIDES)
    damage(paths[3:8])
    return folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, sources: Path) -> Path:
    """The archive of a run that nobody stopped."""
    folder = tmp_path_factory.mktemp("whole") / "archive"
    before = digests(sources)
    code, out, err = run("archive", sources, "--to", folder, *OPTIONS, "--log", folder.parent / "log.jsonl")
    assert code == 3, err
    assert out == f"{SLIDES - 5} of {SLIDES} slides done, 5 failed\n"
    listed = [line for line in err.splitlines() if line.startswith("  failed: ")]
    assert len(listed) == 5
    assert {f"slide-{number:03}" in "".join(listed) for number in range(3, 8)} == {True}
    assert digests(sources) == before, "sources are never changed"
    return folder


def test_the_catalogue_says_what_became_of_each(whole: Path) -> None:
    with Catalogue.open(whole) as catalogue:
        total = summary(catalogue)
        assert total.states == {"waiting": 0, "running": 0, "done": SLIDES - 5, "failed": 5}
        assert sum(total.layers.values()) == total.output_bytes
        for row in catalogue.rows("state = 'done'"):
            data = Path(catalogue.output(row)).read_bytes()
            assert (len(data), hashlib.sha256(data).hexdigest()) == (row["output_bytes"], row["output_sha256"])
            assert hashlib.sha256(Path(row["source"]).read_bytes()).hexdigest() == row["source_sha256"]
            assert row["psnr_lowest_db"] <= row["psnr_5_db"] <= row["psnr_mean_db"]
            assert row["generator_digest"] == "builtin:bicubic-x4"
            assert row["seconds"] > 0
            assert row["cpu_seconds"] > 0
    events = [json.loads(line) for line in (whole.parent / "log.jsonl").read_text().splitlines()]
    assert events[0]["event"] == "scanned"
    assert events[-1]["event"] == "end"
    kinds = [event["event"] for event in events]
    assert (kinds.count("slide done"), kinds.count("slide failed")) == (SLIDES - 5, 5)


def test_a_second_run_does_nothing(whole: Path, sources: Path) -> None:
    before = digests(whole)
    code, _, err = run("archive", sources, "--to", whole, *OPTIONS)
    assert code == 3
    assert f"{SLIDES} unchanged" in err
    assert digests(whole) == before


def test_killed_at_any_moment_and_taken_up(whole: Path, sources: Path, tmp_path: Path) -> None:
    """Bytes and catalogue are those of a run that nobody stopped, but for times; and nothing else is left."""
    rng, folder = random.Random(5), tmp_path / "archive"
    with Catalogue.open(whole) as catalogue:
        longest = summary(catalogue).seconds / int(JOBS) / max(KILLS - 2, 1) + 3
    for _ in range(KILLS):
        with started("archive", sources, "--to", folder, *OPTIONS) as process:
            time.sleep(rng.uniform(0.5, longest))
            process.kill()
            process.communicate()
    code, _, err = run("archive", sources, "--to", folder, *OPTIONS)
    assert code == 3, err
    assert digests(folder) == digests(whole)
    with Catalogue.open(folder) as again, Catalogue.open(whole) as once:
        assert lasting(again) == lasting(once)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_a_catalogue_that_is_right(sources: Path, tmp_path: Path, number: int) -> None:
    folder = tmp_path / "archive"
    with started("archive", sources, "--to", folder, *OPTIONS) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("1 of "):
                break
        process.send_signal(number)
        _, err = process.communicate()
    assert process.returncode == 130
    assert err.splitlines()[-1] == "histocodec: interrupted; the catalogue is right, and the same command goes on"
    assert not list(folder.rglob("*.partial"))
    with Catalogue.open(folder) as catalogue:
        states = summary(catalogue).states
        assert states["running"] == 0
        assert states["waiting"] > 0
        assert states["done"] + states["failed"] >= 1
        for row in catalogue.rows("state = 'done'"):
            assert hashlib.sha256(Path(catalogue.output(row)).read_bytes()).hexdigest() == row["output_sha256"]
