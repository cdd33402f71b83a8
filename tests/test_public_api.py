"""The public names of Python are those that are committed: a change is seen by whoever reviews it."""

from __future__ import annotations

from tests.public_api import LIST, listed


def test_the_public_names_and_their_signatures_are_those_of_the_list() -> None:
    """docs/stability.md says how they may change, and that CHANGELOG.md says so."""
    assert listed() == LIST.read_text("utf-8"), "run: python -m tests.public_api"


def test_the_list_would_show_a_change() -> None:
    text = listed()
    for part in ("def open_slide", "class Decoder(Closing)", "    levels", "keyword-only tier: Tier | None = None"):
        assert part in text
    assert " at 0x" not in text
