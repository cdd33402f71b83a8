"""large_image finds the tile source by its entry point, and gets the decoder's pixels."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import histocodec
from histocodec.geometry import Region

large_image = pytest.importorskip("large_image", reason="large_image is not installed: pip install '.[test]'")


@pytest.fixture
def found(entry_points: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """large_image with the sources that it finds, ours among them."""
    monkeypatch.syspath_prepend(str(entry_points))
    sources: dict[str, Any] = {}
    monkeypatch.setattr(large_image.tilesource, "AvailableTileSources", sources)
    large_image.tilesource.loadTileSources(sourceDict=sources)
    assert "histocodec" in sources
    return large_image


def test_a_region_is_the_decoders(found: Any, container_path: Path) -> None:
    source = found.tilesource.getTileSource(str(container_path))
    assert source.name == "histocodec"
    facts = source.getMetadata()
    assert (facts["sizeX"], facts["sizeY"], facts["tileWidth"], facts["levels"]) == (1100, 900, 512, 3)
    assert (facts["magnification"], facts["mm_x"]) == (40, pytest.approx(0.00025))
    assert source.getInternalMetadata()["histocodec"]["histocodec.notice"] == "not for primary diagnosis"
    wanted = {"left": 300, "top": 400, "width": 350, "height": 300}
    region, _ = source.getRegion(region=wanted, format=found.constants.TILE_FORMAT_NUMPY)
    with histocodec.Decoder(container_path) as decoder:
        assert np.array_equal(region[..., :3], decoder.read(Region(300, 400, 350, 300)))
        tile = source.getTile(0, 0, 0, numpyAllowed="always")  # a quarter, as the base is
        assert np.array_equal(tile[:225, :275, :3], decoder.read(Region(0, 0, 275, 225), 1))
        half = source.getTile(1, 0, 1, numpyAllowed="always")
        full = decoder.read(Region(1024, 0, 76, 900)).astype(int)
    averaged = (full[::2, ::2] + full[1::2, ::2] + full[::2, 1::2] + full[1::2, 1::2] + 2) // 4
    assert np.array_equal(half[:450, :38, :3], averaged)
    assert not half[450:].any()
    assert source.getThumbnail(width=100)[0]
    assert pickle.loads(pickle.dumps(source)).sizeX == 1100


def test_other_files_and_bad_ones_are_left_to_others(
    found: Any, container_path: Path, slide_path: Path, tmp_path: Path
) -> None:
    assert found.tilesource.getTileSource(str(slide_path)).name != "histocodec"
    renamed = tmp_path / "a.tif"
    shutil.copy(container_path, renamed)
    assert found.tilesource.getTileSource(str(renamed)).name == "histocodec"
    ours = found.tilesource.AvailableTileSources["histocodec"]
    assert not ours.canRead(str(slide_path))
    with pytest.raises(found.exceptions.TileSourceError):
        ours(str(slide_path))
    with pytest.raises(found.exceptions.TileSourceFileNotFoundError):
        ours(str(tmp_path / "none.hc.tif"))
