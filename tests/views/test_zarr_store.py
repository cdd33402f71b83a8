"""A container as a Zarr store: nothing is decoded before it is asked for, and then it is the decoder's."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from histocodec.decoder import Decoder
from histocodec.errors import SettingsError
from histocodec.geometry import Image, Region
from histocodec.source import open_source
from histocodec.views.zarr_view import open_zarr
from tests.views.conftest import PROFILE, whole
from tests.views.writers.test_ome_zarr import check_specification

if TYPE_CHECKING:
    from histocodec.views.zarr_store import DecodedStore

zarr = pytest.importorskip("zarr", minversion="3", reason="zarr 3 is not installed (histocodec[export])")


@pytest.fixture
def store(full_path: Path) -> Iterator[DecodedStore]:
    opened = open_zarr(full_path)
    yield opened
    opened.close()


def test_levels_are_the_decoders(full: Decoder, store: DecodedStore) -> None:
    group = zarr.open_group(store, mode="r")
    check_specification(group)
    for level in range(3):
        assert np.array_equal(np.moveaxis(group[str(level)][:], 0, 2), whole(full, level))
    part = np.moveaxis(group["0"][:, 333:777, 1001:2199], 0, 2)
    assert np.array_equal(part, full.read(Region(1001, 333, 1198, 444)))
    assert group["0"].chunks == (3, full.block_size, full.block_size)
    assert group["1"].chunks == (3, 256, 256)


def test_what_it_says_and_what_stands_beside(full: Decoder, store: DecodedStore) -> None:
    group = zarr.open_group(store, mode="r")
    (multiscale,) = group.attrs["ome"]["multiscales"]
    assert multiscale["metadata"]["description"].startswith("histocodec decoded: reconstructed by bicubic-x4")
    assert group.attrs["histocodec"]["notice"] == "not for primary diagnosis"
    assert bytes(group["icc_profile"][:]) == PROFILE
    for name in ("label", "macro", "thumbnail"):
        assert np.array_equal(
            np.moveaxis(group[f"associated/{name}/0"][:], 0, 2), full.container.associated_image(name)
        )


def test_only_what_is_read_is_decoded(full_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Region, int]] = []
    read = Decoder.read

    def counted(decoder: Decoder, region: Region, level: int = 0, **more: bool) -> Image:
        asked.append((region, level))
        return read(decoder, region, level, **more)

    monkeypatch.setattr(Decoder, "read", counted)
    group = zarr.open_group(open_zarr(full_path), mode="r")
    array = group["0"]
    assert "label" in group["associated"]
    assert asked == []
    assert array[:, 600:700, 1100:1200].shape == (3, 100, 100)
    assert asked == [(Region(1024, 512, 512, 512), 0)]


def test_dask_sees_all_of_it_lazily(full: Decoder, store: DecodedStore) -> None:
    dask_array = pytest.importorskip("dask.array", reason="dask is not installed")
    lazy = dask_array.from_zarr(store, component="0")
    assert lazy.shape == (3, *reversed(full.levels[0]))
    assert lazy.chunksize == (3, 512, 512)
    expected = np.moveaxis(whole(full), 2, 0)
    assert np.array_equal(lazy[:, 40:1500, 900:2000].compute(scheduler="threads"), expected[:, 40:1500, 900:2000])
    assert float(lazy.mean().compute()) == pytest.approx(expected.mean())
    again = pickle.loads(pickle.dumps(lazy[:, :99, :99]))
    assert np.array_equal(again.compute(scheduler="sync"), expected[:, :99, :99])


def test_xarray_sees_a_level(full: Decoder, store: DecodedStore) -> None:
    xarray = pytest.importorskip("xarray", reason="xarray is not installed")
    data = xarray.open_dataset(store, engine="zarr", consolidated=False, drop_variables=["1", "2"], chunks={})["0"]
    assert data.dims == ("c", "y", "x")
    assert np.array_equal(data[:, 40:90, 900:1200].values, np.moveaxis(whole(full)[40:90, 900:1200], 2, 0))


def test_names_can_be_listed_and_are_what_is_there(store: DecodedStore) -> None:
    async def listed() -> tuple[list[str], list[str], list[str]]:
        keys = [key async for key in store.list()]
        assert all([await store.exists(key) for key in keys])
        return keys, [key async for key in store.list_dir("")], [key async for key in store.list_dir("0/c/0")]

    keys, top, rows = asyncio.run(listed())
    assert len(keys) == len(set(keys))
    assert sum(key.startswith("0/c/") for key in keys) == 5 * 4
    assert sorted(top) == ["0", "1", "2", "associated", "icc_profile", "zarr.json"]
    assert sorted(rows) == ["0", "1", "2", "3"]


@pytest.mark.parametrize(
    "key", ["0/c/0/4/0", "0/c/0/0/5", "0/c/1/0/0", "0/c/0/-1/0", "0/c/0/00/0", "0/c/0/0", "3/zarr.json"]
)
def test_what_is_not_there(store: DecodedStore, key: str) -> None:
    prototype = zarr.core.buffer.default_buffer_prototype()
    assert asyncio.run(store.get(key, prototype)) is None
    assert not asyncio.run(store.exists(key))


def test_parts_of_a_chunk(store: DecodedStore) -> None:
    from zarr.abc.store import OffsetByteRequest, RangeByteRequest, SuffixByteRequest

    prototype = zarr.core.buffer.default_buffer_prototype()
    asked = [None, RangeByteRequest(10, 30), OffsetByteRequest(786_000), SuffixByteRequest(7)]
    found = asyncio.run(store.get_partial_values(prototype, [("0/c/0/0/0", wanted) for wanted in asked]))
    chunk, part, rest, end = (value.to_bytes() for value in found if value is not None)
    assert len(chunk) == 3 * 512 * 512
    assert (part, rest, end) == (chunk[10:30], chunk[786_000:], chunk[-7:])


def test_it_cannot_be_written_to(store: DecodedStore) -> None:
    array = zarr.open_group(store, mode="r")["0"]
    with pytest.raises(ValueError, match="cannot be written to"):
        array[:, :10, :10] = 0
    with pytest.raises(ValueError, match="cannot be written to"):
        store.with_read_only(False)
    with pytest.raises(ValueError, match="cannot be written to"):
        asyncio.run(store.delete("zarr.json"))


def test_the_tier_is_the_decoders(full_path: Path) -> None:
    with pytest.raises(SettingsError, match="no enhancement layer to apply"):
        open_zarr(full_path, tier="bounded")
    with pytest.raises(SettingsError, match="the file keeps none"):
        open_zarr(full_path, tier="original")
    store = open_zarr(full_path, tier="reconstructed")
    assert store.decoder.tier == pickle.loads(pickle.dumps(store)).decoder.tier == "reconstructed"


def test_the_original_is_what_the_slide_holds(original_path: Path, slide_path: Path) -> None:
    store = open_zarr(original_path, tier="original")
    with open_source(slide_path) as source:
        expected = source.read(Region(200, 300, 600, 500))
    group = zarr.open_group(store, mode="r")
    assert np.array_equal(np.moveaxis(group["0"][:, 300:800, 200:800], 0, 2), expected)
    assert group.attrs["histocodec"]["label"] == "original: the pixels of the source as it stored them"
    store.close()
