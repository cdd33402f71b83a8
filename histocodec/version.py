"""The version of this software; the build reads the number from here."""

from __future__ import annotations

import functools
from pathlib import Path

__version__ = "0.1.0"

_SHOWN = 12
"""Digits of a commit's name that tell it from all others."""


def software() -> str:
    """Return name and version, and the commit where it is known: what a file says of the program that wrote it."""
    found = commit()
    return f"histocodec {__version__}{f' (commit {found})' if found else ''}"


@functools.cache
def commit() -> str | None:
    """Return the commit that runs: of the working copy, or of what pip was told to install (PEP 610)."""
    found = _checked_out(Path(__file__).parents[1]) or _installed()
    return found[:_SHOWN] if found else None


def _checked_out(root: Path) -> str | None:
    """Return the commit of a working copy, as git notes it; None where there is none, or it cannot be followed."""
    git = root / ".git"
    try:
        if git.is_file():  # of a linked working tree
            git = root / git.read_text().removeprefix("gitdir:").strip()
        common = git / "commondir"
        shared = git / common.read_text().strip() if common.is_file() else git
        head = (git / "HEAD").read_text().strip()
        if not head.startswith("ref:"):
            return head
        name = head.removeprefix("ref:").strip()
        for folder in (git, shared):
            if (folder / name).is_file():
                return (folder / name).read_text().strip()
        packed = (line.split() for line in (shared / "packed-refs").read_text().splitlines())
        return next((words[0] for words in packed if words[1:] == [name]), None)
    except (OSError, UnicodeDecodeError):
        return None


def _installed() -> str | None:
    """Return the commit that pip noted; None if it was not told one."""
    import json  # takes longer than reading a version should
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        stated = distribution("histocodec").read_text("direct_url.json")
        found = json.loads(stated or "{}").get("vcs_info", {}).get("commit_id")
    except (PackageNotFoundError, ValueError, AttributeError):
        return None
    return found if isinstance(found, str) else None
