"""OME-Zarr 0.5 on disk, as zarr, the models of the specification and dask see it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from histocodec.decoder import Decoder
from histocodec.geometry import Region
from histocodec.views.export import export_slide
from tests.views.conftest import PROFILE, whole

zarr = pytest.importorskip("zarr", minversion="3", reason="zarr 3 is not installed (histocodec[export])")


def check_specification(group: Any) -> None:
    """Hold a group to the models of the specification: metadata, and the arrays that it names."""
    models = pytest.importorskip("ome_zarr_models.v05.image", reason="ome-zarr-models is not installed")
    models.Image.from_zarr(group)


@pytest.fixture
def exported(full: Decoder, tmp_path: Path) -> Path:
    export_slide(full, tmp_path / "out.zarr")
    return tmp_path / "out.zarr"


def test_every_level_has_the_decoders_pixels(full: Decoder, exported: Path) -> None:
    group = zarr.open_group(exported, mode="r")
    check_specification(group)
    for level in range(3):
        array = group[str(level)]
        assert np.array_equal(np.moveaxis(array[:], 0, 2), whole(full, level))
        assert array.chunks == (3, 512, 512)
        assert array.shards == (3, 2048, 2048)
        assert array.metadata.dimension_names == ("c", "y", "x")
    files = [path for path in (exported / "0" / "c").rglob("*") if path.is_file()]
    assert sorted(path.relative_to(exported / "0").as_posix() for path in files) == ["c/0/0/0", "c/0/0/1"]


def test_what_it_says_of_itself(full: Decoder, exported: Path) -> None:
    attributes = json.loads((exported / "zarr.json").read_text())["attributes"]
    (multiscale,) = attributes["ome"]["multiscales"]
    assert attributes["ome"]["version"] == "0.5"
    assert multiscale["metadata"]["description"].startswith("histocodec decoded: reconstructed by bicubic-x4")
    assert "written as zstd; not for primary diagnosis" in multiscale["metadata"]["description"]
    assert attributes["histocodec"]["label"] == "reconstructed by bicubic-x4 builtin:bicubic-x4"
    assert [channel["label"] for channel in attributes["ome"]["omero"]["channels"]] == ["red", "green", "blue"]
    scales = [dataset["coordinateTransformations"][0]["scale"] for dataset in multiscale["datasets"]]
    assert scales == [[1, full.mpp * factor, full.mpp * factor] for factor in full.downsamples]
    # The centre of a base pixel lies between the second and the third full pixel.
    assert multiscale["datasets"][1]["coordinateTransformations"][1]["translation"] == [0, 0.25 * 1.5, 0.25 * 1.5]


def test_what_stands_beside(full: Decoder, exported: Path) -> None:
    group = zarr.open_group(exported, mode="r")
    assert bytes(group["icc_profile"][:]) == PROFILE
    assert sorted(group["associated"].group_keys()) == ["label", "macro", "thumbnail"]
    for name in group["associated"].group_keys():
        check_specification(group[f"associated/{name}"])
        pixels = np.moveaxis(group[f"associated/{name}/0"][:], 0, 2)
        assert np.array_equal(pixels, full.container.associated_image(name))


def test_a_region_keeps_its_place_on_the_slide(full: Decoder, tmp_path: Path) -> None:
    region = Region(401, 203, 1500, 999)
    export_slide(full, tmp_path / "part.zarr", region=region, associated=False)
    group = zarr.open_group(tmp_path / "part.zarr", mode="r")
    check_specification(group)
    assert "associated" not in group
    assert np.array_equal(np.moveaxis(group["0"][:], 0, 2), full.read(region))
    first = group.attrs["ome"]["multiscales"][0]["datasets"][0]["coordinateTransformations"]
    assert first[1]["translation"] == pytest.approx([0, 203 * 0.25, 401 * 0.25])


def test_dask_computes_a_part(full: Decoder, exported: Path) -> None:
    array = pytest.importorskip("dask.array", reason="dask is not installed")
    lazy = array.from_zarr(exported, component="1")
    assert np.array_equal(lazy[:, 100:200, 300:411].compute(), np.moveaxis(whole(full, 1), 2, 0)[:, 100:200, 300:411])
