"""The container: a pyramidal BigTIFF that any TIFF reader opens at the base's resolution.

`formats/container/v1/spec.md` is normative. Nothing here knows how pixels are predicted.
"""

from __future__ import annotations

import hashlib
import threading
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import IO

import numpy as np
import tifffile
import zstandard
from numpy.typing import NDArray

from .bigtiff import BigTiffError, Directory, read_directories, read_directory
from .codecs import Image, TileCodec, TileError, decode_tile
from .errors import CorruptContainer, NotAContainer, Problem, UnsupportedVersion
from .geometry import Size, TileGrid
from .labels import associated_description, stored_description
from .manifest import MAX_JSON_BYTES, LaterVersion, Manifest, ManifestError

TAG_MANIFEST = 65301
TAG_GENERATOR = 65302
TAG_CHECKSUMS = 65303
TAG_ICC_PROFILE = 34675

COMPRESSION: dict[TileCodec, int] = {"jp2k": 33005, "avif": 65310, "jpeg": 7}
"""TIFF compression of the base tiles. 33005: JPEG 2000 as Aperio writes it; TIFF has no number for AVIF."""
COMPRESSION_ZSTD = 50000

MAX_PACKAGE_BYTES = 256 << 20

PROBLEM_CODES: dict[str, str] = {
    "not-bigtiff": "not a little-endian BigTIFF, or its directories cannot be followed",
    "no-manifest": "the first directory has no manifest",
    "manifest-damaged": "the manifest cannot be decompressed, or its checksum is wrong",
    "manifest-invalid": "a field of the manifest is missing, of another type, or contradicts another",
    "later-version": "the file is of a later version, or requires a feature unknown to the reader",
    "directory-mismatch": "a TIFF directory contradicts the manifest",
    "tile-missing": "a base tile is absent",
    "tile-outside-file": "a tile or strip lies outside the file: the file was cut, or its index is damaged",
    "checksums-damaged": "the tile checksums are missing, or not those that the manifest names",
    "tile-checksum": "a stored tile is not the one that was written",
    "tile-damaged": "a stored tile cannot be decoded to its size",
    "tissue-map-damaged": "the tissue map is missing, or cannot be decoded",
    "associated-damaged": "an associated image cannot be decoded",
    "generator-damaged": "the embedded generator is not the one that the manifest names",
    "generator-unknown": "the generator is not embedded, and not at hand",
}


@dataclass(frozen=True, slots=True)
class AssociatedImage:
    """A label, macro or thumbnail as one JPEG."""

    name: str
    size: Size
    jpeg: bytes


def tile_checksums(level_tiles: Sequence[Iterable[bytes]]) -> bytes:
    """CRC-32 of every tile, level after level in TIFF order, as little-endian uint32."""
    sums = [zlib.crc32(data) for tiles in level_tiles for data in tiles]
    return np.array(sums, "<u4").tobytes()


def write_container(
    file: IO[bytes],
    manifest: Manifest,
    *,
    level_tiles: Sequence[Iterable[bytes]],
    checksums: bytes,
    tissue_map: NDArray[np.uint8],
    icc_profile: bytes | None,
    package: bytes | None,
    associated: Sequence[AssociatedImage],
) -> None:
    """Write everything in one sequential pass.

    level_tiles: for each level of the manifest its coded tiles in TIFF order. checksums: `tile_checksums` of the same.
    tissue_map: (rows, columns) uint8, one a block, 1 tissue, 0 glass. package: the generator to embed.
    """
    base = manifest.base
    json_bytes = manifest.to_json()
    compress = zstandard.ZstdCompressor(level=19, write_checksum=True).compress
    private = [(TAG_MANIFEST, compress(json_bytes)), (TAG_CHECKSUMS, checksums)]
    if package is not None:
        private.append((TAG_GENERATOR, compress(package)))
    private.sort()
    # tifffile knows no number for AVIF: it is told of JPEG 2000, and the tag is corrected below.
    compression = 33005 if base.codec == "avif" else COMPRESSION[base.codec]
    offsets: list[int] = []

    with tifffile.TiffWriter(file, bigtiff=True, byteorder="<") as tiff:

        def write_level(index: int) -> None:
            level = base.levels[index]
            mpp = manifest.base_mpp * level.downsample
            offsets.append(file.tell())
            tiff.write(
                iter(level_tiles[index]),
                shape=(level.size[1], level.size[0], 3),
                dtype=np.uint8,
                tile=(base.tile, base.tile),
                photometric="ycbcr" if base.codec == "jpeg" else "rgb",
                subsampling=(2, 2) if base.codec == "jpeg" else None,
                planarconfig="contig",
                compression=compression,
                subfiletype=0 if index == 0 else 1,
                subifds=1 if index == 0 else 0,
                description=stored_description(manifest, index),
                resolution=(10000 / mpp, 10000 / mpp),
                resolutionunit="CENTIMETER",
                software=manifest.software,
                iccprofile=icc_profile if index == 0 else None,
                extratags=[(tag, 7, len(data), data, True) for tag, data in private] if index == 0 else (),
                metadata=None,
            )

        def write_associated(image: AssociatedImage) -> None:
            tiff.write(
                iter([image.jpeg]),
                shape=(image.size.height, image.size.width, 3),
                dtype=np.uint8,
                rowsperstrip=image.size.height,
                photometric="ycbcr",
                subsampling=(2, 2),
                planarconfig="contig",
                compression=7,
                subfiletype={"label": 1, "macro": 9}.get(image.name, 0),
                description=associated_description(manifest, image.name, *image.size),
                metadata=None,
            )

        write_level(0)
        tiff.write(
            tissue_map,
            photometric="minisblack",
            compression=COMPRESSION_ZSTD,
            rowsperstrip=tissue_map.shape[0],
            description="histocodec tissue map: 1 tissue, 0 glass",
            metadata=None,
        )
        # Readers of Aperio files take the second directory for the thumbnail.
        for image in associated[:1]:
            write_associated(image)
        for index in range(1, len(base.levels)):
            write_level(index)
        for image in associated[1:]:
            write_associated(image)

    if base.codec == "avif":
        _correct_compression(file, COMPRESSION["avif"])


def _correct_compression(file: IO[bytes], compression: int) -> None:
    """Set the compression tag of every tiled directory of the main chain."""
    file.flush()
    with tifffile.TiffFile(file, mode="r+") as tiff:
        for page in tiff.pages:
            assert isinstance(page, tifffile.TiffPage)
            if page.is_tiled:
                page.tags["Compression"].overwrite(compression)
    file.seek(0, 2)


class Container:
    """A histocodec file that is open for reading. Safe to use from several threads; a context manager.

    Opening reads the directories and the manifest, and refuses what contradicts itself; tiles are checked as they are
    read.
    """

    def __init__(self, path: str | Path) -> None:
        """Raises NotAContainer, UnsupportedVersion or CorruptContainer."""
        self.path = Path(path)
        self._lock = threading.Lock()
        try:
            self._file = self.path.open("rb")
        except OSError as error:
            reason = Problem("not-bigtiff", "file", f"cannot be opened: {error.strerror}")
            raise NotAContainer(self.path, [reason]) from error
        try:
            self.size_bytes = self._file.seek(0, 2)
            self._open()
        except BaseException:
            self._file.close()
            raise

    def _open(self) -> None:
        try:
            directories = read_directories(self._read_at, self.size_bytes)
            if not directories:
                raise BigTiffError("no directory")
        except (BigTiffError, OSError) as error:
            raise NotAContainer(self.path, [Problem("not-bigtiff", "file", str(error))]) from error
        first = directories[0]
        self.manifest = self._read_manifest(first)
        base = self.manifest.base
        self.grids = tuple(TileGrid(Size(*level.size), base.tile) for level in base.levels)
        """The tile grid of each stored level."""
        problems = list(self._arrange(directories))
        if problems:
            raise CorruptContainer(self.path, problems)
        self.icc_profile = _bytes_or_none(first, TAG_ICC_PROFILE)
        self._package = _bytes_or_none(first, TAG_GENERATOR)

    def _read_manifest(self, first: Directory) -> Manifest:
        data = _bytes_or_none(first, TAG_MANIFEST)
        if data is None:
            reason = "no histocodec manifest (tag 65301): a TIFF, but not one of ours"
            raise NotAContainer(self.path, [Problem("no-manifest", "directory 0", reason)])
        try:
            self.manifest_json = _decompress(data, MAX_JSON_BYTES)
        except zstandard.ZstdError as error:
            raise CorruptContainer(self.path, [Problem("manifest-damaged", "tag 65301", str(error))]) from error
        try:
            return Manifest.from_json(self.manifest_json)
        except LaterVersion as error:
            raise UnsupportedVersion(self.path, [Problem("later-version", *p) for p in error.problems]) from error
        except ManifestError as error:
            raise CorruptContainer(self.path, [Problem("manifest-invalid", *p) for p in error.problems]) from error

    def _arrange(self, directories: list[Directory]) -> Iterator[Problem]:
        """Match the directories to the manifest and keep their tile indexes; yield every contradiction."""
        names = self.manifest.associated
        levels = len(self.grids)
        expected = levels + len(names)
        if len(directories) != expected:
            yield Problem("directory-mismatch", "file", f"expected {expected} directories, found {len(directories)}")
            return
        order: list[int | str] = [0, *names[:1], *range(1, levels), *names[1:]]
        self._extents: list[list[tuple[int, int]]] = [[] for _ in range(levels)]
        self._associated: dict[str, tuple[Size, int, int]] = {}
        for number, (what, directory) in enumerate(zip(order, directories, strict=True)):
            place = f"directory {number}"
            try:
                if isinstance(what, int):
                    yield from self._arrange_level(what, directory, place)
                else:
                    size = Size(directory.number(256), directory.number(257))
                    (offset,), (length,) = directory.numbers(273), directory.numbers(279)
                    self._associated[what] = (size, offset, length)
                    if directory.number(259) != 7:
                        yield Problem("directory-mismatch", place, f"expected the {what} as JPEG")
                    if not self._inside(offset, length):
                        yield Problem("tile-outside-file", place, f"the {what} lies outside the file")
            except (BigTiffError, ValueError) as error:
                yield Problem("directory-mismatch", place, str(error))
        yield from self._arrange_checksums(directories[0])
        yield from self._arrange_tissue_map(directories[0])

    def _arrange_level(self, level: int, directory: Directory, place: str) -> Iterator[Problem]:
        base, grid = self.manifest.base, self.grids[level]
        description = stored_description(self.manifest, level).encode("ascii", "replace") + b"\0"
        stated = {
            "NewSubfileType": (directory.number(254, 0), 0 if level == 0 else 1),
            "ImageWidth": (directory.number(256), grid.size.width),
            "ImageLength": (directory.number(257), grid.size.height),
            "BitsPerSample": (directory.numbers(258), (8, 8, 8)),
            "Compression": (directory.number(259), COMPRESSION[base.codec]),
            "PhotometricInterpretation": (directory.number(262), 6 if base.codec == "jpeg" else 2),
            "ImageDescription": (directory.data(270), description),
            "SamplesPerPixel": (directory.number(277), 3),
            "PlanarConfiguration": (directory.number(284, 1), 1),
            "TileWidth": (directory.number(322), base.tile),
            "TileLength": (directory.number(323), base.tile),
        }
        for name, (found, wanted) in stated.items():
            if found != wanted:
                yield Problem("directory-mismatch", place, f"{name}: expected {wanted!r}, found {found!r}"[:300])
        mpp = self.manifest.base_mpp * base.levels[level].downsample
        for tag, name in ((282, "XResolution"), (283, "YResolution")):
            top, bottom = directory.numbers(tag)
            if not bottom or abs(top / bottom * mpp / 10000 - 1) > 1e-4 or directory.number(296) != 3:
                yield Problem("directory-mismatch", place, f"{name}: expected {mpp:g} um/px, found another")
        offsets, lengths = directory.numbers(324), directory.numbers(325)
        if not len(offsets) == len(lengths) == grid.count:
            yield Problem("directory-mismatch", place, f"expected {grid.count} tiles, found {len(offsets)}")
            return
        self._extents[level] = list(zip(offsets, lengths, strict=True))
        for index, (offset, length) in enumerate(self._extents[level]):
            if length == 0:
                yield Problem("tile-missing", f"level {level} tile {index}", "no bytes are stored for it")
            elif not self._inside(offset, length):
                found = f"bytes {offset} to {offset + length} of a file of {self.size_bytes}"
                yield Problem("tile-outside-file", f"level {level} tile {index}", found)

    def _arrange_checksums(self, first: Directory) -> Iterator[Problem]:
        data = first.data(TAG_CHECKSUMS) or b""
        if hashlib.sha256(data).hexdigest() != self.manifest.checksums_sha256:
            yield Problem("checksums-damaged", "tag 65303", "not the checksums that the manifest names")
        elif len(data) != 4 * sum(grid.count for grid in self.grids):
            yield Problem("checksums-damaged", "tag 65303", "not one checksum a tile")
        else:
            sums = np.frombuffer(data, "<u4")
            starts = np.cumsum([0] + [grid.count for grid in self.grids])
            self._checksums = [sums[a:b] for a, b in pairwise(starts)]

    def _arrange_tissue_map(self, first: Directory) -> Iterator[Problem]:
        layer = self.manifest.layers.tissue_map
        blocks = TileGrid(self.grids[0].size, self.manifest.prediction.block).shape
        self.tissue_map: NDArray[np.uint8] = np.ones((blocks.height, blocks.width), np.uint8)
        """(rows, columns) uint8, one a block of the canonical grid: 1 tissue, 0 glass."""
        if layer is None:
            return
        try:
            offsets = first.numbers(330)
            directory, _ = read_directory(self._read_at, self.size_bytes, offsets[layer.subifd])
            found = (directory.number(256), directory.number(257), directory.number(258), directory.number(259))
            if found != (*layer.size, 8, COMPRESSION_ZSTD):
                raise BigTiffError(f"expected {layer.size}, 8 bits, zstd, found {found}")
            (offset,), (length,) = directory.numbers(273), directory.numbers(279)
            data = _decompress(self._read_at(offset, length), blocks.area)
            self.tissue_map = np.frombuffer(data, np.uint8).reshape(blocks.height, blocks.width)
            if self.tissue_map.max() > 1:
                raise BigTiffError("values other than 0 and 1")
        except (BigTiffError, IndexError, ValueError, zstandard.ZstdError) as error:
            yield Problem("tissue-map-damaged", f"SubIFD {layer.subifd}", str(error))

    def _inside(self, offset: int, length: int) -> bool:
        return offset >= 16 and length > 0 and offset + length <= self.size_bytes

    def _read_at(self, offset: int, length: int) -> bytes:
        if offset > self.size_bytes:
            return b""
        with self._lock:
            self._file.seek(offset)
            return self._file.read(min(length, self.size_bytes - offset))

    def tile(self, level: int, index: int) -> bytes:
        """The stored codestream of a tile. Raises CorruptContainer if it is not the one that was written."""
        offset, length = self._extents[level][index]
        data = self._read_at(offset, length)
        if zlib.crc32(data) != self._checksums[level][index]:
            problem = Problem("tile-checksum", f"level {level} tile {index}", "its bytes changed since it was written")
            raise CorruptContainer(self.path, [problem])
        return data

    def decoded_tile(self, level: int, index: int) -> Image:
        """A stored tile as (tile, tile, 3) uint8 RGB; beyond the level's edge its content has no meaning.

        Raises CorruptContainer.
        """
        side = self.manifest.base.tile
        data = self.tile(level, index)
        try:
            return decode_tile(data, self.manifest.base.codec, height=side, width=side)
        except TileError as error:
            problem = Problem("tile-damaged", f"level {level} tile {index}", str(error))
            raise CorruptContainer(self.path, [problem]) from error

    def tile_bytes(self, level: int) -> int:
        """Bytes of all tiles of a level."""
        return sum(length for _, length in self._extents[level])

    def associated_jpeg(self, name: str) -> bytes:
        """The JPEG of an associated image. Raises KeyError if there is none of that name."""
        _, offset, length = self._associated[name]
        return self._read_at(offset, length)

    def associated_image(self, name: str) -> Image:
        """An associated image as (height, width, 3) uint8 RGB. Raises KeyError, CorruptContainer."""
        size = self._associated[name][0]
        try:
            return decode_tile(self.associated_jpeg(name), "jpeg", height=size.height, width=size.width)
        except TileError as error:
            raise CorruptContainer(self.path, [Problem("associated-damaged", name, str(error))]) from error

    def package(self) -> bytes | None:
        """The embedded generator's package, or None. Raises CorruptContainer if it is not the one that is named."""
        named = self.manifest.prediction.generator
        if not named.embedded:
            return None
        try:
            data = _decompress(self._package or b"", MAX_PACKAGE_BYTES)
        except zstandard.ZstdError as error:
            raise CorruptContainer(self.path, [Problem("generator-damaged", "tag 65302", str(error))]) from error
        if f"sha256:{hashlib.sha256(data).hexdigest()}" != named.digest:
            problem = Problem("generator-damaged", "tag 65302", f"its digest is not {named.digest}")
            raise CorruptContainer(self.path, [problem])
        return data

    def close(self) -> None:
        """Release the file; reading afterwards raises ValueError."""
        self._file.close()

    def __enter__(self) -> Container:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _bytes_or_none(directory: Directory, tag: int) -> bytes | None:
    try:
        return directory.data(tag)
    except BigTiffError:
        return None


def _decompress(data: bytes, limit: int) -> bytes:
    """One zstd frame whose content size is stated and at most `limit`. Raises zstandard.ZstdError."""
    stated = zstandard.frame_content_size(data)
    if not 0 <= stated <= limit:
        raise zstandard.ZstdError(f"a frame of {stated} bytes, at most {limit} are allowed")
    return zstandard.ZstdDecompressor().decompress(data, max_output_size=limit)
