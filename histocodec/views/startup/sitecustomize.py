"""Runs when a Python below `histocodec run` starts: OpenSlide will read containers as soon as it is imported.

Nothing else is imported here, since most processes of a program never touch OpenSlide.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType


class _BeforeOpenSlide:
    """Finds openslide once, and has its import end with the dispatch of containers."""

    def find_spec(self, name: str, path: object = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Return openslide's spec, with what follows its execution; None for every other module."""
        if name != "openslide":
            return None
        sys.meta_path.remove(self)  # type: ignore[arg-type]
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_and_install(module: ModuleType) -> None:
                execute(module)
                _install()

            spec.loader.exec_module = execute_and_install  # type: ignore[method-assign]
        return spec


def _install() -> None:
    try:
        from histocodec.views.dispatch import install_from_environment
    except ModuleNotFoundError as error:
        # OpenSlide alone would read a container at its base's resolution, without a word.
        raise ImportError(
            f"histocodec run: {sys.executable} lacks {error.name}: install histocodec in the environment of the program"
        ) from error
    install_from_environment()


def _run_hidden() -> None:
    """Run the sitecustomize that would have run, had this one not been first."""
    here = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120  (pathlib would cost each start 10 ms)
    elsewhere = [place for place in sys.path if os.path.abspath(place) != here]  # noqa: PTH100
    spec = PathFinder.find_spec("sitecustomize", elsewhere)
    if spec is not None and spec.loader is not None:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


if __name__ == "sitecustomize":  # else a test imports it
    sys.meta_path.insert(0, _BeforeOpenSlide())  # type: ignore[arg-type]
    _run_hidden()
