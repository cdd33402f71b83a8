"""The README: its example runs, its tables are the committed results, its commands exist."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks.readme import README, filled
from histocodec.cli import app
from histocodec.demo.synthetic import tissue, write_slide
from histocodec.generators.catalogue import find_package
from histocodec.geometry import Size
from histocodec.training.config import parse_config

TEXT = README.read_text()


def test_the_python_example_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    assert len([line for line in example.splitlines() if line.strip()]) <= 10
    write_slide(tmp_path / "case.svs", tissue(Size(1024, 1024), seed=5))
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert "times smaller" in printed
    assert "(256, 256) reconstructed by fidelity-x4 sha256:" in printed


def test_the_configuration_for_a_labs_own_scanner_is_valid() -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)
    config = parse_config(tomllib.loads(example))
    hyperparameters = find_package(str(config.network.start)).card.hyperparameters
    assert config.network.hyperparameters == hyperparameters


def test_the_tables_are_the_committed_results() -> None:
    assert filled(TEXT) == TEXT


def test_every_command_and_option_it_names_exists() -> None:
    runner = CliRunner()
    for command in sorted(set(re.findall(r"histocodec (encode|decode|info|validate|demo|models|train)\b", TEXT))):
        assert runner.invoke(app, [command, "--help"]).exit_code == 0
    usage = runner.invoke(app, ["encode", "--help"], env={"COLUMNS": "200", "TERM": "dumb"}).output
    usage += runner.invoke(app, ["decode", "--help"], env={"COLUMNS": "200", "TERM": "dumb"}).output
    usage += runner.invoke(app, ["validate", "--help"], env={"COLUMNS": "200", "TERM": "dumb"}).output
    usage += runner.invoke(app, ["train", "--help"], env={"COLUMNS": "200", "TERM": "dumb"}).output
    plain = re.sub(r"\x1b\[[0-9;]*m", "", usage)
    for option in set(re.findall(r"`(--[a-z-]+)", TEXT)):
        assert option in plain


def test_what_it_links_to_is_there() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", TEXT):
        assert (README.parent / target).exists(), target
