"""Where a writer puts the layers."""

from __future__ import annotations

import pytest

from histocodec.format.subifds import SubIfds, number_subifds
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
