"""A slide as OME-Zarr 0.5: the arrays of its levels and what the hierarchy says of them, for files and for views."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import zarr
from zarr.abc.store import Store

from ..decoder import Decoder
from ..geometry import Size
from .formats import ATTRIBUTE
from .levels import Part, provenance_of

VERSION = "0.5"
ASSOCIATED = "associated"
"""Group that holds label, macro and thumbnail, each an image of one level."""
ICC_PROFILE = "icc_profile"
"""Array of the bytes of the colour profile."""
_AXES = [{"name": "c", "type": "channel"}, *({"name": axis, "type": "space", "unit": "micrometer"} for axis in "yx")]
_CHANNELS = (("red", "FF0000"), ("green", "00FF00"), ("blue", "0000FF"))
_WHITE = 255
"""Value of chunks that are not stored."""


def make_hierarchy(
    store: Store, decoder: Decoder, parts: Sequence[Part], statement: str, **arrays: Any
) -> list[zarr.Array[Any]]:
    """Make the group of a slide with an array for each level, (3, height, width) uint8, and return these.

    statement: what the finest level says of itself. arrays: more for `create_array`: chunks, shards, compressors.
    """
    facts = provenance_of(decoder)
    method = {
        "description": statement,
        "method": "finest level decoded; coarser levels as stored, of box averages or the file's own downsampler",
    }
    ome = {
        "version": VERSION,
        "multiscales": [
            {
                "name": "slide",
                "axes": _AXES,
                "datasets": [
                    {"path": str(number), "coordinateTransformations": _transformations(decoder.mpp, part)}
                    for number, part in enumerate(parts)
                ],
                "metadata": method,
            }
        ],
        "omero": _omero(),
    }
    root = zarr.create_group(store, attributes={"ome": ome, ATTRIBUTE: facts})
    return [
        _create_level(root, str(number), part.size, chunk_side=part.side, **arrays) for number, part in enumerate(parts)
    ]


def add_associated(store: Store, sizes: Mapping[str, Size], **arrays: Any) -> dict[str, zarr.Array[Any]]:
    """Add arrays for label, macro and thumbnail, each an image without a physical size; return them by name.

    arrays: more for `create_array`.
    """
    if not sizes:
        return {}
    folder = zarr.open_group(store, mode="r+").create_group(ASSOCIATED)
    found = {}
    for name, size in sizes.items():
        axes = [{key: value for key, value in axis.items() if key != "unit"} for axis in _AXES]
        scale = [{"type": "scale", "scale": [1.0, 1.0, 1.0]}]
        datasets = [{"path": "0", "coordinateTransformations": scale}]
        multiscales = [{"name": name, "axes": axes, "datasets": datasets}]
        ome = {"version": VERSION, "multiscales": multiscales, "omero": _omero()}
        group = folder.create_group(name, attributes={"ome": ome})
        found[name] = _create_level(group, "0", size, chunk_side=max(size), **arrays)
    return found


def add_profile(store: Store, profile: bytes | None) -> None:
    """Add the colour profile, if there is one: OME-Zarr has no place of its own for it."""
    if profile is not None:
        data = np.frombuffer(profile, np.uint8)
        zarr.create_array(store, name=ICC_PROFILE, data=data, dimension_names=("byte",))  # which xarray asks for


def _create_level(group: zarr.Group, name: str, size: Size, *, chunk_side: int, **more: Any) -> zarr.Array[Any]:
    return group.create_array(
        name,
        shape=(3, size.height, size.width),
        dtype="uint8",
        fill_value=_WHITE,
        dimension_names=("c", "y", "x"),
        **({"chunks": (3, chunk_side, chunk_side)} | more),
    )


def _transformations(mpp: float, part: Part) -> list[dict[str, Any]]:
    """Return where the pixels of a part lie, in micrometres from the centre of the slide's first pixel."""
    downsample, corner = part.downsample, part.region
    centres = [mpp * (start * downsample + (downsample - 1) / 2) for start in (corner.y, corner.x)]
    return [
        {"type": "scale", "scale": [1.0, mpp * downsample, mpp * downsample]},
        {"type": "translation", "translation": [0.0, *centres]},
    ]


def _omero() -> dict[str, Any]:
    window = {"min": 0, "max": 255, "start": 0, "end": 255}
    channels = [{"label": label, "color": colour, "active": True, "window": window} for label, colour in _CHANNELS]
    return {"channels": channels, "rdefs": {"model": "color"}}
