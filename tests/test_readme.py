"""README.md and docs/: the examples run, the tables are the committed results, commands, options and links exist."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import typer.core
import typer.main

from benchmarks.tables import DOCUMENTS, README, ROOT, TABLES, filled
from histocodec.cli import app
from histocodec.demo.synthetic import tissue, write_slide
from histocodec.generators.catalogue import find_package
from histocodec.geometry import Size
from histocodec.training.config import parse_config

TEXT = README.read_text()
TRAINING = ROOT / "docs" / "training.md"
PAGES = (
    README,
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "benchmarks").glob("*.md")),
)
GUIDES = (README, *(ROOT / "docs" / f"{name}.md" for name in ("index", "fidelity", "training", "what-16x-keeps")))
"""What a user reads first: commands and options in it must be those of this version."""


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
    assert "(256, 256) reconstructed by av1-x4 sha256:" in printed


def test_the_readme_is_a_door_and_not_a_house() -> None:
    assert len(TEXT.splitlines()) <= 130
    assert sum(line.startswith("pip install -c constraints.txt") for line in TEXT.splitlines()) == 2


def test_the_licence_of_the_weights_stands_near_the_top_and_is_theirs() -> None:
    top = " ".join(" ".join(TEXT.splitlines()[:20]).split())  # a name may stand on two lines
    for name in ("jp2k-x4", "jp2k-x2", "av1-x4", "av1-x2", "perceptual-x4"):
        assert find_package(name).card.licence in top


def test_the_configuration_for_a_labs_own_scanner_is_valid() -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", TRAINING.read_text(), re.DOTALL)
    config = parse_config(tomllib.loads(example))
    hyperparameters = find_package(str(config.network.start)).card.hyperparameters
    assert config.network.hyperparameters == hyperparameters


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda page: page.name)
def test_the_tables_are_the_committed_results(page: Path) -> None:
    text = page.read_text()
    assert filled(text) == text
    assert re.findall(r"<!-- /[a-z ]+ -->", text)  # a page without a table need not be listed


def test_every_table_stands_on_a_page() -> None:
    text = "\n".join(page.read_text() for page in DOCUMENTS)
    assert set(re.findall(r"<!-- /([a-z ]+) -->", text)) == set(TABLES)


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.name)
def test_every_command_that_is_shown_exists_with_its_options(page: Path) -> None:
    commands = options()
    shown = re.findall(r"(?:^|`)histocodec ([a-z-]+)([^`\n#]*)", page.read_text(), re.MULTILINE)
    assert shown
    for name, rest in shown:
        assert set(re.findall(r"--[a-z-]+", rest)) <= commands[name] | {"--help"}, (name, rest)


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.name)
def test_every_option_that_is_named_is_one_of_some_command(page: Path) -> None:
    assert set(re.findall(r"`(--[a-z-]+)", page.read_text())) <= set().union(*options().values())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_what_a_page_links_to_is_there(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]+))?\)", page.read_text()):
        if "://" in target:
            continue
        path = (page.parent / target).resolve() if target else page
        assert path.exists(), target
        if anchor:
            assert anchor in anchors(path), f"{target}#{anchor}"


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub and MkDocs make them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def options() -> dict[str, set[str]]:
    """Return the options of every command, by its name."""
    group = typer.main.get_command(app)
    assert isinstance(group, typer.core.TyperGroup)
    return {name: {o for p in command.params for o in p.opts} for name, command in group.commands.items()}
