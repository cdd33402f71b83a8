"""Writes cli.md, the help of every command, from the application itself: `python docs/command_line.py`.

A test keeps the page equal to the commands.
"""

from __future__ import annotations

import io
import os
from contextlib import redirect_stdout
from pathlib import Path
from unittest.mock import patch

from histocodec.cli import app

PAGE = Path(__file__).parent / "cli.md"

_TERMINAL = {"COLUMNS": "88", "TERM": "dumb", "NO_COLOR": "1", "HISTOCODEC_DATA": ""}
_HEAD = """\
# Command line

Results go to stdout, progress and messages to stderr. Exit codes: 0 done, 1 an error in one line on stderr, 2 a usage
error, 3 some of many files failed, 75 to be called again (`train --seconds`), 130 interrupted. This page is made from
the commands themselves (`python docs/command_line.py`).
"""


def page() -> str:
    """Return the page: a section for each command, in the order of their list."""
    return "\n".join([_HEAD, _section(), *(_section(*words) for words in commands())])


def commands() -> list[tuple[str, ...]]:
    """Return the words of every command, those of a group after the group's own."""
    found: list[tuple[str, ...]] = [(command.name,) for command in app.registered_commands if command.name]
    for group in app.registered_groups:
        assert group.name is not None
        inner = group.typer_instance.registered_commands if group.typer_instance else []
        found += [(group.name,), *((group.name, command.name) for command in inner if command.name)]
    return found


def _section(*command: str) -> str:
    said = io.StringIO()
    with patch.dict(os.environ, _TERMINAL), redirect_stdout(said):
        app([*command, "--help"], prog_name="histocodec", standalone_mode=False)
    lines = "\n".join(line.rstrip() for line in said.getvalue().strip().splitlines())
    return f"## {' '.join(['histocodec', *command])}\n\n```text\n{lines}\n```\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
