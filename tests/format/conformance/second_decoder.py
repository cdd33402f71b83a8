"""A second decoder of histocodec files, written from `formats/container/v1/spec.md` and from nothing else.

It shares no code with the package, and reads files with `struct`, not with a TIFF library. Section numbers are the
specification's. `python second_decoder.py FILE.hc.tif FOLDER` writes every level as a PNG.
"""

from __future__ import annotations

import hashlib
import json
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import zstandard
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]
Whole = NDArray[np.int64]
Tags = dict[int, tuple[int, ...]]

CODECS: dict[str, Any] = {
    "jp2k": imagecodecs.jpeg2k_decode,
    "av1": lambda data: imagecodecs.avif_decode(in_boxes(data)),
    "jpeg": imagecodecs.jpeg_decode,
}


class Refused(Exception):
    """The file breaks the specification."""


class SecondDecoder:
    """A file, decoded whole."""

    def __init__(self, path: Path, *, enhancement: bool = True, packages: Path | None = None) -> None:
        """enhancement: False stops before the enhancement layer. packages: a folder of generators (section 7.1)."""
        self.data, self.packages = path.read_bytes(), packages
        chain = self._chain()
        self.manifest: dict[str, Any] = json.loads(self._frame(self._bytes(chain[0][65301])))
        if self.manifest["format"] != "histocodec" or self.manifest["version"] != 1 or self.manifest.get("requires"):
            raise Refused("not of version 1")
        slide, base, names = self.manifest["slide"], self.manifest["base"], self.manifest["associated"]
        self.scale, self.tile, self.codec = base["scale"], base["tile"], base["codec"]
        table = self._bytes(chain[0][65303])
        if hashlib.sha256(table).hexdigest() != self.manifest["checksums_sha256"]:
            raise Refused("not the checksums that the manifest names")
        sums = iter(np.frombuffer(table, "<u4").tolist())
        self.base_sums: list[int] = []
        # Section 2.2: first level, thumbnail, further levels, then the other associated images; an AV1 base apart
        images = [*chain[1 : 1 + len(names[:1])], *chain[len(chain) - len(names[1:]) :]]
        levels = [chain[0], *chain[1 + len(names[:1]) : len(chain) - len(names[1:])]]
        reduced = {"av1": "jp2k"}.get(self.codec, self.codec)
        if "subifd" in base:
            levels.insert(0, self._directory(chain[0][330][base["subifd"]])[0])
        stored = [
            self._level(tags, level["size"], sums, k, reduced if k else self.codec)
            for k, (tags, level) in enumerate(zip(levels, base["levels"], strict=True))
        ]
        self.associated = {
            name: imagecodecs.jpeg_decode(self._checked(tags[273][0], tags[279][0], next(sums)))
            for name, tags in zip(names, images, strict=True)
        }
        self.tissue_map = self._tissue_map(chain[0], next(sums))
        self.icc_profile = self._bytes(chain[0][34675]) if 34675 in chain[0] else None
        if zlib.crc32(self.icc_profile or b"") != next(sums):
            raise Refused("the ICC profile changed")
        if zlib.crc32(self._bytes(chain[0][65307])) != next(sums):
            raise Refused("the checksums of the decoded base changed")
        # Section 5.1: the tiles of the base that decode otherwise here
        base_sums = np.frombuffer(self._bytes(chain[0][65307]), "<u4").tolist()
        self.differing = [k for k, (a, b) in enumerate(zip(self.base_sums, base_sums, strict=True)) if a != b]
        self.quality_map = self._quality_map(chain[0])
        layer = self._enhancement(chain[0])
        self.first = chain[0]
        self.levels = [self._full(stored[0], slide["size"], chain[0], layer if enhancement else None), *stored]

    def _chain(self) -> list[Tags]:
        head, offset = struct.unpack_from("<8sQ", self.data)
        if head != b"II\x2b\0\x08\0\0\0":
            raise Refused("no little-endian BigTIFF")
        chain = []
        while offset:
            tags, offset = self._directory(offset)
            chain.append(tags)
        return chain

    def _directory(self, offset: int) -> tuple[Tags, int]:
        (count,) = struct.unpack_from("<Q", self.data, offset)
        tags = {}
        for at in range(offset + 8, offset + 8 + 20 * count, 20):
            tag, kind, values = struct.unpack_from("<HHQ", self.data, at)
            code = {1: "B", 2: "B", 3: "H", 4: "I", 5: "II", 7: "B", 13: "I", 16: "Q", 18: "Q"}.get(kind)
            if code is None:  # section 2.1: no tag that this document names is of another type
                continue
            length = values * struct.calcsize("<" + code)
            place = at + 12 if length <= 8 else struct.unpack_from("<Q", self.data, at + 12)[0]
            tags[tag] = struct.unpack_from(f"<{values * len(code)}{code[0]}", self.data, place)
        return tags, struct.unpack_from("<Q", self.data, offset + 8 + 20 * count)[0]

    @staticmethod
    def _bytes(values: tuple[int, ...]) -> bytes:
        return bytes(values)

    @staticmethod
    def _frame(data: bytes) -> bytes:
        if not zstandard.get_frame_parameters(data).has_checksum:
            raise Refused("a frame without a checksum")
        return bytes(zstandard.ZstdDecompressor().decompress(data, allow_extra_data=False))

    def _checked(self, offset: int, length: int, checksum: int) -> bytes:
        data = self.data[offset : offset + length]
        if zlib.crc32(data) != checksum:
            raise Refused(f"the {length} bytes at {offset} changed")
        return data

    def _level(self, tags: Tags, size: list[int], sums: Any, level: int, codec: str) -> Pixels:
        width, height = size
        columns, rows = -(-width // self.tile), -(-height // self.tile)
        image = np.empty((rows * self.tile, columns * self.tile, 3), np.uint8)
        for index, (offset, length) in enumerate(zip(tags[324], tags[325], strict=True)):
            y, x = (self.tile * n for n in divmod(index, columns))
            tile = CODECS[codec](self._checked(offset, length, next(sums)))
            if level == 0:
                tile = rgb(tile, self.manifest["base"].get("colour"))
                self.base_sums.append(zlib.crc32(tile.tobytes()))
            image[y : y + self.tile, x : x + self.tile] = tile
        return image[:height, :width]

    def _tissue_map(self, first: Tags, checksum: int) -> Pixels | None:
        layer = self.manifest["layers"].get("tissue_map")
        if layer is None:
            return None
        tags, _ = self._directory(first[330][layer["subifd"]])
        data = self._frame(self._checked(tags[273][0], tags[279][0], checksum))
        return np.frombuffer(data, np.uint8).reshape(layer["size"][::-1])

    def _layer(self, first: Tags, name: str) -> tuple[Tags, list[int]] | None:
        """Section 11: the directory of a layer and its own checksums."""
        layer = self.manifest["layers"].get(name)
        if layer is None:
            return None
        tags, _ = self._directory(first[330][layer["subifd"]])
        table = self._bytes(tags[65303])
        if hashlib.sha256(table).hexdigest() != layer["checksums_sha256"]:
            raise Refused(f"{name}: not the checksums that the manifest names")
        return tags, np.frombuffer(table, "<u4").tolist()

    def _quality_map(self, first: Tags) -> Floats | None:
        """Section 11.1: PSNR, SSIM, colour error and consistency of each block; NaN where nothing was measured."""
        layer = self._layer(first, "quality_map")
        if layer is None:
            return None
        tags, sums = layer
        stored = np.frombuffer(self._frame(self._checked(tags[273][0], tags[279][0], sums[0])), "<u2")
        if any(len(set((stored[at : at + 4] > 0).tolist())) > 1 for at in range(0, len(stored), 4)):
            raise Refused("a block has some of its numbers and not the others")
        values = (stored.reshape(tags[257][0], tags[256][0], 4) - np.float32(1)) / (500, 30000, 500, 500) - (0, 1, 0, 0)
        return np.where(stored.reshape(values.shape) > 0, values, np.nan).astype(np.float32)

    def _enhancement(self, first: Tags) -> Enhancement | None:
        layer = self._layer(first, "enhancement")
        if layer is None:
            return None
        tags, sums = layer
        values = [self._bytes(tags.get(tag, ())) for tag in (65304, 65306, 65305)]
        if [zlib.crc32(value) for value in values] != sums[-3:]:
            raise Refused("modes, prediction checksums or regions changed")
        pieces = [self._checked(*piece) for piece in zip(tags[324], tags[325], sums[:-3], strict=True)]
        stated = self.manifest["layers"]["enhancement"]
        predictions = np.frombuffer(values[1], "<u4").tolist()
        return Enhancement(values[0], pieces, predictions, stated["codec"], stated.get("colour"))

    def _package(self, first: Tags, generator: dict[str, Any]) -> bytes:
        """Section 7.1: the package of a generator, from the file or from a folder."""
        if generator["embedded"]:
            places = [self._frame(self._bytes(first[65302]))]
        else:
            paths = self.packages.glob("*.safetensors") if self.packages else ()
            places = [path.read_bytes() for path in sorted(paths)]
        for package in places:
            if "sha256:" + hashlib.sha256(package).hexdigest() == generator["digest"]:
                return package
        raise Refused(f"no generator {generator['digest']}, or not the one that the manifest names")

    def _full(self, base: Pixels, size: list[int], first: Tags, layer: Enhancement | None) -> Pixels:
        """Sections 6.1 and 6.2: block by block on the canonical grid, and cropped to the slide."""
        generator, block = self.manifest["prediction"]["generator"], self.manifest["prediction"]["block"]
        network = None
        if generator["digest"] != f"builtin:bicubic-x{self.scale}":
            network = network_of(self._package(first, generator))
        rows, columns = -(-base.shape[0] // block), -(-base.shape[1] // block)
        side = block * self.scale
        full = np.empty((rows * side, columns * side, 3), np.uint8)
        for row in range(rows):
            for column in range(columns):
                glass = self.tissue_map is not None and not self.tissue_map[row, column]
                predict: Any = network if network is not None and not glass else Bicubic(self.scale)
                # Section 6.2: beyond the base its edge pixels are repeated.
                ys = np.clip(
                    np.arange(row * block - predict.halo, (row + 1) * block + predict.halo), 0, base.shape[0] - 1
                )
                xs = np.clip(
                    np.arange(column * block - predict.halo, (column + 1) * block + predict.halo), 0, base.shape[1] - 1
                )
                out = predict(base[np.ix_(ys, xs)])
                if layer is not None:
                    out = layer.applied(row * columns + column, out, exact=predict.is_exact)
                full[row * side : (row + 1) * side, column * side : (column + 1) * side] = out
        return full[: size[1], : size[0]]


class Original:
    """Section 11.5: the source's files."""

    def __init__(self, path: Path, *, packages: Path | None = None) -> None:
        self.whole = whole = SecondDecoder(path, packages=packages)
        found = whole._layer(whole.first, "original")
        if found is None:
            raise Refused("no original")
        tags, sums = found
        self.manifest, n, frame = whole.manifest, len(sums) - 2, whole._bytes(tags[65308])
        if zlib.crc32(frame) != sums[n]:
            raise Refused("the list of segments changed")
        content = whole._frame(frame)
        (count,) = struct.unpack_from("<I", content)
        at, tables = 0, list[list[bytes]]()
        for _ in ("headers", "recipes"):
            (count,) = struct.unpack_from("<I", content, at)
            at += 4
            tables.append([b""])
            for _ in range(count):
                (length,) = struct.unpack_from("<I", content, at)
                tables[-1].append(content[at + 4 : at + 4 + length])
                at += 4 + length
        headers, boxes = tables
        kinds, numbers, of_box, *columns = struct.unpack_from(f"<{n}s{n}s{n}s{n}I{n}I", content, at)
        lengths, taken = columns[:n], columns[n:]
        if (
            len(content) != at + 11 * n
            or min(lengths + taken) < 1
            or max(numbers) >= len(headers)
            or max(of_box) >= len(boxes)
            or max(kinds) > 2
            or any(box and kind != 2 for box, kind in zip(of_box, kinds, strict=True))
        ):
            raise Refused("not a list of segments")
        self.headers = [headers[number] for number in numbers]
        self.segments, places = [], {}
        start = tags[65309][0]
        for k in range(n):
            data = whole._checked(start, taken[k], sums[k])
            if box := boxes[of_box[k]]:
                head = b"\0\0\0\x0cJXL \r\n\x87\n\0\0\0\x14ftypjxl \0\0\0\0jxl "
                data = (
                    head
                    + struct.pack(">I", len(box) + 8)
                    + b"jbrd"
                    + box
                    + struct.pack(">I", len(data) + 8)
                    + b"jxlc"
                    + data
                )
            self.segments.append(self._restored(data, kinds[k], lengths[k], self.headers[k]))
            places[start, taken[k]] = k
            start += taken[k]
        stated = self.manifest["layers"]["original"].get("tiles")
        if stated is None:
            self.tiles: list[int] = []
        elif any(place not in places for place in zip(tags[324], tags[325], strict=True)):
            raise Refused("a tile that is no segment")
        else:
            self.tiles = [places[place] for place in zip(tags[324], tags[325], strict=True)]
        if zlib.crc32(struct.pack(f"<{len(self.tiles)}I", *self.tiles)) != sums[n + 1]:
            raise Refused("tiles in another order")

    def _restored(self, data: bytes, kind: int, length: int, header: bytes) -> bytes:
        try:
            if kind == 1:
                data = SecondDecoder._frame(data)
            elif kind == 2:
                data = bytes(imagecodecs.jpegxl_decode_jpeg(data, numthreads=1))
                if data[2 : 2 + len(header)] != header:
                    raise Refused("another header")
                data = data[:2] + data[2 + len(header) :]
        except (zstandard.ZstdError, ValueError, imagecodecs.JpegxlError) as error:
            raise Refused(str(error)) from error
        if len(data) != length:
            raise Refused("a segment of another length")
        return data

    def files(self) -> dict[str, bytes]:
        """The source's files by name."""
        segments, files = iter(self.segments), {}
        for file in self.manifest["source"]["files"]:
            content = b""
            while len(content) < file["bytes"]:
                content += next(segments, b"") or bytes(file["bytes"] + 1)
            if hashlib.sha256(content).hexdigest() != file["sha256"]:
                raise Refused(f"{file['name']}: another file than was encoded")
            files[file["name"]] = content
        return files

    def pixels(self) -> Pixels:
        """The source's finest level."""
        stated, (width, height) = self.manifest["layers"]["original"]["tiles"], self.manifest["slide"]["size"]
        side, columns = stated["side"], -(-width // stated["side"])
        image = np.empty((-(-height // side) * side, columns * side, 3), np.uint8)
        for index, k in enumerate(self.tiles):
            y, x = (side * n for n in divmod(index, columns))
            data, header = self.segments[k], self.headers[k]
            if stated["codec"] == "jpeg":
                tile = imagecodecs.jpeg_decode(data[:2] + header + data[2:])
            else:
                assert stated["codec"] == "deflate", "the vectors have no other"
                tile = np.frombuffer(zlib.decompress(data), np.uint8).reshape(side, side, 3)
                if stated["predictor"]:
                    tile = np.cumsum(tile.astype(np.int64), axis=1).astype(np.uint8)
            image[y : y + side, x : x + side] = tile
        return image[:height, :width]


class Enhancement:
    """Section 11.2: the tiles that correct the prediction, one a block."""

    def __init__(
        self, modes: bytes, tiles: list[bytes], predictions: list[int], codec: str, colour: list[int] | None
    ) -> None:
        self.modes, self.tiles, self.predictions, self.decode = modes, tiles, predictions, CODECS[codec]
        self.colours = {1: colour[:12], 2: colour[12:]} if colour else {}

    def applied(self, index: int, prediction: Pixels, *, exact: bool) -> Pixels:
        """A block of decoded level 0. exact: False for a prediction that machines differ in."""
        mode = self.modes[index]
        if mode == 0:
            return prediction
        tile = rgb(self.decode(self.tiles[index]), self.colours.get(mode))
        if mode == 2:
            return tile
        # Section 11.3
        if not exact or zlib.crc32(prediction.tobytes()) != self.predictions[index]:
            raise Refused(f"tile {index}: it corrects another prediction")
        return np.asarray(np.clip(prediction.astype(np.int16) + tile - 128, 0, 255), np.uint8)


def in_boxes(data: bytes) -> bytes:
    """Section 3.2: a bare picture as an AVIF file."""
    assert data[:3] == b"\x12\0\x0a"
    header = int.from_bytes(data[4:20].ljust(16, b"\0"), "big")

    def bits(start: int, count: int) -> int:
        return header >> (128 - start - count) & ((1 << count) - 1)

    if bits(0, 5) != 0b00111:
        raise Refused("not a still picture of profile 1")
    wide, high = bits(10, 4) + 1, bits(14, 4) + 1
    width, height = bits(18, wide) + 1, bits(18 + wide, high) + 1
    deep = bits(24 + wide + high, 1)
    bytes_of = (
        "0000001c 66747970 61766966 00000000 61766966 6d696631 6d696166 000000e6 6d657461 00000000"
        "00000021 68646c72 00000000 00000000 70696374 00000000000000000000000000"
        "0000000e 7069746d 00000000 0001"
        f"0000001e 696c6f63 00000000 4400 0001 0001 0000 0001 0000010a {len(data):08x}"
        "00000023 69696e66 00000000 0001 00000015 696e6665 02000000 0001 0000 61763031 00"
        "0000006a 69707270 0000004b 6970636f"
        f"00000014 69737065 00000000 {width:08x} {height:08x}"
        f"00000010 70697869 00000000 03 {'0a0a0a' if deep else '080808'}"
        f"0000000c 61763143 81 {32 + bits(5, 5):02x} {'40' if deep else '00'} 00"
        "00000013 636f6c72 6e636c78 0002 0002 0000 80"
        "00000017 69706d61 00000000 00000001 0001 04 01 02 83 04"
        f"{len(data) + 8:08x} 6d646174"
    )
    return bytes.fromhex(bytes_of.replace(" ", "")) + data


def rgb(stored: Pixels, numbers: list[int] | None) -> Pixels:
    """Section 3.1."""
    if numbers is None:
        return stored
    m = np.array(numbers, np.int64).reshape(3, 4)
    total = (stored.astype(np.int64) - 512) @ m[:, :3].T + m[:, 3] + 32768
    return np.asarray(np.clip(total >> 16, 0, 255), np.uint8)


class Bicubic:
    """Section 6.3."""

    halo, is_exact = 2, True

    def __init__(self, scale: int) -> None:
        self.scale, self.shift = scale, {2: 7, 4: 10}[scale]
        half = {2: [[-3, 29, 111, -9, 0]], 4: [[-45, 399, 745, -75, 0], [-7, 93, 987, -49, 0]]}[scale]
        self.weights = half + [taps[::-1] for taps in half[::-1]]

    def __call__(self, part: Pixels) -> Pixels:
        s, (height, width) = self.scale, (part.shape[0] - 4, part.shape[1] - 4)
        t = np.zeros((height * s, width * s, 3), np.int64)
        for py, px, a, b in np.ndindex(s, s, 5, 5):
            weight = self.weights[py][a] * self.weights[px][b]
            t[py::s, px::s] += weight * part[a : a + height, b : b + width].astype(np.int64)
        rounded = (t + (1 << (2 * self.shift - 1))) >> (2 * self.shift)
        return np.asarray(np.clip(rounded, 0, 255), np.uint8)


def network_of(package: bytes) -> WholeNetwork | FloatNetwork:
    """Section 7.1: the network of an embedded package."""
    (length,) = struct.unpack_from("<Q", package)
    header = json.loads(package[8 : 8 + length])
    card = json.loads(header.pop("__metadata__")["histocodec"], object_pairs_hook=_once)
    kinds = {"I8": "i1", "U8": "u1", "I32": "<i4", "F16": "<f2", "F32": "<f4"}
    tensors = {}
    for name, tensor in header.items():
        start, end = (8 + length + offset for offset in tensor["data_offsets"])
        tensors[name] = np.frombuffer(package[start:end], kinds[tensor["dtype"]]).reshape(tensor["shape"])
    if card["architecture"] == "plain":
        return WholeNetwork(card, tensors)
    if card["architecture"] == "rrdb":
        return FloatNetwork(card, tensors)
    raise Refused(f"no architecture {card['architecture']}")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Section 4: no key twice in an object."""
    if len(dict(pairs)) < len(pairs):
        raise Refused("a key twice")
    return dict(pairs)


class WholeNetwork:
    """Section 7.2: `plain`."""

    is_exact = True

    def __init__(self, card: dict[str, Any], tensors: dict[str, NDArray[Any]]) -> None:
        sizes = card["hyperparameters"]
        if not isinstance(sizes, dict):
            raise Refused("hyperparameters that are no object")
        self.scale, channels, self.pairs = sizes["scale"], sizes["channels"], sizes["pairs"]
        self.halo = 2 * self.pairs + 2
        if self.scale not in (2, 4) or not 1 <= channels <= 512 or not 0 <= self.pairs <= 31:
            raise Refused("no such network")
        if (card["scale"], card["halo"]) != (self.scale, self.halo):
            raise Refused("a card that states another scale or halo than its network has")
        names = ["head", *(f"body.{k}" for k in range(2 * self.pairs)), "tail"]
        widths = [3, *[channels] * (2 * self.pairs + 1), 3 * self.scale**2]
        self.layers: list[tuple[Whole, Whole, Whole]] = []
        if len(tensors) != 3 * len(names):
            raise Refused("not the tensors of this network")
        for name, inputs, outputs in zip(names, widths[:-1], widths[1:], strict=True):
            expected = {
                "weight": ("i1", (outputs, inputs, 3, 3)),
                "bias": ("i4", (outputs,)),
                "shift": ("u1", (outputs,)),
            }
            for part, (kind, shape) in expected.items():
                found = tensors.get(f"{name}.{part}")
                if found is None or found.dtype != np.dtype(kind) or found.shape != shape:
                    raise Refused(f"{name}.{part}: not of its type and shape")
            weight, bias, shift = (tensors[f"{name}.{part}"].astype(np.int64) for part in expected)
            self.layers.append((weight, bias, shift))
        self._prove()
        if zlib.crc32(self(test_block(64 + 2 * self.halo)).tobytes()) != card.get("test_block_crc32"):
            raise Refused("its test block is not what the card states")

    def _prove(self) -> None:
        """Section 7.3."""
        last = len(self.layers) - 1
        for index, (weight, bias, shift) in enumerate(self.layers):
            if shift.max() > 12:
                raise Refused("a shift above 12")
            reach = 255 * np.abs(weight).sum((1, 2, 3)) + np.abs(bias)
            if index == last or (index > 0 and index % 2 == 0):
                reach += 255 << shift
            if reach.max() >= 1 << 24:
                raise Refused("a sum that can reach 2^24")
            for sign in (1, -1):
                one_sign = np.maximum(sign * weight, 0)
                pairs = one_sign[:, 0::2]
                pairs[:, : weight.shape[1] // 2] += one_sign[:, 1::2]
                if pairs.max() > 128:
                    raise Refused("two neighbouring weights of more than 128")

    def __call__(self, part: Pixels) -> Pixels:
        x = q = part.transpose(2, 0, 1).astype(np.int64)
        inner = x[:, self.halo : -self.halo, self.halo : -self.halo].repeat(self.scale**2, axis=0)
        for index, (weight, bias, shift) in enumerate(self.layers[:-1]):
            k = shift[:, None, None]
            total = convolved(weight, bias, q)
            if index > 0 and index % 2 == 0:
                total += x[:, 2:-2, 2:-2] << k
            q = np.clip(rounded(np.maximum(8 * total, total), k + 3) + 32, 0, 255)
            if index % 2 == 0:
                x = q
        weight, bias, shift = self.layers[-1]
        k = shift[:, None, None]
        out = np.clip(rounded(convolved(weight, bias, q) + (inner << k), k), 0, 255).astype(np.uint8)
        s, (_, height, width) = self.scale, out.shape
        return out.reshape(3, s, s, height, width).transpose(3, 1, 4, 2, 0).reshape(height * s, width * s, 3)


def convolved(weight: Whole, bias: Whole, x: Whole) -> Whole:
    """Section 7.1: a convolution, in whole numbers, which binary64 holds exactly (section 7.3)."""
    height, width = x.shape[1] - 2, x.shape[2] - 2
    total = np.zeros((len(weight), height, width), np.float64)
    factors, values = weight.astype(np.float64), x.astype(np.float64)
    for i, j in np.ndindex(3, 3):
        total += np.tensordot(factors[:, :, i, j], values[:, i : i + height, j : j + width], 1)
    return total.astype(np.int64) + bias[:, None, None]


def rounded(n: Whole, k: Whole) -> Whole:
    """Section 7.2: n / 2^k, rounded half to even."""
    return np.where(k == 0, n, (n + (1 << np.maximum(k, 1) - 1) - 1 + (n >> k & 1)) >> k)


def test_block(side: int) -> Pixels:
    """Section 7.4."""
    h = np.arange(3 * side * side, dtype=np.uint64)
    h ^= h >> 16
    h = h * 0x85EBCA6B % (1 << 32)
    h ^= h >> 13
    h = h * 0xC2B2AE35 % (1 << 32)
    h ^= h >> 16
    noise = h.reshape(side, side, 3).astype(np.int64)
    row, column, channel = np.indices((side, side, 3))
    third = 3 * row // side
    made = np.where(
        third == 0, noise % 256, np.where(third == 1, 255 * (noise % 2), 3 * row + 2 * column + 85 * channel)
    )
    return (made % 256).astype(np.uint8)


class FloatNetwork:
    """Section 7.5: `rrdb`."""

    is_exact = False

    def __init__(self, card: dict[str, Any], tensors: dict[str, NDArray[Any]]) -> None:
        self.settings, self.scale, self.halo = card["hyperparameters"], card["scale"], card["halo"]
        self.weights = {name: tensor.astype(np.float32) for name, tensor in tensors.items()}
        if not all(np.isfinite(tensor).all() for tensor in self.weights.values()):
            raise Refused("weights that are not finite")

    def __call__(self, part: Pixels) -> Pixels:
        out = self._run(part.transpose(2, 0, 1).astype(np.float32) / np.float32(255)).transpose(1, 2, 0)
        return np.asarray(np.clip(np.floor(out * np.float32(255) + np.float32(0.5)), 0, 255), np.uint8)

    def _run(self, base: Floats) -> Floats:
        def padded(layer: str, x: Floats) -> Floats:
            return self._convolved(layer, np.pad(x, ((0, 0), (1, 1), (1, 1))))

        def dense(name: str, x: Floats) -> Floats:
            seen = x
            for k in range(1, 5):
                seen = np.concatenate([seen, _leaky(padded(f"{name}.conv{k}", seen), 0.2)])
            return np.asarray(x + np.float32(0.2) * padded(f"{name}.conv5", seen))

        first = x = padded("conv_first", base)
        for b in range(self.settings["blocks"]):
            y = x
            for m in (1, 2, 3):
                y = dense(f"body.{b}.rdb{m}", y)
            x = np.asarray(x + np.float32(0.2) * y)
        x = np.asarray(first + padded("conv_body", x))
        for layer in ("conv_up1", "conv_up2"):
            x = _leaky(padded(layer, x.repeat(2, 1).repeat(2, 2)), 0.2)
        x = padded("conv_last", _leaky(padded("conv_hr", x), 0.2))
        beyond = 4 * self.halo
        return x[:, beyond : x.shape[1] - beyond, beyond : x.shape[2] - beyond]

    def _convolved(self, layer: str, x: Floats) -> Floats:
        weight, bias = self.weights[f"{layer}.weight"], self.weights[f"{layer}.bias"]
        height, width = x.shape[1] - 2, x.shape[2] - 2
        shifted = ((i, j, x[:, i : i + height, j : j + width]) for i in range(3) for j in range(3))
        total = sum(np.einsum("oc,chw->ohw", weight[:, :, i, j], part) for i, j, part in shifted)
        return np.asarray(total + bias[:, None, None], np.float32)


def _leaky(x: Floats, slope: float) -> Floats:
    return np.where(x > 0, x, x * np.float32(slope)).astype(np.float32)


def main(path: Path, folder: Path) -> None:
    for level, pixels in enumerate(SecondDecoder(path).levels):
        (folder / f"{path.name.removesuffix('.hc.tif')}-{level}.png").write_bytes(imagecodecs.png_encode(pixels))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
