"""The original as it is kept: the source's files, cut, each segment in the way that takes fewest bytes, on disk."""

from __future__ import annotations

import dataclasses
import hashlib
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import ContainerError, OutputError, SettingsError, SourceError, SourceReadError
from ..format.entries import OriginalLayer
from ..format.original import Kind, OriginalPieces, SegmentList, with_header
from ..format.original_pixels import decoded_tile
from ..format.reader import Container
from ..format.tags import MAX_SEGMENTS, MAX_SHARED, MAX_SHARED_BYTES
from ..format.zstd import compressed, decompressed
from ..geometry import Grid, Size
from ..pixels.jpeg_xl import as_file, to_jpeg_xl
from ..pixels.tile_codecs import TileError
from ..runtime.closing import Closing
from ..runtime.resources import Resources
from ..runtime.scratch import PieceSpool
from .job import Job
from .source_segments import CutFile, Range, cut

_ZSTD_LEVEL = 9
"""About 50 MB a second and core: most of a file is not touched by it."""
_COMPARED_TILES = 16
"""Tiles whose pixels are compared with the source's, before an original says that it can be read."""
_ROUNDING = 3
"""Grey levels by which two libraries may decode a lossy tile differently."""


@dataclass(frozen=True, slots=True)
class _Stored:
    """A segment as it is stored."""

    kind: Kind
    data: bytes
    restored: bytes
    """What comes back of it: the bytes of the file."""
    recipe: bytes = b""
    """What brings a JPEG back from its codestream; b"" where `data` needs nothing else."""


class KeptOriginal(Closing):
    """The segments of the source's files on disk; closing it frees the disk."""

    def __init__(self, job: Job) -> None:
        """Read the files, and store them. Raises SettingsError for a source that cannot be kept, SourceReadError."""
        source, tie = job.source, job.tie
        if tie is None:
            raise SettingsError(f"{source.path}: no files that could be kept as the original")
        if len(tie.files) > 1 and any(file.name is None for file in tie.files):
            raise SettingsError(
                f"{source.path}: its files cannot be kept as the original: of several, each needs a name that every "
                "system can write"
            )
        self.notes: tuple[str, ...] = ()
        """Sentences for the user."""
        self._spool = PieceSpool(job.resources.folder)
        try:
            files = [_cut(path, source.vendor if not k else "", source.size) for k, path in enumerate(source.files)]
            self._store(job, files)
        except BaseException:
            self._spool.close()
            raise

    def _store(self, job: Job, files: list[CutFile]) -> None:
        items = [(file.path, one) for file in files for one in file.ranges]
        if len(items) > MAX_SEGMENTS:
            raise SettingsError(
                f"{job.source.path}: its original has {len(items)} parts, at most {MAX_SEGMENTS} can be"
            )
        headers = tuple(dict.fromkeys(one.header for _, one in items if one.header))
        numbers = {b"": 0, **{header: number for number, header in enumerate(headers, 1)}}
        kinds, sums, lengths, stored_lengths, recipe_numbers = [], [], [], [], []
        recipes = {b"": 0}
        digests = {file.path: hashlib.sha256() for file in files}
        results = job.resources.map(_stored, items, "keeping the original")
        for (path, _), found in zip(items, results, strict=True):
            stored = _sharing(found, recipes)
            digests[path].update(stored.restored)
            self._spool.append(stored.data)
            kinds.append(stored.kind)
            sums.append(zlib.crc32(stored.data))
            lengths.append(len(stored.restored))
            stored_lengths.append(len(stored.data))
            recipe_numbers.append(recipes[stored.recipe])
        assert job.tie is not None
        for (path, digest), stated in zip(digests.items(), job.tie.files, strict=True):
            if digest.hexdigest() != stated.sha256:
                raise SourceReadError(path, "changed while it was read: nothing was written")
        segments = SegmentList(
            headers,
            tuple(filter(None, recipes)),
            np.array(kinds, np.uint8),
            np.array([numbers[one.header] for _, one in items], np.uint8),
            np.array(recipe_numbers, np.uint8),
            np.array(lengths, np.uint32),
            np.array(stored_lengths, np.uint32),
        )
        tile_numbers = np.array(files[0].tile_ranges, np.uint32)
        self.tiles = files[0].tiles
        self.pieces = OriginalPieces(
            segments, np.array(sums, np.uint32), tile_numbers, self._spool.get, segments.to_bytes()
        )
        if self.tiles is not None and not self._shows(job):
            self.tiles = None
        if self.tiles is None:
            self.pieces = dataclasses.replace(self.pieces, tile_numbers=tile_numbers[:0])
            self.notes = (
                "the original can be restored, but not read as pixels from this file: its finest level is no single "
                "image of square tiles that are known here",
            )

    def entry(self, subifd: int | None) -> OriginalLayer:
        """Return what the manifest states of the layer."""
        assert subifd is not None
        return OriginalLayer(subifd, hashlib.sha256(self.pieces.checksums).hexdigest(), self.tiles)

    def close(self) -> None:
        """Free the disk."""
        self._spool.close()

    def _shows(self, job: Job) -> bool:
        """Tell whether tiles, as they will be read, hold the pixels that the source's reader gives."""
        assert self.tiles is not None
        grid = Grid(job.source.size, self.tiles.side)
        for index in job.resources.sample(range(grid.count), _COMPARED_TILES):
            region = grid.covered(*grid.address(index))
            try:
                pixels = job.source.read(region).astype(np.int16)
                tile = decoded_tile(self._tile(index), self.tiles)
            except (SourceError, TileError):
                return False
            if np.abs(tile[: region.height, : region.width] - pixels).max() > _ROUNDING:
                return False
        return True

    def _tile(self, index: int) -> bytes:
        """Return a tile's own bytes, with what a JPEG stream lacks."""
        number = int(self.pieces.tile_numbers[index])
        segments, data = self.pieces.segments, self._spool.get(number)
        header, length = segments.header(number), int(segments.lengths[number])
        match Kind(int(segments.kinds[number])):
            case Kind.JPEG_XL:
                return segments.jpeg(number, data)
            case Kind.ZSTD:
                return decompressed(data, length)
        return with_header(data, header) if header else data

    def check_written(self, written: str, path: Path, resources: Resources) -> None:
        """Compare what a file that is being written says of the original, and stores of it, with what was restored.

        Every segment was restored as it was stored, and all of them together have the SHA-256 of the files: what has
        the same bytes and the same list restores to the same files. written: where the bytes are. path: where they are
        going to be. Raises OutputError if they differ.
        """
        try:
            with Container(written) as container:
                found, ours = container.original, self.pieces
                assert found is not None
                if (found.frame, found.written.checksums) != (ours.frame, ours.checksums):
                    raise OutputError(path, "another original than was to be written; nothing was written")
                for _ in resources.map(container.stored_segment, range(found.count), "proving the original"):
                    pass
        except ContainerError as error:
            raise OutputError(path, f"the original does not come back from it: {error.problems[0]}") from error


def _cut(path: Path, vendor: str, size: Size) -> CutFile:
    try:
        return cut(path, vendor, size)
    except OSError as error:
        raise SourceReadError(path, f"cannot be read: {getattr(error, 'strerror', None) or error}") from error


def _sharing(stored: _Stored, recipes: dict[bytes, int]) -> _Stored:
    """Enter a segment's recipe among the shared ones; where it has no place, make the segment do without.

    A scanner needs few of them. Of a program that pads each stream in its own way, those of the first ones are shared.
    """
    data = stored.recipe
    if len(data) <= MAX_SHARED_BYTES and len(recipes) <= MAX_SHARED:
        recipes.setdefault(data, len(recipes))
    if data in recipes:
        return stored
    file = as_file(stored.data, data)
    alone = _Stored(stored.kind, file, stored.restored)
    return alone if len(file) < len(stored.restored) else _Stored(Kind.VERBATIM, stored.restored, stored.restored)


def _stored(item: tuple[Path, Range]) -> _Stored:
    """Return a part of a file in the way that takes fewest bytes, of those from which it was seen to come back."""
    path, one = item
    try:
        with path.open("rb") as file:
            file.seek(one.offset)
            data = file.read(one.length)
    except OSError as error:
        raise SourceReadError(path, f"cannot be read: {error.strerror or error}") from error
    if one.is_jpeg and (found := to_jpeg_xl(with_header(data, one.header))) is not None and len(found[0]) < len(data):
        return _Stored(Kind.JPEG_XL, found[0], data, found[1])
    if one.packs and len(packed := compressed(data, _ZSTD_LEVEL)) < len(data):
        return _Stored(Kind.ZSTD, packed, decompressed(packed, len(data)))
    return _Stored(Kind.VERBATIM, data, data)
