"""`import histocodec`: exact, documented, and without what only some of it needs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import histocodec
from histocodec import version


def test_all_is_sorted_and_each_name_is_documented() -> None:
    assert histocodec.__all__ == sorted(histocodec.__all__)
    for name in histocodec.__all__:
        assert getattr(histocodec, name).__doc__ or name == "__version__"


def test_importing_loads_nothing_else() -> None:
    code = (
        "import sys; before = set(sys.modules); import histocodec; "
        "new = {name.partition('.')[0] for name in set(sys.modules) - before}; "
        "sys.exit(str(new - {'histocodec'} - set(sys.stdlib_module_names) or ''))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.stderr.strip() == ""


def test_every_public_name_has_one_place() -> None:
    placed = [name for names in histocodec._PLACES.values() for name in names]
    assert sorted([*placed, "__version__"]) == histocodec.__all__
    assert set(histocodec.__all__) <= set(dir(histocodec))


def test_rooms_can_be_reached_and_other_names_are_refused() -> None:
    code = "import histocodec; assert issubclass(histocodec.errors.BudgetError, histocodec.HistocodecError)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        histocodec.nothing  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.parametrize("layout", ["loose", "packed", "detached", "linked"])
def test_the_commit_of_a_working_copy(layout: str, tmp_path: Path) -> None:
    git, commit = tmp_path / ".git", "0123456789abcdef" * 2 + "01234567"
    if layout == "linked":  # as `git worktree` makes it
        git, shared = tmp_path / "main/.git/worktrees/copy", tmp_path / "main/.git"
        git.mkdir(parents=True)
        (tmp_path / ".git").write_text(f"gitdir: {git}\n")
        (git / "commondir").write_text("../..\n")
    else:
        shared = git
        git.mkdir()
    (git / "HEAD").write_text(f"{commit}\n" if layout == "detached" else "ref: refs/heads/a\n")
    if layout == "packed":
        (git / "packed-refs").write_text(f"# pack-refs\n{'f' * 40} refs/heads/aa\n{commit} refs/heads/a\n")
    elif layout != "detached":
        (shared / "refs/heads").mkdir(parents=True)
        (shared / "refs/heads/a").write_text(f"{commit}\n")
    assert version._checked_out(tmp_path) == commit


def test_no_commit_where_there_is_no_working_copy(tmp_path: Path) -> None:
    assert version._checked_out(tmp_path) is None
    (tmp_path / ".git").write_text("gitdir: nowhere")
    assert version._checked_out(tmp_path) is None
    assert version.software().startswith(f"histocodec {histocodec.__version__}")
