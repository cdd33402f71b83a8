"""JPEG 2000 codestreams: what their headers state, looked at before a library takes memory for it.

Tiles, precincts and code-blocks take memory each, whether they hold anything or not: a codestream of a few bytes can
state millions (ISO/IEC 15444-1, annex A and B.6).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

MAX_TILES, MAX_PRECINCTS, MAX_BLOCKS, MAX_PACKETS = 1 << 10, 1 << 16, 1 << 18, 1 << 24
"""Parts of one codestream that is decoded: code-blocks as many as 1024 x 1024 px can have, packets as many as can have
a byte each. The memory of all of them is then in proportion to the pixels of a tile."""

_START = b"\xff\x4f\xff\x51"
_SIZ, _COD, _COC, _SOT, _SOD, _EOC = 0xFF51, 0xFF52, 0xFF53, 0xFF90, 0xFF93, 0xFFD9
_OTHERS = {0xFF55, 0xFF57, 0xFF58, 0xFF5C, 0xFF5D, 0xFF5E, 0xFF5F, 0xFF60, 0xFF61, 0xFF63, 0xFF64}
"""TLM, PLM, PLT, QCD, QCC, RGN, POC, PPM, PPT, CRG, COM: all further markers of Part 1 in headers."""
_COMPONENTS = b"\0\3" + b"\7\1\1" * 3
"""Three of 8 bits, none subsampled: a codestream may state 16384."""
_WHOLE = 15
"""Exponent of the side of precincts that are not stated: as good as none."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The numbers of the parts of a codestream, never fewer than there are."""

    tiles: int
    precincts: int
    blocks: int
    packets: int

    @property
    def too_many(self) -> str | None:
        """What there is too much of, in a few words; None if nothing is."""
        limits = {
            "tiles": (self.tiles, MAX_TILES),
            "precincts": (self.precincts, MAX_PRECINCTS),
            "code-blocks": (self.blocks, MAX_BLOCKS),
            "packets": (self.packets, MAX_PACKETS),
        }
        over = [f"at most {most} {name}, found {count}" for name, (count, most) in limits.items() if count > most]
        return over[0] if over else None


def stated_size(data: bytes) -> tuple[int, int] | None:
    """Return (height, width) of a codestream of three components of 8 bits; None for any other. Raises struct.error."""
    if not data.startswith(_START) or data[40:51] != _COMPONENTS:
        return None
    # SOC, then SIZ: marker, length, capabilities, Xsiz, Ysiz, XOsiz, YOsiz (A.5.1)
    right, bottom, left, top = struct.unpack_from(">4I", data, 8)
    return bottom - top, right - left


def parts_of(data: bytes) -> Parts | None:
    """Count the parts of a codestream whose size was looked at; None for headers that are not of Part 1, or damaged."""
    try:
        right, bottom, _, _, width, height, left, top = struct.unpack_from(">8I", data, 8)
        tiles = -(-(right - left) // width) * -(-(bottom - top) // height)
        size = stated_size(data)
        if size is None:
            return None
        side = min(size[1], width), min(size[0], height)
        counted = [_counted(style, side, layers) for style, layers in _styles(data)]
    except (struct.error, ValueError, IndexError, ZeroDivisionError):
        return None
    if not counted:
        return None
    precincts, blocks, packets = (3 * tiles * max(numbers) for numbers in zip(*counted, strict=True))
    return Parts(tiles, precincts, blocks, packets)


def _styles(data: bytes) -> Iterator[tuple[bytes, int]]:
    """Yield every coding style, from its number of decompositions on, the precincts with it, and a number of layers.

    Raises ValueError for what stands in no header of Part 1.
    """
    at, layers, end, is_between = 2, 1, len(data), False
    start: int | None = None
    """Place of the tile part whose header this is; None in the main header."""
    while at + 2 <= len(data):
        (marker,) = struct.unpack_from(">H", data, at)
        if marker == _EOC and start is None:
            return
        if marker == _SOD and start is not None:
            at, start, is_between = end, None, True
            continue
        if is_between and marker != _SOT:
            raise ValueError("no tile part follows")
        (length,) = struct.unpack_from(">H", data, at + 2)
        body = data[at + 4 : at + 2 + length]
        if length < 2 or len(body) < length - 2:
            raise ValueError("a marker that is cut off")
        if marker == _SOT and start is None and length == 10:
            (stated,) = struct.unpack_from(">I", body, 2)
            start, end, is_between = at, at + stated if stated else len(data), False
            if end < at + 14:
                raise ValueError("a tile part of no length")
        elif marker == _COD:
            (layers,) = struct.unpack_from(">H", body, 2)
            yield (body[5:] if body[0] & 1 else body[5:10]), layers
        elif marker == _COC:
            yield (body[2:] if body[1] & 1 else body[2:7]), layers
        elif marker not in _OTHERS and not (marker == _SIZ and at == 2):
            raise ValueError(f"a marker {marker:X}")
        at += 2 + length


def _counted(style: bytes, side: tuple[int, int], layers: int) -> tuple[int, int, int]:
    """Return the precincts, code-blocks and packets of one component of one tile."""
    levels, across, down = style[0], style[1] + 2, style[2] + 2
    stated = style[5 : 6 + levels]
    if levels > 32 or across > 10 or down > 10 or (len(style) > 5 and len(stated) != levels + 1):
        raise ValueError("no coding style")
    precincts = blocks = 0
    for resolution in range(levels + 1):
        both = stated[resolution] if stated else _WHOLE << 4 | _WHOLE
        wide, high = (_cut(one, levels - resolution) for one in side)
        exponents = both & 15, both >> 4
        precincts += _cut(wide, exponents[0]) * _cut(high, exponents[1])
        # In the bands of all but the coarsest, a precinct has half its side.
        half = 1 if resolution else 0
        inner = max(0, min(across, exponents[0] - half)), max(0, min(down, exponents[1] - half))
        blocks += _cut(wide, inner[0]) * _cut(high, inner[1])
    return precincts, blocks, layers * precincts


def _cut(length: int, exponent: int) -> int:
    """Return into how many a length is cut, by a power of two."""
    return -(-length // (1 << exponent))
