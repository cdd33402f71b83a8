"""Random changes to bytes, numbers and JSON: the grain of every harness, which knows where to put them."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

Random = random.Random

NUMBERS: tuple[int, ...] = (
    *(0, 1, 2, 3, 4, 7, 8, 15, 16, 17, 31, 32, 63, 64, 65, 127, 128, 255, 256, 511, 512, 1023, 1024, 4096, 32767),
    *(32768, 65535, 65536, 1 << 20, 1 << 24, (1 << 26) + 1, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 32),
    *(1 << 53, (1 << 63) - 1, 1 << 63, (1 << 64) - 8, (1 << 64) - 1),
)
"""Whole numbers at which code turns: limits of types, of the format, and of what memory holds."""

TEXTS: tuple[str, ...] = (
    *("", " ", "\0", "\n", "../../etc/passwd", "con", "a" * 300, "µ", "\u202e", "\ud800", "<script>", "%s%n"),
    *("{0.__class__}", "NaN", "1e400", "-0", "0x10", "١", "|", "MPP = 1", "sha256:" + "0" * 64, "thumbnail"),
    *("\x1b[31m", "\U0001f52c"),
)
"""Texts at which code turns: of other systems, other languages and other formats."""


def number_near(rng: Random, value: int, bits: int = 64) -> int:
    """Return another number of so many bits: beside the one that stands there, a multiple of it, or a turning point."""
    way = rng.randrange(5)
    if way == 0:
        value += rng.choice((-1, 1, -8, 8, -value, value))
    elif way == 1:
        value ^= 1 << rng.randrange(bits)
    elif way == 2:
        value = rng.getrandbits(rng.choice((3, 8, bits)))
    else:
        value = rng.choice(NUMBERS) - rng.choice((0, 0, 0, 1))
    return value & ((1 << bits) - 1)


def changed_bytes(rng: Random, data: bytes, pool: tuple[bytes, ...] = ()) -> bytes:
    """Return other bytes: one to four changes, most of them small. pool: what others are spliced from."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 2, 4))):
        at = rng.randrange(len(out)) if out else 0
        span = rng.choice((1, 1, 2, 4, 8, 32, 200))
        match rng.randrange(10):
            case 0 | 1 if out:
                out[at] ^= 1 << rng.randrange(8)
            case 2 if out:
                out[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFE, 0xFF, rng.randrange(256)))
            case 3:
                size = rng.choice((2, 4, 8))
                old = int.from_bytes(out[at : at + size], rng.choice(("little", "big")))
                order: Any = rng.choice(("little", "big"))
                out[at : at + size] = number_near(rng, old, 8 * size).to_bytes(size, order)
            case 4:
                del out[at : at + span]
            case 5:
                out[at:at] = rng.randbytes(span)
            case 6:
                other = rng.choice(pool) if pool else bytes(out)
                start = rng.randrange(len(other)) if other else 0
                out[at : at + rng.choice((0, span))] = other[start : start + span]
            case 7:
                out[at : at + span] = rng.choice((b"\0", b"\xff")) * span
            case 8:
                out[at:at] = out[at : at + span] * rng.choice((1, 2, 40))
            case _ if rng.random() < 0.3:
                del out[at:]
    return bytes(out)


def changed_list(rng: Random, items: list[Any], change: Callable[[Any], Any]) -> None:
    """Change a list in place: an item, their order or their number."""
    match rng.randrange(8):
        case 0 if items:
            del items[rng.randrange(len(items))]
        case 1 if items:
            items.insert(rng.randrange(len(items) + 1), rng.choice(items))
        case 2 if len(items) > 1:
            i, j = rng.sample(range(len(items)), 2)
            items[i], items[j] = items[j], items[i]
        case 3 if items:
            items[:] = items * rng.choice((2, 3, 70))
        case _ if items:
            at = rng.randrange(len(items))
            items[at] = change(items[at])


# --------------------------------------------------------------------------------------------------------------- JSON


def changed_json(rng: Random, value: Any) -> Any:
    """Return JSON with one to three of its values changed, by kind or by size; `value` itself is changed."""
    root = [value]
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        root = root or [None]
        places = list(_places(root))
        holder, key = rng.choice(places)
        _change_place(rng, holder, key, places)
    return root[0] if root else None


def _places(value: Any) -> Any:
    """Yield (holder, key) of all values in arrays and objects, the outermost first."""
    pending = [value]
    for holder in pending:
        for key in holder if isinstance(holder, dict) else range(len(holder)):
            yield holder, key
            if isinstance(holder[key], dict | list):
                pending.append(holder[key])


def _change_place(rng: Random, holder: Any, key: Any, places: list[tuple[Any, Any]]) -> None:
    try:
        old = holder[key]
    except (KeyError, IndexError):  # an earlier change took it
        return
    match rng.randrange(12):
        case 0:
            del holder[key]
        case 1 if isinstance(holder, dict):
            holder[rng.choice((*TEXTS, key + "_", key.upper()))] = old
        case 2:
            other, place = rng.choice(places)
            try:
                found = other[place]
            except (KeyError, IndexError):
                return
            # A whole that is put into a part of itself would have no end.
            holder[key] = found if not isinstance(found, dict | list) else _copied(found)
        case 3:
            holder[key] = rng.choice((None, True, False, [], {}, "", [[]], {"": None}, [None] * 1001))
        case 4:
            holder[key] = nested(rng)
        case 5 if isinstance(old, list) and old:
            changed_list(rng, old, lambda item: other_scalar(rng, item))
        case _:
            holder[key] = other_scalar(rng, old)


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copied(inner) for key, inner in value.items()}
    return [_copied(inner) for inner in value] if isinstance(value, list) else value


def nested(rng: Random) -> Any:
    """Return arrays or objects within each other, a few or very many."""
    value: Any = rng.choice((0, None, "x"))
    for _ in range(rng.choice((3, 9, 65, 70, 200, 400))):
        value = [value] if rng.random() < 0.7 else {"geometries": value}
    return value


def other_scalar(rng: Random, old: Any) -> Any:
    """Return a value that a number, text or anything else might have been."""
    if isinstance(old, bool) or old is None:
        return rng.choice((True, False, None, 0, 1, "true"))
    if isinstance(old, int):
        if rng.random() < 0.15:
            return rng.choice((float(old % (1 << 60)), str(old)[:40], [old], 1e308, -1e-308, 10**400, 0.5))
        sign = -1 if rng.random() < 0.2 else 1
        return sign * number_near(rng, abs(old))
    if isinstance(old, float):
        return rng.choice(
            (
                old * rng.choice((0.5, 2, -1, 1e6, 1e-9)),
                0.0,
                -0.0,
                5e-324,
                1e299,
                1e301,
                1e308,
                old + 1,
                int(old) if math.isfinite(old) else 0,
                float("nan"),
                float("inf"),
            )
        )
    if isinstance(old, str):
        return rng.choice(
            (
                rng.choice(TEXTS),
                old + rng.choice(TEXTS),
                old[:-1],
                old.upper(),
                old[::-1],
                old * 3,
                old.replace("a", "b"),
            )
        )
    return rng.choice((*NUMBERS, *TEXTS, None, [], {}))
