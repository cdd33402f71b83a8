"""Writes OME-Zarr 0.5: an array for each level, its chunks in shards, so that a slide is a few thousand files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from zarr.codecs import BloscCodec, BloscShuffle
from zarr.storage import LocalStore

from ...geometry import Image
from ..level_tiles import LevelTiles, Place
from ..levels import TILE, Levels
from ..ngff import add_associated, add_profile, make_hierarchy


def write(levels: Levels, folder: Path) -> None:
    """Write the levels into a folder that is there: each thread makes a shard, and no shard is touched twice."""
    store = LocalStore(folder)
    arrays = make_hierarchy(
        store,
        levels.decoder,
        levels.parts,
        levels.statement(levels.parts[0]),
        chunks=(3, TILE, TILE),
        shards=(3, levels.parts[0].side, levels.parts[0].side),
        compressors=BloscCodec(cname="zstd", clevel=5, shuffle=BloscShuffle.noshuffle),
    )
    beside = add_associated(store, {image.name: image.size for image in levels.associated})
    for image in levels.associated:
        pixels = levels.decoder.container.decoded_associated(image.name, image.jpeg, image.size)
        beside[image.name][:] = np.moveaxis(pixels, 2, 0)
    add_profile(store, levels.icc_profile)

    def put(place: Place, image: Image) -> None:
        grid = levels.parts[place.level].grid
        to = grid.covered(*grid.address(place.tile))
        arrays[place.level][:, to.y : to.bottom, to.x : to.right] = np.moveaxis(image, 2, 0)

    for _ in LevelTiles(levels, put).every():
        pass
