"""Many files by one command, and the commands on archives."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from histocodec.cli import app
from histocodec.cli.many import one_by_one
from histocodec.errors import HistocodecError, NoSpace
from tests.archive.inputs import catalogued, finish, write_files, write_slides

QUICK = ("--codec", "jp2k", "--quality", 32, "--generator", "bicubic-x4")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def refused(*arguments: object) -> str:
    """What the command says as it fails as a whole."""
    result = run(*arguments)
    assert result.exit_code in (1, 2)
    return str(result.exception) if isinstance(result.exception, HistocodecError) else result.stderr


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two slides, one of which is damaged, and what was made of them."""
    folder = tmp_path_factory.mktemp("many")
    paths = write_slides(folder / "in", 3)
    paths[2].write_text("no slide")
    done = run("encode", folder / "in", "--recursive", "--output-dir", folder / "out", *QUICK, "--json")
    assert done.exit_code == 3, done.output
    assert [Path(str(facts["output"])).name for facts in json.loads(done.stdout)] == [
        "slide-000.hc.tif",
        "slide-001.hc.tif",
    ]
    assert "1 of 3 failed" in done.stderr
    assert "slide-002.tif: expected a slide" in done.stderr
    return folder


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_the_tree_is_kept(tree: Path) -> None:
    assert files(tree / "out") == ["a/slide-000.hc.tif", "b/slide-001.hc.tif"]


def test_outputs_that_exist(tree: Path) -> None:
    again = ("encode", tree / "in", "--recursive", "--output-dir", tree / "out", *QUICK)
    assert "2 of the outputs exist already, nothing was written" in refused(*again)
    rest = run(*again, "--skip-existing", "--exclude", "c")
    assert (rest.exit_code, rest.stdout) == (0, "")


def test_clashes_and_options_that_contradict(tree: Path, tmp_path: Path) -> None:
    write_files(tmp_path, "a.tif", "a.svs")
    assert "would both become" in refused("encode", tmp_path, *QUICK)
    assert files(tmp_path) == ["a.svs", "a.tif"]
    assert "--output-dir is for several" in refused("encode", tree / "in", "-o", tmp_path / "x.hc.tif")
    assert "found none; --recursive" in refused("encode", tree / "in")
    assert "expected a file and its output" in refused("decode", *(tree / "out").rglob("*.hc.tif"), tmp_path / "x.tif")


def test_a_full_disk_ends_it() -> None:
    def work(name: str) -> str:
        if name == "b":
            raise NoSpace(name, "the disk is full")
        return name

    done: list[str] = []
    failures = one_by_one("abcd", work, str, lambda _, result: done.append(result))
    assert done == ["a"]
    assert failures == [("b", "b: the disk is full"), *((name, "not begun, as the disk is full") for name in "cd")]


def test_info_and_validate(tree: Path, tmp_path: Path) -> None:
    told = json.loads(run("info", tree / "out", "--recursive", "--json").stdout)
    assert [Path(facts["file"]).name for facts in told] == ["slide-000.hc.tif", "slide-001.hc.tif"]
    assert run("info", tree / "out", "--recursive").stdout.count("histocodec 1") == 2
    assert run("validate", tree / "out", "--recursive").exit_code == 0
    shutil.copytree(tree / "out", tmp_path / "out")
    (tmp_path / "out" / "bad.hc.tif").write_text("no file of ours")
    done = run("validate", tmp_path / "out", "--recursive", "--json")
    assert done.exit_code == 3
    assert {Path(each["file"]).name: bool(each["problems"]) for each in json.loads(done.stdout)} == {
        "bad.hc.tif": True,
        "slide-000.hc.tif": False,
        "slide-001.hc.tif": False,
    }
    assert "bad.hc.tif: not valid, problems: 1" in done.stderr
    assert "1 of 3 failed" in run("info", tmp_path / "out", "--recursive").stderr


def test_decode_many(tree: Path, tmp_path: Path) -> None:
    one = ("decode", tree / "out", "--recursive", "--output-dir", tmp_path, "--level", 1)
    assert run(*one).exit_code == 0
    assert files(tmp_path) == ["a/slide-000.tif", "b/slide-001.tif"]
    assert "exist already" in refused(*one)
    assert run(*one, "--suffix", ".ome.tif", "--include", "*-000*").exit_code == 0
    assert "a/slide-000.ome.tif" in files(tmp_path)
    assert "must end in" in refused(*one, "--suffix", ".jpg")


def test_checksum(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree / "out")
    listed = run("checksum", "a/slide-000.hc.tif", "b/slide-001.hc.tif")
    assert listed.exit_code == 0
    (tmp_path / "sums").write_text(listed.stdout)
    good = run("checksum", "--check", tmp_path / "sums")
    assert (good.exit_code, good.stdout) == (0, "a/slide-000.hc.tif: OK\nb/slide-001.hc.tif: OK\n")
    (tmp_path / "sums").write_text(listed.stdout.replace("a/slide-000", "b/slide-001"))
    bad = run("checksum", "--check", tmp_path / "sums")
    assert bad.exit_code == 3
    assert "b/slide-001.hc.tif: FAILED" in bad.stdout


def test_archive_takes_sources_without_a_word_for_it(tree: Path, tmp_path: Path) -> None:
    told = run("archive", tree / "in", "--to", tmp_path / "none", "--recursive", "--dry-run", "--json", *QUICK)
    assert told.exit_code == 0, told.output
    facts = json.loads(told.stdout)
    assert facts["found"]["new"] == facts["slides"] == 3
    assert facts["sampled_slides"] == 2
    assert facts["output_bytes"] > 0
    assert len(facts["failed"]) == 1
    assert not (tmp_path / "none").exists()


def test_archive_refuses(tree: Path, tmp_path: Path) -> None:
    to = ("archive", tree / "in", "--to", tmp_path, "--recursive")
    assert "either a ratio or a quality" in refused(*to, "--ratio", 4, "--quality", 30)
    assert "expected a number of bytes" in refused(*to, "--memory", "much")
    assert "found no catalogue" in refused("archive", "status", tmp_path)
    assert "found no catalogue" in refused("archive", "retry", tmp_path)
    assert "no log of histocodec archive" in refused(*to, "--log", tree / "in" / "c" / "slide-002.tif")
    assert (tree / "in" / "c" / "slide-002.tif").read_text() == "no slide"


def test_status_report_and_what_they_write(tree: Path, tmp_path: Path) -> None:
    catalogue, _ = catalogued(tmp_path / "archive", tree / "in")
    with catalogue:
        finish(catalogue)
    told = json.loads(run("archive", "status", tmp_path / "archive", "--json").stdout)
    assert (told["done"], told["failed"], told["output_bytes"]) == (3, 0, 12)
    assert "psnr lowest db" in run("archive", "status", tmp_path / "archive").stdout
    written = [tmp_path / f"report.{end}" for end in ("csv", "json")]
    done = run("archive", "report", tmp_path / "archive", "--csv", written[0], "--json", written[1])
    assert done.exit_code == 0, done.output
    assert written[0].read_text().count("\n") == 4
    assert json.loads(written[1].read_text())["totals"]["done"] == 3
    assert "exists" in refused("archive", "report", tmp_path / "archive", "--csv", written[0])
    assert "say what to write" in refused("archive", "report", tmp_path / "archive")
    assert "name the slides, or say --all" in refused("archive", "restore", tmp_path / "archive", "--to", tmp_path)
    gone = run("archive", "restore", tmp_path / "archive", "--to", tmp_path / "back", "--all")
    assert gone.exit_code == 3
    assert "3 of 3 failed" in gone.stderr
    assert "is an archive itself" in refused("archive", "export", tmp_path / "archive", "--to", tmp_path / "archive")
