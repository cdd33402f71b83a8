"""Harnesses of what decodes codestreams: every tile codec, and frames, boxes and packings around them."""

from __future__ import annotations

import random
import re
import struct
import zlib
from collections.abc import Callable
from typing import Any

import imagecodecs
import numpy as np

from histocodec.format.entries import OriginalTiles
from histocodec.format.original_pixels import decoded_tile
from histocodec.format.pieces import Damaged
from histocodec.format.zstd import decompressed
from histocodec.pixels.av1 import encode
from histocodec.pixels.colour import ColourTransform
from histocodec.pixels.jpeg_xl import as_file, to_jpeg, to_jpeg_xl
from histocodec.pixels.residual import add_residual
from histocodec.pixels.tile_codecs import TileCodec, TileError, decode_planes, decode_tile, encode_tile, stated_size
from tests.format.conformance.make_vectors.painting import painted
from tests.fuzz.anatomy import framed
from tests.fuzz.codestreams import changed_stream
from tests.fuzz.harness import Wrong, said, shape_of
from tests.fuzz.mutation import changed_bytes

_SIDES = (64, 128, 256, 512, 1024, 4096)
"""Sides of tiles: of containers, and the largest that a source's may have."""


class Streams:
    """Codestreams of one codec, given to what decodes them."""

    def __init__(self, name: str, seeds: list[bytes], decode: Callable[[bytes], str]) -> None:
        self.name, self._seeds, self._decode = name, seeds, decode

    def seeds(self) -> list[bytes]:
        """Return sound ones."""
        return self._seeds

    def changed(self, rng: random.Random, data: bytes, pool: tuple[bytes, ...]) -> bytes:
        """Change one by its structure, or splice two."""
        return changed_bytes(rng, data, pool) if rng.random() < 0.1 else changed_stream(rng, data)

    def run(self, data: bytes) -> str:
        """Decode it."""
        return self._decode(data)


def refusal(error: Exception) -> str:
    """Return what was said; numbers and names left out. Memory asked for in vain is a fault."""
    try:
        return said(error)
    except type(error):
        return f"{type(error).__name__} {shape_of(str(error))}"


def of_codec(codec: TileCodec) -> Callable[[bytes], str]:
    """Return what decodes a tile of the size that its header states, as far as tiles have that; now and then twice."""

    def decode(data: bytes) -> str:
        stated = stated_size(data, codec)
        side = stated[0] if stated is not None and stated[0] == stated[1] and stated[0] in _SIDES else 64
        found = []
        for _ in range(2 if zlib.crc32(data) % 8 == 0 else 1):
            try:
                image = decode_tile(data, codec, height=side, width=side)
            except TileError as error:
                if codec == "av1" and "uint16" in str(error):
                    found.append(_planes(data, side))
                    continue
                found.append(refusal(error))
                continue
            if image.shape != (side, side, 3) or image.dtype != np.uint8 or not image.flags.c_contiguous:
                raise Wrong("a tile of another size than was asked for")
            found.append(f"{side} {zlib.crc32(image.data)}")
        if len(set(found)) > 1:
            raise Wrong(f"the same bytes decode to two things: {found}")
        return shape_of(found[0])

    return decode


def _planes(data: bytes, side: int) -> str:
    try:
        planes = decode_planes(data, height=side, width=side)
    except TileError as error:
        return refusal(error)
    if planes.max() > 1023:
        raise Wrong("samples of more than 10 bits")
    return f"{side} {zlib.crc32(planes.data)}"


def jpeg_xl(data: bytes) -> str:
    """Restore a JPEG: of a file, or of a codestream with the recipe that was made for the first sound one."""
    outcomes = []
    for recipe in (b"", _RECIPE):
        length = 1 << 16
        for _ in range(2):
            try:
                jpeg = to_jpeg(data, length, recipe)
            except TileError as error:
                outcomes.append(refusal(error))
                found = re.search(r"JPEG stream of \d+ bytes, found (\d+)", str(error))
                if found is None or found[1] == "0":
                    break
                length = int(found[1])
                continue
            if len(jpeg) != length:
                raise Wrong("a JPEG of another length than was asked for")
            outcomes.append("restored")
    return " ".join(sorted(set(outcomes)))


def zstd(data: bytes) -> str:
    """Decompress a frame of at most 64 KiB."""
    try:
        content = decompressed(data, 1 << 16)
    except Damaged as error:
        return refusal(error)
    if len(content) > 1 << 16:
        raise Wrong("more bytes than the limit")
    return f"content {bool(content)}"


def packed(data: bytes) -> str:
    """Decode a source's lossless tile in every way."""
    outcomes = []
    ways: tuple[tuple[Any, bool], ...] = (("deflate", True), ("deflate", False), ("lzw", False), ("none", True))
    for codec, predictor in ways:
        try:
            image = decoded_tile(data, OriginalTiles(16, codec, "rgb", predictor))
        except TileError as error:
            outcomes.append(refusal(error)[:30])
            continue
        if image.shape != (16, 16, 3):
            raise Wrong("a tile of another size")
        outcomes.append("decoded")
    return " ".join(outcomes)


class Colours:
    """Transforms of colours, and residuals, against exact whole numbers. An input is twelve numbers and samples."""

    name = "residual"

    def seeds(self) -> list[bytes]:
        """Return the transform that changes nothing, and the extremes."""
        samples = bytes(range(256)) * 2
        extreme = [(1 << 26) * (-1) ** k for k in range(12)]
        return [struct.pack("<12i", *numbers) + samples for numbers in ([65536, 0, 0, 0] * 3, extreme, [0] * 12)]

    def changed(self, rng: random.Random, data: bytes, pool: tuple[bytes, ...]) -> bytes:
        """Change numbers or samples."""
        return changed_bytes(rng, data, pool)

    def run(self, data: bytes) -> str:
        """Undo the transform, and add what comes of it to itself."""
        numbers = [max(-(1 << 26), min(1 << 26, n)) for n in struct.unpack("<12i", data[:48].ljust(48, b"\0"))]
        words = np.frombuffer(data[48 : 48 + (len(data) - 48) // 6 * 6 if len(data) >= 54 else 48], "<u2") & 1023
        if not words.size:
            return "empty"
        stored = words.reshape(1, -1, 3).astype(np.uint16)
        rgb = ColourTransform(tuple(numbers)).undo(stored)
        matrix = np.array(numbers, object).reshape(3, 4)
        exact = stored.astype(object).reshape(-1, 3) - 512
        sums = [(exact @ row[:3] + row[3] + 32768) >> 16 for row in matrix]
        expected = np.clip(np.stack([s.astype(np.int64) for s in sums], 1), 0, 255)
        if not np.array_equal(rgb.reshape(-1, 3), expected):
            raise Wrong("colours that are not those of the formula")
        twice = add_residual(rgb, rgb)
        if not np.array_equal(twice, np.clip(2 * rgb.astype(int) - 128, 0, 255)):
            raise Wrong("a residual that is not added as it should be")
        return f"{rgb.min() == 0} {rgb.max() == 255}"


def _pictures(side: int = 64) -> list[Any]:
    grey = np.full((side, side, 3), 200, np.uint8)
    noise = np.random.default_rng(3).integers(0, 256, (side, side, 3), np.uint8)
    return [painted(side, side, 5), grey, noise]


def _jpegs() -> list[bytes]:
    kinds: list[dict[str, Any]] = [
        {"subsampling": "420"},
        {"subsampling": "444", "optimize": True},
        {"subsampling": "422"},
        {"colorspace": "rgb", "outcolorspace": "rgb"},
    ]
    coded = [bytes(imagecodecs.jpeg8_encode(p, level=80, **kind)) for kind in kinds for p in _pictures()]
    return [*coded, *_progressive()]


def _progressive() -> list[bytes]:
    import io

    import PIL.Image

    out = []
    for picture in _pictures():
        file = io.BytesIO()
        PIL.Image.fromarray(picture).save(file, "JPEG", progressive=True, quality=70)
        out.append(file.getvalue())
    return out


def _jpegs_2000() -> list[bytes]:
    ways: list[dict[str, Any]] = [
        {"level": 40},
        {"level": 0, "reversible": True, "mct": True},
        {"level": 30, "mct": False},
        {"level": 35, "resolutions": 2},
    ]
    return [bytes(imagecodecs.jpeg2k_encode(p, codecformat="j2k", **way)) for way in ways for p in _pictures()]


def _av1s() -> list[bytes]:
    eight = [encode(p, quality, 9) for p in _pictures() for quality in (30, 90, 100)]
    return eight + [encode((p.astype(np.uint16) << 2), 60, 9) for p in _pictures()]


_JPEG = bytes(imagecodecs.jpeg_encode(painted(64, 64, 5), level=80))
_RECIPE = (to_jpeg_xl(_JPEG) or (b"", b""))[1]


def _jpeg_xls() -> list[bytes]:
    seeds = []
    for jpeg in (_JPEG, *_jpegs()):
        coded = to_jpeg_xl(jpeg)
        if coded is not None:
            seeds += [coded[0], as_file(*coded)]
    return seeds


def _packed() -> list[bytes]:
    samples = painted(16, 16, 4).tobytes()
    return [zlib.compress(samples, 9), bytes(imagecodecs.lzw_encode(samples)), samples]


def all_harnesses() -> dict[str, Callable[[], Any]]:
    """Return what builds each harness of this module, by its name."""
    vector = encode_tile(painted(128, 128, 3), "jp2k", 30)
    return {
        "jpeg2000": lambda: Streams("jpeg2000", [*_jpegs_2000(), vector], of_codec("jp2k")),
        "av1": lambda: Streams("av1", _av1s(), of_codec("av1")),
        "jpeg": lambda: Streams("jpeg", _jpegs(), of_codec("jpeg")),
        "jpegxl": lambda: Streams("jpegxl", _jpeg_xls(), jpeg_xl),
        "zstd": lambda: Streams("zstd", [framed(c) for c in (b"", b"\0\1\1", bytes(9000), bytes(range(256)))], zstd),
        "packed": lambda: Streams("packed", _packed(), packed),
        "residual": Colours,
    }
