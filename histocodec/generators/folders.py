"""Folders of packages that do not ship: where they lie, and what is found in them by its digest."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ..errors import InvalidPackage
from .package import Package

MODELS_VARIABLE = "HISTOCODEC_MODELS"
"""Environment variable that names folders of packages, as PATH names folders of programs."""

BESIDE = "models"
"""Folder beside a container in which its generator may lie."""

SUFFIX = ".safetensors"


def variable_folders() -> tuple[Path, ...]:
    """Return the folders that the environment variable names."""
    return tuple(Path(folder) for folder in os.environ.get(MODELS_VARIABLE, "").split(os.pathsep) if folder)


def folders_of(container: Path | None, models: Path | None = None) -> tuple[Path, ...]:
    """Return the folders where the generator of a container may lie.

    container: None for one that is on no disk. models: one more, which is looked at first.
    """
    beside = [] if container is None else [container.parent / BESIDE]
    return (*([] if models is None else [models]), *variable_folders(), *beside)


def find_in_folders(digest: str, folders: Sequence[Path]) -> Path | None:
    """Return the path of the package of a digest in the first folder that has it; None if there is none."""
    for folder in folders:
        for path in _packages(folder):
            try:
                if Package.read(path).digest == digest:
                    return path
            except (OSError, InvalidPackage):  # whatever it is, it is not the one that is looked for
                continue
    return None


def places(folders: Sequence[Path]) -> str:
    """Return folders as a message names them, with what is wrong with them."""
    named = [f"{folder}{'' if folder.is_dir() else ' (no such folder)'}" for folder in folders]
    return ", ".join(named) or "a folder, since none was named"


def _packages(folder: Path) -> list[Path]:
    """Return the files of a folder that may be packages, the smallest first: one is large, and seldom asked for."""
    return sorted((path for path in folder.glob(f"*{SUFFIX}") if path.is_file()), key=lambda path: path.stat().st_size)
