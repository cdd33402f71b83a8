"""Modules that take libraries of an extra, imported when they are first needed."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from ..errors import SettingsError

EXTRA = "histocodec[export]"
"""What to install for formats that take more libraries."""


def imported(module: str, purpose: str) -> ModuleType:
    """Import a module of this package. Raises SettingsError, which names the extra, if a library is missing.

    purpose: what takes the library, as the beginning of a sentence.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        if library == "histocodec":
            raise
        raise SettingsError(f"{purpose} takes {library}, which is not installed: pip install '{EXTRA}'") from error
