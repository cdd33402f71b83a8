"""A reader of napari: a container is one image of several scales, decoded where it is looked at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..decoder import Decoder
from ..errors import HistocodecError
from ..format.descriptions import NOTICE
from ..geometry import Image, Region

Layers = list[tuple[list[Any], dict[str, Any], str]]
"""What napari takes of a reader: data, keywords and kind of each layer."""


class LevelArray:
    """A level of a decoder as an array of (height, width, 3) that reads what is cut out of it."""

    dtype = np.dtype(np.uint8)
    ndim = 3

    def __init__(self, decoder: Decoder, level: int) -> None:
        self._decoder = decoder
        self._level = level
        size = decoder.levels[level]
        self.shape = (size.height, size.width, 3)

    def __getitem__(self, cut: tuple[slice, slice, slice]) -> Image:
        """Return a part; the slices have steps of 1, as those of chunks have."""
        rows, columns, channels = (slice(*part.indices(length)) for part, length in zip(cut, self.shape, strict=True))
        region = Region(columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start)
        return self._decoder.read(region, self._level)[..., channels]


def get_reader(path: str | Sequence[str]) -> Callable[[str | Sequence[str]], Layers] | None:
    """Return what reads a path, or several; None if one of them is no container that can be opened."""
    try:
        for place in _places(path):
            Decoder(place).close()
    except HistocodecError:
        return None
    return _read


def _read(path: str | Sequence[str]) -> Layers:
    return [_layer(place) for place in _places(path)]


def _layer(path: str) -> tuple[list[Any], dict[str, Any], str]:
    """Return a container as a layer, nothing of which is decoded yet."""
    from dask import array

    decoder = Decoder(path)
    side = decoder.block_size
    levels = [
        array.from_array(  # type: ignore[no-untyped-call]
            LevelArray(decoder, level),
            chunks=(side, side, 3),
            name=False,
            asarray=False,
            meta=np.empty((0, 0, 0), np.uint8),
        )
        for level in range(len(decoder.levels))
    ]
    label = decoder.rendition.label
    metadata = {"histocodec": {"level 0": label, "notice": NOTICE}}
    # napari takes the scales of the others from their shapes.
    keywords = {
        "name": f"{Path(path).name} ({label})",
        "multiscale": True,
        "rgb": True,
        "scale": (decoder.mpp, decoder.mpp),
        "units": ("um", "um"),
        "metadata": metadata,
    }
    return levels, keywords, "image"


def _places(path: str | Sequence[str]) -> list[str]:
    return [path] if isinstance(path, str) else list(path)
