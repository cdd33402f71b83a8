"""What a command line gave: exit code, stdout and stderr, as a user sees them."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str

    def value(self) -> Any:
        """Of `--json`."""
        assert self.code == 0, self.err
        return json.loads(self.out)

    def sentence(self, code: int = 1) -> str:
        """What was said of an error: one line on stderr, after those on how far it came, and nothing else."""
        assert self.code == code
        assert self.out == ""
        *lines, last = self.err.splitlines(keepends=True)
        assert all(is_progress(line) for line in lines)
        assert last.startswith("histocodec: ")
        assert last.endswith("\n")
        return last

    def usage(self) -> str:
        """What was said of a usage error: on stderr, without line breaks and frames."""
        assert self.code == 2
        assert self.out == ""
        assert "Traceback" not in self.err
        return " ".join(self.err.replace("│", " ").split())


def is_progress(text: str) -> bool:
    """Whether stderr holds nothing but lines on progress, and perhaps how long it took."""
    line = re.compile(r"[a-z ]+: \d+ % \(\d+ of \d+\), \d+\.\d s|done in \d+\.\d s")
    return all(line.fullmatch(said) for said in text.splitlines())


Run = Callable[..., Done]


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "histocodec", *map(str, arguments)]


def names(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}
