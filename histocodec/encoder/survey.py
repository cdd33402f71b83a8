"""A first look over a slide: how much detail lies where, from a small square here and there."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..errors import SettingsError
from ..geometry import Grid, Image, Region, Size
from ..pixels.downsample import downsample
from ..pixels.tile_codecs import encode_tile
from ..pixels.tissue import tissue_blocks
from ..runtime.resources import Resources
from ..source import Source

PROBE = 256
"""Full pixels a side of a square that is looked at; one lies in the middle of every patch."""

_MOST_PROBES = 2048
_PATCH, _FINE_PATCH = 1024, 512
"""Full pixels a side of a patch, and of one where there would be few."""

_SCALE = 4
"""Full pixels per pixel of a probe as it is weighed."""

_QUALITY = 20
"""Quality on libjpeg's scale at which probes are weighed: about as coarse as bases are."""

_TELLING = 0.75
"""Rank of the field that is shown among the tissue, least detail first: neither the palest nor a fold."""


@dataclass(frozen=True, slots=True)
class Probe:
    """One small square of the slide."""

    region: Region
    weight: int
    """Bytes of it as a coarse JPEG: the detail in it."""
    tissue: bool


@dataclass(frozen=True)
class Survey:
    """The probes of a slide, row by row."""

    size: Size
    probes: tuple[Probe, ...]

    def telling_field(self, side: int) -> Region:
        """Return a square of tissue that stands for much of it: three quarters of the tissue have less detail.

        side: full pixels a side; it begins at a multiple of that, so far as the slide allows. Raises SettingsError if
        there is no tissue.
        """
        tissue = sorted((probe for probe in self.probes if probe.tissue), key=lambda probe: probe.weight)
        if not tissue:
            raise SettingsError("no tissue was found that could be shown: name a region")
        place = tissue[int(_TELLING * (len(tissue) - 1))].region
        width, height = min(side, self.size.width), min(side, self.size.height)
        x = min(place.x // side * side, self.size.width - width)
        y = min(place.y // side * side, self.size.height - height)
        return Region(x, y, width, height)

    def sample(self, side: int, count: int) -> list[Region]:
        """Draw whole cells of the slide, of `side` full pixels, that stand for all.

        Their number is the largest square of at most `count`. They are taken at equal distances from the cells in the
        order of their detail, so that each kind of place is there as often as in the slide (systematic sampling;
        Cochran 1977, 8).
        """
        grid = Grid(self.size, side)
        weights: dict[tuple[int, int], int] = {}
        for probe in self.probes:
            address = probe.region.x // side, probe.region.y // side
            if grid.region(*address).within(self.size):
                weights[address] = weights.get(address, 0) + probe.weight
        ranked = sorted(weights, key=lambda address: (weights[address], address))
        count = math.isqrt(min(count, len(ranked))) ** 2
        ranked = [ranked[int((place + 0.5) * len(ranked) / count)] for place in range(count)]
        return [grid.region(*address) for address in sorted(ranked, key=lambda address: address[::-1])]


def look_over(source: Source, cell: int, resources: Resources) -> Survey:
    """Read the probes of a slide, those of whole cells of `cell` px a side. Raises SourceReadError."""
    patch = _PATCH if source.size.area > 64 * _PATCH**2 else _FINE_PATCH
    # All of a cell or nothing of it: cells are compared by the sum of their probes.
    cells = Grid(source.size, max(cell, patch))
    kept = resources.sample(range(cells.count), max(1, _MOST_PROBES * patch**2 // cells.side**2))
    regions = []
    for index in kept:
        covered = cells.covered(*cells.address(index))
        for y in range(covered.y, covered.bottom, patch):
            for x in range(covered.x, covered.right, patch):
                middle = (patch - PROBE) // 2 // PROBE * PROBE
                region = Region(x + middle, y + middle, PROBE, PROBE)
                if region.within(source.size):
                    regions.append(region)

    def probe(region: Region) -> Probe:
        small: Image = downsample(source.read(region), _SCALE)
        weight = len(encode_tile(small, "jpeg", _QUALITY))
        return Probe(region, weight, bool(tissue_blocks(small, PROBE // _SCALE).any()))

    return Survey(source.size, tuple(resources.map(probe, regions, "looking over")))
