"""The split of bytes between base and enhancement layer that meets a floor with the fewest.

A finer base costs bytes and saves some of the layer's; the best quality lies between, and a sample of blocks finds it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np

from ..geometry import Address, addresses_where
from ..pixels.colour import fit_colours
from ..pixels.floors import lowest_psnr
from ..pixels.rate import SEARCH_RANGES
from ..pixels.residual import EnhancementCoder, Mode, enhance_to, residual
from ..pixels.tile_codecs import QUALITY_SCALES, TileCodec
from ..runtime.progress import Progress
from ..runtime.resources import Resources
from .base_rate import BaseRate
from .block_floors import Floors
from .blocks import Block, BlockReader
from .coded_pyramid import CodedPyramid, coded_on_demand
from .job import Job
from .overhead import overhead_bytes

LOWEST_QUALITY: dict[TileCodec, float] = {"jp2k": 26.0, "av1": 30.0, "jpeg": 30.0}
"""The lowest quality of a base whose quality a floor alone decides. A high floor would make do with less; but the base
is what every coarser level shows, and what is left when the layer is taken off. A ratio may ask for less."""

_SAMPLE = 16
"""Blocks of each kind that an estimate looks at."""

_INDEX_BYTES = 8 + 8 + 4 + 1 + 4
"""Bytes of a tile of the layer beside its codestream: place, length, checksum, mode and checksum of the prediction."""

_CALLS = 16
"""Typical number of estimates per search; it only scales the progress bar."""

_COMPARED = 6
"""Blocks of each floor that are coded both ways."""

_TURNED_UP_TO_DB = 40.0
"""Floor above which an estimate does without turned colours: their 8 bits are too few."""

_STRIDE = 7
"""A transform is fitted to one pixel in so many."""


def choose_split(job: Job, floors: Floors) -> float:
    """Return the base's quality that takes the fewest bytes together with its enhancement."""
    return cheapest_quality(Estimate(job, floors), LOWEST_QUALITY[job.coder.codec], job.resources.progress)


def cheapest_quality(estimate: Estimate, low: float, progress: Progress) -> float:
    """Return the quality, from `low` on, at which everything takes the fewest bytes."""
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


def _lowest(total: Callable[[int], float], count: int) -> int:
    """Return where a function of 0 ... count with one valley is lowest, by golden section."""
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

    def __init__(self, job: Job, floors: Floors) -> None:
        self.codec = job.coder.codec
        self._job, self._floors = job, floors
        self._base = BaseRate(job.pyramid, job.overview, job.coder, job.resources).curve
        self._fixed = overhead_bytes(job) + _INDEX_BYTES * floors.size
        self._groups = [
            (group, job.resources.sample(group, _SAMPLE))
            for floor_db in np.unique(floors[floors > 0]).tolist()
            for tissue in (0, 1)
            if (group := addresses_where((floors == floor_db) & (job.pyramid.tissue == tissue)))
        ]
        self._layers: dict[float, float] = {}
        self._correction = 1.0

    def __call__(self, quality: float) -> float:
        """Return the estimated bytes of the whole file."""
        return self._fixed + self.base_bytes(quality) + self._layer(quality) * self._correction

    def correct(self, quality: float, base_bytes: int, layer_bytes: int, other_bytes: int) -> None:
        """Make base, layer and all the rest agree with what they really took at one quality."""
        self._fixed = other_bytes
        self._base.correct(quality, base_bytes)
        estimated = self._layer(quality)
        self._correction = layer_bytes / estimated if estimated else 1.0

    def base_bytes(self, quality: float) -> float:
        """Return the estimated bytes of the tiles of all levels."""
        return self._base(quality)

    def layer_bytes(self, quality: float, raised_db: float = 0.0) -> float:
        """Return the estimated bytes of the layer's tiles. raised_db: with all floors higher by so much."""
        read = self._job.blocks(coded_on_demand(self._job.pyramid, self._job.coder.quick, quality).read)
        total = 0.0
        for group, sample in self._groups:
            floor_db = float(self._floors[sample[0][1], sample[0][0]]) + raised_db
            short = _short_blocks(read, sample, floor_db, self._job.resources)
            layer_bytes = _bytes(short, floor_db, self._coder(short, floor_db), self._job.resources)
            total += layer_bytes * len(group) / len(sample)
        return total

    def _layer(self, quality: float) -> float:
        if quality not in self._layers:
            self._layers[quality] = self.layer_bytes(quality)
        return self._layers[quality]

    def _coder(self, blocks: Sequence[Block], floor_db: float) -> EnhancementCoder:
        unturned = _unturned(self._job)
        turns = bool(blocks) and unturned.codec == "av1" and floor_db <= _TURNED_UP_TO_DB
        return _turning(unturned, blocks) if turns else unturned


def choose_coder(job: Job, base: CodedPyramid, floors: Floors) -> EnhancementCoder:
    """Return how to code the layer: for `av1` with its colours turned, if a few blocks then take fewer bytes.

    High floors gain nothing: the turned colours have 8 bits as well.
    """
    unturned = _unturned(job)
    if unturned.codec != "av1":
        return unturned
    read = job.blocks(base.decoded_base().read)
    groups: list[tuple[float, float, list[Block]]] = []
    for floor_db in np.unique(floors[floors > 0]).tolist():
        places = addresses_where((floors == floor_db) & (job.pyramid.tissue > 0))
        if some := job.resources.sample(places, _COMPARED):
            short = _short_blocks(read, some, floor_db, job.resources)
            groups.append((floor_db, len(places) / len(some), short))
    blocks = [block for _, _, short in groups for block in short]
    if not blocks:
        return unturned

    def total(coder: EnhancementCoder) -> float:
        return sum(share * _bytes(short, floor_db, coder, job.resources) for floor_db, share, short in groups)

    return min((_turning(unturned, blocks), unturned), key=total)


def _unturned(job: Job) -> EnhancementCoder:
    """Return the coder without a colour transform."""
    coder = EnhancementCoder(job.settings.codec_of_enhancement, speed=job.settings.layer_speed)
    # What machines differ in cannot be corrected: its blocks are stored as they are.
    return coder if job.generator.is_exact else dataclasses.replace(coder, modes=(Mode.NATIVE,))


def _short_blocks(
    read: BlockReader, addresses: Sequence[Address], floor_db: float, resources: Resources
) -> list[Block]:
    """List the blocks of whose prediction a square is below the floor."""
    blocks = resources.map(read, addresses)
    return [block for block in blocks if lowest_psnr(block.source, block.within) < floor_db]


def _bytes(blocks: Sequence[Block], floor_db: float, coder: EnhancementCoder, resources: Resources) -> int:
    """Return the total bytes of the enhancement tiles of some blocks."""

    def size(block: Block) -> int:
        return len(enhance_to(block.source, block.prediction, floor_db, coder).data)

    return sum(resources.map(size, blocks))


def _turning(unturned: EnhancementCoder, blocks: Sequence[Block]) -> EnhancementCoder:
    """Return a coder with the principal axes of what the tiles of these blocks would hold."""
    residuals = np.concatenate([residual(block.source, block.within).reshape(-1, 3)[::_STRIDE] for block in blocks])
    sources = np.concatenate([block.source.reshape(-1, 3)[::_STRIDE] for block in blocks])
    return dataclasses.replace(unturned, residual=fit_colours(residuals), native=fit_colours(sources))
