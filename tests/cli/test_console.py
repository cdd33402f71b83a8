"""The command line on any console: names and paths of every kind, encodings, help, progress, logs, completion."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import typer.main

from histocodec import cli
from histocodec.cli import app, engines
from histocodec.cli import running as running_module
from histocodec.cli.running import LOG, running
from histocodec.generators.engines import choice, trial
from histocodec.runtime import parallel
from tests.generators.engines.test_choice import failing
from tests.generators.inputs import generator_package

COMMANDS = [
    *([command.name] for command in app.registered_commands),
    *([group.name] for group in app.registered_groups),
    ["models", "export"],
]
PLAIN = ("--generator", "bicubic-x4", "--quality", "30", "--verify", "none")


def run(*arguments: object, folder: Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "histocodec", *map(str, arguments)],
        capture_output=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(cli.__file__).parents[2]), **environment},
        stdin=subprocess.DEVNULL,
        check=False,
    )


InProcess = Callable[..., tuple[int, str, str]]


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Iterator[InProcess]:
    """Run a command line in this process, in an empty folder; gives exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def in_process(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["histocodec", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        return int(caught.value.code or 0), *capfd.readouterr()

    yield in_process
    parallel.limit_cores(None)


# Names and paths

PLACES = {
    "encode": ["encode", "@"],
    "encode -o": ["encode", "case.tif", "-o", "@", *PLAIN],
    "encode --roi": ["encode", "case.tif", "-o", "x.hc.tif", "--roi", "@", "--roi-psnr", "40", "--overwrite"],
    "encode --log": ["encode", "case.tif", "-o", "x.hc.tif", "--log", "@", "--overwrite"],
    "decode": ["decode", "@", "out.tif"],
    "decode to": ["decode", "case.hc.tif", "@"],
    "info": ["info", "@"],
    "validate": ["validate", "@"],
    "quality": ["quality", "@", "map.png"],
    "quality to": ["quality", "case.hc.tif", "@"],
    "compare": ["compare", "@", "case.hc.tif"],
    "compare with": ["compare", "case.tif", "@"],
    "compare --html": ["compare", "case.tif", "case.hc.tif", "--html", "@"],
    "strip": ["strip", "@", "small.hc.tif"],
    "enhance": ["enhance", "@", "case.hc.tif", "full.hc.tif"],
    "enhance with": ["enhance", "case.hc.tif", "@", "full.hc.tif"],
    "regions": ["regions", "@", "out.geojson"],
    "demo": ["demo", "@"],
    "demo -o": ["demo", "case.tif", "-o", "@"],
    "train": ["train", "@"],
    "tune": ["tune", "@", "-o", "tuned.safetensors"],
    "tune -o": ["tune", "case.tif", "-o", "@"],
}
NO_FILES = [".", "..", "/", "", "folder", "folder/none/none.hc.tif", "folder/dangling.hc.tif", "pipe", "loop"]


@pytest.mark.parametrize("place", PLACES)
def test_what_is_no_file_ends_in_one_line(
    here: InProcess, slide_path: Path, container_path: Path, tmp_path: Path, place: str
) -> None:
    shutil.copy(slide_path, tmp_path / "case.tif")
    shutil.copy(container_path, tmp_path / "case.hc.tif")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "dangling.hc.tif").symlink_to(tmp_path / "folder" / "none" / "none.hc.tif")
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "pipe")
    writes = place in ("encode -o", "decode to", "compare --html")
    for name in NO_FILES:
        if writes and name in ("folder/dangling.hc.tif", "loop"):
            continue  # a link is replaced, wherever it leads
        code, out, err = here(*(name if word == "@" else word for word in PLACES[place]))
        assert (code, out) in ((1, ""), (2, "")), (name, err)
        assert "Traceback" not in err
        assert "not-bigtiff" not in err
        if code == 1:
            assert err.splitlines()[-1].startswith("histocodec: "), err
        if name == "":
            assert re.search(r"expected a path( or URL)?, found an empty text", err)


@pytest.mark.parametrize(
    "name",
    ["new\nline", "qu'o\"te", "\u4e2d\u6587 \U0001f610", "\udcff", "a\x1b[31mb", "-dash", "n" * 245],
    ids=["line end", "quotes", "other alphabet", "not UTF-8", "escape code", "dash", "long"],
)
def test_names_of_every_kind(here: InProcess, slide_path: Path, tmp_path: Path, name: str) -> None:
    shutil.copy(slide_path, tmp_path / f"{name}.tif")
    code, out, _ = here("encode", *PLAIN, "--", f"{name}.tif")
    assert code == 0
    assert out.splitlines()[1].startswith("bytes")  # the name is on one line
    assert "\x1b" not in out
    made = f"./{name}.hc.tif"
    assert Path(made).is_file()
    assert here("validate", made)[0] == 0
    assert json.loads(here("info", made, "--json")[1])["file"] == f"{name}.hc.tif"
    assert here("decode", made, "out.png")[0] == 0


# Encodings


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "cp1252"},
        {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    ],
    ids=["ascii", "cp1252", "C"],
)
def test_a_console_that_lacks_a_character(slide_path: Path, tmp_path: Path, environment: dict[str, str]) -> None:
    name = "M\u00fcller \U0001f610"
    shutil.copy(slide_path, tmp_path / f"{name}.tif")
    made = run("encode", f"{name}.tif", *PLAIN, folder=tmp_path, **environment)
    assert (made.returncode, b"Traceback" in made.stderr) == (0, False)
    assert b"M" in made.stdout.splitlines()[0]
    shown = run("info", f"{name}.hc.tif", "--json", folder=tmp_path, **environment)
    assert os.fsencode(json.loads(shown.stdout.decode("ascii"))["file"]) == os.fsencode(f"{name}.hc.tif")
    missing = run("info", f"{name}.svs", folder=tmp_path, **environment)
    assert (missing.returncode, missing.stderr.count(b"\n")) == (1, 1)


# Help


@pytest.mark.parametrize("columns", [None, "80", "200"])
@pytest.mark.parametrize("command", [[], *COMMANDS], ids=str)
def test_help_reads_well(
    here: InProcess, monkeypatch: pytest.MonkeyPatch, command: list[str], columns: str | None
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns:
        monkeypatch.setenv("COLUMNS", columns)
    code, out, err = here(*command, "--help")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert max(map(len, lines)) <= (120 if columns == "200" else 80)
    assert out.isascii()
    # The column of sentences is wide enough for some words.
    sentences = [line[34:] for line in lines if line.startswith(" " * 34)]
    assert not sentences or max(map(len, sentences)) > 20
    assert " ," not in out


# Progress


def test_off_a_terminal_there_are_lines(here: InProcess, slide_path: Path, tmp_path: Path) -> None:
    code, _, err = here("encode", slide_path, "-o", "case.hc.tif", *PLAIN[:-1], "all")
    assert code == 0
    *lines, last = err.splitlines()
    assert re.fullmatch(r"done in \d+\.\d s", last)
    assert all(re.fullmatch(r"[a-z]+: \d+ % \(\d+ of \d+\), \d+\.\d s", line) for line in lines)
    stages = [line.partition(":")[0] for line in lines]
    assert list(dict.fromkeys(stages)) in (
        ["reading", "coding", *filling, "colours", "measuring"] for filling in ([], ["filling"])
    )
    assert all(stages.count(stage) <= 10 for stage in stages)
    for stage in set(stages):
        assert [line for line in lines if line.startswith(stage)][-1].startswith(f"{stage}: 100 %")


@pytest.mark.parametrize(
    ("arguments", "stage"),
    [
        (["decode", "@", "out.tif"], "decoding"),
        (["validate", "@", "--deep"], "checking"),
        (["compare", "case.tif", "@"], "comparing"),
    ],
)
def test_every_long_command_says_how_far_it_is(
    here: InProcess, slide_path: Path, container_path: Path, tmp_path: Path, arguments: list[str], stage: str
) -> None:
    shutil.copy(slide_path, tmp_path / "case.tif")
    code, _, err = here(*(container_path if word == "@" else word for word in arguments), "--workers", 1, "-v")
    assert code == 0
    assert f"{stage}: begins" in err
    assert f"{stage}: 100 %" in err
    assert "at most 1 cores" in err
    assert err.splitlines()[-1].startswith("done in ")


def test_a_step_that_takes_long_is_heard_of(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(running_module, "_LINE_EVERY_S", 0.2)
    with running(False, None, None) as progress:
        progress("tuning", 1, 1000)
        time.sleep(1.7)
    err = capfd.readouterr().err
    assert err.count("tuning: 0 % (1 of 1000), ") >= 2


def test_a_log_gets_everything_with_the_time(here: InProcess, slide_path: Path, tmp_path: Path) -> None:
    assert here("encode", slide_path, "-o", "new\nline.hc.tif", *PLAIN, "--log", "log.txt")[0] == 0
    assert here("encode", "none.svs", "--log", "log.txt")[0] == 1
    said = (tmp_path / "log.txt").read_text("utf-8").splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", line) for line in said)
    for expected in ("reading: 100 %", "note: no learned generator", "done in", "none.svs: no such file"):
        assert any(expected in line for line in said), expected
    assert LOG.handlers == []


def test_a_log_replaces_no_other_file(here: InProcess, slide_path: Path, tmp_path: Path) -> None:
    slide = Path(shutil.copy(slide_path, tmp_path / "case.tif"))
    code, _, err = here("encode", "case.tif", "--log", "case.tif")
    assert code == 1
    assert "is no log of histocodec; nothing was changed" in err
    assert slide.read_bytes() == slide_path.read_bytes()


def test_a_log_without_room_stops_no_work(
    here: InProcess, slide_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        flush = close = lambda self: self.write("")

    monkeypatch.setattr(running_module._LogFile, "_open", lambda self: Full())
    code, _, err = here("encode", slide_path, "-o", "new.hc.tif", *PLAIN, "--log", "log.txt")
    assert code == 0
    assert (tmp_path / "new.hc.tif").exists()
    assert err.count("log.txt: the log cannot be written, what follows is not in it: No space left on device") == 1
    assert "Traceback" not in err


def test_an_error_that_nobody_foresaw_leaves_its_traceback_in_the_log(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), running(False, tmp_path / "log.txt", None):
        1 / 0  # noqa: B018
    assert "ZeroDivisionError: division by zero" in (tmp_path / "log.txt").read_text()


def test_workers_are_at_most_so_many() -> None:
    with running(False, None, 1):
        assert parallel.core_count() == 1
    parallel.limit_cores(None)
    assert parallel.core_count() >= 1


def test_a_device_that_is_not_there_is_refused_with_every_generator(here: InProcess, slide_path: Path) -> None:
    code, _, err = here("encode", slide_path, "-o", "case.hc.tif", "--device", "nonsense")
    assert code == 1
    assert "no device nonsense here" in err


# Completion


def test_completion_is_installed_and_completes(tmp_path: Path) -> None:
    shell = shutil.which("bash")
    if shell is None:
        pytest.skip("no bash here")
    command = f"{sys.executable} -m histocodec --install-completion; exit $?"
    environment = {**os.environ, "HOME": str(tmp_path), "PYTHONPATH": str(Path(cli.__file__).parents[2])}
    done = subprocess.run([shell, "-c", command], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "_HISTOCODEC_COMPLETE" in (tmp_path / ".bash_completions" / "histocodec.sh").read_text()
    words = {"_HISTOCODEC_COMPLETE": "complete_bash", "COMP_WORDS": "histocodec comp", "COMP_CWORD": "1"}
    assert run(folder=tmp_path, **words).stdout.split() == [b"compare"]
    assert {parameter.name for parameter in typer.main.get_command(app).params} >= {"install_completion"}


# Engines


def test_engines_are_tried_and_shown(here: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "shipped_packages", lambda kind="generator": {kind: generator_package(2, kind)})
    monkeypatch.setattr(trial, "SHAPES", ((9, 8), (12, 12)))
    monkeypatch.setattr(trial, "_TIMED_S", 0.0)
    code, text, _ = here("engines")
    assert code == 0
    head, *rows = [line.split() for line in text.splitlines()]
    assert head[:6] == ["engine", "network", "samples", "differ", "Mpx/s", "chosen"]
    assert [(row[0], row[1], row[3]) for row in rows] == [
        (engine, network, "0") for network in ("generator", "downsampler") for engine in ("openvino", "torch", "numpy")
    ]
    monkeypatch.setattr(choice, "_ENGINES", {"openvino": failing(OSError("no library"))})
    code, text, _ = here("engines", "--json")
    assert code == 1  # there is no engine for it
    assert json.loads(text)[0]["error"] == "OSError: no library"
    assert here("engines", "--device", "cuda:99")[0] == 1
    monkeypatch.setenv("HISTOCODEC_ENGINE", "abacus")
    code, _, err = here("engines")
    assert code == 1
    assert "HISTOCODEC_ENGINE is one of openvino on cpu, found 'abacus'" in err
