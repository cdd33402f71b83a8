"""Measured quality: how close a reconstruction is to the source, block by block."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..geometry import Grid
from ..pixels.score import BlockScore
from .entries import ErrorSummary, Summary

MAP_CHANNELS = 4
"""Measures of a block: PSNR, SSIM, colour error, consistency."""
MAP_LEGEND = (
    "0 not measured, else PSNR dB = (v - 1) / 500; SSIM = (v - 1) / 30000 - 1; colour error = (v - 1) / 500; "
    "consistency dB = (v - 1) / 500"
)
_STEPS = np.array([500.0, 30000.0, 500.0, 500.0])
_OFFSETS = np.array([0.0, 1.0, 0.0, 0.0])
_HIGHEST = 65534


@dataclass(frozen=True, eq=False)
class QualityMap:
    """Measured fidelity of each block of the canonical grid, as it is stored."""

    values: NDArray[np.uint16]
    """(rows, columns, 4) uint16: PSNR, SSIM, colour error, consistency, by MAP_LEGEND. All 0: not measured."""

    @classmethod
    def of(cls, blocks: Grid, scores: Iterable[tuple[tuple[int, int], BlockScore]]) -> QualityMap:
        """Build a map from pairs of (column, row) of a block and its score; other blocks count as not measured."""
        values = np.zeros((blocks.shape.height, blocks.shape.width, MAP_CHANNELS), np.uint16)
        for (column, row), score in scores:
            assert score.ssim is not None  # slivers are not in the map
            measured = np.array([score.psnr_db, score.ssim, score.colour_error, score.consistency_db])
            values[row, column] = 1 + np.clip(np.rint((measured + _OFFSETS) * _STEPS), 0, _HIGHEST)
        return cls(values)

    @property
    def measured(self) -> NDArray[np.bool_]:
        """(rows, columns) bool: True where something was measured."""
        found: NDArray[np.bool_] = self.values[..., 0] > 0
        return found

    @property
    def psnr_db(self) -> NDArray[np.float64]:
        """(rows, columns) PSNR in dB, to 1/500; NaN where nothing was measured."""
        return self._channel(0)

    @property
    def ssim(self) -> NDArray[np.float64]:
        """(rows, columns) SSIM, -1 to 1, to 1/30000; NaN where nothing was measured."""
        return self._channel(1)

    @property
    def colour_error(self) -> NDArray[np.float64]:
        """(rows, columns) colour error in delta E*ab, to 1/500; NaN where nothing was measured."""
        return self._channel(2)

    @property
    def consistency_db(self) -> NDArray[np.float64]:
        """(rows, columns) consistency in dB, to 1/500; NaN where nothing was measured."""
        return self._channel(3)

    def _channel(self, number: int) -> NDArray[np.float64]:
        stored = self.values[..., number].astype(np.float64)
        return np.where(stored > 0, (stored - 1) / _STEPS[number] - _OFFSETS[number], np.nan)


def summarise(values: Sequence[float]) -> Summary:
    """Return mean, 5th percentile (linear between ranks) and lowest of a measure where higher is better."""
    array = np.array(values, np.float64)
    return Summary(
        mean=round(float(array.mean()), 4),
        percentile_5=round(float(np.percentile(array, 5)), 4),
        worst=round(float(array.min()), 4),
    )


def summarise_errors(values: Sequence[float]) -> ErrorSummary:
    """Return mean, 95th percentile (linear between ranks) and highest of a measure where lower is better."""
    array = np.array(values, np.float64)
    return ErrorSummary(
        mean=round(float(array.mean()), 4),
        percentile_95=round(float(np.percentile(array, 95)), 4),
        worst=round(float(array.max()), 4),
    )
