"""Bare AV1 still pictures: the open bitstream units of one picture, without the boxes of an AVIF file round them.

The boxes are the same in every tile, and what has none is no picture that another program could show wrongly. The
library reads and writes AVIF, so they are taken off and put back here; `formats/container/v1/spec.md`, section 3.2, is
normative. Three planes of one size hold the samples as they are (matrix coefficients 0, the identity): what they decode
to is defined to the bit by the AV1 standard.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import imagecodecs
import numpy as np
from numpy.typing import NDArray

Planes = NDArray[np.uint8] | NDArray[np.uint16]
"""height x width x 3: AV1's planes 2, 0, 1 (R, G, B of the identity), uint8 of 8 bits or uint16 of 10 bits."""

SPEED = 6
"""Speed of libaom, 0 to 10, unless told otherwise: the next slower one takes four times as long for 2 to 5 % of the
bytes."""

_TEMPORAL_DELIMITER, _SEQUENCE_HEADER = b"\x12\x00", 0x0A
"""AV1 specification, 5.3.2: types 2 and 1, each with a size, without extension."""
_OF_FRAMES = (0x1A, 0x22, 0x32)
"""Types 3, 4 and 6, likewise: frame headers, groups of tiles, and frames of both."""


def encode(planes: Planes, quality: int, speed: int = SPEED) -> bytes:
    """Code one picture at libavif's `quality`, 0 to 100, and a `speed` of libaom.

    Deterministic: the same samples give the same bytes.
    """
    coded = imagecodecs.avif_encode(
        np.ascontiguousarray(planes),
        level=quality,
        speed=speed,
        bitspersample=10 if planes.dtype == np.uint16 else 8,
        pixelformat="444",
        matrix=0,
        numthreads=1,
    )
    at = coded.index(b"mdat")
    (length,) = struct.unpack_from(">I", coded, at - 4)
    return bytes(coded[at + 4 : at - 4 + length])


def decode(data: bytes) -> Planes:
    """Return the samples of a picture whose header has been read. Raises imagecodecs.AvifError for damaged data."""
    header = read_header(data)
    if header is None:
        raise ValueError("no AV1 sequence header of a still picture in three full planes")
    planes: Planes = imagecodecs.avif_decode(_boxes(header, len(data)) + data, numthreads=1)
    return planes


@dataclass(frozen=True, slots=True)
class Header:
    """The statements of a picture's sequence header."""

    height: int
    width: int
    bits: int
    """8 or 10 a sample."""
    level: int
    """AV1's seq_level_idx, 0 to 31."""


def read_header(data: bytes) -> Header | None:
    """Read the header of a picture (AV1 specification, 5.5); None unless it is a still picture as `encode` makes it.

    That is: a temporal delimiter, then a reduced still picture header of profile 1 with three planes of 8 or 10 bits,
    none subsampled, the identity as matrix; then units of frames alone, whose size is that of the header. Behind a
    second header a decoder would find a picture of any other size, and libavif scales it.
    """
    if data[:2] != _TEMPORAL_DELIMITER or len(data) < 4 or data[2] != _SEQUENCE_HEADER or not 6 <= data[3] <= 32:
        return None
    body = data[4 : 4 + data[3]]
    bits = "".join(f"{byte:08b}" for byte in body)
    at = 0

    def take(count: int) -> int:
        nonlocal at
        at += count
        return int(bits[at - count : at] or "0", 2)

    if (take(3), take(1), take(1)) != (1, 1, 1):  # seq_profile, still_picture, reduced_still_picture_header
        return None
    level = take(5)
    width_bits, height_bits = take(4) + 1, take(4) + 1
    width, height = take(width_bits) + 1, take(height_bits) + 1
    take(6)  # superblock size, filters, super-resolution, restoration: which tools were used
    ten = take(1)  # high_bitdepth; profile 1 has no monochrome
    described = take(1)
    matrix = (take(8), take(8), take(8))[2] if described else 2  # after colour primaries and transfer
    full_range = take(1)
    if matrix != 0 or not full_range or at > len(bits) or not _is_of_frames(data, 4 + data[3]):
        return None
    return Header(height, width, 10 if ten else 8, level)


def _is_of_frames(data: bytes, at: int) -> bool:
    """Tell whether there are units of frames from a place to the end, and nothing else (AV1 specification, 5.3)."""
    while at < len(data) and data[at] in _OF_FRAMES:
        length, shift, more = 0, 0, True
        while more and shift < 56:  # leb128 (4.10.5)
            at += 1
            if at >= len(data):
                return False
            length |= (data[at] & 0x7F) << shift
            shift, more = shift + 7, data[at] > 0x7F
        at += 1 + length
    return at == len(data)


def _boxes(header: Header, length: int) -> bytes:
    """Return the boxes before the picture in an AVIF file (ISO/IEC 23000-22) of one image item of so many bytes."""
    configuration = bytes((0x81, 1 << 5 | header.level, 0x40 if header.bits == 10 else 0, 0))
    properties = _box(
        b"ipco",
        _box(b"ispe", struct.pack(">III", 0, header.width, header.height)),
        _box(b"pixi", struct.pack(">IB3B", 0, 3, *[header.bits] * 3)),
        _box(b"av1C", configuration),
        _box(b"colr", b"nclx" + struct.pack(">HHHB", 2, 2, 0, 0x80)),
    )
    kind = _box(b"ftyp", b"avif" + bytes(4) + b"avifmif1miaf")

    def meta(offset: int) -> bytes:
        return _box(
            b"meta",
            bytes(4),
            _box(b"hdlr", bytes(8) + b"pict" + bytes(13)),
            _box(b"pitm", struct.pack(">IH", 0, 1)),
            _box(b"iloc", struct.pack(">IHHHHHII", 0, 0x4400, 1, 1, 0, 1, offset, length)),
            _box(b"iinf", struct.pack(">IH", 0, 1), _box(b"infe", struct.pack(">IHH", 2 << 24, 1, 0) + b"av01\0")),
            _box(b"iprp", properties, _box(b"ipma", struct.pack(">IIHB4B", 0, 1, 1, 4, 1, 2, 0x83, 4))),
        )

    before = len(kind) + len(meta(0)) + 8
    return kind + meta(before) + struct.pack(">I", length + 8) + b"mdat"


def _box(name: bytes, *parts: bytes) -> bytes:
    """Return a box of ISO/IEC 14496-12: its length, its name, its content."""
    content = b"".join(parts)
    return struct.pack(">I", 8 + len(content)) + name + content
