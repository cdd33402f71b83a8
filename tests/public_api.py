"""The public names of Python with their signatures, as a list that is committed: a change of it is seen.

`python -m tests.public_api` writes tests/public_api.txt anew; docs/stability.md says what may change.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import textwrap
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import histocodec

LIST = Path(__file__).with_suffix(".txt")


def listed() -> str:
    """The list, a line for each name, member, field and error's parent."""
    names = [name for name in histocodec.__all__ if name != "__version__"]
    return "\n".join(line for name in names for line in _lines(name, getattr(histocodec, name))) + "\n"


def _lines(name: str, thing: Any) -> Iterator[str]:
    if not inspect.isclass(thing):
        yield _function(name, thing)
        return
    parents = [base.__name__ for base in thing.__bases__ if base is not object]
    yield f"class {name}({', '.join(parents)})"
    own = _own(thing)
    if "__init__" in own and not getattr(thing, "_is_protocol", False):
        yield _function("__init__", thing.__init__, "    ")
    fields = {item.name for item in dataclasses.fields(thing)} if dataclasses.is_dataclass(thing) else set()
    yield from (f"    {member}" for member in sorted(_attributes(thing) - fields - own.keys()))
    for member, value in sorted(own.items()):
        if member.startswith("_") or member in fields:
            continue
        if isinstance(value, property):
            kind = inspect.signature(value.fget).return_annotation if value.fget else ""
            yield f"    {member}: {kind}{' = ...' if value.fset else ''}"
        elif isinstance(value, (classmethod, staticmethod)):
            yield _function(member, value.__func__, f"    {type(value).__name__} ")
        elif inspect.isfunction(value):
            yield _function(member, value, "    ")


def _attributes(thing: type) -> set[str]:
    """Names that `__init__` gives values to, that a protocol states, or that a tuple has."""
    found = set(getattr(thing, "_fields", ()))
    for parent in thing.__mro__:
        if parent.__module__.startswith("histocodec"):
            found |= set(inspect.get_annotations(parent))
            for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(parent)))):
                if isinstance(node, ast.FunctionDef) and node.name == "__init__":
                    found |= set(_given_to_self(node))
    return {name for name in found if not name.startswith("_")}


def _given_to_self(function: ast.FunctionDef) -> Iterator[str]:
    for node in ast.walk(function):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and isinstance(node.value, ast.Name):
            yield node.attr


def _own(thing: type) -> dict[str, Any]:
    """What a class has from this package, those of its parents outside left out."""
    found: dict[str, Any] = {}
    for parent in reversed(thing.__mro__):
        if parent.__module__.startswith("histocodec"):
            found |= vars(parent)
    return found


def _function(name: str, function: Any, before: str = "") -> str:
    """A line, or one for each parameter: without quotes round types, and without addresses of defaults."""
    signature = inspect.signature(function)
    result = _Named(signature.return_annotation)
    parameters = [
        p.replace(
            annotation=p.annotation if p.annotation is p.empty else _Named(p.annotation),
            default=_Named(p.default.__name__) if isinstance(p.default, types.FunctionType) else p.default,
        )
        for p in signature.parameters.values()
    ]
    line = f"{before}def {name}{signature.replace(parameters=parameters, return_annotation=result)}"
    if len(line) <= 120:
        return line
    margin = " " * (len(before) - len(before.lstrip()) + 8)
    shown = [f"{p.kind.description if p.kind is p.KEYWORD_ONLY else ''} {p}".strip() for p in parameters]
    return "\n".join([f"{before}def {name}", *(margin + line for line in [*shown, f"-> {result}"])])


class _Named:
    """Prints as its text, without quotes."""

    def __init__(self, text: object) -> None:
        self._text = str(text)

    def __repr__(self) -> str:
        return self._text


if __name__ == "__main__":
    LIST.write_text(listed(), "utf-8")
