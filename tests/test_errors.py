"""The exception tree: as its docstring draws it, and the same in another process."""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterator

import pytest

from histocodec import errors
from histocodec.errors import HistocodecError


def tree(kind: type[HistocodecError]) -> Iterator[type[HistocodecError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from tree(child)


PUBLIC = [kind for kind in tree(HistocodecError) if kind.__module__ == errors.__name__ and kind.__name__[0] != "_"]


def drawn() -> dict[str, str]:
    """Name of a class -> that of its parent, as the docstring draws them."""
    parents: dict[str, str] = {}
    above: dict[int, str] = {}
    for line in (errors.__doc__ or "").splitlines():
        if found := re.match(r"    ([│ ├└─]*)([A-Z]\w+)", line):
            depth, name = len(found[1]) // 4, found[2]
            above[depth] = name
            if depth:
                parents[name] = above[depth - 1]
    return parents


def test_the_tree_is_as_drawn() -> None:
    parents = drawn()
    assert set(parents) == {kind.__name__ for kind in PUBLIC} - {"HistocodecError"}
    for kind in PUBLIC[1:]:
        assert parents[kind.__name__] in {base.__name__ for base in kind.__mro__[1:]}


@pytest.mark.parametrize("kind", PUBLIC)
def test_an_error_is_the_same_in_another_process(kind: type[HistocodecError]) -> None:
    error = kind.__new__(kind)
    error.args = ("what was expected, and what was found",)
    error.__dict__.update(path="slide.tif", reason="cut off", needed_bytes=7)
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert (again.args, again.__dict__) == (error.args, error.__dict__)
