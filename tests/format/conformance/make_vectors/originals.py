"""Originals of vectors: source files of a few bytes that no reader of slides knows, in segments of every kind."""

from __future__ import annotations

import dataclasses
import hashlib
import zlib
from collections.abc import Callable

import imagecodecs
import numpy as np

from histocodec.format.entries import OriginalLayer, OriginalTiles, SourceEntry, SourceFile
from histocodec.format.original import Kind, OriginalPieces, SegmentList
from histocodec.pixels.jpeg_xl import as_file, to_jpeg_xl
from tests.format.conformance.make_vectors.editing import compress, sha256
from tests.format.conformance.make_vectors.painting import painted

SIDE = 32
"""Pixels a side of a tile of the source."""
ENCODED, MODIFIED = "2026-02-28T09:30:00Z", "2011-11-11T11:11:11Z"


@dataclasses.dataclass(frozen=True)
class Segment:
    """A segment, and what it restores to."""

    kind: Kind
    stored: bytes
    restored: bytes
    header: int = 0
    recipe: int = 0
    tiles: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True)
class Original:
    """The files of a source, each in segments."""

    files: dict[str, tuple[Segment, ...]]
    headers: tuple[bytes, ...] = ()
    recipes: tuple[bytes, ...] = ()
    tiles: OriginalTiles | None = None

    @property
    def segments(self) -> list[Segment]:
        """All segments, file after file."""
        return [segment for segments in self.files.values() for segment in segments]

    @property
    def source(self) -> SourceEntry:
        """What the manifest states of the files."""
        contents = {name: b"".join(one.restored for one in segments) for name, segments in self.files.items()}
        files = [SourceFile(len(data), sha256(data), name, MODIFIED) for name, data in contents.items()]
        return SourceEntry(ENCODED, tuple(files))

    def pieces(self) -> OriginalPieces:
        """The layer's bytes."""
        segments = self.segments
        listed = SegmentList(
            self.headers,
            self.recipes,
            np.array([one.kind for one in segments], np.uint8),
            np.array([one.header for one in segments], np.uint8),
            np.array([one.recipe for one in segments], np.uint8),
            np.array([len(one.restored) for one in segments], np.uint32),
            np.array([len(one.stored) for one in segments], np.uint32),
        )
        places = {tile: index for index, one in enumerate(segments) for tile in one.tiles}
        return OriginalPieces(
            listed,
            np.array([zlib.crc32(one.stored) for one in segments], np.uint32),
            np.array([places[tile] for tile in sorted(places)], np.uint32),
            lambda index: segments[index].stored,
            listed.to_bytes(),
        )

    def layer(self, subifd: int, pieces: OriginalPieces) -> OriginalLayer:
        """What the manifest states of the layer."""
        return OriginalLayer(subifd, hashlib.sha256(pieces.checksums).hexdigest(), self.tiles)


def verbatim(data: bytes) -> Segment:
    return Segment(Kind.VERBATIM, data, data)


def packed(data: bytes) -> Segment:
    return Segment(Kind.ZSTD, compress(data), data)


def coded(jpeg: bytes) -> tuple[bytes, bytes]:
    """Return a codestream in JPEG XL, and its recipe."""
    found = to_jpeg_xl(jpeg)
    assert found is not None
    assert found[1]
    return found


def of_jpeg_tiles() -> Original:
    """A file of three JPEG tiles that share their tables, two of them in JPEG XL and one as it is."""
    jpegs = [bytes(imagecodecs.jpeg_encode(painted(SIDE, SIDE, 90 + k), level=80)) for k in range(3)]
    end = jpegs[0].index(b"\xff\xc0")
    header = jpegs[0][2:end]
    assert all(jpeg[2:end] == header for jpeg in jpegs)
    owns = [jpeg[:2] + jpeg[end:] for jpeg in jpegs]
    (first, shared), (third, same) = coded(jpegs[0]), coded(jpegs[2])
    assert shared == same
    tiles = [
        Segment(Kind.JPEG_XL, first, owns[0], 1, 1, (0,)),
        Segment(Kind.VERBATIM, owns[1], owns[1], 1, 0, (1,)),
        Segment(Kind.JPEG_XL, third, owns[2], 1, 1, (2,)),
    ]
    # In the file they lie in another order than in the picture.
    segments = (verbatim(b"a head"), tiles[2], packed(bytes(5000)), tiles[0], tiles[1], verbatim(b"."))
    shown = OriginalTiles(SIDE, "jpeg", "ycbcr", predictor=False)
    return Original({"painted.svs": segments}, (header,), (shared,), shown)


def of_rgb_tiles() -> Original:
    """A file of JPEG tiles of R, G and B, all as JPEG XL files, by a marker that all lack; two tiles are one."""
    marker = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00"
    bare = bytes(imagecodecs.jpeg_encode(painted(64, 64, 93), level=80, colorspace="rgb", outcolorspace="rgb"))
    at = bare.find(marker)
    own = bare if at < 0 else bare[:at] + bare[at + len(marker) :]
    tile = Segment(Kind.JPEG_XL, as_file(*coded(own[:2] + marker + own[2:])), own, 1, 0, (0, 1))
    shown = OriginalTiles(64, "jpeg", "rgb", predictor=False)
    return Original({"µ/a slide.tif": (tile, packed(b"tail " * 100))}, (marker,), (), shown)


def of_deflated_tiles() -> Original:
    """A file of deflate tiles with a predictor."""
    picture = painted(64, 64, 94)
    segments = [verbatim(b"II*\0")]
    for number in range(2):
        tile = picture[:32, 32 * number : 32 * number + 32].astype(np.int16)
        data = zlib.compress(np.diff(tile, axis=1, prepend=0).astype(np.uint8).tobytes(), 9)
        segments.append(Segment(Kind.VERBATIM, data, data, tiles=(number,)))
    return Original({"deflate.tif": tuple(segments)}, tiles=OriginalTiles(32, "deflate", "rgb", predictor=True))


def of_several_files() -> Original:
    """Files as a scanner writes them beside and below a first one, one of them empty."""
    jpeg = bytes(imagecodecs.jpeg_encode(painted(40, 24, 95), level=70))
    of_jpeg = Segment(Kind.JPEG_XL, as_file(*coded(jpeg)), jpeg)
    return Original(
        {
            "case.mrxs": (verbatim(b"MRXS"),),
            "case/Data0000.dat": (verbatim(b"\0\1\2"), of_jpeg, packed(bytes(3000))),
            "case/Empty.dat": (),
            "case/Slidedat.ini": (packed(b"[GENERAL]\r\nSLIDE_VERSION = 01.02\r\n" * 20),),
        }
    )


ORIGINALS: dict[str, Callable[[], Original]] = {
    "jpeg": of_jpeg_tiles,
    "rgb": of_rgb_tiles,
    "deflate": of_deflated_tiles,
    "set": of_several_files,
}
