"""Hostile vectors whose structure is wrong: no BigTIFF, directories that say otherwise, pieces that are elsewhere."""

from __future__ import annotations

import io
import struct

import tifffile

from tests.format.conformance.make_vectors.editing import (
    replaced,
)
from tests.format.conformance.make_vectors.hostile_files import HostileFiles
from tests.format.conformance.make_vectors.painting import (
    painted,
    png,
)
from tests.format.conformance.surgery import (
    ASCII,
    LONG,
    SHORT,
    STRIP_LENGTHS,
    STRIP_OFFSETS,
    TILE_LENGTHS,
    TILE_OFFSETS,
    directory_offsets,
    take_apart,
)


def not_bigtiff(made: HostileFiles) -> None:
    """Add what is no BigTIFF, or one that leads astray."""
    first, second, *_, last = directory_offsets(made.sound)
    end_of_last = last + 8 + 20 * struct.unpack_from("<Q", made.sound, last)[0]
    made.add("not-bigtiff", "empty", b"", "no bytes")
    made.add("not-bigtiff", "png", png(painted(8, 8, 1)), "a PNG")
    classic = io.BytesIO()
    tifffile.imwrite(classic, painted(16, 16, 1), bigtiff=False, metadata=None, software=False)
    made.add("not-bigtiff", "classic-tiff", classic.getvalue(), "a classic TIFF")
    made.add("not-bigtiff", "big-endian", b"MM\0\x2b\0\x08\0\0" + made.sound[8:], "the header says big-endian")
    made.add("not-bigtiff", "cut-in-directory", made.sound[: second + 50], "cut in the second directory")
    made.add(
        "not-bigtiff",
        "loop",
        replaced(made.sound, end_of_last, struct.pack("<Q", first)),
        "the last directory leads to the first",
    )
    made.add(
        "not-bigtiff", "far-directory", replaced(made.sound, 8, struct.pack("<Q", 2**63)), "first directory at 2^63"
    )
    made.add(
        "not-bigtiff",
        "many-entries",
        replaced(made.sound, first, struct.pack("<Q", 2**60)),
        "2^60 entries in a directory",
    )
    made.add(
        "not-bigtiff",
        "unsorted",
        replaced(made.sound, first + 8 + 20, struct.pack("<H", 200)),
        "tags not in ascending order",
    )


def directory_mismatch(made: HostileFiles) -> None:
    """Add files whose directories say otherwise than the manifest."""
    made.add("directory-mismatch", "width", made.set_tag(0, 256, LONG, 131), "ImageWidth 131 for 130")
    made.add("directory-mismatch", "compression", made.set_tag(0, 259, SHORT, 7), "Compression says JPEG")
    made.add("directory-mismatch", "unknown-compression", made.set_tag(0, 259, SHORT, 65310), "Compression says AV1")
    made.add(
        "directory-mismatch", "photometric", made.set_tag(0, 262, SHORT, 6), "PhotometricInterpretation says YCbCr"
    )
    made.add("directory-mismatch", "bits", made.set_tag(0, 258, SHORT, 8, 8, 16), "BitsPerSample 8, 8, 16")
    made.add("directory-mismatch", "tile-size", made.set_tag(2, 322, LONG, 64), "TileWidth 64")
    made.add(
        "directory-mismatch", "resolution", made.set_tag(0, 296, SHORT, 2), "pixels an inch for pixels a centimetre"
    )
    made.add("directory-mismatch", "type", made.set_tag(0, 256, SHORT, 130, 1), "ImageWidth holds two numbers")
    described = take_apart(made.sound)[0].tags[270][1].replace(b"AppMag = 10", b"AppMag = 40")
    lie = made.rebuilt(lambda d: d[0].tags.__setitem__(270, (ASCII, described)))
    made.add("directory-mismatch", "description", lie, "ImageDescription says 40x")
    made.add(
        "directory-mismatch",
        "directory-missing",
        made.rebuilt(lambda d: d.__delitem__(-1)),
        "no directory for the label",
    )
    made.add("directory-mismatch", "directory-extra", made.rebuilt(lambda d: d.append(d[1])), "the thumbnail twice")
    made.add(
        "directory-mismatch", "order", made.rebuilt(lambda d: d.insert(1, d.pop(2))), "level 1 before the thumbnail"
    )
    made.add(
        "directory-mismatch", "tile-count", made.rebuilt(lambda d: d[0].pieces.append(b"x")), "three tiles for two"
    )
    made.add("directory-mismatch", "huge-label", made.set_tag(3, 256, LONG, 2**31), "a label 2^31 px wide")


def tile_elsewhere(made: HostileFiles) -> None:
    """Add files whose pieces are missing or outside the file."""
    made.add("tile-missing", "zero-length", made.patched(TILE_LENGTHS, bytes(4), at=4), "the second tile has no bytes")
    label = take_apart(made.sound)[3].pieces[0]
    moved = made.patched(STRIP_OFFSETS, struct.pack("<Q", len(made.sound)), directory=3) + label
    made.add("tile-outside-file", "cut", moved[:-10], "cut in the label, which is at the end")
    made.add("manifest-damaged", "cut", made.sound[:-10], "cut in the manifest, which is at the end")
    made.add("tile-outside-file", "offset", made.patched(TILE_OFFSETS, struct.pack("<Q", 2**40)), "first tile at 2^40")
    made.add(
        "tile-outside-file",
        "offset-wraps",
        made.patched(TILE_OFFSETS, struct.pack("<Q", 2**64 - 8)),
        "first tile at 2^64 - 8",
    )
    made.add(
        "tile-outside-file",
        "in-header",
        made.patched(TILE_OFFSETS, struct.pack("<Q", 4)),
        "first tile at 4, in the header",
    )
    made.add(
        "tile-outside-file",
        "length",
        made.patched(TILE_LENGTHS, struct.pack("<I", 2**32 - 1)),
        "first tile of 2^32 - 1 bytes",
    )
    made.add(
        "tile-outside-file",
        "label",
        made.patched(STRIP_OFFSETS, struct.pack("<Q", 2**50), directory=3),
        "the label at 2^50",
    )
    made.add(
        "tile-outside-file",
        "label-length",
        made.patched(STRIP_LENGTHS, bytes(8), directory=3),
        "the label has no bytes",
    )
