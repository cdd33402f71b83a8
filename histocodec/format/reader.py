"""Reading a container: a pyramidal BigTIFF whose every number is checked before it is believed.

`formats/container/v1/spec.md` is normative. Nothing here knows how pixels are predicted.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ..errors import CorruptContainer, DecodingCrash, FileError, Problem, RoiError, file_error
from ..geometry import Image, Size
from ..pixels.residual import Mode
from ..pixels.tile_codecs import decode_tile
from ..runtime.byte_source import LocalFile, Location, byte_source
from ..runtime.closing import Closing
from .decoding import Crashed, Decoding
from .manifest import unknown_keys
from .original import StoredOriginal, read_original
from .parts import read_parts
from .pieces import Damaged, image_crc32
from .tags import LATER_TAGS, MAX_PACKAGE_BYTES, Tag
from .zstd import decompressed

if TYPE_CHECKING:
    from .regions import RegionsOfInterest

T = TypeVar("T")


class Container(Closing):
    """A histocodec file that is open for reading. Safe to use from several threads; a context manager.

    A pickle of it holds the path or URL alone, and opens the file again.

    Opening reads the directories and the manifest, and refuses what contradicts itself; tiles are checked as they are
    read.
    """

    def __init__(self, location: Location, *, sandbox: bool = False) -> None:
        """Open a path, a URL, or what a binary file has, which stays open.

        sandbox: True if the file is not trusted: its tiles, pictures and segments are then decoded in child processes,
        which may crash or hang without harm to this one, and can open and send nothing.
        Raises FileError, NotAContainer, UnsupportedVersion or CorruptContainer.
        """
        self._source = byte_source(location)
        self.path = self._source.name
        """The path as it was given; of a URL the text, without what may be secret in it."""
        self.absolute_path = self._source.location if isinstance(self._source, LocalFile) else None
        """The path from the root, which holds wherever a process has gone since; None for what is on no disk."""
        self.size_bytes = self._source.size_bytes
        try:
            parts = read_parts(self._source)
        except BaseException as error:
            self._source.close()
            if isinstance(error, OSError) and not isinstance(error, FileError):  # a disk can fail
                raise file_error(self.path, error) from error
            raise
        self._parts = parts
        self._decoding = Decoding(sandbox=sandbox)
        self.manifest = parts.manifest
        self.manifest_json = parts.manifest_json
        """The manifest's text in UTF-8, as it is stored."""
        self.grids = tuple(level.grid for level in parts.levels)
        """The tile grid of each stored level."""
        self.checksums = parts.checksums
        """The checksum table, as it is stored."""
        self.base_sums = parts.base_sums
        """(tiles,) CRC-32 of each tile of the base as the encoder decoded it."""
        self._differing: set[int] = set()
        self._has_decoded_longest = False
        self.tissue_map = parts.tissue_map
        """(rows, columns) uint8, one a block of the canonical grid: 1 tissue, 0 glass."""
        self.icc_profile = parts.icc_profile
        """The slide's ICC profile; None if it has none."""
        self.quality_map = parts.quality_map
        """Fidelity of the prediction alone, measured when the file was made; None if it is not in the file."""
        self.enhancement = parts.enhancement
        """The tiles that correct the prediction; None in a file without."""
        self._original: StoredOriginal | None = None

    @property
    def passed_over(self) -> tuple[str, ...]:
        """What a later revision of the format added and this one does not know: keys of the manifest, and tags."""
        keys = unknown_keys(json.loads(self.manifest_json), json.loads(self.manifest.to_json()))
        tags = (f"tag {tag}" for tag in self._parts.first.tags if tag in LATER_TAGS)
        return (*keys, *tags)

    @property
    def location(self) -> Path | str:
        """Where another process can open it: the path from the root, or the URL. Raises TypeError for a file object."""
        return self._source.location

    def __reduce__(self) -> tuple[Callable[..., Container], tuple[Path | str]]:
        return partial(Container, sandbox=self.is_sandboxed), (self.location,)

    def __del__(self) -> None:
        if hasattr(self, "_decoding"):  # it was opened
            self.close()  # without a word, as OpenSlide does it

    def tile(self, level: int, index: int) -> bytes:
        """Return the stored codestream of a tile. Raises CorruptContainer if it is not the one that was written."""
        tiles = self._parts.levels[level].tiles
        return self._sound("tile-checksum", f"level {level} tile {index}", lambda: tiles.data(index))

    def decoded_tile(self, level: int, index: int) -> Image:
        """Return a stored tile as (tile, tile, 3) uint8 RGB; beyond the level's edge its content has no meaning.

        Raises CorruptContainer.
        """
        data, side, coder = self.tile(level, index), self.manifest.base.tile, self._parts.levels[level].coder
        place = f"level {level} tile {index}"
        decode = partial(coder.decode, data, height=side, width=side)
        tile = self._sound("tile-damaged", place, lambda: self._decoding.image(Size(side, side), decode))
        if level == 0 and image_crc32(tile) != self.base_sums[index]:
            self._differing.add(index)
        return tile

    def expect(self, level: int, indices: Iterable[int]) -> None:
        """Hear which tiles of a level will be read soon, so that they come from a server in few requests."""
        self._source.expect(self._parts.levels[level].tiles.places(indices))

    def expect_enhancement(self, indices: Iterable[int]) -> None:
        """Hear the same of the enhancement layer."""
        if self.enhancement is not None:
            self._source.expect(self.enhancement.tiles.places(indices))

    @property
    def differing_tiles(self) -> frozenset[int]:
        """The tiles of the base, of those decoded so far, whose pixels are not those that the encoder got."""
        return frozenset(self._differing)

    def base_differs(self) -> bool:
        """Return whether the base has other pixels here than it had at the encoder, where libraries round otherwise.

        What was decoded so far tells, and of an open file its longest tile.
        """
        if not self._differing and not self._has_decoded_longest and not self.is_closed:
            self._has_decoded_longest = True
            with contextlib.suppress(CorruptContainer):  # whoever reads the tile is told
                self.decoded_tile(0, self._parts.levels[0].tiles.longest)
        return bool(self._differing)

    def tile_bytes(self, level: int) -> int:
        """Return the bytes of all tiles of a level."""
        return self._parts.levels[level].tiles.total_bytes

    def enhancement_tile(self, index: int) -> bytes:
        """Return the codestream of a tile of the enhancement layer, b"" if it is absent.

        Raises CorruptContainer if it is not the one that was written.
        """
        layer = self.enhancement
        assert layer is not None
        return self._sound("tile-checksum", f"enhancement tile {index}", lambda: layer.tile(index))

    def decoded_enhancement_tile(self, index: int) -> Image:
        """Return a tile of the enhancement layer that is present, as (tile, tile, 3) uint8. Raises CorruptContainer."""
        data, layer = self.enhancement_tile(index), self.enhancement
        assert layer is not None
        side = layer.grid.side
        decode = partial(layer.coder.decode, data, Mode(int(layer.modes[index])), side)
        return self._sound(
            "tile-damaged", f"enhancement tile {index}", lambda: self._decoding.image(Size(side, side), decode)
        )

    @property
    def original(self) -> StoredOriginal | None:
        """The source's files, whole; None in a file without. Read when it is first asked for: no other tier needs it.

        Raises CorruptContainer.
        """
        if self._original is None and self.manifest.layers.original is not None:
            self._original = self._sound("original-damaged", "original", self._read_original)
        return self._original

    def _read_original(self) -> StoredOriginal:
        layer, source = self.manifest.layers.original, self.manifest.source
        assert layer is not None
        assert source is not None
        size = Size(*self.manifest.slide.size)
        first, read_at = self._parts.first, self._source.read_at
        return read_original(layer, source, size, first, read_at, self.size_bytes, self._decoding)

    def original_segment(self, index: int) -> bytes:
        """Return the bytes of the source that a segment of the original stands for. Raises CorruptContainer."""
        original = self.original
        assert original is not None
        return self._sound("original-damaged", "original", lambda: original.segment(index))

    def stored_segment(self, index: int) -> bytes:
        """Return a segment of the original as it is stored. Raises CorruptContainer if that changed."""
        original = self.original
        assert original is not None
        return self._sound("original-damaged", f"original segment {index}", lambda: original.pieces.data(index))

    def original_tile(self, index: int) -> Image:
        """Return a tile of the source's finest level, (side, side, 3) uint8 RGB. Raises CorruptContainer."""
        original = self.original
        assert original is not None
        return self._sound("original-damaged", "original", lambda: original.tile(index))

    def regions(self) -> RegionsOfInterest | None:
        """Return the regions of interest that the file was encoded with, or None. Raises CorruptContainer."""
        geojson = None if self.enhancement is None else self.enhancement.regions
        stated, size = self.manifest.layers.enhancement, Size(*self.manifest.slide.size)
        if geojson is None or stated is None:
            return None
        from .regions import RegionsOfInterest  # imports shapely, which nobody needs who reads pixels alone

        found = self._sound("enhancement-damaged", "tag 65305", lambda: RegionsOfInterest.from_geojson(geojson, size))
        return dataclasses.replace(found, origin=stated.regions_origin)

    def associated_size(self, name: str) -> Size:
        """Return width and height in pixels of an associated image. Raises KeyError if there is none of that name."""
        return self._parts.associated.sizes[name]

    def associated_jpeg(self, name: str) -> bytes:
        """Return the JPEG of an associated image. Raises KeyError if there is none of that name, CorruptContainer."""
        images = self._parts.associated
        index = {known: index for index, known in enumerate(images.sizes)}[name]
        return self._sound("associated-damaged", name, lambda: images.jpegs.data(index))

    def associated_image(self, name: str) -> Image:
        """Return an associated image as (height, width, 3) uint8 RGB. Raises KeyError, CorruptContainer."""
        return self.decoded_associated(name, self.associated_jpeg(name), self.associated_size(name))

    def decoded_associated(self, name: str, jpeg: bytes, size: Size) -> Image:
        """Return the JPEG of an associated image, or what takes its place, as pixels. Raises CorruptContainer."""
        decode = partial(decode_tile, jpeg, "jpeg", height=size.height, width=size.width)
        return self._sound("associated-damaged", name, lambda: self._decoding.image(size, decode))

    def package(self) -> bytes | None:
        """Return the embedded generator's package, or None.

        Raises CorruptContainer if it is not the one that is named.
        """
        named = self.manifest.prediction.generator
        return self._sound("generator-damaged", "tag 65302", self._read_package) if named.embedded else None

    def _read_package(self) -> bytes:
        frame = self._parts.first.data(Tag.Generator, MAX_PACKAGE_BYTES) or b""
        data, digest = decompressed(frame, MAX_PACKAGE_BYTES), self.manifest.prediction.generator.digest
        if f"sha256:{hashlib.sha256(data).hexdigest()}" != digest:
            raise Damaged(f"its digest is not {digest}")
        return data

    def _sound(self, code: str, place: str, read: Callable[[], T]) -> T:
        """Return what is read. Raises CorruptContainer, with this code and place, for what is damaged."""
        try:
            return read()
        except (Damaged, RoiError) as error:
            kind = DecodingCrash if isinstance(error, Crashed) else CorruptContainer
            raise kind(self.path, [Problem(code, place, str(error))]) from error

    @property
    def is_sandboxed(self) -> bool:
        """True if the file is not trusted: child processes decode what is compressed in it."""
        return self._decoding.sandbox is not None

    @property
    def is_closed(self) -> bool:
        """True if the file was released."""
        return self._source.is_closed

    def close(self) -> None:
        """Release the file; reading afterwards raises ValueError."""
        self._source.close()
        self._decoding.close()
