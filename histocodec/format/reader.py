"""Reading a container: a pyramidal BigTIFF whose every number is checked before it is believed.

`formats/container/v1/spec.md` is normative. Nothing here knows how pixels are predicted.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
import zstandard
from numpy.typing import NDArray

from ..errors import CorruptContainer, MissingFile, NotAContainer, Problem, RoiError, UnsupportedVersion, file_error
from ..geometry import Image, Size, TileGrid
from ..pixels.colour import ColourTransform
from ..pixels.residual import Mode
from ..pixels.tile_codecs import TileError, decode_tile
from ..pixels.tile_coder import TileCoder
from .bigtiff import BigTiffError, Directory, read_directories
from .descriptions import described_numbers
from .layers import StoredEnhancement, read_quality_map, sub_directory
from .manifest import MAX_JSON_BYTES, LaterVersion, Manifest, ManifestError
from .quality import QualityMap
from .tags import (
    COMPRESSION,
    COMPRESSION_ZSTD,
    MAX_ASSOCIATED_BYTES,
    MAX_ASSOCIATED_PIXELS,
    MAX_ASSOCIATED_SIDE,
    MAX_DESCRIPTION_BYTES,
    MAX_PACKAGE_BYTES,
    MAX_PROFILE_BYTES,
    MAX_TILE_BYTES,
    TAG_CHECKSUMS,
    TAG_GENERATOR,
    TAG_ICC_PROFILE,
    TAG_MANIFEST,
)
from .zstd import decompressed

if TYPE_CHECKING:
    from .regions import RegionsOfInterest

FilePath = str | bytes | os.PathLike[Any]
"""As OpenSlide takes it."""

_MAX_LISTED = 100
"""Of the tiles of a level that are missing or outside the file, so many are listed one by one."""


class Container:
    """A histocodec file that is open for reading. Safe to use from several threads; a context manager.

    A pickle of it holds the path alone, and opens the file again.

    Opening reads the directories and the manifest, and refuses what contradicts itself; tiles are checked as they are
    read.
    """

    def __init__(self, path: FilePath) -> None:
        """Raises FileError, NotAContainer, UnsupportedVersion or CorruptContainer."""
        self.path = Path(os.fsdecode(path))
        self._lock = threading.Lock()
        self.absolute_path = self.path.absolute()
        """The same wherever a process has gone since."""
        if not os.fspath(path):
            raise MissingFile(self.path, "expected the name of a file, found an empty one")
        try:
            if self.path.is_fifo():  # opening it would wait for a writer
                raise OSError("expected a file, found a pipe")
            self._file = self.path.open("rb")
        except OSError as error:
            raise file_error(self.path, error) from error
        try:
            self.size_bytes = self._file.seek(0, 2)
            self._open()
        except BaseException as error:
            self._file.close()
            if isinstance(error, OSError):  # a pipe cannot be sought in, a disk can fail
                raise file_error(self.path, error) from error
            raise

    def __reduce__(self) -> tuple[type[Container], tuple[Path]]:
        return Container, (self.absolute_path,)

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            self._file.close()  # without a word, as OpenSlide does it

    def _open(self) -> None:
        try:
            directories = read_directories(self._read_at)
            if not directories:
                raise BigTiffError("no directory")
        except BigTiffError as error:
            raise NotAContainer(self.path, [Problem("not-bigtiff", "file", str(error))]) from error
        first = directories[0]
        self.manifest = self._read_manifest(first)
        base = self.manifest.base
        reduced = [TileCoder(codec) for codec in base.level_codecs[1:]]
        self._coders = (TileCoder(base.codec, ColourTransform(base.colour) if base.colour else None), *reduced)
        self.grids = tuple(TileGrid(Size(*level.size), base.tile) for level in base.levels)
        """The tile grid of each stored level."""
        problems = list(self._arrange(directories))
        if problems:
            raise CorruptContainer(self.path, problems)
        self._first = first

    def _read_manifest(self, first: Directory) -> Manifest:
        try:
            data = first.data(TAG_MANIFEST, MAX_JSON_BYTES)
            if data is None:
                reason = "no histocodec manifest (tag 65301): a TIFF, but not one of ours"
                raise NotAContainer(self.path, [Problem("no-manifest", "directory 0", reason)])
            self.manifest_json = decompressed(data, MAX_JSON_BYTES)
        except (BigTiffError, zstandard.ZstdError) as error:
            raise CorruptContainer(self.path, [Problem("manifest-damaged", "tag 65301", str(error))]) from error
        try:
            return Manifest.from_json(self.manifest_json)
        except LaterVersion as error:
            raise UnsupportedVersion(self.path, [Problem("later-version", *p) for p in error.problems]) from error
        except ManifestError as error:
            raise CorruptContainer(self.path, [Problem("manifest-invalid", *p) for p in error.problems]) from error

    def _arrange(self, directories: list[Directory]) -> Iterator[Problem]:
        """Match the directories to the manifest and keep their tile indexes; yield every contradiction."""
        names, apart = self.manifest.associated, self.manifest.base.subifd
        levels = len(self.grids)
        first = 0 if apart is None else 1
        expected = levels - first + len(names)
        if len(directories) != expected:
            yield Problem("directory-mismatch", "file", f"expected {expected} directories, found {len(directories)}")
            return
        order: list[int | str] = [first, *names[:1], *range(first + 1, levels), *names[1:]]
        places = [f"directory {number}" for number in range(expected)]
        if apart is not None:
            try:
                directories = [*directories, sub_directory(directories[0], apart, self._read_at)]
            except BigTiffError as error:
                yield Problem("directory-mismatch", "base", str(error))
                return
            order.append(0)
            places.append("base")
        self._extents: list[NDArray[np.uint64]] = [np.empty((0, 2), np.uint64)] * levels
        """(offset, length) of every tile of a level."""
        self._associated: dict[str, tuple[Size, int, int]] = {}
        problems: list[Problem] = []
        for what, directory, place in zip(order, directories, places, strict=True):
            try:
                if isinstance(what, int):
                    problems += self._arrange_level(what, directory, place)
                else:
                    problems += self._arrange_associated(what, directory, place)
            except BigTiffError as error:
                problems.append(Problem("directory-mismatch", place, str(error)))
        yield from problems
        # With as many tiles as the manifest says, what depends on their number is safe to ask memory for.
        if not problems:
            yield from self._arrange_pieces(directories[0])

    def _arrange_associated(self, name: str, directory: Directory, place: str) -> Iterator[Problem]:
        size = Size(directory.number(256), directory.number(257))
        offset, length = directory.number(273), directory.number(279)
        if directory.number(259) != 7:
            yield Problem("directory-mismatch", place, f"expected the {name} as JPEG")
        if not 0 < size.area <= MAX_ASSOCIATED_PIXELS or max(size) > MAX_ASSOCIATED_SIDE:
            found = f"the {name} has {size.width} x {size.height} px, at most {MAX_ASSOCIATED_PIXELS} are allowed"
            yield Problem("directory-mismatch", place, found)
        if not 0 < length <= MAX_ASSOCIATED_BYTES or offset < 16 or offset + length > self.size_bytes:
            yield Problem("tile-outside-file", place, f"the {name} lies outside the file")
        self._associated[name] = (size, offset, length)

    def _arrange_level(self, level: int, directory: Directory, place: str) -> Iterator[Problem]:
        base, grid = self.manifest.base, self.grids[level]
        codec = base.level_codecs[level]
        first = 0 if base.subifd is None else 1
        stated = {
            "NewSubfileType": (directory.number(254, 0), 1 if level > first else 0),
            "ImageWidth": (directory.number(256), grid.size.width),
            "ImageLength": (directory.number(257), grid.size.height),
            "BitsPerSample": (directory.numbers(258, 3), (8, 8, 8)),
            "Compression": (directory.number(259), COMPRESSION[codec]),
            "PhotometricInterpretation": (directory.number(262), 6 if codec == "jpeg" else 2),
            "SamplesPerPixel": (directory.number(277), 3),
            "PlanarConfiguration": (directory.number(284, 1), 1),
            "ResolutionUnit": (directory.number(296), 3),
            "TileWidth": (directory.number(322), base.tile),
            "TileLength": (directory.number(323), base.tile),
        }
        for name, (found, wanted) in stated.items():
            if found != wanted:
                yield Problem("directory-mismatch", place, f"{name}: expected {wanted!r}, found {found!r}")
        mpp = self.manifest.base_mpp * base.levels[level].downsample
        for tag, name in ((282, "XResolution"), (283, "YResolution")):
            top, bottom = directory.rational(tag)
            if not bottom or abs(top / bottom * mpp / 10000 - 1) > 1e-4:
                yield Problem("directory-mismatch", place, f"{name}: expected {mpp:g} um/px, found {top} / {bottom}")
        description = directory.data(270, MAX_DESCRIPTION_BYTES) or b""
        for key, wanted_value in described_numbers(self.manifest, level).items():
            if not _states(description, key, wanted_value):
                yield Problem("directory-mismatch", place, f"ImageDescription: expected {key} = {wanted_value:g}")
        offsets, lengths = directory.array(324, grid.count), directory.array(325, grid.count)
        self._extents[level] = np.stack([offsets, lengths], axis=1)
        outside = (offsets < 16) | (lengths > MAX_TILE_BYTES) | (lengths > self.size_bytes)
        outside |= offsets > self.size_bytes - np.minimum(lengths, self.size_bytes)
        bad = np.flatnonzero(outside | (lengths == 0)).tolist()
        for index in bad[:_MAX_LISTED]:
            offset, length = self._extents[level][index].tolist()
            code, found = "tile-missing", "no bytes are stored for it"
            if length:
                code, found = "tile-outside-file", f"{length} bytes at {offset} of a file of {self.size_bytes}"
            yield Problem(code, f"level {level} tile {index}", found)
        if len(bad) > _MAX_LISTED:
            yield Problem(
                "tile-outside-file", f"level {level}", f"{len(bad) - _MAX_LISTED} more tiles are outside or missing"
            )

    def _arrange_pieces(self, first: Directory) -> Iterator[Problem]:
        """What the checksum table covers beside the tiles."""
        counts = [grid.count for grid in self.grids]
        total = sum(counts) + len(self.manifest.associated) + 2
        try:
            data = first.data(TAG_CHECKSUMS, 4 * total)
        except BigTiffError as error:
            yield Problem("checksums-damaged", "tag 65303", str(error))
            return
        if data is None or hashlib.sha256(data).hexdigest() != self.manifest.checksums_sha256:
            yield Problem("checksums-damaged", "tag 65303", "not the checksums that the manifest names")
            return
        if len(data) != 4 * total:
            yield Problem("checksums-damaged", "tag 65303", f"expected {total} checksums, found {len(data) / 4:g}")
            return
        self.checksums = data
        """The checksum table, as it is stored."""
        sums = np.frombuffer(data, "<u4")
        self._checksums = np.split(sums, np.cumsum([*counts, len(self.manifest.associated)]))
        """Those of each level's tiles, of the associated images, of the tissue map and the profile."""
        map_sum, profile_sum = self._checksums[-1].tolist()
        try:
            self.tissue_map = self._read_tissue_map(first, map_sum)
            """(rows, columns) uint8, one a block of the canonical grid: 1 tissue, 0 glass."""
        except (BigTiffError, zstandard.ZstdError) as error:
            yield Problem("tissue-map-damaged", "tissue map", str(error))
        try:
            self.icc_profile = first.data(TAG_ICC_PROFILE, MAX_PROFILE_BYTES)
            if zlib.crc32(self.icc_profile or b"") != profile_sum:
                raise BigTiffError("its bytes changed since it was written, or it is missing")
        except BigTiffError as error:
            yield Problem("icc-profile-damaged", "tag 34675", str(error))
        yield from self._arrange_layers(first)

    def _arrange_layers(self, first: Directory) -> Iterator[Problem]:
        """The layers that have checksums of their own."""
        layers, scale = self.manifest.layers, self.manifest.base.scale
        self.quality_map: QualityMap | None = None
        """What was measured when the file was made, of the prediction alone; None if it is not in the file."""
        self.enhancement: StoredEnhancement | None = None
        """The tiles that correct the prediction; None in a file without."""
        try:
            if layers.quality_map is not None:
                self.quality_map = read_quality_map(layers.quality_map, first, self._read_at, self.size_bytes)
        except (BigTiffError, zstandard.ZstdError) as error:
            yield Problem("quality-map-damaged", "quality map", str(error))
        try:
            if layers.enhancement is not None:
                tile = self.manifest.prediction.block * scale
                self.enhancement = StoredEnhancement(layers.enhancement, tile, first, self._read_at, self.size_bytes)
        except (BigTiffError, zstandard.ZstdError) as error:
            yield Problem("enhancement-damaged", "enhancement", str(error))

    def _read_tissue_map(self, first: Directory, checksum: int) -> NDArray[np.uint8]:
        layer = self.manifest.layers.tissue_map
        columns, rows = TileGrid(self.grids[0].size, self.manifest.prediction.block).shape
        if layer is None:
            if checksum:
                raise BigTiffError("the file has a checksum for it, but its manifest does not name it")
            return np.broadcast_to(np.uint8(1), (rows, columns))
        directory = sub_directory(first, layer.subifd, self._read_at)
        stated = tuple(directory.number(tag) for tag in (256, 257, 258, 259, 277))
        if stated != (columns, rows, 8, COMPRESSION_ZSTD, 1):
            raise BigTiffError(f"expected {columns} x {rows} px of 8 bits as zstd, found {stated}")
        data = self._read_at(directory.number(273), min(directory.number(279), self.size_bytes))
        if zlib.crc32(data) != checksum:
            raise BigTiffError("its bytes changed since it was written")
        values = np.frombuffer(decompressed(data, columns * rows), np.uint8)
        if values.size != columns * rows or values.max() > 1:
            raise BigTiffError(f"expected {columns * rows} values of 0 or 1")
        return values.reshape(rows, columns)

    def _read_at(self, offset: int, length: int) -> bytes:
        if offset > self.size_bytes:
            return b""
        if hasattr(os, "pread"):  # has no position that threads, or processes after a fork, could disagree about
            return os.pread(self._file.fileno(), min(length, self.size_bytes - offset), offset)
        with self._lock:
            self._file.seek(offset)
            return self._file.read(min(length, self.size_bytes - offset))

    def tile(self, level: int, index: int) -> bytes:
        """The stored codestream of a tile. Raises CorruptContainer if it is not the one that was written."""
        offset, length = self._extents[level][index].tolist()
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
            return self._coders[level].decode(data, height=side, width=side)
        except TileError as error:
            problem = Problem("tile-damaged", f"level {level} tile {index}", str(error))
            raise CorruptContainer(self.path, [problem]) from error

    def enhancement_tile(self, index: int) -> bytes:
        """The codestream of a tile of the enhancement layer, b"" if it is absent.

        Raises CorruptContainer if it is not the one that was written.
        """
        assert self.enhancement is not None
        data = self.enhancement.tile(index)
        if data is None:
            problem = Problem("tile-checksum", f"enhancement tile {index}", "its bytes changed since it was written")
            raise CorruptContainer(self.path, [problem])
        return data

    def decoded_enhancement_tile(self, index: int) -> Image:
        """A tile of the enhancement layer that is there, as (tile, tile, 3) uint8. Raises CorruptContainer."""
        data, layer = self.enhancement_tile(index), self.enhancement
        assert layer is not None
        try:
            return layer.coder.decode(data, Mode(int(layer.modes[index])), layer.grid.tile)
        except TileError as error:
            problem = Problem("tile-damaged", f"enhancement tile {index}", str(error))
            raise CorruptContainer(self.path, [problem]) from error

    def regions(self) -> RegionsOfInterest | None:
        """The regions of interest that the file was encoded with, or None. Raises CorruptContainer."""
        try:
            geojson = None if self.enhancement is None else self.enhancement.regions()
            stated, size = self.manifest.layers.enhancement, Size(*self.manifest.slide.size)
            if geojson is None or stated is None:
                return None
            from .regions import RegionsOfInterest  # imports shapely, which nobody needs who reads pixels alone

            return dataclasses.replace(RegionsOfInterest.from_geojson(geojson, size), origin=stated.regions_origin)
        except RoiError as error:
            raise CorruptContainer(self.path, [Problem("enhancement-damaged", "tag 65305", str(error))]) from error

    def tile_bytes(self, level: int) -> int:
        """Bytes of all tiles of a level."""
        return int(self._extents[level][:, 1].sum())

    def associated_size(self, name: str) -> Size:
        """Of an associated image, in pixels. Raises KeyError if there is none of that name."""
        return self._associated[name][0]

    def associated_jpeg(self, name: str) -> bytes:
        """The JPEG of an associated image. Raises KeyError if there is none of that name, CorruptContainer."""
        _, offset, length = self._associated[name]
        data = self._read_at(offset, length)
        if zlib.crc32(data) != self._checksums[-2][self.manifest.associated.index(name)]:
            problem = Problem("associated-damaged", name, "its bytes changed since it was written")
            raise CorruptContainer(self.path, [problem])
        return data

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
            data = decompressed(self._first.data(TAG_GENERATOR, MAX_PACKAGE_BYTES) or b"", MAX_PACKAGE_BYTES)
        except (BigTiffError, zstandard.ZstdError) as error:
            raise CorruptContainer(self.path, [Problem("generator-damaged", "tag 65302", str(error))]) from error
        if f"sha256:{hashlib.sha256(data).hexdigest()}" != named.digest:
            problem = Problem("generator-damaged", "tag 65302", f"its digest is not {named.digest}")
            raise CorruptContainer(self.path, [problem])
        return data

    @property
    def is_closed(self) -> bool:
        """Whether the file was released."""
        return self._file.closed

    def close(self) -> None:
        """Release the file; reading afterwards raises ValueError."""
        self._file.close()

    def __enter__(self) -> Container:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _states(description: bytes, key: str, value: float) -> bool:
    """Whether an ImageDescription that Aperio's readers take has `|key = value`, as those readers see it."""
    fields = description.rstrip(b"\0").split(b"|")
    found = [text for name, _, text in (field.partition(b"=") for field in fields[1:]) if name.strip() == key.encode()]
    try:
        return description.startswith(b"Aperio") and abs(float(found[0]) / value - 1) < 1e-4 and len(found) == 1
    except (IndexError, ValueError):
        return False
