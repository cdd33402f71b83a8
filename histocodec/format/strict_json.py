"""JSON to frozen dataclasses, with every problem reported: what a file states about itself may be anything."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import re
import types
import typing
from typing import Any, Literal, TypeVar

MAX_ITEMS = 1000
"""Of an array."""
MAX_WHOLE = 1 << 53
"""Beyond it a reader that holds numbers as float64 would see another number."""
MAX_PROBLEMS = 100
"""A value that is wrong in more places is not searched further."""

_HALF_OF_A_PAIR = re.compile("[\ud800-\udfff]")

T = TypeVar("T")
_Problems = list[tuple[str, str]]
"""Place and sentence of each."""


class _TooMany(Exception):
    """MAX_PROBLEMS are found."""


def load_json(data: bytes) -> Any:
    """A JSON value in UTF-8. Raises ValueError, also for NaN, for a key that is there twice and for endless nesting."""
    try:
        return json.loads(data.decode(), parse_constant=_refuse_constant, object_pairs_hook=_unique_keys)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Two readers could take different ones of two equal keys."""
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key appears twice in an object")
    return value


def parsed(cls: type[T], value: Any, root: str) -> tuple[T | None, list[tuple[str, str]]]:
    """`value` as a dataclass of numbers, strings, literals, tuples, dicts of strings and other such classes.

    Unknown keys are ignored; a field with a default may be missing. Returns the value and no problems, or None and a
    (place, sentence) for each; root: the place of `value` itself.
    """
    problems: _Problems = []
    try:
        found = _parse_dataclass(cls, value, "", problems, root)
    except _TooMany:
        found = None
    return (None if problems else found), problems


def _parse(hint: Any, value: Any, place: str, problems: _Problems) -> Any:
    """`value` as the type `hint`; on a mismatch, note the problem and return None."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if dataclasses.is_dataclass(hint):
        return _parse_dataclass(hint, value, place, problems)
    if origin in (types.UnionType, typing.Union):
        if value is None and type(None) in arguments:
            return None
        return _parse(arguments[0], value, place, problems)
    if origin is Literal:
        if value in arguments and isinstance(value, str):
            return value
        return _note(problems, place, f"expected one of {', '.join(map(str, arguments))}")
    if origin is tuple and isinstance(value, list):
        if arguments[-1] is Ellipsis:
            if len(value) > MAX_ITEMS:
                return _note(problems, place, f"expected at most {MAX_ITEMS} items, found {len(value)}")
            return tuple(_parse(arguments[0], v, f"{place}[{i}]", problems) for i, v in enumerate(value))
        if len(value) == len(arguments):
            pairs = zip(arguments, value, strict=True)
            return tuple(_parse(a, v, f"{place}[{i}]", problems) for i, (a, v) in enumerate(pairs))
    elif origin is dict and isinstance(value, dict):
        for key, text in value.items():
            if _HALF_OF_A_PAIR.search(key) or not isinstance(text, str) or _HALF_OF_A_PAIR.search(text):
                _note(problems, f"{place}.{key[:40]!a}", "expected two strings, without half a surrogate pair")
        return value
    elif hint is float and type(value) in (int, float) and abs(value) < 1e300 and math.isfinite(value):
        return float(value)
    elif (hint is int and type(value) is int and abs(value) <= MAX_WHOLE) or (hint is bool and type(value) is bool):
        return value
    elif hint is str and isinstance(value, str):
        if _HALF_OF_A_PAIR.search(value):
            return _note(problems, place, "half of a surrogate pair is not text")
        return value
    return _note(problems, place, f"expected {_name(hint)}, found {type(value).__name__} {ascii(value)[:60]}")


def _note(problems: _Problems, place: str, sentence: str) -> None:
    problems.append((place, sentence))
    if len(problems) == MAX_PROBLEMS:
        raise _TooMany


def _parse_dataclass(hint: Any, value: Any, place: str, problems: _Problems, root: str = "") -> Any:
    if not isinstance(value, dict):
        return _note(problems, place or root, "expected an object")
    found = len(problems)
    hints = _type_hints(hint)
    values: dict[str, Any] = {}
    for item in dataclasses.fields(hint):
        inner = f"{place}.{item.name}" if place else item.name
        if item.name in value:
            values[item.name] = _parse(hints[item.name], value[item.name], inner, problems)
        elif item.default is dataclasses.MISSING:
            _note(problems, inner, "missing")
    return hint(**values) if len(problems) == found else None


_type_hints = functools.cache(typing.get_type_hints)


def _name(hint: Any) -> str:
    names = {int: "a whole number of at most 2^53", float: "a finite number", str: "a string", bool: "true or false"}
    if hint in names:
        return names[hint]
    return "an array" if typing.get_origin(hint) is tuple else "an object"
