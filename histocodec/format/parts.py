"""The parts of a container that are known once it is open: read, compared with each other, and frozen.

Tiles, images and the generator's package stay in the file; what says where they are and what they must be is here.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import CorruptContainer, NotAContainer, Problem, UnsupportedVersion
from ..geometry import Grid, Size
from ..pixels.colour import ColourTransform
from ..pixels.tile_coder import TileCoder
from ..runtime.byte_source import ByteSource
from .bigtiff import BigTiffError, Directory, first_offset, read_directories
from .directories import associated_problems, extents, image_size, level_grids, level_problems, sub_directory
from .layers import StoredEnhancement, read_enhancement, read_quality_map, read_tissue_map
from .manifest import LaterVersion, Manifest, ManifestError
from .pieces import Damaged, ReadAt, StoredPieces, checked
from .quality import QualityMap
from .tags import MAX_JSON_BYTES, MAX_PROFILE_BYTES, Tag
from .zstd import decompressed

OPENING_BYTES = 192 << 10
"""Bytes from the first directory on that are asked for at once: where this package writes, all that opening needs."""

NOT_OURS = "no histocodec manifest (tag 65301): a TIFF, but not one of ours"


@dataclass(frozen=True, eq=False)
class StoredLevel:
    """A stored level: its tiles, and how to decode them."""

    grid: Grid
    coder: TileCoder
    tiles: StoredPieces


@dataclass(frozen=True, eq=False)
class StoredImages:
    """The associated images, each one JPEG."""

    sizes: Mapping[str, Size]
    """Width and height in pixels, by name, in file order."""
    jpegs: StoredPieces


@dataclass(frozen=True, eq=False)
class Parts:
    """Everything of an open container but the pieces that are read when they are asked for."""

    manifest_json: bytes
    manifest: Manifest
    first: Directory
    """The first directory, which holds the generator's package."""
    levels: tuple[StoredLevel, ...]
    associated: StoredImages
    checksums: bytes
    """The main checksum table, as it is stored."""
    base_sums: NDArray[np.uint32]
    """(tiles,) CRC-32 of each tile of the base as the encoder decoded it."""
    tissue_map: NDArray[np.uint8]
    """(rows, columns) uint8, one a block of the canonical grid: 1 tissue, 0 glass."""
    icc_profile: bytes | None
    quality_map: QualityMap | None
    enhancement: StoredEnhancement | None


class Findings:
    """The problems of one file, collected while its parts are read."""

    def __init__(self, path: Path | str) -> None:
        self.path = path
        self.problems: list[Problem] = []

    @contextmanager
    def part(self, code: str, place: str) -> Iterator[None]:
        """Collect as a problem what stops the reading of a part."""
        try:
            yield
        except Damaged as error:
            self.problems.append(Problem(code, place, str(error)))

    def refuse(self) -> None:
        """Raise CorruptContainer if there is any problem so far."""
        if self.problems:
            raise CorruptContainer(self.path, self.problems)


def read_parts(source: ByteSource) -> Parts:
    """Read and check a file.

    Raises NotAContainer, UnsupportedVersion or CorruptContainer, which has every problem that can be reached.
    """
    path, read_at, size_bytes = source.name, source.read_at, source.size_bytes
    directories = _read_directories(source)
    first = directories[0]
    manifest_json = _read_manifest_json(path, first)
    manifest = _checked_manifest(path, manifest_json)
    findings = Findings(path)
    levels, images = _arranged(manifest, directories, read_at, findings)
    grids = level_grids(manifest)
    tiles = _read_tiles(manifest, levels, size_bytes, findings)
    sizes, strips = _read_strips(manifest, images, size_bytes, findings)
    # With as many tiles as the manifest says, what depends on their number is safe to ask memory for.
    findings.refuse()

    counts = [*(grid.count for grid in grids), len(images)]
    checksums = _read_checksums(manifest, first, sum(counts) + 3, findings)
    *sums, (map_sum, profile_sum, base_sum) = np.split(np.frombuffer(checksums, "<u4"), np.cumsum(counts))
    blocks = Grid(grids[0].size, manifest.prediction.block).shape
    named = manifest.layers
    base_sums, tissue_map, icc_profile, quality_map, enhancement = None, None, None, None, None
    with findings.part("checksums-damaged", "tag 65307"):
        base_sums = _read_base_sums(first, counts[0], int(base_sum))
    with findings.part("tissue-map-damaged", "tissue map"):
        tissue_map = read_tissue_map(named.tissue_map, blocks, first, int(map_sum), read_at, size_bytes)
    with findings.part("icc-profile-damaged", "tag 34675"):
        icc_profile = _read_profile(first, int(profile_sum))
    with findings.part("quality-map-damaged", "quality map"):
        if named.quality_map is not None:
            quality_map = read_quality_map(named.quality_map, first, read_at, size_bytes)
    with findings.part("enhancement-damaged", "enhancement"):
        if named.enhancement is not None:
            tile = manifest.prediction.block * manifest.base.scale
            enhancement = read_enhancement(named.enhancement, tile, first, read_at, size_bytes)
    if base_sums is None or tissue_map is None or findings.problems:
        raise CorruptContainer(path, findings.problems)

    return Parts(
        manifest_json=manifest_json,
        manifest=manifest,
        first=first,
        levels=tuple(
            StoredLevel(grid, coder, StoredPieces(read_at, where, own))
            for grid, coder, where, own in zip(grids, _coders(manifest), tiles, sums[:-1], strict=True)
        ),
        associated=StoredImages(sizes, StoredPieces(read_at, strips, sums[-1])),
        checksums=checksums,
        base_sums=base_sums,
        tissue_map=tissue_map,
        icc_profile=icc_profile,
        quality_map=quality_map,
        enhancement=enhancement,
    )


def _read_directories(source: ByteSource) -> list[Directory]:
    """Return the main chain, at least one directory. Raises NotAContainer."""
    try:
        source.expect([(first_offset(source.read_at), OPENING_BYTES)])
        directories = read_directories(source.read_at)
        if not directories:
            raise BigTiffError("no directory")
    except BigTiffError as error:
        raise NotAContainer(source.name, [Problem("not-bigtiff", "file", str(error))]) from error
    return directories


def _read_manifest_json(path: Path | str, first: Directory) -> bytes:
    """Return the manifest's text. Raises NotAContainer if there is none, else CorruptContainer."""
    try:
        frame = first.data(Tag.Manifest, MAX_JSON_BYTES)
        if frame is None:
            raise NotAContainer(path, [Problem("no-manifest", "directory 0", NOT_OURS)])
        return decompressed(frame, MAX_JSON_BYTES)
    except Damaged as error:
        raise CorruptContainer(path, [Problem("manifest-damaged", "tag 65301", str(error))]) from error


def _checked_manifest(path: Path | str, manifest_json: bytes) -> Manifest:
    """Return the manifest. Raises UnsupportedVersion or CorruptContainer."""
    try:
        return Manifest.from_json(manifest_json)
    except LaterVersion as error:
        raise UnsupportedVersion(path, [Problem("later-version", *p) for p in error.problems]) from error
    except ManifestError as error:
        raise CorruptContainer(path, [Problem("manifest-invalid", *p) for p in error.problems]) from error


_Placed = list[tuple[str, Directory]]
"""Directories with the names by which problems call them."""


def _arranged(
    manifest: Manifest, chain: list[Directory], read_at: ReadAt, findings: Findings
) -> tuple[_Placed, _Placed]:
    """Return the directories of the levels, the base first, and of the associated images. Raises CorruptContainer.

    In the main chain the first associated image stands behind the first level, and the others behind the last.
    """
    subifd, early = manifest.base.subifd, len(manifest.associated[:1])
    late = len(manifest.associated) - early
    expected = len(manifest.base.levels) - (0 if subifd is None else 1) + early + late
    if len(chain) != expected:
        sentence = f"expected {expected} directories, found {len(chain)}"
        findings.problems.append(Problem("directory-mismatch", "file", sentence))
        findings.refuse()
    placed = [(f"directory {number}", directory) for number, directory in enumerate(chain)]
    end = len(placed) - late
    levels = [placed[0], *placed[1 + early : end]]
    if subifd is not None:
        with findings.part("directory-mismatch", "base"):
            levels.insert(0, ("base", sub_directory(chain[0], subifd, read_at)))
        findings.refuse()
    return levels, [*placed[1 : 1 + early], *placed[end:]]


def _read_tiles(manifest: Manifest, levels: _Placed, size_bytes: int, findings: Findings) -> list[NDArray[np.uint64]]:
    """Check the directories of the levels; return (n, 2) offset and length of the tiles of each that can be read."""
    found: list[NDArray[np.uint64]] = []
    for level, (grid, (place, directory)) in enumerate(zip(level_grids(manifest), levels, strict=True)):
        with findings.part("directory-mismatch", place):
            found.append(extents(directory, Tag.TileOffsets, Tag.TileByteCounts, grid.count))
            findings.problems += level_problems(manifest, level, directory, place, found[-1], size_bytes)
    return found


def _read_strips(
    manifest: Manifest, images: _Placed, size_bytes: int, findings: Findings
) -> tuple[dict[str, Size], NDArray[np.uint64]]:
    """Check the directories of the associated images; return their sizes, and (n, 2) offset and length of the JPEGs."""
    found: list[NDArray[np.uint64]] = [np.empty((0, 2), np.uint64)]
    sizes: dict[str, Size] = {}
    for name, (place, directory) in zip(manifest.associated, images, strict=True):
        with findings.part("directory-mismatch", place):
            found.append(extents(directory, Tag.StripOffsets, Tag.StripByteCounts, 1))
            sizes[name] = image_size(directory)
            findings.problems += associated_problems(name, directory, place, found[-1], size_bytes)
    return sizes, np.concatenate(found)


def _read_checksums(manifest: Manifest, first: Directory, total: int, findings: Findings) -> bytes:
    """Return the main table of `total` checksums. Raises CorruptContainer."""
    data = None
    with findings.part("checksums-damaged", "tag 65303"):
        data = first.data(Tag.Checksums, 4 * total)
        if data is None or hashlib.sha256(data).hexdigest() != manifest.checksums_sha256:
            raise Damaged("not the checksums that the manifest names")
        if len(data) != 4 * total:
            raise Damaged(f"expected {total} checksums, found {len(data) / 4:g}")
    findings.refuse()
    return data or b""


def _read_base_sums(first: Directory, count: int, checksum: int) -> NDArray[np.uint32]:
    """Return the checksums of the decoded base. Raises Damaged."""
    data = first.data(Tag.BaseChecksums, 4 * count)
    if data is None or len(data) != 4 * count:
        raise Damaged(f"expected checksums of {count} decoded tiles, found {len(data or b'') / 4:g}")
    return np.frombuffer(checked(data, checksum), "<u4")


def _read_profile(first: Directory, checksum: int) -> bytes | None:
    """Return the ICC profile, None if there is none. Raises Damaged."""
    profile = first.data(Tag.InterColorProfile, MAX_PROFILE_BYTES)
    if zlib.crc32(profile or b"") != checksum:
        raise Damaged("its bytes changed since it was written, or it is missing")
    return profile


def _coders(manifest: Manifest) -> list[TileCoder]:
    """Return the coder of each level's tiles: colours are turned in the base alone."""
    base = manifest.base
    colour = ColourTransform(base.colour) if base.colour else None
    return [TileCoder(base.codec, colour), *(TileCoder(codec) for codec in base.level_codecs[1:])]
