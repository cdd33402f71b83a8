"""The documentation says what is there: commands, modules, names, links. The site itself is built by `nox -s docs`."""

from __future__ import annotations

import ast
import re
import runpy
import tomllib
from pathlib import Path

import pytest

import histocodec
from tests.places import REPOSITORY

PACKAGE = REPOSITORY / "histocodec"
DOCS = REPOSITORY / "docs"
PAGES = sorted([*REPOSITORY.glob("*.md"), *DOCS.rglob("*.md")])
LINK = re.compile(r"\]\(([^)#\s]+)")
CODE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)


def read(name: str) -> str:
    return (DOCS / name).read_text("utf-8")


def sections(text: str, level: int) -> dict[str, str]:
    """The text under each heading of a level, up to the next one of it or above, by the heading."""
    found: dict[str, str] = {}
    for part in re.split(rf"^(?=#{{1,{level}}} )", text, flags=re.MULTILINE):
        marks, _, rest = part.partition(" ")
        if marks == "#" * level:
            heading, _, found_text = rest.partition("\n")
            found[heading] = found_text
    return found


def defined_names() -> set[str]:
    """Every class and function of the package."""
    kinds = ast.ClassDef | ast.FunctionDef
    trees = [ast.parse(path.read_text("utf-8")) for path in PACKAGE.rglob("*.py")]
    return {node.name for tree in trees for node in ast.walk(tree) if isinstance(node, kinds)}


def test_the_page_of_the_command_line_is_what_the_commands_say() -> None:
    page = runpy.run_path(str(DOCS / "command_line.py"))["page"]
    assert page() == read("cli.md"), "run: nox -s reference"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(REPOSITORY).as_posix())
def test_every_link_leads_somewhere(path: Path) -> None:
    links = LINK.findall(CODE.sub("", path.read_text("utf-8")))
    assert [link for link in links if ":" not in link and not (path.parent / link).exists()] == []


@pytest.mark.parametrize("room", sorted(path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()))
def test_the_map_names_every_module_of_a_room(room: str) -> None:
    listed = re.findall(r"^\| `([\w/]+)` \|", sections(read("architecture.md"), 3)[room], re.MULTILINE)
    files = [path.relative_to(PACKAGE / room).with_suffix("") for path in (PACKAGE / room).rglob("*.py")]
    there = {path.as_posix() for path in files if not path.name.startswith("_")}
    assert sorted(listed) == sorted(there)


def test_the_map_has_the_floors_of_the_contract() -> None:
    contracts = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    floors = [re.findall(r"\w+", floor) for floor in contracts[0]["layers"]]
    rows = re.findall(r"^\| (\d) \| (.+?) \|", sections(read("architecture.md"), 2)["The rooms"], re.MULTILINE)
    on_page: dict[int, list[str]] = {}
    for floor, rooms in rows:
        on_page.setdefault(int(floor), []).extend(re.findall(r"`(\w+)`", rooms))
    assert {len(floors) - index: sorted(rooms) for index, rooms in enumerate(floors)} == {
        floor: sorted(rooms) for floor, rooms in on_page.items()
    }
    drawn = re.findall(r'font-weight="bold"[^>]*>(\w+)<', read("floors.svg"))
    assert sorted(drawn) == sorted(room for rooms in floors for room in rooms)


def test_names_in_the_glossary_exist() -> None:
    names = set(re.findall(r"`([A-Z][a-z]+(?:[A-Z][A-Za-z]*)*)`", read("glossary.md")))
    assert {"Region", "TileCoder"} <= names
    aliases = set(re.findall(r"^([A-Z]\w+) = ", "".join(p.read_text() for p in PACKAGE.rglob("*.py")), re.MULTILINE))
    assert names - defined_names() - aliases == set()
    options = set(re.findall(r"`(--[a-z-]+)", read("glossary.md")))
    assert {option for option in options if f"{option} " not in read("cli.md")} == set()


def test_the_reference_has_every_public_name() -> None:
    listed = re.findall(r"^::: histocodec\.(\w+)$", read("api/index.md"), re.MULTILINE)
    assert sorted(listed) == [name for name in histocodec.__all__ if name != "__version__"]


def test_the_navigation_has_every_page_and_every_room() -> None:
    navigation = (REPOSITORY / "mkdocs.yml").read_text()
    pages = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    rooms = {f"api/{path.name}.md" for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()}
    assert {name for name in pages | (rooms - {"api/cli.md"}) if f": {name}\n" not in navigation} == set()


def test_the_citation_is_of_this_version() -> None:
    assert f"\nversion: {histocodec.__version__}\n" in (REPOSITORY / "CITATION.cff").read_text()
