"""The parts of a manifest: where a writer puts the layers, and which levels there are."""

from __future__ import annotations

import pytest

from histocodec.format.entries import Level, SubIfds, level_sizes, number_subifds
from histocodec.pixels.tile_codecs import TileCodec


@pytest.mark.parametrize(
    ("codec", "layers", "expected"),
    [
        ("jp2k", (True, False, False), SubIfds(None, 0, None, None)),
        ("jp2k", (True, True, True), SubIfds(None, 0, 1, 2)),
        ("jpeg", (False, True, True), SubIfds(None, None, 0, 1)),
        ("av1", (True, False, True), SubIfds(0, 1, None, 2)),
        ("av1", (False, False, False), SubIfds(0, None, None, None)),
    ],
)
def test_base_and_layers_are_numbered_in_order(
    codec: TileCodec, layers: tuple[bool, bool, bool], expected: SubIfds
) -> None:
    tissue_map, quality_map, enhancement = layers
    found = number_subifds(codec, tissue_map=tissue_map, quality_map=quality_map, enhancement=enhancement)
    assert found == expected
    assert found.count == sum(layers) + (codec == "av1")


def test_levels_end_where_one_fits_into_a_tile() -> None:
    assert level_sizes((1, 1), 256) == (Level((1, 1), 1), Level((1, 1), 8))
    assert level_sizes((2049, 10), 256) == (Level((2049, 10), 1), Level((257, 2), 8), Level((33, 1), 64))
