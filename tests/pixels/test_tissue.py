"""The rule that tells tissue from glass."""

from __future__ import annotations

import numpy as np

from histocodec.pixels.tissue import FLAT_RANGE, tissue_blocks


def test_a_block_is_glass_if_no_channel_varies_more_than_the_rule_says() -> None:
    tile = np.full((256, 256, 3), 240, np.uint8)
    tile[10, 10, 1] = 240 - FLAT_RANGE
    tile[200, 5, 2] = 240 - FLAT_RANGE - 1
    assert tissue_blocks(tile, 128).tolist() == [[0, 0], [1, 0]]
