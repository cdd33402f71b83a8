"""Strict JSON: text to values, and values to frozen dataclasses, whatever a file states about itself.

A field says itself what it may hold, as `halo: Annotated[int, Range(0, 64)]`; `parsed` reads that, and reports every
problem.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import re
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Protocol, TypeVar

MAX_ITEMS = 1000
"""Items that an array may have in `parsed`."""

MAX_WHOLE = 1 << 53
"""Largest whole number in `parsed`: beyond it a reader that holds numbers as float64 would see another one."""

MAX_PROBLEMS = 100
"""Problems after which `parsed` searches no further."""

MAX_SHOWN = 40
"""Characters of a value that a message repeats."""

_HALF_OF_A_PAIR = re.compile("[\ud800-\udfff]")
_EXPECTED = {int: "a whole number of at most 2^53", float: "a finite number", str: "a string", bool: "true or false"}

T = TypeVar("T")
_Problems = list[tuple[str, str]]
"""Place and sentence of each problem."""


# ------------------------------------------------------------------------------------------------- text to value


class JsonError(ValueError):
    """A text is not strict JSON."""


class TooDeep(JsonError):
    """Arrays and objects are nested too deeply."""


class NotANumber(JsonError):
    """A text has NaN or an infinity, which JSON has not."""


def load_json(data: bytes, max_bytes: int) -> Any:
    """Return the value of a JSON text (RFC 8259) in UTF-8, read strictly: no key twice in an object, no NaN.

    Two readers could take different ones of two equal keys. Raises JsonError, also for more than `max_bytes`.

    Examples:
        >>> load_json(b'{"ratio": 16, "ratio": 24}', max_bytes=100)
        Traceback (most recent call last):
            ...
        histocodec.format.strict_json.JsonError: expected every key once in an object, found "ratio" more than once
    """
    if len(data) > max_bytes:
        raise JsonError(f"expected at most {max_bytes} bytes, found more")
    try:
        return json.loads(data.decode(), object_pairs_hook=_unique_keys, parse_constant=_refuse_constant)
    except JsonError:
        raise
    except RecursionError:
        raise TooDeep("arrays and objects are nested too deeply") from None
    except ValueError as error:  # also for numbers of too many digits
        raise JsonError(f"this is not JSON: {error}") from error


def check_nesting(value: Any, limit: int) -> None:
    """Raise TooDeep if arrays and objects are nested more than `limit` deep, before anything recurses into them."""
    level = [value]
    for _ in range(limit):
        level = [inner for outer in level for inner in _inner(outer)]
        if not level:
            return
    raise TooDeep(f"arrays and objects are nested more than {limit} deep")


def shortened(value: object) -> str:
    """Return a number, truth value or text as JSON has it, which makes it harmless, and short."""
    text = json.dumps(value)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for key, value in pairs:
        if key in members:
            raise JsonError(f"expected every key once in an object, found {shortened(key)} more than once")
        members[key] = value
    return members


def _refuse_constant(name: str) -> float:
    raise NotANumber(f"expected JSON, found {name}, which is not")


def _inner(value: Any) -> list[Any]:
    """Return the arrays and objects in an array or object."""
    values = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [inner for inner in values if isinstance(inner, dict | list)]


# ------------------------------------------------------------------------------------------- what a field may hold


class Rule(Protocol):
    """A limit on the values of a field, given as metadata of its type."""

    def problems(self, value: Any) -> Iterator[str]:
        """Yield a sentence for each way in which a value of the field's type breaks the rule."""


@dataclass(frozen=True, slots=True)
class Range:
    """Limits of a number, or of every number in a tuple or a dataclass; both are allowed."""

    low: float
    high: float

    def problems(self, value: Any) -> Iterator[str]:
        """Yield a sentence for each way in which a value breaks the rule."""
        for number in _numbers(value):
            if not self.low <= number <= self.high:
                yield f"expected {self.low:.12g} to {self.high:.12g}, found {number:.12g}"


@dataclass(frozen=True, slots=True)
class Above:
    """A limit that a number must exceed."""

    low: float

    def problems(self, value: Any) -> Iterator[str]:
        """Yield a sentence for each way in which a value breaks the rule."""
        if value <= self.low:
            yield f"expected a number above {self.low:g}"


class OneOf:
    """The whole numbers that a field may hold."""

    def __init__(self, *allowed: int) -> None:
        self.allowed = allowed

    def problems(self, value: Any) -> Iterator[str]:
        """Yield a sentence for each way in which a value breaks the rule."""
        if value not in self.allowed:
            yield f"expected one of {', '.join(map(str, self.allowed))}, found {value:.12g}"


@dataclass(frozen=True, slots=True)
class Pattern:
    """The form that a text must have from beginning to end, as a regular expression and in words."""

    form: str
    words: str

    def problems(self, value: Any) -> Iterator[str]:
        """Yield a sentence for each way in which a value breaks the rule."""
        if not re.fullmatch(self.form, value):
            yield f"expected {self.words}, found {value[:80]!a}"


def _numbers(value: Any) -> Iterator[float]:
    """Yield the numbers in a number, a tuple or a dataclass."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = dataclasses.astuple(value)
    if isinstance(value, tuple):
        for part in value:
            yield from _numbers(part)
    else:
        yield value


# --------------------------------------------------------------------------------------------- value to dataclass


class _TooMany(Exception):
    """MAX_PROBLEMS are found."""


def parsed(cls: type[T], value: Any, root: str) -> tuple[T | None, list[tuple[str, str]]]:
    """Return `value` as a dataclass of numbers, strings, literals, tuples, dicts of strings and other such classes.

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
    """Return `value` as the type `hint`; on a mismatch, note the problem and return None."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if dataclasses.is_dataclass(hint):
        return _parse_dataclass(hint, value, place, problems)
    if origin is Annotated:
        return _parse_ruled(arguments[0], arguments[1:], value, place, problems)
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
            arguments = (arguments[0],) * len(value)
        if len(value) == len(arguments):
            pairs = zip(arguments, value, strict=True)
            return tuple(_parse(inner, item, f"{place}[{i}]", problems) for i, (inner, item) in enumerate(pairs))
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
    expected = _EXPECTED.get(hint, "an array" if origin is tuple else "an object")
    return _note(problems, place, f"expected {expected}, found {type(value).__name__} {ascii(value)[:60]}")


def _parse_ruled(hint: Any, rules: tuple[Rule, ...], value: Any, place: str, problems: _Problems) -> Any:
    before = len(problems)
    found = _parse(hint, value, place, problems)
    if len(problems) == before:
        for rule in rules:
            for sentence in rule.problems(found):
                _note(problems, place, sentence)
    return found


def _parse_dataclass(hint: Any, value: Any, place: str, problems: _Problems, root: str = "") -> Any:
    if not isinstance(value, dict):
        return _note(problems, place or root, "expected an object")
    before = len(problems)
    hints = _type_hints(hint)
    values: dict[str, Any] = {}
    for item in dataclasses.fields(hint):
        inner = f"{place}.{item.name}" if place else item.name
        if item.name in value:
            values[item.name] = _parse(hints[item.name], value[item.name], inner, problems)
        elif item.default is dataclasses.MISSING:
            _note(problems, inner, "missing")
    return hint(**values) if len(problems) == before else None


def _note(problems: _Problems, place: str, sentence: str) -> None:
    problems.append((place, sentence))
    if len(problems) == MAX_PROBLEMS:
        raise _TooMany


@functools.cache
def _type_hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls, include_extras=True)
