"""The bytes that a file takes beside its tiles: it is written, with tiles of one byte, and weighed."""

from __future__ import annotations

import dataclasses
import io

import numpy as np

from ..format.entries import EnhancementLayer, ErrorSummary, QualityEntry, Summary
from ..format.layers import EnhancementPieces
from ..format.quality import MAP_CHANNELS, QualityMap
from .contents import checksums_of, manifest_of, write_contents
from .job import Job
from .measure import Measured

_SLACK = 128
"""Bytes by which numbers in the manifest may be longer than those that stand in for them."""

_ORIGINAL_STATED = 256
"""Bytes that the manifest takes more with an original."""


def overhead_bytes(job: Job, layer: tuple[EnhancementLayer, EnhancementPieces] | None = None) -> int:
    """Return the bytes of everything but the tiles, and a little slack.

    layer: what is stated of an enhancement layer, in as many digits as it will have, and its pieces.
    """
    counts = [grid.count for grid in job.pyramid.grids]
    tiles = [[b"\0"] * count for count in counts]
    base_sums = np.zeros(counts[0], np.uint32)
    checksums = checksums_of(job, tiles, base_sums)
    out, measured = io.BytesIO(), _stand_in(job)
    entry, pieces = None, None
    if layer is not None:
        entry, pieces = layer[0], dataclasses.replace(layer[1], tile=lambda index: b"\0")
        counts.append(entry.tiles)
    manifest = manifest_of(job, 99.99, job.source.size.area // 10 + 1, checksums, measured, entry)
    write_contents(out, job, manifest, tiles, checksums, base_sums, measured, pieces)
    slack = _SLACK + (_ORIGINAL_STATED if job.settings.keep_original else 0)
    return len(out.getvalue()) - sum(counts) + slack


def _stand_in(job: Job) -> Measured | None:
    """Return what takes as many bytes as whatever will be measured."""
    settings, tissue_map = job.settings, job.pyramid.tissue
    if settings.verify == "none":
        return None
    high, low = Summary(99.9999, 99.9999, 99.9999), Summary(-0.9999, -0.9999, -0.9999)
    error = ErrorSummary(99.9999, 99.9999, 99.9999)
    entry = QualityEntry("sample", 9999, 9999, high, low, 99.9999, 99.9999, error, high, (0, 0))
    # Random numbers stand in: measured ones compress a little.
    values = np.zeros((*tissue_map.shape, MAP_CHANNELS), np.uint16)
    tissue = np.argwhere(tissue_map)
    rng = np.random.default_rng(0)
    every = settings.verify == "all" or settings.has_floor
    some = tissue if every else rng.permutation(tissue)[: settings.verify_blocks]
    values[some[:, 0], some[:, 1]] = rng.integers(0, 1 << 16, (len(some), MAP_CHANNELS))
    return entry, QualityMap(values)
