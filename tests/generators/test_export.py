"""Packages beside an archive: written whole, with their cards, and never over something else."""

from __future__ import annotations

from pathlib import Path

import pytest

from histocodec.errors import OutputError, OutputExists, UnknownGenerator
from histocodec.generators.catalogue import DEFAULT_NAMES, DEFAULTS, MODELS_FOLDER, default_package, shipped_packages
from histocodec.generators.export import Exportable, export_packages, of_all, of_defaults, of_file, of_names
from tests.format.conformance.make_vectors.writing import VECTORS
from tests.generators.inputs import generator_package

SMALL = DEFAULTS["jp2k"][4]


def exported(packages: list[Exportable]) -> set[str]:
    return {name for package in packages for name in package.files}


def test_the_defaults_are_what_encode_takes_with_what_makes_their_bases() -> None:
    packages = [found.package for found in of_defaults()]
    expected = {default_package(scale, codec) for scale in (4, 2) for codec in ("jp2k", "av1")}
    assert expected <= set(packages)
    beyond = {package.card.name for package in packages} - set(DEFAULT_NAMES)
    assert beyond == {package.card.downsampler for package in expected} - {None}
    everything = {*shipped_packages(), *shipped_packages("downsampler")}
    assert {found.package.card.name for found in of_all()} == everything


def test_names_bring_their_downsampler() -> None:
    downsampled = [name for name, package in shipped_packages().items() if package.card.downsampler]
    for name in downsampled:
        found = [found.package.card.name for found in of_names([name])]
        assert found == [name, shipped_packages()[name].card.downsampler]
    with pytest.raises(UnknownGenerator, match=f"no package nothing ships, expected one of .*{SMALL}"):
        of_names(["nothing"])


def test_packages_and_cards_are_copies_and_a_second_export_writes_nothing(tmp_path: Path) -> None:
    folder, steps = tmp_path / "models", []
    first = export_packages(folder, of_defaults(), progress=lambda done, total: steps.append((done, total)))
    assert all(first.values())
    assert {path.name for path in folder.iterdir()} == {path.name for path in first} == exported(of_defaults())
    assert steps == [(k, len(first)) for k in range(1, len(first) + 1)]
    for name in DEFAULTS["jp2k"].values():
        for suffix in (".safetensors", ".md"):
            assert (folder / f"{name}{suffix}").read_bytes() == (MODELS_FOLDER / f"{name}{suffix}").read_bytes()
    times = {path: path.stat().st_mtime_ns for path in first}
    (folder / f"{SMALL}.md").unlink()
    again = export_packages(folder, of_defaults())
    assert [path.name for path, is_new in again.items() if is_new] == [f"{SMALL}.md"]
    del times[folder / f"{SMALL}.md"]
    assert {path: path.stat().st_mtime_ns for path in times} == times


def test_another_file_of_the_name_stays_and_nothing_is_written(tmp_path: Path) -> None:
    mine = tmp_path / f"{DEFAULTS['av1'][2]}.safetensors"  # the last of them
    mine.write_bytes(b"mine")
    with pytest.raises(OutputExists, match="exists already with another content; nothing was written"):
        export_packages(tmp_path, of_defaults())
    assert [path.name for path in tmp_path.iterdir()] == [mine.name]
    assert mine.read_bytes() == b"mine"
    mine.unlink()
    mine.mkdir()
    with pytest.raises(OutputError, match="is a folder"):
        export_packages(tmp_path, of_defaults())
    assert [path.name for path in tmp_path.iterdir()] == [mine.name]


def test_two_packages_of_one_name_do_not_go_into_one_folder(tmp_path: Path) -> None:
    pair = [Exportable(generator_package(4, "same", seed=seed), None) for seed in (0, 1)]
    with pytest.raises(OutputExists, match="two packages of this name"):
        export_packages(tmp_path / "models", pair)
    assert not list(tmp_path.iterdir())
    assert len(export_packages(tmp_path / "models", [pair[0], pair[0]])) == 1  # the same twice is one


def test_a_folder_in_no_folder(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="No such file or directory"):
        export_packages(tmp_path / "no" / "models", of_names([SMALL]))
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="file"):
        export_packages(tmp_path / "file", of_names([SMALL]))


def test_a_file_that_holds_its_generator_needs_none() -> None:
    assert of_file(VECTORS / "valid" / "jp2k-x4-embedded.hc.tif") is None
    assert of_file(VECTORS / "valid" / "jp2k-x4-560x520.hc.tif") is None  # bicubic
