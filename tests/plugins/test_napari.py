"""The reader of napari: in napari, and what it hands over."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import yaml

import histocodec
from histocodec.geometry import Region
from histocodec.plugins.napari import LevelArray, get_reader
from tests.places import REPOSITORY
from tests.plugins.conftest import RunProgram


def test_in_napari(run_program: RunProgram, container_path: Path) -> None:
    facts, units, full, base, _ = run_program("napari_layers", container_path, host="napari")
    assert facts.startswith("True True [(900, 1100, 3), (225, 275, 3)")
    assert "[0.25, 0.25] slide.hc.tif (reconstructed by bicubic-x4" in facts
    assert units == "['micrometer', 'micrometer'] not for primary diagnosis"
    with histocodec.Decoder(container_path) as decoder:
        for level, line, shape in ((0, full, (512, 512, 3)), (1, base, (225, 275, 3))):
            pixels = decoder.read(Region(130, 120, 100, 100), level)
            assert line == f"{hashlib.sha256(pixels.tobytes()).hexdigest()} {shape}"


def test_the_manifest_names_what_is_there() -> None:
    manifest = yaml.safe_load((REPOSITORY / "histocodec/plugins/napari.yaml").read_text())
    (command,) = manifest["contributions"]["commands"]
    assert command["python_name"] == f"{get_reader.__module__}:{get_reader.__name__}"
    assert manifest["contributions"]["readers"][0]["command"] == command["id"]


def test_what_is_no_container_is_left_to_others(container_path: Path, slide_path: Path) -> None:
    assert get_reader(str(slide_path)) is None
    assert get_reader([str(container_path), str(slide_path)]) is None
    assert get_reader("nothing.hc.tif") is None


def test_several_are_several_layers_and_nothing_is_decoded(
    container_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("dask", reason="dask is not installed, which napari brings")
    read = get_reader([str(container_path), str(container_path)])
    assert read is not None
    with monkeypatch.context() as patch:
        patch.setattr(histocodec.Decoder, "read", None)
        layers = read([str(container_path), str(container_path)])
    assert [kind for _, _, kind in layers] == ["image", "image"]
    part = np.asarray(layers[1][0][0][500:520, 500:530])
    with histocodec.Decoder(container_path) as decoder:
        assert np.array_equal(part, decoder.read(Region(500, 500, 30, 20)))


def test_a_level_is_cut_as_an_array(container_path: Path) -> None:
    with histocodec.Decoder(container_path) as decoder:
        whole = decoder.read(Region(0, 0, 275, 225), 1)
        level = LevelArray(decoder, 1)
        assert level.shape == whole.shape
        for cut in ((slice(0, 5), slice(3, 9), slice(0, 3)), (slice(-5, None), slice(None), slice(1, 2))):
            assert np.array_equal(level[cut], whole[cut])
