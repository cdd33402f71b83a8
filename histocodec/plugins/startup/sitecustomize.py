"""Runs when a Python below `histocodec run` starts: what reads slides will read containers as soon as it is imported.

Nothing else is imported here, since most processes of a program never touch a slide.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

_AFTER = {
    "openslide": ("histocodec.views.dispatch", "install_from_environment"),
    "tiatoolbox.wsicore.wsireader": ("histocodec.plugins.tiatoolbox", "register"),
}
"""Modules, and what is called when the import of each of them ends: module and function."""


class _Following:
    """Finds these modules as they would be found, and has something follow their execution."""

    def __init__(self) -> None:
        self._finding: set[str] = set()  # by name: two threads may import two of them

    def find_spec(self, name: str, path: object = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Return the spec of one of these modules; None for every other one, which the other finders then find."""
        if name not in _AFTER or name in self._finding:
            return None
        self._finding.add(name)
        try:
            spec = importlib.util.find_spec(name)
        finally:
            self._finding.discard(name)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_and_follow(module: ModuleType) -> None:
                execute(module)
                _follow(name)

            spec.loader.exec_module = execute_and_follow  # type: ignore[method-assign]
        return spec


def _follow(name: str) -> None:
    module, function = _AFTER[name]
    try:
        follow = getattr(import_module(module), function)
    except ModuleNotFoundError as error:
        # OpenSlide alone would read a container at its base's resolution, without a word.
        raise ImportError(
            f"histocodec run: {sys.executable} lacks {error.name}: install histocodec in the environment of the program"
        ) from error
    follow()


def _run_hidden() -> None:
    """Run the sitecustomize that would have run, had this one not been first."""
    here = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120  (pathlib would cost each start 10 ms)
    elsewhere = [place for place in sys.path if os.path.abspath(place) != here]  # noqa: PTH100
    spec = PathFinder.find_spec("sitecustomize", elsewhere)
    if spec is not None and spec.loader is not None:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


if __name__ == "sitecustomize":  # else it is looked at, and not run
    sys.meta_path.insert(0, _Following())
    _run_hidden()
