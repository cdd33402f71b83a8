"""Hostile originals: valid files with one thing wrong in what they say of the source, or store of it."""

from __future__ import annotations

import dataclasses
import json
import struct
from collections.abc import Callable
from typing import Any

import imagecodecs
import numpy as np
import zstandard

from histocodec.format.original import OriginalPieces
from tests.format.conformance.make_vectors.editing import Collection, ManifestChange, compress, replaced, sha256
from tests.format.conformance.make_vectors.originals import Original
from tests.format.conformance.make_vectors.painting import painted
from tests.format.conformance.make_vectors.recipes import RECIPES
from tests.format.conformance.make_vectors.valid import build
from tests.format.conformance.surgery import (
    CHECKSUMS,
    MANIFEST,
    TILE_OFFSETS,
    UNDEFINED,
    change_in_place,
    entries,
    subdirectory_offsets,
)

NAME, SET = "jp2k-x4-original", "av1-x2-original-set"
SEGMENTS, DATA = 65308, 65309
_SEED = 3
"""Of the pictures; any does."""


class HostileOriginals(Collection):
    """Hostile files with an original."""

    def __init__(self, valid: dict[str, bytes]) -> None:
        super().__init__()
        self.sound, self.set = valid[NAME], valid[SET]

    def built(
        self,
        name: str,
        how: str,
        original: Callable[[Original], Original] = lambda made: made,
        pieces: Callable[[OriginalPieces], OriginalPieces] = lambda made: made,
        recipe: str = NAME,
    ) -> None:
        """Add a file that was built with another original, sound for itself but for what is wrong."""
        data = build(RECIPES[recipe], _SEED, changed_original=original, changed_pieces=pieces)
        self.add("original-damaged", name, data, how)

    def manifest(self, name: str, how: str, change: ManifestChange, code: str = "manifest-invalid") -> None:
        """Add a file with a changed manifest; where it was, since a longer one would move the segments."""
        self.add(code, name, with_manifest(self.sound if code != "manifest-invalid" else self.set, change), how)


def with_manifest(data: bytes, change: ManifestChange) -> bytes:
    """Return a file with a changed manifest at its end, and everything else where it was."""
    first = struct.unpack_from("<Q", data, 8)[0]
    _, place, size = entries(data, first)[MANIFEST]
    manifest = json.loads(zstandard.decompress(data[place : place + size]))
    change(manifest)
    text = json.dumps(manifest, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
    return change_in_place(data, first, MANIFEST, UNDEFINED, compress(text))


def wrong_sources(made: HostileOriginals) -> None:
    """Add files whose manifest says wrong things of the source's files."""

    def named(name: Any, index: int = 1) -> ManifestChange:
        return lambda m: m["source"]["files"][index].update(name=name)

    made.manifest("source-up", "a file's name leads up: ../evil", named("../evil"))
    made.manifest("source-inner-up", "a file's name leads up: case/../../evil", named("case/../../evil"))
    made.manifest("source-root", "a file's name is /etc/passwd", named("/etc/passwd"))
    made.manifest("source-backslash", "a file's name with a backslash", named("case\\..\\..\\evil"))
    made.manifest("source-drive", "a file's name is C:evil", named("C:evil"))
    made.manifest("source-line", "a file's name with a line end", named("case/a\nb"))
    made.manifest("source-empty-part", "a file's name with nothing between two slashes", named("case//a"))
    made.manifest("source-long", "a part of a name of 256 characters", named("a" * 256))
    made.manifest("source-deep", "a name of 17 parts", named("/".join("a" * 17)))
    made.manifest("source-twice", "two files of one name, but for upper case", named("CASE/empty.DAT"))
    made.manifest("source-folder", "a file's name is another's folder", named("case"))
    made.manifest("source-nameless", "one file of several has no name", named(None))
    made.manifest("source-moment", "a day that is text", lambda m: m["source"].update(encoded="yesterday"))
    made.manifest("source-sha256", "a digest of 63 digits", lambda m: m["source"]["files"][0].update(sha256="0" * 63))
    made.manifest("source-bytes", "files of more bytes than the source", lambda m: m["slide"].update(source_bytes=9))
    made.manifest("source-negative", "a file of -1 bytes", lambda m: m["source"]["files"][0].update(bytes=-1))
    made.manifest("source-none", "an original without a source", lambda m: m.pop("source"))
    made.manifest("source-no-files", "a source of no file", lambda m: m["source"].update(files=[]))
    made.manifest("source-identified", "de-identified, with names", lambda m: m["slide"].update(deidentified=True))
    made.manifest("original-tier", "an original, but tier bounded", lambda m: m.update(tier="bounded"))
    made.manifest("original-subifd", "subifd is 16", lambda m: m["layers"]["original"].update(subifd=16))

    def tiles(**changes: Any) -> ManifestChange:
        stated = {"side": 32, "codec": "jpeg", "colour": "ycbcr", "predictor": False}
        return lambda m: m["layers"]["original"].update(tiles={**stated, **changes})

    made.manifest("original-side", "tiles of 4097 px", tiles(side=4097))
    made.manifest("original-codec", "tiles in webp", tiles(codec="webp"))
    made.manifest("original-predictor", "a predictor with JPEG", tiles(predictor=True))
    made.manifest("original-colour", "YCbCr with deflate", tiles(codec="deflate"))


def wrong_lists(made: HostileOriginals) -> None:
    """Add files whose list of segments, or whose table, is wrong."""

    def listed(**columns: Any) -> Callable[[OriginalPieces], OriginalPieces]:
        """Change columns of the list; each takes and gives the array."""

        def change(pieces: OriginalPieces) -> OriginalPieces:
            new = {name: act(getattr(pieces.segments, name).copy()) for name, act in columns.items()}
            return dataclasses.replace(pieces, frame=dataclasses.replace(pieces.segments, **new).to_bytes())

        return change

    def at(index: int, value: int) -> Callable[[Any], Any]:
        def change(array: Any) -> Any:
            array[index] = value
            return array

        return change

    def content(act: Callable[[bytes], bytes]) -> Callable[[OriginalPieces], OriginalPieces]:
        return lambda p: dataclasses.replace(p, frame=compress(act(zstandard.decompress(p.frame))))

    def announcing(data: bytes) -> bytes:
        behind = 8 + int.from_bytes(data[4:8], "little")  # the one header
        return data[:behind] + struct.pack("<I", 256) + data[behind + 4 :]

    made.built("kind", "a segment of kind 3", pieces=listed(kinds=at(0, 3)))
    made.built("header-number", "a segment with the second of one header", pieces=listed(header_numbers=at(1, 2)))
    made.built(
        "recipe-number",
        "a segment with the second of one recipe",
        pieces=listed(recipe_numbers=at(1, 2)),
    )
    made.built(
        "recipe-of-frame",
        "a segment in zstd with a recipe",
        pieces=listed(recipe_numbers=at(2, 1)),
    )
    made.built("empty-segment", "a segment of no bytes", pieces=listed(lengths=at(0, 0)))
    made.built("nothing-stored", "a segment that takes no bytes", pieces=listed(stored_lengths=at(0, 0)))
    made.built("long-segment", "a segment of 16 MiB and one byte", pieces=listed(lengths=at(2, (1 << 24) + 1)))
    made.built("beyond", "the last segment reaches beyond the file", pieces=listed(stored_lengths=at(5, 1 << 20)))
    made.built("overlap", "a segment reaches into the next one", pieces=listed(stored_lengths=at(0, 7)))
    made.built("longer", "segments of more bytes than the files", pieces=listed(lengths=at(5, 2)))
    made.built(
        "two-files",
        "a segment that belongs to two files",
        pieces=listed(lengths=lambda a: np.concatenate([[a[0] + 1, a[1] - 1], a[2:]]).astype(np.uint32)),
        recipe=SET,
    )
    made.built("list-short", "a list of a byte too few", pieces=content(lambda data: data[:-1]))
    made.built("list-long", "a list of a byte too many", pieces=content(lambda data: data + b"\0"))
    made.built("headers", "a list that announces 256 headers", pieces=content(lambda d: struct.pack("<I", 256) + d[4:]))
    made.built("headers-cut", "a header beyond the list", pieces=content(lambda d: d[:4] + b"\xff\xff\0\0"))
    made.built("recipes", "a list that announces 256 recipes", pieces=content(announcing))
    made.built("list-bomb", "a list of 64 MiB of zeros", pieces=content(lambda data: bytes(1 << 26)))
    made.built(
        "list-bare",
        "a list in a frame without a checksum",
        pieces=lambda p: dataclasses.replace(p, frame=compress(zstandard.decompress(p.frame), checksum=False)),
    )

    def patched(name: str, how: str, tag: int, change: Callable[[bytes], bytes]) -> None:
        _, place, size = entries(made.sound, subdirectory_offsets(made.sound)[-1])[tag]
        made.add("original-damaged", name, replaced(made.sound, place, change(made.sound[place : place + size])), how)

    patched("list-changed", "a bit flipped in the list", SEGMENTS, lambda d: d[:-9] + bytes([d[-9] ^ 1]) + d[-8:])
    patched("table-changed", "a bit flipped in the checksums", CHECKSUMS, lambda d: bytes([d[0] ^ 1]) + d[1:])
    patched("start-beyond", "the first segment at 2^63", DATA, lambda d: struct.pack("<Q", 1 << 63))
    patched("start-in-header", "the first segment at 8", DATA, lambda d: struct.pack("<Q", 8))
    patched(
        "start-later",
        "the first segment a byte later",
        DATA,
        lambda d: struct.pack("<Q", int.from_bytes(d, "little") + 1),
    )
    patched("tiles-exchanged", "two tiles exchanged", TILE_OFFSETS, lambda d: d[8:16] + d[:8] + d[16:])
    patched("tile-elsewhere", "a tile that is no segment", TILE_OFFSETS, lambda d: bytes([d[0] ^ 1]) + d[1:])
    beyond = with_manifest(made.sound, lambda m: m["layers"]["original"].update(subifd=9))
    made.add("original-damaged", "subifd-beyond", beyond, "the manifest names SubIFD 9 of two")
    other = with_manifest(made.sound, lambda m: m["layers"]["original"].update(checksums_sha256="0" * 64))
    made.add("original-damaged", "other-table", other, "not the checksums that the manifest names")


def wrong_segments(made: HostileOriginals) -> None:
    """Add files with a segment, whose checksums are right, that does not restore to what it should."""

    def instead(index: int, **changes: Any) -> Callable[[Original], Original]:
        def change(original: Original) -> Original:
            (name, segments), *_ = original.files.items()
            new = [*segments[:index], dataclasses.replace(segments[index], **changes), *segments[index + 1 :]]
            return dataclasses.replace(original, files={name: tuple(new)})

        return change

    at = made.sound.index(b"a head")
    made.add("original-damaged", "bit-flip", replaced(made.sound, at, b"A"), "a bit flipped in a segment")
    made.built("frame-long", "a frame of a thousand times the segment", instead(2, stored=compress(bytes(5_000_000))))
    lying = bytearray(compress(bytes(5_000_000)))
    place = lying.index(struct.pack("<I", 5_000_000))
    lying[place : place + 4] = struct.pack("<I", 5000)
    made.built("frame-lies", "the same, but it states the segment's size", instead(2, stored=bytes(lying)))
    made.built("frame-short", "a frame of a byte too few", instead(2, stored=compress(bytes(4999))))
    made.built("frame-none", "zlib in place of zstd", instead(2, stored=b"x\x9c" + bytes(40)))
    made.built("verbatim-short", "a segment of five bytes for six", instead(0, stored=b"a hea"))
    grey = np.full((32, 32, 3), 128, np.uint8)

    def jpeg_xl(name: str, how: str, stored: bytes) -> None:
        made.built(name, how, instead(1, stored=stored, recipe=0))

    jpeg_xl("no-jpeg", "JPEG XL of pixels, which gives no JPEG", bytes(imagecodecs.jpegxl_encode(grey)))
    other = bytes(imagecodecs.jpegxl_encode_jpeg(imagecodecs.jpeg_encode(painted(32, 32, 96), level=30)))
    jpeg_xl("other-jpeg", "JPEG XL of another JPEG", other)
    made.built("codestream", "a codestream without its recipe", instead(1, recipe=0))
    made.built("file-in-file", "a JPEG XL file in place of a codestream", instead(1, stored=other))
    # Not div8, a side of 2^30 (selector 3), the ratio 1:1 (ISO/IEC 18181-1, SizeHeader)
    bits = 3 << 1 | (2**30 - 1) << 3 | 1 << 33
    huge = b"\xff\x0a" + bits.to_bytes(8, "little") + bytes(20)
    jpeg_xl("huge-jpeg", "JPEG XL that states 2^30 x 2^30 px", huge)
    made.built("huge-codestream", "the same in place of a codestream", instead(1, stored=huge))
    jpeg_xl("not-jpeg-xl", "zeros in place of JPEG XL", bytes(64))

    def headed(original: Original) -> Original:
        header = original.headers[0]
        return dataclasses.replace(original, headers=(header[:-1] + bytes([header[-1] ^ 1]),))

    made.built("other-header", "a header that the JPEG has not", headed)

    def rebuilt(original: Original) -> Original:
        return dataclasses.replace(original, recipes=(original.recipes[0][:-20],))

    made.built("cut-recipe", "a recipe of which the end is missing", rebuilt)

    def digest(m: dict[str, Any]) -> None:
        m["source"]["files"][0]["sha256"] = sha256(b"another file")

    made.add("original-damaged", "digest", with_manifest(made.sound, digest), "the digest of another file")
