"""Codestreams of every codec, changed by their structure, with all lengths within them made right again."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from tests.fuzz.mutation import Random, changed_bytes, changed_list, number_near

JP2_BOX, JXL_BOX = b"\0\0\0\x0cjP  ", b"\0\0\0\x0cJXL "


def changed_stream(rng: Random, data: bytes) -> bytes:
    """Return another codestream of the same kind; now and then just other bytes."""
    if rng.random() < 0.12:
        return changed_bytes(rng, data)
    try:
        return changer(data)(rng, data)
    except (struct.error, IndexError, ValueError, zlib.error):  # changed beyond being one of its kind
        return changed_bytes(rng, data)


def changer(data: bytes) -> Callable[[Random, bytes], bytes]:
    """Return what changes codestreams that begin like this one."""
    if data[:2] == b"\xff\xd8":
        return changed_jpeg
    if data[:4] == b"\xff\x4f\xff\x51":
        return changed_jpeg_2000
    if data[:2] == b"\x12\x00":
        return changed_av1
    if data[:8] == JXL_BOX or data[:8] == JP2_BOX:
        return changed_boxes
    if data[:2] == b"\xff\x0a":
        return changed_head
    if data[:1] == b"\x78":
        return changed_deflate
    return changed_bytes


# --------------------------------------------------------------------------------------------------- markers in order


@dataclass
class Marker:
    """A marker with its segment, and what follows it without a marker: entropy-coded data."""

    code: int
    body: bytes | None
    """None for a marker without a length."""
    after: bytes = b""


def markers(data: bytes, bare: Callable[[int], bool]) -> list[Marker]:
    """Take a stream of markers apart. bare: tells which codes have no segment."""
    found, at = list[Marker](), 0
    while at + 2 <= len(data):
        (code,) = struct.unpack_from(">H", data, at)
        if code < 0xFF01:
            raise ValueError("no marker")
        at += 2
        body = None
        if not bare(code):
            (length,) = struct.unpack_from(">H", data, at)
            body = data[at + 2 : at + length]
            at += length
        end = at
        if code in (0xFFDA, 0xFF93):  # data follow: to the next marker that is one
            end = _end_of_data(data, at, code)
        found.append(Marker(code, body, data[at:end]))
        at = end
    return found


def _end_of_data(data: bytes, at: int, code: int) -> int:
    if code == 0xFF93:
        end = data.find(b"\xff\xd9", at)
        return end if end >= 0 else len(data)
    while (at := data.find(b"\xff", at)) >= 0:
        if at + 1 < len(data) and data[at + 1] != 0 and not 0xD0 <= data[at + 1] <= 0xD7:
            return at
        at += 2
    return len(data)


def joined(found: list[Marker], lies: dict[int, int] | None = None) -> bytes:
    """Put markers together. lies: lengths that are stated instead of the right ones, by position."""
    out = bytearray()
    for number, marker in enumerate(found):
        out += struct.pack(">H", marker.code & 0xFFFF)
        if marker.body is not None:
            out += struct.pack(">H", (lies or {}).get(number, len(marker.body) + 2) & 0xFFFF) + marker.body[:65533]
        out += marker.after
    return bytes(out)


def _lied(rng: Random, found: list[Marker]) -> bytes:
    at = rng.randrange(len(found))
    body = found[at].body
    return joined(found, {at: number_near(rng, len(body or b"") + 2, 16)} if rng.random() < 0.1 else None)


# ---------------------------------------------------------------------------------------------------------------- JPEG


def changed_jpeg(rng: Random, data: bytes) -> bytes:
    """Return another JPEG."""
    found = markers(data, lambda code: code in (0xFFD8, 0xFFD9, 0xFF01) or 0xFFD0 <= code <= 0xFFD7)
    for _ in range(rng.choice((1, 1, 2, 3))):
        at = rng.randrange(1, max(2, len(found)))
        marker = found[at]
        match rng.randrange(13):
            case 0:
                frame = _of(rng, found, range(0xFFC0, 0xFFC4))
                frame.code = rng.choice((0xFFC0, 0xFFC1, 0xFFC2, 0xFFC3, 0xFFC5, 0xFFC9, 0xFFCA, 0xFFCB))
            case 1:
                frame = _of(rng, found, range(0xFFC0, 0xFFC4))
                place = rng.choice((0, 1, 3, 5, *range(6, len(frame.body or b""))))
                frame.body = _other(rng, frame.body or b"", place, 2 if place in (1, 3) else 1)
            case 2:
                scans = [m for m in found if m.code == 0xFFDA]
                scan = rng.choice(scans)
                scan.body = changed_bytes(rng, scan.body or b"")[:40]
            case 3 | 4:
                scan = _of(rng, found, (0xFFDA,))
                scan.after = changed_bytes(rng, scan.after)
            case 5:
                found.insert(at, Marker(rng.choice((0xFF01, *range(0xFFD0, 0xFFD8))), None))
            case 6:
                found.insert(at, Marker(0xFFDD, struct.pack(">H", rng.choice((0, 1, 2, 3, 65535)))))
            case 7:
                body = b"Adobe\0\x64\0\0\0\0" + bytes([rng.choice((0, 1, 2, 255))])
                found.insert(at, Marker(0xFFEE, body))
            case 8:
                scan = _of(rng, found, (0xFFDA,))
                found[-1:-1] = [Marker(0xFFDA, scan.body, scan.after[: rng.choice((0, 3, 9999))])] * rng.choice((1, 50))
            case 9:
                frame = _of(rng, found, range(0xFFC0, 0xFFC4))
                body = frame.body or b""
                huge = body[:1] + struct.pack(">HH", rng.choice((1, 65535)), rng.choice((1, 65500))) + body[5:]
                found.insert(at, Marker(frame.code, huge))
            case 10:
                found.insert(at, Marker(0xFFDC, struct.pack(">H", rng.choice((0, 1, 16, 65535)))))
            case 11:
                changed_list(rng, found, lambda one: Marker(one.code ^ 1 << rng.randrange(6), one.body, one.after))
            case _ if marker.body:
                marker.body = changed_bytes(rng, marker.body)
    return _lied(rng, found)


def _of(rng: Random, found: list[Marker], codes: object) -> Marker:
    """Return one of the markers of some codes. Raises IndexError if there is none."""
    return rng.choice([marker for marker in found if marker.code in codes])  # type: ignore[operator]


def _other(rng: Random, body: bytes, at: int, size: int) -> bytes:
    """Return a segment with another number at a place."""
    old = int.from_bytes(body[at : at + size], "big")
    return body[:at] + number_near(rng, old, 8 * size).to_bytes(size, "big") + body[at + size :]


# ----------------------------------------------------------------------------------------------------------- JPEG 2000

_SIZ = ((0, 2), *((at, 4) for at in range(2, 34, 4)), (34, 2), *((at, 1) for at in range(36, 45)))
"""Place and size of the numbers of SIZ: capabilities, eight sizes and offsets, components, depth and steps of each."""
_COD = ((0, 1), (1, 1), (2, 2), (4, 1), (5, 1), (6, 1), (7, 1), (8, 1), (9, 1), (10, 1), (11, 1), (12, 1))


def changed_jpeg_2000(rng: Random, data: bytes) -> bytes:
    """Return another codestream of JPEG 2000."""
    found = markers(data, lambda code: code in (0xFF4F, 0xFF93, 0xFFD9, 0xFF92))
    for _ in range(rng.choice((1, 1, 2, 3))):
        match rng.randrange(13):
            case 0 | 1:
                siz = _of(rng, found, (0xFF51,))
                at, size = rng.choice(_SIZ)
                siz.body = _other(rng, siz.body or b"", at, size)
            case 2:  # tiles of another size: the picture stays as large as it was
                siz = _of(rng, found, (0xFF51,))
                side = rng.choice((1, 2, 3, 4, 8, 16, 64, 100, 1 << 31))
                body = siz.body or b""
                siz.body = body[:18] + struct.pack(">4I", side, rng.choice((side, 1, 128)), 0, 0) + body[34:]
            case 3 | 4:
                cod = _of(rng, found, (0xFF52,))
                at, size = rng.choice(_COD)
                cod.body = _other(rng, cod.body or b"", at, size)
            case 5:  # precincts, as small as can be stated
                cod = _of(rng, found, (0xFF52,))
                style = bytearray(cod.body or b"")
                style[0] |= 1
                sides = bytes(rng.choice((0x00, 0x11, 0x22, 0x77, 0xFF, 0xF0)) for _ in range(style[5] % 33 + 1))
                cod.body = bytes(style[:10]) + sides
            case 6:
                qcd = _of(rng, found, (0xFF5C,))
                qcd.body = changed_bytes(rng, qcd.body or b"")
            case 7:
                part = _of(rng, found, (0xFF90,))
                at, size = rng.choice(((0, 2), (2, 4), (6, 1), (7, 1)))
                part.body = _other(rng, part.body or b"", at, size)
            case 8 | 9:
                start = _of(rng, found, (0xFF93,))
                start.after = changed_bytes(rng, start.after)
            case 10:
                code = rng.choice(
                    (
                        0xFF53,
                        0xFF5D,
                        0xFF5E,
                        0xFF5F,
                        0xFF60,
                        0xFF61,
                        0xFF55,
                        0xFF57,
                        0xFF58,
                        0xFF63,
                        0xFF64,
                        0xFF50,
                        0xFF74,
                        0xFF75,
                        0xFF77,
                    )
                )
                found.insert(rng.randrange(1, len(found)), Marker(code, rng.randbytes(rng.choice((0, 1, 2, 7, 9, 60)))))
            case 11:
                changed_list(rng, found, lambda one: Marker(one.code, changed_bytes(rng, one.body or b""), one.after))
            case _:
                cod = _of(rng, found, (0xFF52,))
                body = cod.body or b""
                cod.body = body[:2] + struct.pack(">H", rng.choice((1, 2, 100, 65535))) + body[4:]
    # The length of a tile part, which its first marker states, is made right but for a few times.
    for at, marker in enumerate(found):
        if marker.code == 0xFF90 and marker.body and len(marker.body) == 8 and rng.random() < 0.8:
            own = [marker]
            for following in found[at + 1 :]:
                if following.code in (0xFF90, 0xFFD9):
                    break
                own.append(following)
            marker.body = marker.body[:2] + struct.pack(">I", len(joined(own))) + marker.body[6:]
    return _lied(rng, found)


# ----------------------------------------------------------------------------------------------------------------- AV1


def units(data: bytes) -> list[tuple[int, bytes]]:
    """Take AV1's open bitstream units apart: the header byte of each, and its payload."""
    found, at = list[tuple[int, bytes]](), 0
    while at < len(data):
        head, length, shift = data[at], 0, 0
        at += 1 + (head >> 2 & 1)
        if not head & 2:
            found.append((head, data[at:]))
            break
        while True:
            byte = data[at]
            at += 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                break
        found.append((head, data[at : at + length]))
        at += length
    return found


def united(found: list[tuple[int, bytes]]) -> bytes:
    """Put units together, their sizes right."""
    out = bytearray()
    for head, payload in found:
        out.append(head)
        if head & 4:
            out.append(0)
        if head & 2:
            out += _leb128(len(payload))
        out += payload
    return bytes(out)


def _leb128(value: int) -> bytes:
    out = bytearray()
    while True:
        out.append(value & 0x7F | (0x80 if value > 0x7F else 0))
        value >>= 7
        if not value:
            return bytes(out)


def changed_av1(rng: Random, data: bytes) -> bytes:
    """Return another AV1 picture."""
    found = units(data)
    for _ in range(rng.choice((1, 1, 2, 3))):
        at = rng.randrange(len(found))
        head, payload = found[at]
        match rng.randrange(9):
            case 0 | 1 | 2:
                found[at] = head, changed_bytes(rng, payload)
            case 3:  # the frame's header, a few bits of which say how all that follows is to be read
                found[-1] = found[-1][0], _flipped(rng, found[-1][1], 24)
            case 4:
                for place, (kind, sequence) in enumerate(found):
                    if kind >> 3 & 15 == 1:
                        found[place] = kind, _flipped(rng, sequence, 8 * len(sequence))
            case 5:  # a second sequence header, of a picture of another size
                found.insert(rng.randrange(1, len(found) + 1), (0x0A, sequence_header(rng)))
            case 6:
                kind = rng.randrange(16)
                found.insert(rng.randrange(len(found) + 1), (kind << 3 | 2, rng.randbytes(rng.choice((0, 1, 3, 40)))))
            case 7:
                changed_list(rng, found, lambda one: (one[0] ^ 1 << rng.randrange(8), one[1]))
            case _:
                found.append(found[at])
    return united(found)


def _flipped(rng: Random, data: bytes, bits: int) -> bytes:
    """Return data with one to three of the first bits turned."""
    value = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 3))):
        bit = rng.randrange(max(1, min(bits, 8 * len(value))))
        value[bit // 8] ^= 0x80 >> bit % 8
    return bytes(value)


def sequence_header(rng: Random) -> bytes:
    """Return the sequence header of a still picture of three full planes, of any size."""
    width, height = (rng.choice((1, 16, 128, 4096, 16384, 65536)) for _ in range(2))
    bits = f"00111{rng.choice((0, 8, 31)):05b}" + "11111111" + f"{width - 1:016b}{height - 1:016b}"
    bits += "000000" + rng.choice("01") + "1" + f"{2:08b}{2:08b}{0:08b}" + "1" + "0" + rng.choice("01") + "1"
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


# --------------------------------------------------------------------------------------------------------------- boxes


def changed_boxes(rng: Random, data: bytes) -> bytes:
    """Return another file of boxes: of JPEG XL, or of JPEG 2000."""
    found, at = list[tuple[bytes, bytes]](), 0
    while at + 8 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big") or len(data) - at
        if length < 8:
            raise ValueError("a box that is shorter than its head")
        found.append((data[at + 4 : at + 8], data[at + 8 : at + length]))
        at += length
    lies = {}
    for _ in range(rng.choice((1, 1, 2))):
        at = rng.randrange(len(found))
        kind, content = found[at]
        match rng.randrange(8):
            case 0 | 1 | 2 | 3:
                inner = changer(content)
                found[at] = kind, inner(rng, content)
            case 4:
                lies[at] = number_near(rng, len(content) + 8, 32)
            case 5:
                other = rng.choice((b"jxlp", b"jxlc", b"jbrd", b"Exif", b"xml ", b"brob", b"jxll", b"free", b"jxli"))
                found.insert(rng.randrange(len(found) + 1), (other, rng.randbytes(rng.choice((0, 4, 20)))))
            case 6 if kind == b"jxlc":  # in parts
                cut = rng.randrange(len(content) + 1)
                last = rng.choice((0x80000001, 1, 0x80000000))
                parts = [(b"jxlp", bytes(4) + content[:cut]), (b"jxlp", struct.pack(">I", last) + content[cut:])]
                found[at : at + 1] = parts
            case _:
                changed_list(rng, found, lambda one: (one[0], changed_bytes(rng, one[1])))
    out = bytearray()
    for number, (kind, content) in enumerate(found):
        out += struct.pack(">I", lies.get(number, len(content) + 8)) + kind + content
    return bytes(out)


def changed_head(rng: Random, data: bytes) -> bytes:
    """Return a codestream with bits of its head turned, where sizes and tools are stated; or bytes behind it."""
    if rng.random() < 0.6:
        return data[:2] + _flipped(rng, data[2:], rng.choice((30, 120, 600)))
    return data[:2] + changed_bytes(rng, data[2:])


def changed_deflate(rng: Random, data: bytes) -> bytes:
    """Return other data, packed soundly."""
    content = zlib.decompressobj().decompress(data, 1 << 22)
    return zlib.compress(rng.choice((changed_bytes(rng, content), bytes(1 << 22), content[:-1], content * 2)), 1)
