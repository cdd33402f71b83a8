"""The bytes of a base over its quality, from a sample of its tiles."""

from __future__ import annotations

import functools

import numpy as np

from ..geometry import Image
from ..pixels.rate import RateCurve, best_quality, tile_quality
from ..pixels.tile_codecs import encode_tile
from ..pixels.tile_coder import TileCoder
from ..runtime.resources import Resources
from .coded_pyramid import CodedOverview, tile_coding
from .uncoded_pyramid import UncodedPyramid

_GLASS_SAMPLE = 4
"""Glass tiles that an estimate of the whole codes."""

_TISSUE_SHARE, _TISSUE_SAMPLES = 4, (6, 32)
"""An estimate codes one tissue tile in so many, and at least and at most so many."""

_WEIGHING_QUALITY = 20
"""Quality on libjpeg's scale at which tiles are weighed: about as coarse as bases are."""

_OVER_QUICK = 1.08
"""Bytes of an AV1 tile at speed 6 or a slower one over those that it takes at the quick speed."""


class BaseRate:
    """The bytes of all tiles over the base's quality."""

    def __init__(
        self, pyramid: UncodedPyramid, overview: CodedOverview, coder: TileCoder, resources: Resources
    ) -> None:
        """Draw a sample of the tissue tiles, and one of the glass tiles."""
        self._pixels, self._overview, self._coder, self._resources = pyramid.levels[0], overview, coder, resources
        self._coded: dict[tuple[int, float], bytes] = {}
        self.curve = RateCurve(self._estimate, coder.codec)
        """Estimated bytes of the tiles of all levels at a quality."""
        indexes = range(pyramid.grids[0].count)
        weights = list(resources.map(lambda index: _weight(self._pixels.get(index)), indexes))
        has_tissue = [bool(pyramid.tissue_of(index).any()) for index in indexes]
        most = min(max(sum(has_tissue) // _TISSUE_SHARE, _TISSUE_SAMPLES[0]), _TISSUE_SAMPLES[1])
        self._samples = []
        for kind, count in ((True, most), (False, _GLASS_SAMPLE)):
            if group := [index for index in indexes if has_tissue[index] is kind]:
                sample = resources.sample(group, count)
                self._samples.append((sample, sum(weights[i] for i in group) / sum(weights[i] for i in sample)))

    def best_quality(self, budget_bytes: float) -> float | None:
        """Return the best quality that fits; None if none does. The sample is then coded as the whole will be."""
        quality = best_quality(self.curve, budget_bytes, self._coder.codec)
        if quality is None:
            return None
        self.curve.correct(quality, self._taken(self._coder, quality))
        return best_quality(self.curve, budget_bytes, self._coder.codec)

    def coded(self, index: int, quality: float) -> bytes | None:
        """Return a tile if it has been coded at a quality, as the whole will be."""
        return self._coded.get((index, quality))

    def _estimate(self, quality: float) -> float:
        """Code the sample at a quality, quickly, and return the bytes of all tiles."""
        quick = self._coder.quick
        is_slow = quick is not self._coder and self._coder.speed <= 6
        return self._taken(quick, quality) * (_OVER_QUICK if is_slow else 1)

    def _taken(self, coder: TileCoder, quality: float) -> float:
        """Code the sample, and return the bytes of all tiles, by the ratio estimator (Cochran 1977, 6.1).

        The tissue tiles of a slide differ by a factor of several; their bytes over their weights, by a tenth or two.
        """
        code, grid = tile_coding(self._pixels, coder), self._pixels.grid

        def work(index: int) -> tuple[int, float, bytes]:
            own = tile_quality(coder.codec, quality, *grid.address(index))
            known = self.coded(index, own) if coder is self._coder else None
            return index, own, known or code(own, index)

        found: dict[int, int] = {}
        for index, own, data in self._resources.map(work, [i for sample, _ in self._samples for i in sample]):
            found[index] = len(data)
            if coder is self._coder:
                self._coded[index, own] = data
        return self._overview.total_bytes + sum(
            share * sum(found[i] for i in sample) for sample, share in self._samples
        )


def _weight(tile: Image) -> int:
    """Return the bytes of a tile as JPEG, but for those that an empty one takes, and one.

    In a twentieth of a coding's time they tell what it takes beside other tiles.
    """
    return 1 + max(0, len(encode_tile(tile, "jpeg", _WEIGHING_QUALITY)) - _empty_bytes(tile.shape))


@functools.cache
def _empty_bytes(shape: tuple[int, ...]) -> int:
    """Return the bytes of a tile of one colour as JPEG."""
    return len(encode_tile(np.full(shape, 240, np.uint8), "jpeg", _WEIGHING_QUALITY))
