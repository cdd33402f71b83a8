"""The parts of a manifest: which levels there are."""

from __future__ import annotations

from histocodec.format.entries import Level, level_sizes


def test_levels_end_where_one_fits_into_a_tile() -> None:
    assert level_sizes((1, 1), 256) == (Level((1, 1), 1), Level((1, 1), 8))
    assert level_sizes((2049, 10), 256) == (Level((2049, 10), 1), Level((257, 2), 8), Level((33, 1), 64))
