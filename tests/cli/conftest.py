"""Command lines that run in this process, and a slide for them."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from histocodec import cli
from tests.cli.calling import Done, Run


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run a command line in this process, exactly as `python -m histocodec` does."""

    def in_process(*arguments: object) -> Done:
        monkeypatch.setattr(sys, "argv", ["histocodec", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        captured = capfd.readouterr()
        return Done(int(caught.value.code or 0), captured.out, captured.err)

    return in_process


@pytest.fixture
def slide(slide_path: Path, tmp_path: Path) -> Path:
    """A slide alone in its folder, as a user has it."""
    return Path(shutil.copy(slide_path, tmp_path / "case.tif"))
