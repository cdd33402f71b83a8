"""Packages in folders: found by digest, whatever else lies there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from histocodec.generators.catalogue import load_generator
from histocodec.generators.folders import MODELS_VARIABLE, find_in_folders, folders_of, places, variable_folders
from tests.generators.inputs import generator_package


def test_a_package_is_found_by_its_digest_whatever_its_name(tmp_path: Path) -> None:
    package, other = generator_package(4, "wanted"), generator_package(4, "other", seed=1)
    (tmp_path / "a.safetensors").write_bytes(other.data)
    (tmp_path / "b.safetensors").write_bytes(package.data)
    (tmp_path / "b.md").write_text("a page")
    (tmp_path / "c.safetensors").mkdir()
    (tmp_path / "d.safetensors").symlink_to(tmp_path / "nothing")
    (tmp_path / "e.safetensors").write_bytes(b"no package")
    assert find_in_folders(package.digest, [tmp_path]) == tmp_path / "b.safetensors"
    assert find_in_folders(other.digest, [tmp_path / "none", tmp_path]) == tmp_path / "a.safetensors"
    assert find_in_folders(generator_package(2).digest, [tmp_path]) is None
    (tmp_path / "b.safetensors").write_bytes(package.data + b"\0")  # a flipped bit would do
    assert find_in_folders(package.digest, [tmp_path]) is None


def test_the_order_is_given_then_named_then_beside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(MODELS_VARIABLE, raising=False)
    file = Path("/archive/case.hc.tif")
    assert variable_folders() == ()
    assert folders_of(file) == (Path("/archive/models"),)
    monkeypatch.setenv(MODELS_VARIABLE, os.pathsep.join(["/one", "", "/two"]))
    assert folders_of(file, Path("/given")) == tuple(map(Path, ("/given", "/one", "/two", "/archive/models")))


def test_a_message_says_which_folder_is_not_there(tmp_path: Path) -> None:
    assert places([tmp_path, tmp_path / "none"]) == f"{tmp_path}, {tmp_path / 'none'} (no such folder)"


def test_the_variable_serves_whoever_has_a_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = generator_package(4, "elsewhere")
    (tmp_path / "x.safetensors").write_bytes(package.data)
    monkeypatch.setenv(MODELS_VARIABLE, str(tmp_path))
    assert load_generator(package.digest).name == "elsewhere"
