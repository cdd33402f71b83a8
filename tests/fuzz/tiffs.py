"""Any little-endian TIFF or BigTIFF as directories and pieces, to be changed and written anew with sound offsets."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from tests.fuzz.codestreams import changed_stream
from tests.fuzz.mutation import Random, changed_bytes, changed_list, number_near

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_CODES = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
_PLACES = ((324, 325), (273, 279))
_SUBIFDS, _TABLES, _DESCRIPTION = 330, 347, 270
_TAGS = (
    254,
    256,
    257,
    258,
    259,
    262,
    266,
    269,
    274,
    277,
    278,
    282,
    284,
    296,
    317,
    322,
    323,
    330,
    338,
    339,
    347,
    530,
    532,
)


@dataclass
class Page:
    """A directory."""

    tags: dict[int, tuple[int, bytes]]
    """Tag -> type and value, but for places and lengths of tiles or strips."""
    pieces: list[bytes]
    pages: list[Page] = field(default_factory=list)
    """SubIFDs."""

    def number(self, tag: int) -> int:
        """The first number of a tag; 0 without it."""
        kind, value = self.tags.get(tag, (1, b""))
        return int.from_bytes(value[: _SIZES.get(kind, 1)], "little")


def pages_of(data: bytes) -> list[Page]:
    """Take a TIFF apart. Raises struct.error, ValueError or KeyError for what is none, or is not sound."""
    if data[:4] not in (b"II*\0", b"II+\0"):
        raise ValueError("no little-endian TIFF")
    big = data[2] == 43
    (offset,) = struct.unpack_from("<Q", data, 8) if big else struct.unpack_from("<I", data, 4)
    found = list[Page]()
    while offset and len(found) < 100:
        page, offset = _page(data, offset, big, 0)
        found.append(page)
    return found


def _page(data: bytes, offset: int, big: bool, depth: int) -> tuple[Page, int]:
    head, step, inline = ("Q", 20, 8) if big else ("H", 12, 4)
    (count,) = struct.unpack_from(f"<{head}", data, offset)
    start = offset + struct.calcsize(f"<{head}")
    if count > 200 or depth > 3:
        raise ValueError("no directory")
    tags = {}
    for number in range(count):
        at = start + step * number
        tag, kind, values = struct.unpack_from("<HHQ" if big else "<HHI", data, at)
        size = values * _SIZES[kind]
        place = at + step - inline
        if size > inline:
            (place,) = struct.unpack_from("<Q" if big else "<I", data, place)
        tags[tag] = kind, data[place : place + size]
    pieces: list[bytes] = []
    for offsets, lengths in _PLACES:
        if offsets in tags and lengths in tags:
            pairs = zip(_numbers(tags.pop(offsets)), _numbers(tags.pop(lengths)), strict=False)
            pieces = [data[place : place + length] for place, length in pairs]
    inner = [_page(data, place, big, depth + 1)[0] for place in _numbers(tags.pop(_SUBIFDS, (4, b"")))]
    (following,) = struct.unpack_from("<Q" if big else "<I", data, start + step * count)
    return Page(tags, pieces, inner), following


def _numbers(value: tuple[int, bytes]) -> tuple[int, ...]:
    kind, data = value
    code = _CODES[kind]
    return struct.unpack(f"<{len(data) // struct.calcsize(code)}{code}", data)


def written(pages: list[Page], big: bool) -> bytes:
    """Put a TIFF together."""
    word, head = ("Q", "Q") if big else ("I", "H")
    inline = struct.calcsize(word)
    out = bytearray(16 if big else 8)

    def place(value: bytes) -> int:
        out.extend(b"\0" * (len(out) % 2))
        out.extend(value)
        return len(out) - len(value)

    def write(page: Page) -> int:
        tags = dict(page.tags)
        offsets, lengths = _PLACES[0] if 322 in tags else _PLACES[1]
        if page.pieces:
            places = [place(piece) if piece else 0 for piece in page.pieces]
            tags[offsets] = 16 if big else 4, struct.pack(f"<{len(places)}{word}", *places)
            tags[lengths] = 4, struct.pack(f"<{len(places)}I", *map(len, page.pieces))
        if page.pages:
            inner = [write(other) for other in page.pages]
            tags[_SUBIFDS] = 18 if big else 13, struct.pack(f"<{len(inner)}{word}", *inner)
        body = struct.pack(f"<{head}", len(tags))
        for tag in sorted(tags):
            kind, value = tags[tag]
            count = len(value) // _SIZES.get(kind, 1)
            stored = value.ljust(inline, b"\0") if len(value) <= inline else struct.pack(f"<{word}", place(value))
            body += struct.pack(f"<HH{word}", tag, kind, count) + stored
        return place(body + bytes(inline))

    starts = [write(page) for page in pages]
    for page, start, following in zip(pages, starts, [*starts[1:], 0], strict=True):
        del page
        (count,) = struct.unpack_from(f"<{head}", out, start)
        at = start + struct.calcsize(f"<{head}") + (20 if big else 12) * count
        struct.pack_into(f"<{word}", out, at, following)
    first = starts[0] if starts else 0
    if big:
        out[:16] = b"II+\0\x08\0\0\0" + struct.pack("<Q", first)
    else:
        out[:8] = b"II*\0" + struct.pack("<I", first)
    return bytes(out)


def changed_tiff(rng: Random, data: bytes) -> bytes:
    """Return another TIFF: tags, tiles or strips, texts, directories."""
    pages = pages_of(data)
    every = [page for outer in pages for page in (outer, *outer.pages)]
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        page = rng.choice(every)
        match rng.randrange(11):
            case 0 | 1 | 2 if page.pieces:
                at = rng.randrange(len(page.pieces))
                page.pieces[at] = changed_stream(rng, page.pieces[at])
            case 3:
                changed_list(rng, page.pieces, lambda one: rng.choice((b"", one[:7], one * 2)))
            case 4 | 5:
                tag = rng.choice([tag for tag in page.tags if tag in _TAGS] or list(page.tags))
                number = number_near(rng, page.number(tag), 32)
                kind = 3 if number < 65536 and rng.random() < 0.7 else 4
                page.tags[tag] = kind, number.to_bytes(_SIZES[kind], "little")
            case 6:
                tag = rng.choice(list(page.tags))
                kind, value = page.tags[tag]
                page.tags[tag] = kind, changed_bytes(rng, value)
            case 7:
                tag = rng.choice(list(page.tags))
                page.tags[tag] = rng.choice(list(_SIZES)), page.tags[tag][1]
            case 8:
                if rng.random() < 0.5:
                    page.tags.pop(rng.choice(list(page.tags)))
                else:
                    page.tags[rng.choice(_TAGS)] = rng.choice(list(page.tags.values()))
            case 9:
                changed_list(rng, rng.choice((pages, page.pages)), lambda one: Page(dict(one.tags), [], []))
            case _:
                if _TABLES in page.tags:
                    page.tags[_TABLES] = 7, changed_stream(rng, page.tags[_TABLES][1])
                elif _DESCRIPTION in page.tags:
                    page.tags[_DESCRIPTION] = 2, changed_bytes(rng, page.tags[_DESCRIPTION][1])
    out = written(pages, data[2] == 43)
    if rng.random() < 0.1:  # and a lie in the directories themselves
        at = rng.randrange(len(out))
        out = out[:at] + bytes([rng.randrange(256)]) + out[at + 1 :]
    return out
