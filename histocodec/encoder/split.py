"""How a floor is met with the fewest bytes: what the base takes, and what its enhancement.

A finer base costs bytes and saves some of the layer's; the best quality lies between, and a sample of blocks finds it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from ..geometry import Image
from ..pixels.colour import fit_colours
from ..pixels.floors import lowest_psnr
from ..pixels.residual import FINGERPRINT_LENGTH, EnhancementCoder, enhance_to, residual
from ..pixels.tile_codecs import QUALITY_SCALES, TileCodec
from ..pixels.tile_coder import TileCoder, coded_tile
from ..runtime.parallel import ordered_map
from ..runtime.progress import Progress
from ..runtime.sampling import spread_sample
from ..runtime.tiled_image import TileCache, TiledImage
from .coded_pyramid import CodedPyramid, estimated_bytes
from .draft import Draft
from .enhance import Address, Block, BlockReader, Floors
from .rate import SEARCH_RANGES
from .uncoded_pyramid import UncodedPyramid

LOWEST_QUALITY: dict[TileCodec, float] = {"jp2k": 26.0, "avif": 30.0, "jpeg": 30.0}
"""Of a base whose quality a floor alone decides. A high one would make do with less; but the base is what every coarser
level shows, and what is left when the layer is taken off. A ratio may ask for less."""

_SAMPLE = 16
"""Blocks of each kind that an estimate looks at."""

_INDEX_BYTES = 8 + 8 + 4 + 1 + 4 * FINGERPRINT_LENGTH
"""Of a tile of the layer: its place, length, checksum, mode and, before compression, fingerprint."""


def choose_split(file: Draft, floors: Floors, progress: Progress) -> float:
    """The base's quality: what takes the fewest bytes together with its enhancement."""
    return cheapest_quality(Estimate(file, floors), LOWEST_QUALITY[file.coder.codec], progress)


def cheapest_quality(estimate: Estimate, low: float, progress: Progress) -> float:
    """From `low` on, the quality at which everything takes the fewest bytes."""
    step = 3.0 if QUALITY_SCALES[estimate.codec].whole else 1.0
    calls = 0

    def total(at: int) -> float:
        nonlocal calls
        calls += 1
        progress("weighing", min(calls, _CALLS), _CALLS)
        return estimate(low + at * step)

    best = _lowest(total, math.floor((SEARCH_RANGES[estimate.codec][1] - low) / step))
    progress("weighing", _CALLS, _CALLS)
    return low + best * step


_CALLS = 16
"""About as many estimates does a search take."""


def _lowest(total: Callable[[int], float], count: int) -> int:
    """Where a function of 0 ... count with one valley is lowest, by golden section."""
    ratio = (math.sqrt(5) - 1) / 2
    a, b = 0, count
    while b - a > 3:
        left, right = round(b - ratio * (b - a)), round(a + ratio * (b - a))
        if left >= right:
            break
        a, b = (a, right) if total(left) <= total(right) else (left, b)
    return min(range(a, b + 1), key=total)


class Estimate:
    """Bytes of the whole file over the base's quality, from a sample of blocks."""

    def __init__(self, file: Draft, floors: Floors) -> None:
        self.codec = file.coder.codec
        self._file, self._floors = file, floors
        self._base = estimated_bytes(file.pyramid, file.overview, file.coder, file.settings.seed, file.settings.workers)
        self._fixed = file.overhead_bytes() + _INDEX_BYTES * floors.size
        self._groups = [
            (group, spread_sample(group, _SAMPLE, file.settings.seed))
            for floor_db in np.unique(floors[floors > 0]).tolist()
            for tissue in (0, 1)
            if (
                group := [
                    (int(column), int(row))
                    for row, column in np.argwhere((floors == floor_db) & (file.pyramid.tissue == tissue))
                ]
            )
        ]
        self._layers: dict[float, float] = {}
        self._correction = 1.0

    def __call__(self, quality: float) -> float:
        return self._fixed + self.base_bytes(quality) + self._layer(quality) * self._correction

    def correct(self, quality: float, base_bytes: int, layer_bytes: int) -> None:
        """Scale base and layer so that they agree with what they really took at one quality."""
        self._base.correct(quality, base_bytes)
        estimated = self._layer(quality)
        self._correction = layer_bytes / estimated if estimated else 1.0

    def base_bytes(self, quality: float) -> float:
        """Of the tiles of all levels."""
        return self._base(quality)

    def layer_bytes(self, quality: float, raised_db: float = 0.0) -> float:
        """Of the layer's tiles. raised_db: with all floors higher by so much."""
        read = BlockReader(self._file, _coded_on_demand(self._file.pyramid, self._file.coder, quality).read)
        total, workers = 0.0, self._file.settings.workers
        for group, sample in self._groups:
            floor_db = float(self._floors[sample[0][1], sample[0][0]]) + raised_db
            short = list(_short_blocks(read, sample, floor_db, workers))
            total += _bytes(short, floor_db, self._coder(short, floor_db), workers) * len(group) / len(sample)
        return total

    def _layer(self, quality: float) -> float:
        if quality not in self._layers:
            self._layers[quality] = self.layer_bytes(quality)
        return self._layers[quality]

    def _coder(self, blocks: Sequence[Block], floor_db: float) -> EnhancementCoder:
        codec = self._file.settings.codec_of_enhancement
        transforms = bool(blocks) and codec == "avif" and floor_db <= _TRANSFORMED_UP_TO_DB
        return _transforming(codec, blocks) if transforms else EnhancementCoder(codec)


def _short_blocks(read: BlockReader, addresses: Sequence[Address], floor_db: float, workers: int) -> Iterator[Block]:
    """Those of whose prediction a square is below the floor."""
    for block in ordered_map(read, addresses, workers=workers):
        if lowest_psnr(block.source, block.within) < floor_db:
            yield block


def _bytes(blocks: Sequence[Block], floor_db: float, coder: EnhancementCoder, workers: int) -> int:
    """Of their tiles together."""

    def size(block: Block) -> int:
        return len(enhance_to(block.source, block.prediction, floor_db, coder).data)

    return sum(ordered_map(size, blocks, workers=workers))


def _transforming(codec: TileCodec, blocks: Sequence[Block]) -> EnhancementCoder:
    """With the principal axes of what the tiles of these blocks would hold."""
    residuals = np.concatenate([residual(block.source, block.within).reshape(-1, 3)[::_STRIDE] for block in blocks])
    sources = np.concatenate([block.source.reshape(-1, 3)[::_STRIDE] for block in blocks])
    return EnhancementCoder(codec, fit_colours(residuals), fit_colours(sources))


def choose_coder(file: Draft, coded: CodedPyramid, floors: Floors) -> EnhancementCoder:
    """How to code the layer: for `avif` with its colours transformed, if a few blocks then take fewer bytes.

    High floors gain nothing: the transformed colours have 8 bits as well.
    """
    settings = file.settings
    plain = EnhancementCoder(settings.codec_of_enhancement)
    if plain.codec != "avif":
        return plain
    read = BlockReader(file, coded.decoded_base().read)
    groups: list[tuple[float, float, list[Block]]] = []
    for floor_db in np.unique(floors[floors > 0]).tolist():
        places = np.argwhere((floors == floor_db) & (file.pyramid.tissue > 0))
        some = spread_sample([(int(column), int(row)) for row, column in places], _COMPARED, settings.seed)
        if some:
            short = list(_short_blocks(read, some, floor_db, settings.workers))
            groups.append((floor_db, len(places) / len(some), short))
    blocks = [block for _, _, short in groups for block in short]
    if not blocks:
        return plain

    def total(coder: EnhancementCoder) -> float:
        return sum(share * _bytes(short, floor_db, coder, settings.workers) for floor_db, share, short in groups)

    return min((_transforming(plain.codec, blocks), plain), key=total)


_COMPARED = 6
"""Blocks of each floor that are coded both ways."""

_TRANSFORMED_UP_TO_DB = 40.0
"""Above it an estimate does without: 8 bits of transformed colours are too few."""

_STRIDE = 7
"""Of the pixels that a transform is fitted to."""


def _coded_on_demand(pyramid: UncodedPyramid, coder: TileCoder, quality: float) -> TiledImage:
    """The base as a decoder would see it, its tiles coded when they are asked for."""
    pixels = pyramid.levels[0]
    side = pixels.grid.tile

    def make(column: int, row: int) -> Image:
        data = coded_tile(pixels.read, pixels.grid, coder, quality, pixels.grid.index(column, row))
        return coder.decode(data, height=side, width=side)

    return TiledImage(pixels.grid, make, TileCache(64 << 20))
