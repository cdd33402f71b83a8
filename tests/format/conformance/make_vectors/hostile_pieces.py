"""Hostile vectors whose pieces are damaged: checksums, tiles, maps, pictures and profile."""

from __future__ import annotations

import struct
from collections.abc import Callable

import imagecodecs
import numpy as np

from tests.format.conformance.make_vectors.editing import (
    change_manifest,
    compress,
    replaced,
)
from tests.format.conformance.make_vectors.hostile_files import HostileFiles
from tests.format.conformance.make_vectors.painting import (
    coded,
)
from tests.format.conformance.make_vectors.recipes import (
    TILE,
)
from tests.format.conformance.surgery import (
    BASE_SUMS,
    CHECKSUMS,
    ICC_PROFILE,
    LONG,
    SHORT,
    UNDEFINED,
    Directory,
    take_apart,
)

GREY = np.full((TILE, TILE, 3), 200, np.uint8)
"""A tile of flat grey."""


def checksums_damaged(made: HostileFiles) -> None:
    """Add files whose table of checksums is damaged."""
    made.add("checksums-damaged", "bit-flip", made.flipped(CHECKSUMS, at=5), "a bit flipped in the table")
    made.add("checksums-damaged", "missing", made.drop_tag(CHECKSUMS), "no tag 65303")

    def shorter(directories: list[Directory]) -> None:
        directories[0].tags[CHECKSUMS] = UNDEFINED, directories[0].tags[CHECKSUMS][1][:-4]
        change_manifest(directories, lambda m: None)

    made.add(
        "checksums-damaged", "short", made.rebuilt(shorter), "a checksum too few, and the manifest names that table"
    )
    made.add("checksums-damaged", "no-base", made.drop_tag(BASE_SUMS), "no tag 65307")
    made.add("checksums-damaged", "base-bit-flip", made.flipped(BASE_SUMS, at=5), "a bit flipped in tag 65307")
    for name, change, how in (
        ("base-short", lambda sums: sums[:-4], "a decoded tile's checksum too few, with its checksum"),
        ("base-long", lambda sums: sums + bytes(4), "a decoded tile's checksum too many, with its checksum"),
    ):
        made.add("checksums-damaged", name, _with_base_sums(made, change), how)


def base_mismatch(made: HostileFiles) -> None:
    """Add files whose base decodes to other pixels than they say: readers warn of them, and go on."""

    def other(sums: bytes) -> bytes:
        return sums[:-1] + bytes([sums[-1] ^ 1])

    made.add("base-mismatch", "jp2k", _with_base_sums(made, other), "another checksum of the second decoded tile")
    made.add("base-mismatch", "av1", _with_base_sums(made, other, made.av1), "another checksum of the one decoded tile")


def _with_base_sums(made: HostileFiles, change: Callable[[bytes], bytes], source: bytes | None = None) -> bytes:
    """Return a file with other checksums of the decoded base, and what is computed of these."""

    def changed(directories: list[Directory]) -> None:
        directories[0].tags[BASE_SUMS] = UNDEFINED, change(directories[0].tags[BASE_SUMS][1])

    return made.rebuilt(changed, sums=True, source=source)


def tile_damaged(made: HostileFiles) -> None:
    """Add files with a tile that is not what was written, or that no codec should take."""
    place = take_apart(made.sound)[0].pieces[0]
    made.add(
        "tile-checksum",
        "bit-flip",
        replaced(made.sound, made.sound.index(place) + 150, bytes([place[150] ^ 1])),
        "a bit flipped in a tile",
    )
    made.add(
        "tile-checksum", "swapped", made.rebuilt(lambda d: d[0].pieces.reverse()), "the two tiles of level 0 swapped"
    )
    made.add("tile-damaged", "zeros", made.with_piece(0, 0, bytes(64)), "a tile of zeros, with its checksum")
    made.add(
        "tile-damaged",
        "cut",
        made.with_piece(0, 0, place[:60]),
        "a tile cut in its header, with its checksum",
    )
    small = coded(GREY[:64, :64], "jp2k")
    made.add("tile-damaged", "small", made.with_piece(0, 0, small), "a tile of 64 x 64 px, with its checksum")
    big = replaced(coded(GREY, "jp2k"), 8, struct.pack(">2I", 10**9, 10**9))
    made.add("tile-damaged", "huge", made.with_piece(0, 0, big), "a tile of 10^9 x 10^9 px, with its checksum")
    jpeg = coded(GREY, "jpeg")
    made.add(
        "tile-damaged",
        "other-codec",
        made.with_piece(0, 0, jpeg),
        "a JPEG tile in a jp2k file, with its checksum",
    )
    one = bytes(imagecodecs.jpeg2k_encode(GREY[..., 0], level=30, codecformat="j2k", numthreads=1))
    made.add("tile-damaged", "grey", made.with_piece(0, 0, one), "a tile of one component, with its checksum")
    countless = replaced(coded(GREY, "jp2k"), 40, struct.pack(">H", 16384))
    made.add(
        "tile-damaged",
        "components",
        made.with_piece(0, 0, countless),
        "a tile of 16384 components, with its checksum",
    )
    marker = "a tile whose coding style is destroyed, with its checksum"
    broken = replaced(place, place.index(b"\xff\x52"), b"\xff\x30")
    made.add("tile-damaged", "no-coding-style", made.with_piece(0, 0, broken), marker)


def base_apart(made: HostileFiles) -> None:
    """Add files whose base, in a SubIFD, is damaged."""

    def apart(change: Callable[[Directory], None], *, sums: bool = True) -> bytes:
        def changed(directories: list[Directory]) -> None:
            change(directories[0].subdirectories[0])

        return made.rebuilt(changed, sums=sums, source=made.av1)

    eight, ten = coded(GREY, "av1"), coded(GREY, "av1", ten_bits=True)
    made.add("tile-damaged", "av1-zeros", apart(lambda d: d.pieces.__setitem__(0, bytes(64))), "an AV1 tile of zeros")
    made.add("tile-damaged", "av1-8-bits", apart(lambda d: d.pieces.__setitem__(0, eight)), "an AV1 tile of 8 bits")
    boxed = bytes(imagecodecs.avif_encode(GREY, level=60, pixelformat="444", numthreads=1))
    made.add("tile-damaged", "av1-boxes", apart(lambda d: d.pieces.__setitem__(0, boxed)), "an AV1 tile with its boxes")
    small = coded(GREY[:64, :64], "av1", ten_bits=True)
    made.add("tile-damaged", "av1-small", apart(lambda d: d.pieces.__setitem__(0, small)), "an AV1 tile of 64 x 64 px")
    cut = ten[: len(ten) // 2]
    made.add("tile-damaged", "av1-cut", apart(lambda d: d.pieces.__setitem__(0, cut)), "half of an AV1 tile")
    wide = apart(lambda d: d.set(256, LONG, 76), sums=False)
    made.add("directory-mismatch", "base-width", wide, "the base's directory says 76 px for 75")
    visible = apart(lambda d: d.set(259, SHORT, 33005), sums=False)
    made.add("directory-mismatch", "base-compression", visible, "the base's directory says JPEG 2000")
    beyond = made.rebuilt(lambda d: change_manifest(d, lambda m: m["base"].update(subifd=5)), source=made.av1)
    made.add("directory-mismatch", "base-beyond", beyond, "the manifest looks for the base in SubIFD 5 of two")


def tissue_map_damaged(made: HostileFiles) -> None:
    """Add files whose tissue map is damaged."""

    def tissue_map(data: bytes) -> bytes:
        return made.rebuilt(lambda d: d[0].subdirectories[0].pieces.__setitem__(0, data), sums=True)

    made.add("tissue-map-damaged", "value", tissue_map(compress(b"\1\2\0")), "a block that is 2")
    made.add("tissue-map-damaged", "short", tissue_map(compress(b"\1\0")), "a block too few")
    made.add("tissue-map-damaged", "bomb", tissue_map(compress(bytes(1 << 26))), "64 MiB for three blocks")
    made.add(
        "tissue-map-damaged",
        "no-checksum",
        tissue_map(compress(b"\1\1\0", checksum=False)),
        "a frame without a checksum",
    )
    swapped = made.rebuilt(lambda d: d[0].subdirectories[0].pieces.__setitem__(0, compress(b"\0\1\1")))
    made.add("tissue-map-damaged", "other", swapped, "another map in place of the one that was written")
    no_map = made.rebuilt(lambda d: d[0].subdirectories.clear())
    made.add("tissue-map-damaged", "no-subifd", no_map, "no SubIFD")
    beyond = made.rebuilt(lambda d: change_manifest(d, lambda m: m["layers"]["tissue_map"].update(subifd=5)))
    made.add("tissue-map-damaged", "subifd-beyond", beyond, "the manifest names SubIFD 5 of one")
    sub = made.rebuilt(lambda d: d[0].subdirectories[0].set(256, LONG, 4))
    made.add("tissue-map-damaged", "width", sub, "a map four blocks wide for three")
    unnamed = made.rebuilt(lambda d: change_manifest(d, lambda m: m["layers"].pop("tissue_map")))
    made.add("tissue-map-damaged", "unnamed", unnamed, "a checksum for a map that the manifest does not name")


def extras_damaged(made: HostileFiles) -> None:
    """Add files whose associated images or profile are damaged."""
    label = take_apart(made.sound)[3].pieces[0]
    made.add(
        "associated-damaged",
        "bit-flip",
        replaced(made.sound, made.sound.index(label) + len(label) - 9, bytes([label[-9] ^ 1])),
        "a bit flipped in the label",
    )
    huge = replaced(label, label.index(b"\xff\xc0") + 5, struct.pack(">2H", 65000, 65000))
    made.add("associated-damaged", "huge", made.with_piece(3, 0, huge), "a label of 65000 x 65000 px by its JPEG")
    made.add("associated-damaged", "zeros", made.with_piece(3, 0, bytes(64)), "a label of zeros, with its checksum")
    made.add("icc-profile-damaged", "bit-flip", made.flipped(ICC_PROFILE, at=20), "a bit flipped in the profile")
    made.add("icc-profile-damaged", "missing", made.drop_tag(ICC_PROFILE), "no tag 34675, but a checksum for it")
    extra = made.with_tag(ICC_PROFILE, b"profile", source=made.embedded)
    made.add("icc-profile-damaged", "added", extra, "a profile that was not there when the file was written")
