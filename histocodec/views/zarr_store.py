"""A read-only Zarr store whose chunks are decoded when they are asked for: OME-Zarr 0.5 without a file."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import NoReturn

import numpy as np
from zarr.abc.store import ByteRequest, OffsetByteRequest, RangeByteRequest, Store, SuffixByteRequest
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import MemoryStore

from ..decoder import Decoder
from ..geometry import Address, Grid, Image, Region
from .levels import Part
from .ngff import ASSOCIATED, add_associated, add_profile, make_hierarchy

_CHUNK = re.compile(r"c/0/(0|[1-9][0-9]*)/(0|[1-9][0-9]*)")
"""Name of a chunk within its array: channels are not divided; row and column."""


@dataclass(frozen=True)
class _Array:
    """An array of RGB pixels that are made chunk by chunk: (3, side, side) uint8 each."""

    grid: Grid
    read: Callable[[Region], Image]

    @property
    def keys(self) -> Iterable[str]:
        """The names of its chunks, without that of the array."""
        return (f"c/0/{row}/{column}" for column, row in map(self.grid.address, range(self.grid.count)))

    def address(self, key: str) -> Address | None:
        """Return column and row of a chunk by its name; None for one that does not exist."""
        found = _CHUNK.fullmatch(key)
        if found is None:
            return None
        row, column = int(found[1]), int(found[2])
        return (column, row) if row < self.grid.shape.height and column < self.grid.shape.width else None

    def chunk(self, address: Address) -> bytes:
        """Return a chunk, decoded now."""
        covered, side = self.grid.covered(*address), self.grid.side
        chunk = np.zeros((3, side, side), np.uint8)
        chunk[:, : covered.height, : covered.width] = np.moveaxis(self.read(covered), 2, 0)
        return chunk.tobytes()


class DecodedStore(Store):
    """A slide as an OME-Zarr hierarchy; a pickle of it holds the path or URL, and opens the file again."""

    def __init__(self, decoder: Decoder) -> None:
        """Take a decoder, which is closed with the store."""
        super().__init__(read_only=True)
        self.decoder = decoder
        container, sides = decoder.container, [decoder.block_size, *(grid.side for grid in decoder.container.grids)]
        parts = [
            Part(level, decoder.downsamples[level], Region(0, 0, *size), sides[level])
            for level, size in enumerate(decoder.levels)
        ]
        self._made = {str(part.level): _Array(part.grid, partial(decoder.read, level=part.level)) for part in parts}
        sizes = {name: container.associated_size(name) for name in decoder.manifest.associated}
        self._made |= {
            f"{ASSOCIATED}/{name}/0": _Array(Grid(size, max(size)), partial(_cut, decoder, name))
            for name, size in sizes.items()
        }
        # What is no pixel is held as it would lie in files.
        self._held = MemoryStore()
        statement = decoder.rendition.statement(1, "all of level 0", written_as="uncoded pixels, when they are read")
        make_hierarchy(self._held, decoder, parts, statement, compressors=None)
        add_associated(self._held, sizes, compressors=None)
        add_profile(self._held, container.icc_profile)
        self._held = self._held.with_read_only(True)

    def __reduce__(self) -> tuple[type[DecodedStore], tuple[Decoder]]:
        return DecodedStore, (self.decoder,)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DecodedStore) and other.decoder is self.decoder

    def __hash__(self) -> int:
        return hash(id(self.decoder))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.decoder.path)!r})"

    def close(self) -> None:
        """Release the file."""
        self.decoder.close()
        super().close()

    def with_read_only(self, read_only: bool = False) -> DecodedStore:
        """Return the store itself. Raises ValueError for one that could be written to."""
        if not read_only:
            _refuse()
        return self

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        """Return a chunk, decoded now, or metadata; None for what is not there. Raises as `Decoder.read`."""
        array, place = self._place(key)
        if array is None:
            return await self._held.get(key, prototype, byte_range)
        address = array.address(place)
        if address is None:
            return None
        data = await asyncio.to_thread(array.chunk, address)
        return prototype.buffer.from_bytes(_part(data, byte_range))

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        """Return parts of several values."""
        return list(await asyncio.gather(*(self.get(key, prototype, wanted) for key, wanted in key_ranges)))

    async def exists(self, key: str) -> bool:
        """Return whether there is a value of that name; nothing is decoded for it."""
        array, place = self._place(key)
        return await self._held.exists(key) if array is None else array.address(place) is not None

    @property
    def supports_writes(self) -> bool:
        """False: nothing can be written."""
        return False

    @property
    def supports_deletes(self) -> bool:
        """False: nothing can be deleted."""
        return False

    @property
    def supports_listing(self) -> bool:
        """True: names can be listed."""
        return True

    async def set(self, key: str, value: Buffer) -> None:
        """Raise ValueError: nothing can be written."""
        _refuse()

    async def delete(self, key: str) -> None:
        """Raise ValueError: nothing can be deleted."""
        _refuse()

    async def list(self) -> AsyncIterator[str]:
        """List the names of all values."""
        async for key in self._held.list():
            yield key
        for name, array in self._made.items():
            for key in array.keys:
                yield f"{name}/{key}"

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """List the names that begin with a text."""
        async for key in self.list():
            if key.startswith(prefix):
                yield key

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """List the names, or their next parts, below a folder."""
        folder = f"{prefix.rstrip('/')}/" if prefix.strip("/") else ""
        found = {key.removeprefix(folder).partition("/")[0]: None async for key in self.list_prefix(folder)}
        for name in found:
            yield name

    def _place(self, key: str) -> tuple[_Array | None, str]:
        """Return the array that a chunk belongs to, and its name there; None for what is no chunk of pixels."""
        name, found, place = key.rpartition("/c/")
        return (self._made.get(name), f"c/{place}") if found else (None, key)


def _cut(decoder: Decoder, name: str, region: Region) -> Image:
    """Return a region of an associated image."""
    image = decoder.container.associated_image(name)
    return image[region.y : region.bottom, region.x : region.right]


def _part(data: bytes, wanted: ByteRequest | None) -> bytes:
    match wanted:
        case None:
            return data
        case RangeByteRequest(start, end):
            return data[start:end]
        case OffsetByteRequest(offset):
            return data[offset:]
        case SuffixByteRequest(suffix):
            return data[len(data) - suffix :]


def _refuse() -> NoReturn:
    raise ValueError("a slide that is decoded when it is read cannot be written to")
