"""Strict JSON: what is refused as text, and what a field's type and rules say of a value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import pytest

from histocodec.format.strict_json import (
    MAX_ITEMS,
    MAX_PROBLEMS,
    MAX_WHOLE,
    Above,
    JsonError,
    NotANumber,
    OneOf,
    Pattern,
    Range,
    TooDeep,
    check_nesting,
    load_json,
    parsed,
)


@dataclass(frozen=True)
class Inner:
    low: float
    high: float


@dataclass(frozen=True)
class Outer:
    kind: Literal["a", "b"]
    size: Annotated[tuple[int, int], Range(1, 9)] = (1, 1)
    share: Annotated[float, Above(0)] | None = None
    scale: Annotated[int, OneOf(2, 4)] = 2
    name: Annotated[str, Pattern("[a-z]+", "lower case")] = "x"
    inner: Annotated[Inner, Range(-1, 1)] | None = None
    many: tuple[int, ...] = ()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'{"a":1,"b":2,"a":1}', 'every key once in an object, found "a" more than once'),
        (b'[{"' + b"k" * 100 + b'":1,"' + b"k" * 100 + b'":2}]', 'found "' + "k" * 39 + r"\.\.\. more than once"),
        (b"[1,2", "not JSON"),
        (b"\xef\xbb\xbf[]", "not JSON"),
        (b"\xff", "not JSON"),
        (b"9" * 5000, "not JSON"),
        (b" " * 31, "at most 30 bytes"),
    ],
)
def test_what_is_not_strict_json_is_refused(data: bytes, expected: str) -> None:
    with pytest.raises(JsonError, match=expected):
        load_json(data, 30 if data.isspace() else 10_000)


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_constants_have_an_error_of_their_own(constant: str) -> None:
    with pytest.raises(NotANumber, match=f"found {constant}, which is not"):
        load_json(f'{{"a":[{constant}]}}'.encode(), 100)


def test_nesting_is_bounded() -> None:
    with pytest.raises(TooDeep):
        load_json(b"[" * 1_000_000, 1 << 20)
    check_nesting([[{"a": 1}]], 3)
    with pytest.raises(TooDeep, match="nested more than 3 deep"):
        check_nesting([[{"a": []}]], 3)


def test_a_sound_value_becomes_a_dataclass() -> None:
    value = {"kind": "a", "size": [3, 4], "share": 1, "inner": {"low": -1, "high": 1.0, "new": 0}, "many": [1, 2, 3]}
    found, problems = parsed(Outer, value, "root")
    assert (found, problems) == (Outer("a", (3, 4), 1.0, inner=Inner(-1.0, 1.0), many=(1, 2, 3)), [])


def test_every_problem_is_reported_at_its_place() -> None:
    value = {
        "size": [0, 10],
        "share": 0,
        "scale": 3,
        "name": "Ab",
        "inner": {"low": -2, "high": 2},
        "many": [True, 1.0, MAX_WHOLE + 1],
    }
    found, problems = parsed(Outer, value, "root")
    assert found is None
    assert problems == [
        ("kind", "missing"),
        ("size", "expected 1 to 9, found 0"),
        ("size", "expected 1 to 9, found 10"),
        ("share", "expected a number above 0"),
        ("scale", "expected one of 2, 4, found 3"),
        ("name", "expected lower case, found 'Ab'"),
        ("inner", "expected -1 to 1, found -2"),
        ("inner", "expected -1 to 1, found 2"),
        ("many[0]", "expected a whole number of at most 2^53, found bool True"),
        ("many[1]", "expected a whole number of at most 2^53, found float 1.0"),
        ("many[2]", f"expected a whole number of at most 2^53, found int {MAX_WHOLE + 1}"),
    ]


def test_arrays_and_problems_are_bounded() -> None:
    _, problems = parsed(Outer, {"kind": "a", "many": [0] * (MAX_ITEMS + 1)}, "root")
    assert problems == [("many", f"expected at most {MAX_ITEMS} items, found {MAX_ITEMS + 1}")]
    _, problems = parsed(Outer, {"kind": "a", "many": [None] * MAX_ITEMS}, "root")
    assert len(problems) == MAX_PROBLEMS
    assert parsed(Outer, [], "root") == (None, [("root", "expected an object")])
