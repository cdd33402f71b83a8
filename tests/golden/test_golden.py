"""Golden files decode to the bits that were once written down: by every engine, instruction set and way of asking.

A digest here never changes. If a test fails, the code or a library is wrong, not the file; what to do then stands in
formats/container/v1/golden/README.md.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from typer.testing import CliRunner

import histocodec
from histocodec.cli import app
from histocodec.decoder import Decoder
from histocodec.format.entries import GeneratorEntry
from histocodec.generators.catalogue import MODELS_FOLDER, shipped_packages
from histocodec.generators.engines.choice import ENGINE_VARIABLE
from histocodec.geometry import Grid, Image, Region, Size
from tests.format.conformance.second_decoder import Original, SecondDecoder
from tests.golden import make
from tests.golden.digests import FOLDER, INDEX, SUFFIX, digests, path_of, predicted, sha256, stated
from tests.golden.recipes import RECIPES
from tests.places import REPOSITORY

STATED = stated()
NAMES = sorted(STATED)
PREDICTED: dict[str, dict[str, str]] = {
    name: {tier: facts["decoded"][tier] for tier in ("reconstructed", "bounded") if tier in facts["decoded"]}
    for name, facts in STATED.items()
}
LEFT_OUT = {"perceptual-x4"}
"""A network in floats: its pixels are not promised to the bit (section 6.5 of the specification)."""


def level_0(name: str) -> str:
    """Digest of level 0 as a reader gives it that is told nothing."""
    return PREDICTED[name].get("bounded") or PREDICTED[name]["reconstructed"]


def generator_of(name: str) -> GeneratorEntry:
    with Decoder(path_of(name)) as decoder:
        return decoder.manifest.prediction.generator


# ---------------------------------------------------------------------------------------------------- the files


def test_every_recipe_has_its_file_and_every_file_its_recipe() -> None:
    assert {path.name.removesuffix(SUFFIX) for path in FOLDER.glob(f"*{SUFFIX}")} == set(RECIPES) == set(NAMES)
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 500_000


@pytest.mark.parametrize("name", NAMES)
def test_the_file_is_the_one_that_was_made(name: str) -> None:
    assert sha256(path_of(name).read_bytes()) == STATED[name]["sha256"]


def test_there_is_a_file_of_every_codec_layer_tier_and_shipped_generator() -> None:
    facts = [Decoder(path_of(name)) for name in NAMES]
    manifests = [decoder.manifest for decoder in facts]
    assert {m.base.codec for m in manifests} == {"av1", "jp2k", "jpeg"}
    assert {(m.base.codec, m.base.scale) for m in manifests} >= {(c, s) for c in ("av1", "jp2k") for s in (4, 2)}
    assert {m.tier for m in manifests} == {"reconstructed", "bounded", "original"}
    assert {m.layers.enhancement.codec for m in manifests if m.layers.enhancement} == {"av1", "jp2k", "jpeg"}
    assert any(m.layers.quality_map for m in manifests)
    assert any(m.prediction.generator.embedded for m in manifests)
    assert any({"thumbnail", "label", "macro"} == set(m.associated) for m in manifests)
    names = {m.prediction.generator.name for m in manifests}
    assert names == (set(shipped_packages()) - LEFT_OUT) | {"bicubic-x4", "bicubic-x2"}
    maps = [decoder.container.tissue_map for decoder in facts]
    assert any((found == 0).any() and (found == 1).any() for found in maps)
    for decoder in facts:
        decoder.close()


def test_shipped_generators_are_those_that_the_files_name() -> None:
    """A package that ships never changes under its name, and never goes: files name it by digest."""
    shipped = {package.digest: name for name, package in shipped_packages().items()}
    for name in NAMES:
        entry = generator_of(name)
        if not entry.digest.startswith("builtin:"):
            assert shipped.get(entry.digest) == entry.name


def test_the_maker_replaces_nothing_that_is_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = {path.name: path.read_bytes() for path in FOLDER.iterdir()}
    monkeypatch.setattr(sys, "argv", ["make"])
    make.main()
    assert {path.name: path.read_bytes() for path in FOLDER.iterdir()} == before
    missing = {name: facts for name, facts in STATED.items() if name != "jp2k-20x-original"}
    made = make.make(tmp_path, missing)
    assert made == ["jp2k-20x-original"]
    assert {path.name for path in tmp_path.iterdir()} == {f"jp2k-20x-original{SUFFIX}"}
    for digest in missing["jp2k-20x-original"]["decoded"].values():
        assert len(digest) == 64


def test_what_replaced_a_file_says_why() -> None:
    """Every digest of a file stands in the format's changelog: so a new one is a line that somebody reads."""
    changes = " ".join((FOLDER.parent / "CHANGELOG.md").read_text("utf-8").split())
    assert [name for name in NAMES if f"`{name}` {STATED[name]['sha256'][:12]}" not in changes] == []


# ----------------------------------------------------------------------------------------------- ways of asking


@pytest.mark.parametrize("name", NAMES)
def test_all_that_a_reader_gets(name: str) -> None:
    assert digests(path_of(name)) == STATED[name]["decoded"]


def put_together(size: Size, parts: Iterable[Region], read: Callable[[Region], Image]) -> str:
    """Digest of an image that is read in parts, by four threads."""
    image, regions = np.zeros((size.height, size.width, 3), np.uint8), list(parts)
    with ThreadPoolExecutor(4) as pool:
        for part, pixels in zip(regions, pool.map(read, regions), strict=True):
            image[part.y : part.bottom, part.x : part.right] = pixels
    return sha256(image)


def uneven(size: Size, seed: int) -> list[Region]:
    """A slide in regions of any size, in any order: none on the grid of blocks or tiles."""
    rng = np.random.default_rng(seed)
    cuts = [[0, *sorted(rng.choice(np.arange(1, side), 3, replace=False).tolist()), side] for side in size]
    regions = [Region(x, y, right - x, bottom - y) for x, right in pairwise(cuts[0]) for y, bottom in pairwise(cuts[1])]
    return [regions[index] for index in rng.permutation(len(regions))]


@pytest.mark.parametrize("name", NAMES)
def test_by_region(name: str) -> None:
    with Decoder(path_of(name)) as decoder:
        size = decoder.levels[0]
        assert put_together(size, uneven(size, seed=len(name)), decoder.read) == level_0(name)


@pytest.mark.parametrize("name", NAMES)
def test_by_tile_through_open_slide(name: str) -> None:
    with histocodec.open_slide(path_of(name)) as slide:
        grid = Grid(Size(*slide.dimensions), 256)

        def tile(part: Region) -> Image:
            return np.asarray(slide.read_region((part.x, part.y), 0, (part.width, part.height)).convert("RGB"))

        parts = [grid.covered(*grid.address(index)) for index in range(grid.count)]
        assert put_together(grid.size, parts[::-1], tile) == level_0(name)


@pytest.mark.parametrize("name", NAMES)
def test_through_decode(name: str, tmp_path: Path) -> None:
    for tier, digest in PREDICTED[name].items():
        out = tmp_path / f"{tier}.tif"
        result = CliRunner().invoke(
            app, ["decode", str(path_of(name)), str(out), "--tier", tier, "--compression", "lossless"]
        )
        assert result.exit_code == 0, result.output
        assert sha256(tifffile.imread(out, level=0)) == digest


# -------------------------------------------------------------------------------- engines, instructions, threads


AVX2 = {"ONEDNN_MAX_CPU_ISA": "AVX2", "DNNL_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}
WITHOUT_VNNI = {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE", "DNNL_MAX_CPU_ISA": "AVX512_CORE"}
NO_SIMD_IN_JPEG = {"JSIMD_FORCENONE": "1"}
A_NETWORK_EACH = ("av1-10x-original", "av1-20x-bounded", "jp2k-10x", "jpeg-20x-bounded")
"""A small file of each shipped network and codec, with enhancement layers over three of the networks."""


@pytest.mark.parametrize(
    ("engine", "limits", "cores"),
    [
        ("numpy", NO_SIMD_IN_JPEG, 1),
        ("openvino", AVX2, 1),
        ("openvino", WITHOUT_VNNI, 0),
        ("torch", AVX2, 0),
        ("torch", WITHOUT_VNNI, 1),
    ],
    ids=["numpy-1-core", "openvino-avx2-1-core", "openvino-no-vnni", "torch-avx2", "torch-no-vnni-1-core"],
)
def test_by_each_engine_within_older_instructions(engine: str, limits: dict[str, str], cores: int) -> None:
    """In a process of its own, since libraries look at these variables once. All instructions: the tests above."""
    run = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.golden.digests", "--json", str(cores), *A_NETWORK_EACH],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), ENGINE_VARIABLE: engine, **limits},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout) == {name: PREDICTED[name] for name in A_NETWORK_EACH}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device, which this test decodes on")
@pytest.mark.parametrize("name", NAMES)
def test_on_a_graphics_card(name: str) -> None:
    assert predicted(path_of(name), device="cuda") == PREDICTED[name]


@pytest.mark.parametrize("name", ["av1-10x-original", "jp2k-20x-original", "jpeg-20x-bounded"])
def test_by_a_second_decoder(name: str) -> None:
    """Written from the specification alone. Small files of each codec, layer and tier: it takes its time."""
    original = None
    if "original" in STATED[name]["decoded"]:
        original = Original(path_of(name), packages=MODELS_FOLDER)
    second = original.whole if original else SecondDecoder(path_of(name), packages=MODELS_FOLDER)
    assert second.differing == []
    assert [sha256(level) for level in second.levels] == [
        level_0(name),
        *(digest for what, digest in STATED[name]["decoded"].items() if what.startswith("level ")),
    ]
    if original is not None:
        assert sha256(original.pixels()) == STATED[name]["decoded"]["original"]
        (file,) = original.files().values()
        assert sha256(file) == STATED[name]["decoded"]["file .tif"]


def test_the_index_is_json_that_people_can_compare() -> None:
    assert INDEX.read_text("utf-8") == json.dumps({"files": STATED}, indent=2, ensure_ascii=False) + "\n"
