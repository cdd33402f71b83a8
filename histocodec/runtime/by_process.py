"""Values that each process makes for itself, since threads and locks do not survive a fork."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class ByProcess(Generic[T]):
    """A value that is made when a process first asks for it.

    That of a parent is kept but not used: to destroy it could mean to wait for threads that the child lacks.

    Examples:
        >>> tiles = ByProcess(list)
        >>> tiles().append("base")
        >>> tiles()
        ['base']
    """

    def __init__(self, make: Callable[[], T]) -> None:
        """Take what makes the value; of several that threads make at once, one is kept."""
        self._make = make
        self._values: dict[int, T] = {}

    def __call__(self) -> T:
        """Return the value of this process."""
        process = os.getpid()
        if process not in self._values:
            self._values.setdefault(process, self._make())
        return self._values[process]
