"""Follows the directories of a TIFF before any library does: a loop would never let it go."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple

from ..errors import UnreadableSource

MAX_DIRECTORIES = 2000
"""Most directories of a file: more than a slide has, with every level of every focal plane. tifffile takes a second
for so many."""

_MAX_ENTRIES = 4096
_SUBIFDS, _NDPI_FORMAT = 330, 65420
_CODES = {3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
"""Codes of `struct` for the types that an offset can have: SHORT, LONG, IFD, LONG8, IFD8."""


class _Entry(NamedTuple):
    """One tag of a directory."""

    tag: int
    kind: int
    number: int
    value: bytes
    """Bytes of the value itself if it fits, else of its offset."""


@dataclass(frozen=True, slots=True)
class _Layout:
    """The sizes of numbers in one kind of TIFF, as codes of `struct`."""

    order: str
    """Byte order, `<` or `>`."""
    count: str
    """Code of the number of entries in a directory."""
    word: str
    """Code of what an entry holds: a count, a value, an offset."""
    offset: str
    """Code of the pointer to the next directory. NDPI widens it, and nothing else, to 64 bits."""

    def size(self, code: str) -> int:
        """Return the bytes that so many numbers take."""
        return struct.calcsize(self.order + code)


def is_tiff(path: Path) -> bool:
    """Tell whether a file begins as a TIFF or BigTIFF."""
    with path.open("rb") as file:
        return file.read(4) in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def check_directories(path: Path) -> None:
    """Raise UnreadableSource if the directories of a TIFF form a loop, also through SubIFDs, or are beyond counting.

    Directories that cannot be read end their chain here: whoever reads the file says what is wrong with it. A directory
    that two others point to, without a loop, is harmless.
    """
    with path.open("rb") as file:
        layout, first = _opened(file)
        # Depth first: (offset, what it points to and was not followed yet), from the first directory down.
        pending = [(0, iter([first]))]
        above, seen = {0}, {0}
        while pending:
            offset, targets = pending[-1]
            target = next(targets, None)
            if target is None:
                pending.pop()
                above.discard(offset)
            elif target in above and target != 0:
                raise UnreadableSource(
                    path,
                    f"damaged: expected directories one after the other, found a loop: the one at byte {offset} leads "
                    f"back to the one at byte {target}",
                )
            elif target not in seen:
                seen.add(target)
                if len(seen) > MAX_DIRECTORIES + 1:
                    raise UnreadableSource(
                        path, f"expected at most {MAX_DIRECTORIES} directories (pages), found more than any slide has"
                    )
                above.add(target)
                pending.append((target, _targets(file, layout, target)))


def _opened(file: IO[bytes]) -> tuple[_Layout, int]:
    """Return the layout, and the offset of the first directory; 0 if there is none."""
    head = file.read(16).ljust(16, b"\0")
    order = "<" if head[:2] == b"II" else ">"
    if head[2:4] in (b"+\0", b"\0+"):
        return _Layout(order, "Q", "Q", "Q"), struct.unpack_from(order + "Q", head, 8)[0]
    classic, ndpi = _Layout(order, "H", "I", "I"), _Layout(order, "H", "I", "Q")
    (wide,) = struct.unpack_from("<Q", head, 4)
    if order == "<" and any(entry.tag == _NDPI_FORMAT for entry in _entries(file, ndpi, wide) or ()):
        return ndpi, wide
    return classic, struct.unpack_from(order + "I", head, 4)[0]


def _entries(file: IO[bytes], layout: _Layout, offset: int) -> list[_Entry] | None:
    """Read the entries of a directory, and leave the file behind them; None if there is no directory."""
    size = layout.size(f"HH{layout.word}{layout.word}")
    try:
        file.seek(offset)
        (count,) = struct.unpack(layout.order + layout.count, file.read(layout.size(layout.count)))
    except (OSError, OverflowError, ValueError, struct.error):
        return None
    data = file.read(count * size) if count <= _MAX_ENTRIES else b""
    if len(data) < count * size:
        return None
    fields = struct.Struct(f"{layout.order}HH{layout.word}{layout.size(layout.word)}s")
    return [_Entry(*values) for values in fields.iter_unpack(data)]


def _targets(file: IO[bytes], layout: _Layout, offset: int) -> Iterator[int]:
    """Yield the offsets of the directories that one points to: its SubIFDs, then the next one. 0 stands for none."""
    entries = _entries(file, layout, offset)
    if entries is None:
        return
    following = file.read(layout.size(layout.offset))
    for entry in entries:
        if entry.tag == _SUBIFDS and entry.kind in _CODES:
            yield from _numbers(file, layout, entry)
    if len(following) == layout.size(layout.offset):
        yield from struct.unpack(layout.order + layout.offset, following)


def _numbers(file: IO[bytes], layout: _Layout, entry: _Entry) -> tuple[int, ...]:
    """Return the numbers of an entry, as far as the file holds them, and at most one more than may be followed."""
    code = struct.Struct(layout.order + _CODES[entry.kind])
    data = entry.value
    if entry.number * code.size > len(data):
        try:
            file.seek(struct.unpack(layout.order + layout.word, data)[0])
        except (OSError, OverflowError, ValueError):
            return ()
        data = file.read(min(entry.number, MAX_DIRECTORIES + 1) * code.size)
    data = data[: entry.number * code.size]
    return tuple(number for (number,) in code.iter_unpack(data[: len(data) // code.size * code.size]))
