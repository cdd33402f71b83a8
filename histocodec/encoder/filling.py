"""A base that fills a byte budget: all tiles are coded about once, and then a few of them once more.

What a sample tells is wrong by a percent or two. The rest is made up by tiles that get the next higher or lower
quality, in an order that is spread over the slide.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..errors import BudgetError
from ..pixels.rate import RUNGS, SEARCH_RANGES, place_of
from ..pixels.tile_coder import TileCoder
from ..runtime.resources import Resources
from .base_rate import BaseRate
from .coded_pyramid import CodedOverview, CodedPyramid
from .uncoded_pyramid import UncodedPyramid

_AIM = 0.997
"""Share of a budget that the first coding aims at: to make tiles finer is surer than to make them coarser."""

FULL = 0.998
"""A budget filled to this share is full."""

_GROWTH = 1.06
"""First guess of the bytes of a tile over those at the next lower quality."""

_MOST_PASSES, _MOST_REFUSED = 10, 6
"""Times that every tile may be made finer, and tiles that may turn out not to fit, until a budget is left as it is."""

_HARDLY_ANY = 1 / 16
"""Share of a mean tile's bytes below which a tile is glass, and never worth another coding."""


def code_within(
    pyramid: UncodedPyramid, overview: CodedOverview, coder: TileCoder, budget_bytes: int, resources: Resources
) -> CodedPyramid:
    """Code the base so that the tiles of all levels fill `budget_bytes`.

    Raises BudgetError if the lowest quality does not fit; its `needed_bytes` are what that really took.
    """
    rate = BaseRate(pyramid, overview, coder, resources)
    quality = rate.best_quality(_AIM * budget_bytes) or SEARCH_RANGES[coder.codec][0]
    coded = CodedPyramid(pyramid, overview, coder, quality, resources, rate.coded)
    try:
        fill(coded, budget_bytes, resources)
    except BaseException:
        coded.close()
        raise
    return coded


def fill(coded: CodedPyramid, budget_bytes: int, resources: Resources, tiles: Sequence[int] | None = None) -> None:
    """Code tiles of the base again, until the tiles of all levels fill a budget.

    tiles: the indexes of those that may change; None for all. Raises BudgetError if they exceed it at their lowest.
    """
    filling = _Filling(coded, budget_bytes, resources, range(coded.base.grid.count) if tiles is None else tiles)
    while filling.spare < 0:
        filling.make_coarser()
    for _ in range(_MOST_PASSES):
        if not filling.make_finer():
            break


class _Filling:
    """One base on its way to its budget."""

    def __init__(self, coded: CodedPyramid, budget_bytes: int, resources: Resources, tiles: Sequence[int]) -> None:
        self._coded, self._budget_bytes, self._resources = coded, budget_bytes, resources
        rungs, (low, high) = RUNGS[coded.coder.codec], SEARCH_RANGES[coded.coder.codec]
        self._lowest, self._highest = rungs.index(low), rungs.index(high)
        self._growth = _GROWTH
        self._refused: set[int] = set()
        least = _HARDLY_ANY * coded.base.total_bytes / coded.base.grid.count
        self._tiles = [index for index in tiles if coded.size(index) > least]
        self._glass = [index for index in tiles if coded.size(index) <= least]

    @property
    def spare(self) -> int:
        """Bytes of the budget that are left; below zero those that are too many."""
        return self._budget_bytes - self._coded.total_bytes

    def make_coarser(self) -> None:
        """Save the bytes that are too many, or as many as one coding of all tiles can. Raises BudgetError."""
        coded, excess = self._coded, float(-self.spare)
        able = self._in_order(self._tiles, self._lowest) or self._in_order(self._glass, self._lowest)
        if not able:
            needed = coded.total_bytes
            raise BudgetError(
                self._budget_bytes, needed, f"the tiles need {needed} bytes, {self._budget_bytes} are left for them"
            )
        steps = self._steps(excess / max(coded.total_bytes - excess, 1), able)
        chosen = []
        for index in reversed(able):
            if excess <= 0:
                break
            chosen.append((index, max(coded.rungs[index] - steps, self._lowest)))
            excess -= coded.size(index) * (1 - self._growth**-steps)
        before = [coded.size(index) for index, _ in chosen]
        taken = self._code(chosen)
        for (index, rung), data in zip(chosen, taken, strict=True):
            coded.put(index, rung, data)
        self._learn(sum(map(len, taken)), sum(before), steps)

    def make_finer(self) -> bool:
        """Make tiles finer while that fits, each once. Returns whether it is worth doing again."""
        coded, changed = self._coded, False
        queue = [i for i in self._in_order(self._tiles, self._highest) if i not in self._refused]
        while queue and not self._is_full:
            left, batch = float(self.spare), []
            steps = self._steps(left / max(sum(map(coded.size, queue)), 1), queue)
            for index in queue:
                more = coded.size(index) * (self._growth**steps - 1)
                if more <= left:
                    batch.append((index, min(coded.rungs[index] + steps, self._highest)))
                    left -= more
            if not batch:
                break
            before = [coded.size(index) for index, _ in batch]
            taken = self._code(batch)
            for (index, rung), data in zip(batch, taken, strict=True):
                if len(data) - coded.size(index) <= self.spare:
                    coded.put(index, rung, data)
                    changed = True
                else:
                    self._refused.add(index)  # what is left only shrinks
            self._learn(sum(map(len, taken)), sum(before), steps)
            done = {index for index, _ in batch}
            queue = [index for index in queue if index not in done]
        return changed and not self._is_full

    @property
    def _is_full(self) -> bool:
        return self.spare <= (1 - FULL) * self._budget_bytes or len(self._refused) >= _MOST_REFUSED

    def _in_order(self, tiles: Sequence[int], end: int) -> list[int]:
        """List the tiles that are not at the end of the ladder, those first that are to be made finer first."""
        coded = self._coded

        def turn(index: int) -> tuple[int, float]:
            return coded.rungs[index], place_of(*coded.base.grid.address(index))

        return sorted((index for index in tiles if coded.rungs[index] != end), key=turn)

    def _steps(self, change: float, tiles: Sequence[int]) -> int:
        """Return the rungs by which tiles have to move so that all of them together change by a share."""
        return max(1, int(math.log1p(change) / math.log(self._growth))) if tiles else 1

    def _code(self, wanted: list[tuple[int, int]]) -> list[bytes]:
        return list(self._resources.map(lambda tile: self._coded.code(*tile), wanted, "filling"))

    def _learn(self, taken: int, before: int, steps: int) -> None:
        """Learn how bytes grow from rung to rung."""
        ratio = max(taken, before) / max(min(taken, before), 1)
        self._growth = min(max(ratio ** (1 / steps), 1.005), 1.5)
