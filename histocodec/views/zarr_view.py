"""Opens a container as a Zarr store, for dask, napari, xarray and whatever else reads OME-Zarr."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..decoder import Decoder
from ..format.entries import Tier
from ..pixels.resampler import Generator
from ..runtime.byte_source import Location
from .extras import imported

if TYPE_CHECKING:
    from .zarr_store import DecodedStore


def open_zarr(
    location: Location,
    *,
    generator: Generator | str | Path | None = None,
    device: str = "cpu",
    enhancement: bool = True,
    tier: Tier | None = None,
    models: str | Path | None = None,
    cache_bytes: int = 256 << 20,
) -> DecodedStore:
    """Open a container as a read-only Zarr store in OME-Zarr 0.5: a chunk is decoded when it is read.

    Arrays `0`, `1` ... are the levels, (3, height, width) uint8; `associated/label/0` and others stand beside them. The
    store is closed by its `close`, pickled by the path or URL, and safe to use from several threads.
    location, generator, device, enhancement, tier, models, cache_bytes: as Decoder takes them.
    Raises what Decoder raises; SettingsError if zarr is not installed.

        levels = [dask.array.from_zarr(store, component=str(level)) for level in range(3)]
    """
    store = imported("histocodec.views.zarr_store", "open_zarr").DecodedStore
    found: DecodedStore = store(
        Decoder(
            location,
            generator=generator,
            device=device,
            enhancement=enhancement,
            tier=tier,
            models=models,
            cache_bytes=cache_bytes,
        )
    )
    return found
