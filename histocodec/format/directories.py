"""What the directories of a container must say, compared with its manifest: levels, associated images, SubIFDs.

`formats/container/v1/spec.md`, section 2, is normative.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from ..errors import Problem
from ..geometry import Grid, Size
from .bigtiff import BigTiffError, Directory, read_directory
from .descriptions import described_numbers
from .manifest import Manifest
from .pieces import ReadAt, outside
from .tags import (
    CENTIMETRE,
    COMPRESSION,
    COMPRESSION_JPEG,
    MAX_ASSOCIATED_BYTES,
    MAX_ASSOCIATED_PIXELS,
    MAX_ASSOCIATED_SIDE,
    MAX_DESCRIPTION_BYTES,
    MAX_SUBIFDS,
    MAX_TILE_BYTES,
    RGB,
    YCBCR,
    Tag,
)

TOLERANCE = 1e-4
"""Share by which resolutions and described numbers may differ from what the manifest makes them."""

MAX_LISTED = 100
"""Tiles of a level that are listed one by one when they are missing or outside the file."""

_ABSENT: dict[Tag, int] = {Tag.NewSubfileType: 0, Tag.PlanarConfiguration: 1}
"""Value of a tag that is not there, for those that may be left out."""


def sub_directory(first: Directory, number: int, read_at: ReadAt) -> Directory:
    """Return a SubIFD of the first directory. Raises BigTiffError."""
    count = first.count(Tag.SubIFDs)
    if not number < count <= MAX_SUBIFDS:
        raise BigTiffError(f"expected it in SubIFD {number}, found {count} of them")
    return read_directory(read_at, first.numbers(Tag.SubIFDs, count)[number])[0]


def mismatches(directory: Directory, expected: Mapping[Tag, int | tuple[int, ...]]) -> Iterator[str]:
    """Yield a sentence for every tag that does not hold the number or numbers that are expected.

    Raises BigTiffError for a tag that is missing, or of another kind.
    """
    for tag, wanted in expected.items():
        found: int | tuple[int, ...]
        if isinstance(wanted, tuple):
            found = directory.numbers(tag, len(wanted))
        else:
            found = directory.number(tag, _ABSENT.get(tag))
        if found != wanted:
            yield f"{tag.name}: expected {wanted}, found {found}"


def extents(directory: Directory, offsets: Tag, lengths: Tag, count: int) -> NDArray[np.uint64]:
    """Return (count, 2) offset and length of every tile or strip. Raises BigTiffError."""
    return np.stack([directory.array(offsets, count), directory.array(lengths, count)], axis=1)


def level_problems(
    manifest: Manifest, level: int, directory: Directory, place: str, tiles: NDArray[np.uint64], size_bytes: int
) -> Iterator[Problem]:
    """Yield all that is wrong with the directory of a stored level, and with the place of its tiles.

    tiles: (n, 2) offset and length of each. Raises BigTiffError for a tag that is missing, or of another kind.
    """
    base = manifest.base
    codec, (width, height) = base.level_codecs[level], base.levels[level].size
    first = 0 if base.subifd is None else 1
    expected: dict[Tag, int | tuple[int, ...]] = {
        Tag.NewSubfileType: 1 if level > first else 0,
        Tag.ImageWidth: width,
        Tag.ImageLength: height,
        Tag.BitsPerSample: (8, 8, 8),
        Tag.Compression: COMPRESSION[codec],
        Tag.PhotometricInterpretation: YCBCR if codec == "jpeg" else RGB,
        Tag.SamplesPerPixel: 3,
        Tag.PlanarConfiguration: 1,
        Tag.ResolutionUnit: CENTIMETRE,
        Tag.TileWidth: base.tile,
        Tag.TileLength: base.tile,
    }
    for sentence in mismatches(directory, expected):
        yield Problem("directory-mismatch", place, sentence)
    mpp = manifest.base_mpp * base.levels[level].downsample
    for tag in (Tag.XResolution, Tag.YResolution):
        top, bottom = directory.rational(tag)
        if not bottom or abs(top / bottom * mpp / 10000 - 1) > TOLERANCE:
            yield Problem("directory-mismatch", place, f"{tag.name}: expected {mpp:g} um/px, found {top} / {bottom}")
    description = directory.data(Tag.ImageDescription, MAX_DESCRIPTION_BYTES) or b""
    for key, value in described_numbers(manifest, level).items():
        if not _states(description, key, value):
            yield Problem("directory-mismatch", place, f"ImageDescription: expected {key} = {value:g}")
    yield from _tile_problems(level, tiles, size_bytes)


def _tile_problems(level: int, tiles: NDArray[np.uint64], size_bytes: int) -> Iterator[Problem]:
    lengths = tiles[:, 1]
    bad = np.flatnonzero(outside(tiles, size_bytes) | (lengths > MAX_TILE_BYTES) | (lengths == 0)).tolist()
    for index in bad[:MAX_LISTED]:
        offset, length = tiles[index].tolist()
        code, found = "tile-missing", "no bytes are stored for it"
        if length:
            code, found = "tile-outside-file", f"{length} bytes at {offset} of a file of {size_bytes}"
        yield Problem(code, f"level {level} tile {index}", found)
    if len(bad) > MAX_LISTED:
        more = f"{len(bad) - MAX_LISTED} more tiles are outside or missing"
        yield Problem("tile-outside-file", f"level {level}", more)


def image_size(directory: Directory) -> Size:
    """Return width and height in pixels, as a directory states them. Raises BigTiffError."""
    return Size(directory.number(Tag.ImageWidth), directory.number(Tag.ImageLength))


def associated_problems(
    name: str, directory: Directory, place: str, strip: NDArray[np.uint64], size_bytes: int
) -> Iterator[Problem]:
    """Yield all that is wrong with the directory of an associated image. strip: (1, 2) offset and length.

    Raises BigTiffError for a tag that is missing, or of another kind.
    """
    size = image_size(directory)
    if directory.number(Tag.Compression) != COMPRESSION_JPEG:
        yield Problem("directory-mismatch", place, f"expected the {name} as JPEG")
    if not 0 < size.area <= MAX_ASSOCIATED_PIXELS or max(size) > MAX_ASSOCIATED_SIDE:
        found = f"the {name} has {size.width} x {size.height} px, at most {MAX_ASSOCIATED_PIXELS} are allowed"
        yield Problem("directory-mismatch", place, found)
    if not 0 < strip[0, 1] <= MAX_ASSOCIATED_BYTES or outside(strip, size_bytes).any():
        yield Problem("tile-outside-file", place, f"the {name} lies outside the file")


def level_grids(manifest: Manifest) -> tuple[Grid, ...]:
    """Return the tile grid of each stored level."""
    return tuple(Grid(Size(*level.size), manifest.base.tile) for level in manifest.base.levels)


def _states(description: bytes, key: str, value: float) -> bool:
    """Return True if an ImageDescription that Aperio's readers take has `|key = value`, as those readers see it."""
    fields = description.rstrip(b"\0").split(b"|")
    found = [text for name, _, text in (field.partition(b"=") for field in fields[1:]) if name.strip() == key.encode()]
    try:
        near = abs(float(found[0]) - value) < TOLERANCE * value
        return description.startswith(b"Aperio") and near and len(found) == 1
    except (IndexError, ValueError):
        return False
