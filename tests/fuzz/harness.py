"""What a harness is: inputs to begin with, how one becomes another, and what must hold when one is read."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from typing import Protocol

from histocodec.errors import HistocodecError

GIVING_UP = re.compile(r"memory|\b[mc]?alloc(?:ate|ation)?\b", re.IGNORECASE)
"""What libraries say when they asked for memory and got none: the input asked, and elsewhere would have got it."""
FORESEEN = re.compile("requires too much memory|to be held in memory|0 elements of", re.IGNORECASE)
"""What is said of a header that would need more than a limit: nothing was asked for."""


class Wrong(AssertionError):
    """Something that must hold does not: pixels that changed without an error, or two readers that disagree."""


class Harness(Protocol):
    """One kind of input. What it needs is made when it is built, in the process that runs it."""

    name: str

    def seeds(self) -> list[bytes]:
        """Return sound inputs: `run` is given each of them before any other."""

    def changed(self, rng: random.Random, data: bytes, pool: tuple[bytes, ...]) -> bytes:
        """Return another input. data: one of the seeds, or what came of one. pool: some of the others."""

    def run(self, data: bytes) -> str:
        """Read an input; return in a few words what became of it. Whatever is raised is a fault."""


def said(error: BaseException) -> str:
    """Return what an error says, but for its numbers and names. Raises Wrong if memory was asked for in vain.

    Errors that histocodec raises on purpose are what a hostile input should meet: everything else is raised again.
    """
    for cause in _causes(error):
        if isinstance(cause, MemoryError) or (GIVING_UP.search(str(cause)) and not FORESEEN.search(str(cause))):
            raise Wrong(f"memory was asked for that there is not: {cause!r:.200}") from error
    if not isinstance(error, HistocodecError):
        raise error
    code = getattr(error, "code", "")
    return f"{type(error).__name__} {code} {shape_of(str(getattr(error, 'reason', error)))}"


def shape_of(sentence: str) -> str:
    """Return a sentence without what differs from input to input."""
    sentence = re.sub(r"'[^']*'|\"[^\"]*\"|\[[^\]]*\]", "_", sentence)
    return re.sub(r"-?\d[\d.e+]*|0x[0-9a-f]+", "0", sentence)[:90]


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what it came of."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__
