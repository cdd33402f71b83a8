"""Patches of tiles and slides: their shares, and what of them is cut."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from histocodec.demo.synthetic import tissue, write_slide
from histocodec.geometry import Size
from histocodec.training.data.patches import collect_patches
from tests.training.inputs import config, write_tiles


def test_shares_are_of_folders_whatever_their_size(tmp_path: Path) -> None:
    write_tiles(tmp_path / "many", [tissue(Size(256, 256), seed=s) for s in range(3)])
    write_tiles(tmp_path / "one", [tissue(Size(400, 256), seed=9)])
    settings = config(data__train={"many": 3.0, "one": 1.0}, data__entropy_bits=0.0).data
    found = collect_patches(settings, tmp_path, seed=1)
    assert found.weights == pytest.approx([0.25, 0.25, 0.25, 0.25])


def test_patches_cover_a_tile_and_only_a_slide_is_sampled(tmp_path: Path) -> None:
    image = tissue(Size(1200, 900), seed=4)
    write_slide(tmp_path / "slide.tif", image)
    write_tiles(tmp_path / "tiles", [image])
    for name, count in (("slide.tif", 3), ("tiles", 12)):
        settings = config(data__train={name: 1.0}, data__patch=300, data__patches_per_slide=3, data__entropy_bits=0.0)
        found = collect_patches(settings.data, tmp_path, seed=1)
        assert len(found.kept) == count
        assert {patch.image.shape for patch in found.kept} == {(300, 300, 3)}
    assert np.array_equal(found.kept[-1].image, image[600:, 900:])
