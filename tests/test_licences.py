"""docs/licences.md has every dependency, with the licence that it states, and none has one of another kind."""

from __future__ import annotations

import re
import runpy
from importlib.metadata import distribution
from typing import Any

import pytest

from tests.places import REPOSITORY

TOOL: dict[str, Any] = runpy.run_path(str(REPOSITORY / "docs/licences.py"))
TEXT = (REPOSITORY / "docs/licences.md").read_text("utf-8")
ROW = re.compile(r"^\| (?!package )([a-z0-9-]+) \|(?: [^|]+ \|)? ([^|]+) \|$", re.MULTILINE)
ROWS: dict[str, str] = dict(ROW.findall(TEXT))
EXTRAS = tuple(TOOL["PROJECT"]["optional-dependencies"])
INSTALLED = (None, *TOOL["USERS"], "test")
"""What the tests run with; tools of the other extras may be missing."""


def test_every_dependency_has_a_row() -> None:
    assert {name for extra in (None, *EXTRAS) for name in TOOL["direct"](extra)} <= set(ROWS)
    assert len(ROWS) > 80


def test_rows_are_what_packages_state() -> None:
    names = {name for extra in INSTALLED for name in TOOL["direct"](extra)}
    assert {name: TOOL["licence_of"](distribution(name)) for name in names} == {name: ROWS[name] for name in names}


def test_no_licence_is_of_another_kind() -> None:
    assert [name for name, licence in ROWS.items() if not TOOL["is_expected"](licence)] == []


def test_nor_is_one_that_a_dependency_brings() -> None:
    """Also of packages that are not on the page, as another version or platform may need others."""
    found = {name: TOOL["licence_of"](distribution(name)) for name in TOOL["brought"](TOOL["USERS"]) if here(name)}
    assert len(found) > 60
    assert {name: licence for name, licence in found.items() if not TOOL["is_expected"](licence)} == {}


def here(name: str) -> bool:
    try:
        return distribution(name) is not None
    except ModuleNotFoundError:
        return False


@pytest.mark.parametrize(
    ("licence", "expected"),
    [
        ("MIT", True),
        ("GPL-3.0-only", False),
        ("MIT AND GPL-3.0-only", False),
        ("MIT OR GPL-3.0-only", True),
        ("LGPL-2.1-only AND (BSD-3-Clause OR GPL-2.0-only)", True),
        ("LGPL-2.1-only AND (AGPL-3.0-only OR GPL-2.0-only)", False),
        ("CC-BY-NC-4.0", False),
    ],
)
def test_what_counts_as_expected(licence: str, expected: bool) -> None:
    assert TOOL["is_expected"](licence) == expected
