"""Slides and pictures to be encoded: TIFF of every kind, SVS, OME-TIFF and its XML, DICOM, flat pictures."""

from __future__ import annotations

import io
import random
import re
import struct
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from histocodec.errors import HistocodecError
from histocodec.geometry import Region
from histocodec.source import open_source
from histocodec.source._ome import read_ome
from tests.fuzz.codestreams import changed_stream
from tests.fuzz.harness import Wrong, said
from tests.fuzz.mutation import TEXTS, Random, changed_bytes, number_near
from tests.fuzz.slides import dicoms, flat, ome_tiffs, svs, tiffs
from tests.fuzz.tiffs import Page, changed_tiff, pages_of, written

_SIDE = 150
"""Pixels of the regions that are read."""


class Sources:
    """Files that a reader of slides is given, from a folder in memory."""

    def __init__(self, name: str, seeds: Callable[[], list[bytes]], change: Callable[[Random, bytes], bytes]) -> None:
        self.name, self._change = name, change
        self._seeds = seeds()
        self._folder = tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None)
        self._path = Path(self._folder.name) / "slide.tif"
        self._known: dict[tuple[int, int, int], int] = {}
        if name != "dicom":  # libvips is kept from answering of one file what it has of another of its name
            import pyvips

            pyvips.cache_set_max(0)

    def seeds(self) -> list[bytes]:
        """Return sound ones."""
        return self._seeds

    def changed(self, rng: random.Random, data: bytes, pool: tuple[bytes, ...]) -> bytes:
        """Change one by its structure."""
        if rng.random() < 0.1:
            return changed_bytes(rng, data, pool)
        try:
            return self._change(rng, data)
        except (struct.error, ValueError, KeyError, IndexError, zlib.error, OverflowError):
            return changed_bytes(rng, data, pool)

    def run(self, data: bytes) -> str:
        """Open it in both ways of taking damage, and read its corners and its middle."""
        self._path.write_bytes(data)
        return " ".join([self._opened(data, "refuse"), self._opened(data, "fill")][: 1 if zlib.crc32(data) % 3 else 2])

    def _opened(self, data: bytes, on_damage: Any) -> str:
        try:
            source = open_source(self._path, mpp=0.25, on_damage=on_damage)
        except HistocodecError as error:
            return said(error)
        with source:
            width, height = source.size
            side = min(_SIDE, width), min(_SIDE, height)
            places = {(0, 0), (width - side[0], height - side[1]), ((width - side[0]) // 2, (height - side[1]) // 2)}
            try:
                for x, y in sorted(places):
                    region = Region(x, y, *side)
                    image = source.read(region)
                    if image.shape != (side[1], side[0], 3) or image.dtype != np.uint8:
                        raise Wrong("a region of another size than was asked for")
                    part = Region(x + side[0] // 3, y + side[1] // 3, max(1, side[0] // 4), max(1, side[1] // 4))
                    again = source.read(part)
                    left, top = part.x - x, part.y - y
                    if not np.array_equal(again, image[top : top + part.height, left : left + part.width]):
                        raise Wrong("a part of a region has other pixels than the region")
            except HistocodecError as error:
                return said(error)
            if (width, height) == (100, 70):
                self._untouched(data, source.read(Region(0, 0, 100, 70)), source.damaged)
        return f"read {source.vendor} {len(source.damaged) > 0} {sorted(source.associated)}"

    def _untouched(self, data: bytes, image: Any, damaged: Any) -> None:
        """Compare tiles that a file shares with a sound one, whose tags are the same. Raises Wrong."""
        try:
            page = pages_of(data)[0]
        except (struct.error, ValueError, KeyError, IndexError):
            return
        width, height = page.number(322), page.number(323)
        if not (width and height) or page.number(284) == 2 or page.number(277) == 1 or damaged:
            return
        stated = zlib.crc32(repr(sorted(page.tags.items())).encode())
        columns = -(-100 // width)
        for index, piece in enumerate(page.pieces[: columns * -(-70 // height)]):
            x, y = index % columns * width, index // columns * height
            pixels = zlib.crc32(np.ascontiguousarray(image[y : y + height, x : x + width]).data)
            key = (stated, index, zlib.crc32(piece))
            if len(self._known) < 100_000 and self._known.setdefault(key, pixels) != pixels:
                raise Wrong("a tile of other pixels than the same bytes gave before")


class OmeXml:
    """Headers in OME-XML, without a file."""

    name = "ome-xml"

    def seeds(self) -> list[bytes]:
        """Return the headers of sound files."""
        found = []
        for data in ome_tiffs():
            with tifffile.TiffFile(io.BytesIO(data)) as tiff:
                found.append((tiff.ome_metadata or "").encode())
        return found

    def changed(self, rng: random.Random, data: bytes, pool: tuple[bytes, ...]) -> bytes:
        """Change the text of one."""
        return changed_xml(rng, data)

    def run(self, data: bytes) -> str:
        """Read it."""
        images = read_ome(data.decode("utf-8", "replace"))
        for image in images:
            if len(image.planes) > 100 or any(type(plane) is not int for plane in image.planes):
                raise Wrong("planes beyond counting")
        return f"{[(len(i.planes), i.channels_are_rgb, i.spacing is None, i.role) for i in images[:3]]}"


def changed_xml(rng: Random, data: bytes) -> bytes:
    """Return XML with other numbers, attributes or elements."""
    text = data.decode("utf-8", "replace")
    match rng.randrange(7):
        case 0 | 1:
            found = list(re.finditer(r'"-?(\d{1,18})(?:\.\d*)?"', text))
            if found:
                one = rng.choice(found)
                value = str(number_near(rng, int(one[1])))
                value = rng.choice((value, "-" + value, "1e400", "NaN", value * 300, "0x1", "", "١"))
                text = text[: one.start(1)] + value + text[one.end(1) :]
        case 2:
            found = list(re.finditer(r"<(\w+)[^>]*/>", text))
            if found:
                one = rng.choice(found)
                text = text[: one.end()] + one[0] * rng.choice((1, 2, 300)) + text[one.end() :]
        case 3:
            found = list(re.finditer(r' (\w+)="[^"]*"', text))
            if found:
                one = rng.choice(found)
                text = text[: one.start()] + rng.choice(("", f' {one[1]}="{rng.choice(TEXTS)}"')) + text[one.end() :]
        case 4:
            entities = (
                '<!DOCTYPE a [<!ENTITY b "'
                + "c" * 99
                + '">'
                + "".join(
                    f'<!ENTITY b{k} "{f"&b{k - 1 if k else chr(0)};".replace(chr(0), "") * 10}">' for k in range(8)
                )
            )
            text = entities + "]>" + text.replace("<Image", "<Image a='&b7;'", 1)
        case 5:
            text = "<a>" * rng.choice((10, 2000, 100_000)) + text
        case _:
            return changed_bytes(rng, data)
    return text.encode("utf-8", "replace")


def changed_ome(rng: Random, data: bytes) -> bytes:
    """Return another OME-TIFF, by its XML or as any TIFF."""
    if rng.random() < 0.5:
        return changed_tiff(rng, data)
    pages = pages_of(data)
    kind, text = pages[0].tags[270]
    pages[0].tags[270] = kind, changed_xml(rng, text.rstrip(b"\0")) + b"\0"
    return written(pages, data[2] == 43)


def changed_svs(rng: Random, data: bytes) -> bytes:
    """Return another of Aperio's files, by its description or as any TIFF."""
    if rng.random() < 0.75:
        return changed_tiff(rng, data)
    pages = pages_of(data)
    page: Page = rng.choice(pages)
    text = page.tags.get(270, (2, b"Aperio\0"))[1].rstrip(b"\0")
    parts = text.split(b"|")
    at = rng.randrange(len(parts))
    values = (
        b"MPP = 0",
        b"MPP = nan",
        b"AppMag = 1e999",
        b"MPP = -1",
        b"Aperio",
        b"=" * 50,
        rng.choice(TEXTS).encode("utf-8", "replace"),
    )
    parts[at : at + rng.randrange(2)] = [rng.choice(values)] * rng.choice((1, 1, 2000))
    page.tags[270] = 2, b"|".join(parts) + b"\0"
    return written(pages, data[2] == 43)


def changed_flat(rng: Random, data: bytes) -> bytes:
    """Return another picture; chunks of PNG get their checksum."""
    if data[:8] != b"\x89PNG\r\n\x1a\n":
        return changed_stream(rng, data)
    chunks, at = list[tuple[bytes, bytes]](), 8
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    for _ in range(rng.choice((1, 1, 2))):
        at = rng.randrange(len(chunks))
        kind, body = chunks[at]
        way = rng.randrange(5)
        if way == 0:
            chunks.insert(at, (rng.choice((b"PLTE", b"tRNS", b"gAMA", b"iCCP", b"zTXt", b"acTL", b"eXIf", kind)), body))
        elif way == 1:
            del chunks[at]
        elif kind == b"IHDR" and way == 2:
            side = struct.pack(">I", number_near(rng, 100, 32))
            chunks[at] = kind, rng.choice((side + body[4:], body[:4] + side + body[8:]))
        else:
            chunks[at] = kind, changed_bytes(rng, body)
    out = b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )
    return data[:8] + out


# ---------------------------------------------------------------------------------------------------------------- DICOM

_LONG = (b"OB", b"OW", b"SQ", b"UN", b"UT", b"OF", b"UC", b"UR", b"OL", b"OD")


def elements(data: bytes) -> list[tuple[bytes, bytes, bytes]]:
    """Take the elements of a DICOM file in explicit VR apart: tag, VR and value; sequences are one value."""
    found, at = list[tuple[bytes, bytes, bytes]](), 132
    while at + 8 <= len(data):
        tag, kind = data[at : at + 4], data[at + 4 : at + 6]
        long = kind in _LONG
        (length,) = struct.unpack_from("<I" if long else "<H", data, at + (8 if long else 6))
        start = at + (12 if long else 8)
        end = len(data) if length == 0xFFFFFFFF else start + length
        found.append((tag, kind, data[start:end]))
        at = end
    return found


def changed_dicom(rng: Random, data: bytes) -> bytes:
    """Return another DICOM file, its lengths right."""
    found = elements(data)
    for _ in range(rng.choice((1, 1, 2))):
        at = rng.randrange(len(found))
        tag, kind, value = found[at]
        match rng.randrange(8):
            case 0:
                del found[at]
            case 1:
                found.insert(at, found[at])
            case 2:
                found[at] = tag, rng.choice((b"US", b"UL", b"UI", b"CS", b"SQ", b"OB", b"LO")), value
            case 3 | 4 if tag == b"\xe0\x7f\x10\x00" or rng.random() < 0.4:
                tag, kind, value = found[-1]
                found[-1] = tag, kind, _changed_frames(rng, value)
            case _ if kind in (b"US", b"UL"):
                size = len(value) or 2
                number = number_near(rng, int.from_bytes(value, "little"), 8 * size)
                found[at] = tag, kind, number.to_bytes(size, "little")
            case _:
                found[at] = tag, kind, changed_bytes(rng, value)
    out = bytearray(data[:132])
    for tag, kind, value in found:
        out += tag + kind
        if kind in _LONG:
            endless = tag == b"\xe0\x7f\x10\x00"
            out += b"\0\0" + struct.pack("<I", 0xFFFFFFFF if endless else len(value))
        else:
            out += struct.pack("<H", len(value) & 0xFFFF)
        out += value
    return bytes(out)


def _changed_frames(rng: Random, value: bytes) -> bytes:
    """Return encapsulated pixels with a frame changed by its structure."""
    items, at = list[bytes](), 0
    while value[at : at + 4] == b"\xfe\xff\x00\xe0":
        (length,) = struct.unpack_from("<I", value, at + 4)
        items.append(value[at + 8 : at + 8 + length])
        at += 8 + length
    if len(items) > 1:
        k = rng.randrange(len(items))
        items[k] = changed_stream(rng, items[k]) if items[k] else rng.randbytes(rng.choice((0, 4, 8)))
    out = b"".join(b"\xfe\xff\x00\xe0" + struct.pack("<I", len(item)) + item for item in items)
    return out + value[at:]


def all_harnesses() -> dict[str, Callable[[], Any]]:
    """Return what builds each harness of this module, by its name."""
    return {
        "tiff": lambda: Sources("tiff", tiffs, changed_tiff),
        "svs": lambda: Sources("svs", svs, changed_svs),
        "ome-tiff": lambda: Sources("ome-tiff", ome_tiffs, changed_ome),
        "ome-xml": OmeXml,
        "dicom": lambda: Sources("dicom", dicoms, changed_dicom),
        "flat": lambda: Sources("flat", flat, changed_flat),
    }
