"""JPEG streams as JPEG XL, from which the very same bytes come back (ISO/IEC 18181-2, JPEG reconstruction)."""

from __future__ import annotations

import struct

import imagecodecs

from .tile_codecs import MAX_SCANS, TileError

MAX_JPEG_PIXELS = 1 << 24
"""Pixels of a JPEG that is transcoded: libraries hold all of its coefficients in memory."""

_BOXED = b"\0\0\0\x0cJXL \r\n\x87\n"
_FTYP = b"\0\0\0\x14ftypjxl \0\0\0\0jxl "
_PARTED = {b"jxlp", b"jxlc", b"jbrd"}
"""Boxes that a codestream and its recipe are put back into."""
_BARE = b"\xff\x0a"
_MARKER_BYTES = 512
"""Bytes of a recipe in which its markers must be named: some 680 of them."""
_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
"""Width to height, by the number less one that stands for them."""


def to_jpeg_xl(jpeg: bytes) -> tuple[bytes, bytes] | None:
    """Return a JPEG stream as a JPEG XL codestream, and the recipe that brings the JPEG back.

    Streams of one scanner share their recipe, which has some 255 bytes. A stream that needs further boxes, such as one
    with Exif, is returned as a JPEG XL file, with b"". None if it is too large, or does not come back byte for byte.
    Proven by doing it: progressive, arithmetic, cut and otherwise odd streams are left to whoever calls.
    """
    try:
        coded, recipe = _parted(bytes(imagecodecs.jpegxl_encode_jpeg(jpeg, numthreads=1)))
        return (coded, recipe) if to_jpeg(coded, len(jpeg), recipe) == jpeg else None
    except (TileError, imagecodecs.JpegxlError, ValueError):
        return None


def to_jpeg(coded: bytes, length: int, recipe: bytes = b"") -> bytes:
    """Return the JPEG stream, of `length` bytes, that `to_jpeg_xl` was given.

    coded, recipe: what it returned. What the codestream states of its size is looked at before memory is asked for.
    Raises TileError for what is damaged or gives another stream.
    """
    coded = as_file(coded, recipe)
    width, height = stated_size(coded)
    if width * height > MAX_JPEG_PIXELS:
        raise TileError(f"expected a JPEG XL codestream of at most {MAX_JPEG_PIXELS} px, found {width} x {height}")
    if _most_scans(coded) > MAX_SCANS:
        raise TileError(f"expected the recipe of a JPEG of at most {MAX_SCANS} scans, found more")
    try:
        jpeg = bytes(imagecodecs.jpegxl_decode_jpeg(coded, numthreads=1, out=length))
    except Exception as error:  # imagecodecs raises ValueError as well as its own
        raise TileError(f"damaged JPEG XL codestream: {error}") from error
    if len(jpeg) != length:
        raise TileError(f"expected a JPEG stream of {length} bytes, found {len(jpeg)}")
    return jpeg


def as_file(coded: bytes, recipe: bytes) -> bytes:
    """Return what `to_jpeg_xl` returned as a JPEG XL file, from which decoders bring the JPEG back."""
    return _BOXED + _FTYP + _box(b"jbrd", recipe) + _box(b"jxlc", coded) if recipe else coded


def stated_size(coded: bytes) -> tuple[int, int]:
    """Return width and height as a JPEG XL codestream states them, bare or in boxes. Raises TileError.

    Boxes: ISO/IEC 18181-2, 4; SizeHeader: ISO/IEC 18181-1, D.2.
    """
    head = _codestream_head(coded)
    bits, at = int.from_bytes(head, "little"), 16

    def take(count: int) -> int:
        nonlocal at
        value = bits >> at & ((1 << count) - 1)
        at += count
        if at > 8 * len(head):
            raise TileError("expected the size of a JPEG XL codestream, found its end")
        return value

    def side(*, small: int) -> int:
        return 8 * (take(5) + 1) if small else take((9, 13, 18, 30)[take(2)]) + 1

    if not head.startswith(_BARE):
        raise TileError("expected a JPEG XL codestream, found none")
    small = take(1)
    height = side(small=small)
    ratio = take(3)
    if not ratio:
        return side(small=small), height
    across, down = _RATIOS[ratio - 1]
    return height * across // down, height


def _box(kind: bytes, content: bytes) -> bytes:
    """Return a box of JPEG XL's file format (ISO/IEC 18181-2, 4)."""
    return struct.pack(">I", 8 + len(content)) + kind + content


def _parted(file: bytes) -> tuple[bytes, bytes]:
    """Return codestream and recipe of a JPEG XL file; the file and b"" if it holds anything else."""
    found: dict[bytes, bytes] = dict.fromkeys(_PARTED, b"")
    at = len(_BOXED) + len(_FTYP)
    while at + 8 <= len(file):
        length, kind = int.from_bytes(file[at : at + 4], "big") or len(file) - at, file[at + 4 : at + 8]
        if kind not in _PARTED or length < 8:
            return file, b""
        found[kind] += file[at + (12 if kind == b"jxlp" else 8) : at + length]  # a part has its number in front
        at += length
    return found[b"jxlp"] + found[b"jxlc"], found[b"jbrd"]


def _most_scans(coded: bytes) -> int:
    """Return the scans that the recipes in a JPEG XL file state; more than MAX_SCANS if they do not come to an end.

    A recipe begins with a bit, and then the second byte of each marker of the JPEG, less 0xC0, in six bits
    (ISO/IEC 18181-2, A.2). Whoever writes the JPEG goes over all of its pixels for each scan.
    """
    most, at = 0, coded.find(b"jbrd")
    while at >= 0:
        bits, place, scans = int.from_bytes(coded[at + 4 : at + 4 + _MARKER_BYTES], "little") >> 1, 0, 0
        while (marker := bits >> 6 * place & 63) != 0x19:  # EOI
            scans += marker == 0x1A  # SOS
            place += 1
            if 6 * place > 8 * _MARKER_BYTES:
                return MAX_SCANS + 1
        most, at = max(most, scans), coded.find(b"jbrd", at + 4)
    return most


def _codestream_head(coded: bytes) -> bytes:
    """Return the first bytes of the codestream: of the file, or within the first box that has some of it."""
    if not coded.startswith(_BOXED):
        return coded[:16]
    at = 0
    while at + 8 <= len(coded):
        length, kind = int.from_bytes(coded[at : at + 4], "big"), coded[at + 4 : at + 8]
        start = at + 8
        if length == 1:  # its length is in the next eight bytes
            length, start = int.from_bytes(coded[start : start + 8], "big"), start + 8
        if kind in (b"jxlc", b"jxlp"):
            start += 4 if kind == b"jxlp" else 0
            return coded[start : start + 16] if length == 0 else coded[start : min(start + 16, at + length)]
        if length < start - at:
            break
        at += length
    raise TileError("expected a box with a JPEG XL codestream, found none")
