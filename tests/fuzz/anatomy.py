"""A container as its parts, each of which can be changed, and put together so that every checksum fits again."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import struct
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import cycle, islice
from typing import Any

import numpy as np
import zstandard

from histocodec.decoder import Decoder
from histocodec.errors import HistocodecError
from histocodec.format.entries import level_sizes
from histocodec.format.pieces import crc_table, image_crc32
from histocodec.geometry import Grid, Size
from histocodec.pixels.colour import ColourTransform
from histocodec.pixels.jpeg_xl import to_jpeg
from histocodec.pixels.tile_codecs import TileError
from histocodec.pixels.tile_coder import TileCoder
from tests.format.conformance.surgery import (
    ASCII,
    BASE_SUMS,
    CHECKSUMS,
    GENERATOR,
    ICC_PROFILE,
    LONG,
    LONG8,
    MANIFEST,
    PREDICTION_SUMS,
    REGIONS,
    TILE_LENGTHS,
    TILE_MODES,
    TILE_OFFSETS,
    UNDEFINED,
    Directory,
    put_together,
    take_apart,
)

SEGMENTS, DATA = 65308, 65309
MOST_TILES = 600
"""Tiles that a slide made larger may have on a level."""

_COMPRESSOR = zstandard.ZstdCompressor(level=1, write_checksum=True)


def framed(data: bytes) -> bytes:
    """Return one sound zstd frame."""
    return _COMPRESSOR.compress(data)


def unframed(frame: bytes) -> bytes:
    """Return the content of a frame."""
    return zstandard.ZstdDecompressor().decompress(frame, max_output_size=1 << 26)


@dataclass
class Segment:
    """A segment of the original."""

    kind: int
    header: int
    recipe: int
    length: int
    stored: bytes


@dataclass
class Original:
    """The list of segments, and what it lists."""

    headers: list[bytes] = field(default_factory=list)
    recipes: list[bytes] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)
    tiles: list[int] = field(default_factory=list)
    """Number of the segment of each tile."""

    @classmethod
    def read(cls, directory: Directory, data: bytes) -> Original:
        """Read what a sound directory points to."""
        content = unframed(directory.tags[SEGMENTS][1])
        found = cls()
        at = 0
        for runs in (found.headers, found.recipes):
            (count,) = struct.unpack_from("<I", content, at)
            at += 4
            for _ in range(count):
                (length,) = struct.unpack_from("<I", content, at)
                runs.append(content[at + 4 : at + 4 + length])
                at += 4 + length
        count = (len(content) - at) // 11
        kinds, headers, recipes = (content[at + k * count : at + (k + 1) * count] for k in range(3))
        numbers = struct.unpack_from(f"<{2 * count}I", content, at + 3 * count)
        place = directory.number(DATA)
        places = {}
        for index in range(count):
            stored = data[place : place + numbers[count + index]]
            places[stored] = index
            found.segments.append(Segment(kinds[index], headers[index], recipes[index], numbers[index], stored))
            place += len(stored)
        found.tiles = [places[piece] for piece in directory.pieces if piece in places]
        return found

    def content(self) -> bytes:
        """Return the list, before it is compressed."""
        shared = b"".join(
            struct.pack("<I", len(runs)) + b"".join(struct.pack("<I", len(run)) + run for run in runs)
            for runs in (self.headers, self.recipes)
        )
        columns = (bytes(getattr(one, name) & 255 for one in self.segments) for name in ("kind", "header", "recipe"))
        numbers = [one.length & 0xFFFFFFFF for one in self.segments] + [len(one.stored) for one in self.segments]
        return shared + b"".join(columns) + struct.pack(f"<{len(numbers)}I", *numbers)

    def restored(self, index: int) -> bytes:
        """Return what a segment restores to. Raises what its codec raises."""
        one = self.segments[index]
        header = self.headers[one.header - 1] if 0 < one.header <= len(self.headers) else b""
        if one.kind == 1:
            return unframed(one.stored)
        if one.kind == 2:
            recipe = self.recipes[one.recipe - 1] if 0 < one.recipe <= len(self.recipes) else b""
            jpeg = to_jpeg(one.stored, one.length + len(header), recipe)
            return jpeg[:2] + jpeg[2 + len(header) :]
        return one.stored


class Anatomy:
    """The parts of a container. Raises anything for bytes that are no container."""

    def __init__(self, data: bytes) -> None:
        self.chain = take_apart(data)
        first = self.chain[0]
        self.manifest: dict[str, Any] = json.loads(unframed(first.tags[MANIFEST][1]))
        self.package = unframed(first.tags[GENERATOR][1]) if GENERATOR in first.tags else None
        self.contents: dict[str, bytes] = {}
        """What stands compressed in tissue map, quality map and regions, by these names."""
        for name in ("tissue_map", "quality_map"):
            if (layer := self.layer(name)) is not None:
                self.contents[name] = unframed(layer.pieces[0])
        layer = self.layer("enhancement")
        if layer is not None and REGIONS in layer.tags:
            self.contents["regions"] = unframed(layer.tags[REGIONS][1])
        layer = self.layer("original")
        self.original = None if layer is None else Original.read(layer, data)

    def layer(self, name: str) -> Directory | None:
        """Return the directory of a layer; None if the file has none of that name."""
        stated = (self.manifest.get("layers") or {}).get(name)
        return None if stated is None else self.chain[0].subdirectories[stated["subifd"]]

    @property
    def base(self) -> Directory:
        """The directory of the base."""
        subifd = self.manifest["base"].get("subifd")
        return self.chain[0] if subifd is None else self.chain[0].subdirectories[subifd]

    def levels(self) -> list[Directory]:
        """Return the directories of the stored levels, the base first."""
        early = min(1, len(self.manifest["associated"]))
        late = len(self.manifest["associated"]) - early
        chain = [self.chain[0], *self.chain[1 + early : len(self.chain) - late]]
        return chain if self.manifest["base"].get("subifd") is None else [self.base, *chain]

    def associated(self) -> list[Directory]:
        """Return the directories of the associated images."""
        early = min(1, len(self.manifest["associated"]))
        late = len(self.manifest["associated"]) - early
        return [*self.chain[1 : 1 + early], *self.chain[len(self.chain) - late :][:late]]

    # ---------------------------------------------------------------------------------------------------- together

    def whole(self, *, sums: bool = True, predictions: bool = False) -> bytes:
        """Return the file, every checksum, digest and length made right.

        sums: also what the base decodes to. predictions: also what the enhancement layer corrects.
        """
        if sums:
            self.mend_base_sums()
        data = self._sealed()
        if predictions and self.layer("enhancement") is not None and self.mend_predictions(data):
            data = self._sealed()
        return data

    def _sealed(self) -> bytes:
        first = self.chain[0]
        before = b""
        layer = self.layer("original")
        if layer is not None and self.original is not None:
            before = self._write_original(layer, self.original)
        for name in ("tissue_map", "quality_map"):
            if name in self.contents and (layer := self.layer(name)) is not None:
                layer.pieces[:1] = [framed(self.contents[name])]
        layer = self.layer("enhancement")
        if layer is not None and "regions" in self.contents:
            layer.tags[REGIONS] = UNDEFINED, framed(self.contents["regions"])
        if self.package is not None:
            first.tags[GENERATOR] = UNDEFINED, framed(self.package)
            digest = f"sha256:{hashlib.sha256(self.package).hexdigest()}"
            with contextlib.suppress(KeyError, TypeError):
                self.manifest["prediction"]["generator"]["digest"] = digest
        for name in ("quality_map", "enhancement"):
            if (layer := self.layer(name)) is not None:
                own = list(layer.pieces)
                if name == "enhancement":
                    own += [layer.tags.get(tag, (0, b""))[1] for tag in (TILE_MODES, PREDICTION_SUMS, REGIONS)]
                self._seal(layer, crc_table(own), self.manifest["layers"][name])
        pieces = [piece for level in self.levels() for piece in level.pieces]
        pieces += [piece for image in self.associated() for piece in image.pieces[:1] or [b""]]
        layer = self.layer("tissue_map")
        pieces += [layer.pieces[0] if layer is not None and layer.pieces else b""]
        pieces += [first.tags.get(tag, (0, b""))[1] for tag in (ICC_PROFILE, BASE_SUMS)]
        self._seal(first, crc_table(pieces), self.manifest)
        text = json.dumps(self.manifest, sort_keys=True, separators=(",", ":"))
        first.tags[MANIFEST] = UNDEFINED, framed(text.encode("utf-8", "surrogatepass"))
        return put_together(self.chain, before)

    @staticmethod
    def _seal(directory: Directory, table: bytes, stated: Any) -> None:
        directory.tags[CHECKSUMS] = UNDEFINED, table
        if isinstance(stated, dict):
            stated["checksums_sha256"] = hashlib.sha256(table).hexdigest()

    def _write_original(self, layer: Directory, original: Original) -> bytes:
        """Return the bytes of all segments, and point to them."""
        places, at = [], 16
        for one in original.segments:
            places.append((at, len(one.stored)))
            at += len(one.stored)
        tiles = [places[number % len(places)] for number in original.tiles] if places else []
        if TILE_OFFSETS in layer.tags or layer.pieces:
            layer.pieces = []
            layer.tags[TILE_OFFSETS] = LONG8, struct.pack(f"<{len(tiles)}Q", *(place for place, _ in tiles))
            layer.tags[TILE_LENGTHS] = LONG, struct.pack(f"<{len(tiles)}I", *(length for _, length in tiles))
        layer.tags[DATA] = LONG8, struct.pack("<Q", 16)
        frame = framed(original.content())
        layer.tags[SEGMENTS] = UNDEFINED, frame
        numbers = np.array([number % max(1, len(places)) for number in original.tiles], "<u4").tobytes()
        if (self.manifest["layers"]["original"] or {}).get("tiles") is None:
            numbers = b""
        table = crc_table([*(one.stored for one in original.segments), frame, numbers])
        self._seal(layer, table, self.manifest["layers"]["original"])
        return b"".join(one.stored for one in original.segments)

    # ------------------------------------------------------------------------------------------- made right again

    def mend_base_sums(self) -> None:
        """Make the checksums of the decoded base those of what it decodes to now, as far as it does."""
        base = self.manifest.get("base")
        if not isinstance(base, dict) or BASE_SUMS not in self.chain[0].tags:
            return
        sums = bytearray(self.chain[0].tags[BASE_SUMS][1])
        try:
            coder = TileCoder(base["codec"], ColourTransform(tuple(base["colour"])) if base.get("colour") else None)
            known: dict[bytes, bytes] = {}
            for index, piece in enumerate(self.base.pieces[: len(sums) // 4]):
                if piece not in known:
                    known[piece] = bytes(sums[4 * index : 4 * index + 4])
                    with contextlib.suppress(TileError):
                        tile = coder.decode(piece, height=base["tile"], width=base["tile"])
                        known[piece] = struct.pack("<I", image_crc32(tile))
                sums[4 * index : 4 * index + 4] = known[piece]
        except (KeyError, TypeError, ValueError, IndexError):
            return  # what a manifest says that is refused anyhow
        self.chain[0].tags[BASE_SUMS] = UNDEFINED, bytes(sums)

    def mend_predictions(self, data: bytes) -> bool:
        """Make the checksums of predictions those of what is predicted now; return False if nothing can be."""
        layer = self.layer("enhancement")
        if layer is None:
            return False
        modes = layer.tags.get(TILE_MODES, (0, b""))[1]
        sums = np.zeros(len(modes), "<u4")
        try:
            with warnings.catch_warnings(), Decoder(io.BytesIO(data), enhancement=False) as decoder:
                warnings.simplefilter("ignore")
                for index, mode in enumerate(modes):
                    if mode == 1:
                        sums[index] = image_crc32(decoder._predict(*decoder._blocks.address(index)))
        except (HistocodecError, ValueError, IndexError):
            return False
        layer.tags[PREDICTION_SUMS] = UNDEFINED, sums.tobytes()
        return True

    def mend_source(self) -> None:
        """Make lengths and digests of the source's files those of what the original restores to, as far as it does."""
        original, source = self.original, self.manifest.get("source")
        if original is None or not isinstance(source, dict):
            return
        restored = []
        for index, one in enumerate(original.segments):
            try:
                restored.append(original.restored(index))
                one.length = len(restored[-1])
            except Exception:  # whatever a codec says of it; a reader's own words are what is asked for later
                restored.append(bytes(min(one.length, 1 << 16)))
        files = source["files"]
        share, at = max(1, len(restored) // max(1, len(files))), 0
        for number, file in enumerate(files):
            end = len(restored) if number == len(files) - 1 else at + share
            content = b"".join(restored[at:end])
            file.update(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
            at = end
        self.manifest["slide"]["source_bytes"] = sum(file["bytes"] for file in files)

    # ------------------------------------------------------------------------------------------------- of another size

    def resize(self, width: int, height: int) -> None:
        """Make it a slide of another size, sound but for its pixels: tiles, maps and modes are repeated."""
        m, (columns, rows) = self.manifest, self._blocks(width, height)
        scale, tile, mpp = m["base"]["scale"], m["base"]["tile"], m["slide"]["mpp"]
        base = (-(-width // scale), -(-height // scale))
        levels = level_sizes(base, tile)
        old, images = self.levels(), self.associated()
        made = []
        for k, level in enumerate(levels):
            source = old[min(k, len(old) - 1)]
            directory = source if k < len(old) else Directory(dict(source.tags), list(source.pieces))
            count = Grid(Size(*level.size), tile).count
            if count > MOST_TILES:
                raise ValueError("too many tiles")
            directory.set(256, LONG, level.size[0])
            directory.set(257, LONG, level.size[1])
            per_cm = 10000 / (mpp * scale * level.downsample)
            ratio = struct.pack("<2I", min(round(per_cm * 1000), 0xFFFFFFFF), 1000)
            directory.tags[282] = directory.tags[283] = 5, ratio
            power = (m["slide"]["objective_power"] or 10 / mpp) / (scale * level.downsample)
            text = f"Aperio\r\nfuzz|AppMag = {power:.9g}|MPP = {mpp * scale * level.downsample:.9g}\0"
            directory.tags[270] = ASCII, text.encode()
            directory.pieces = list(islice(cycle(directory.pieces), count))
            made.append(directory)
        chain = made if m["base"].get("subifd") is None else made[1:]
        self.chain = [chain[0], *images[:1], *chain[1:], *images[1:]]
        m["slide"].update(size=[width, height], damaged=None)
        m["base"]["levels"] = [{"size": list(level.size), "downsample": level.downsample} for level in levels]
        if m.get("quality"):
            m["quality"]["worst_block"] = None
        first = self.chain[0]
        count = Grid(Size(*base), tile).count
        first.tags[BASE_SUMS] = UNDEFINED, _repeated(first.tags[BASE_SUMS][1], 4 * count)
        for name, step in (("tissue_map", 1), ("quality_map", 8)):
            if (layer := self.layer(name)) is not None:
                layer.set(256, LONG, columns)
                layer.set(257, LONG, rows)
                m["layers"][name]["size"] = [columns, rows]
                self.contents[name] = _repeated(self.contents[name], step * columns * rows)
        if (layer := self.layer("enhancement")) is not None:
            layer.set(256, LONG, width)
            layer.set(257, LONG, height)
            modes = _repeated(layer.tags[TILE_MODES][1], columns * rows)
            present = cycle([piece for piece in layer.pieces if piece])
            layer.pieces = [next(present) if mode else b"" for mode in modes]
            layer.tags[TILE_MODES] = UNDEFINED, modes
            layer.tags[PREDICTION_SUMS] = UNDEFINED, bytes(4 * len(modes))
            m["layers"]["enhancement"].update(size=[width, height], tiles=sum(map(bool, modes)))
        if m["layers"].get("original"):
            m["layers"]["original"]["tiles"] = None

    def _blocks(self, width: int, height: int) -> tuple[int, int]:
        side = self.manifest["prediction"]["block"] * self.manifest["base"]["scale"]
        return -(-width // side), -(-height // side)


def _repeated(data: bytes, length: int) -> bytes:
    return bytes(islice(cycle(data or b"\0"), length))


def directories(chain: list[Directory]) -> Iterator[Directory]:
    """Yield the directories of the main chain, each before its SubIFDs."""
    for directory in chain:
        yield directory
        yield from directory.subdirectories


def crc32(data: bytes) -> int:
    """Return a CRC-32."""
    return zlib.crc32(data)
