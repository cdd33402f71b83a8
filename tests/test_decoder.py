"""The decoder's promise: what a pixel is never depends on how it was asked for."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from histocodec.decoder import Decoder
from histocodec.demo.synthetic import tissue, write_slide
from histocodec.encoder import EncodeSettings, encode
from histocodec.errors import GeneratorMismatch, RegionError, UnknownGenerator
from histocodec.generators.bicubic import BicubicGenerator
from histocodec.generators.catalogue import load_generator
from histocodec.generators.networks import build_network
from histocodec.generators.package import Package, PackageCard
from histocodec.generators.torch_runner import NetworkGenerator, build_generator, package_bytes
from histocodec.geometry import Image, Region, Size
from histocodec.source import open_source

FULL = Size(1161, 907)
"""No multiple of the scale, of a tile or of a block."""


@pytest.fixture(scope="module")
def package() -> Package:
    """A small network with random weights: its pixels mean nothing, but where they come from does."""
    torch.manual_seed(3)
    hyperparameters = {"scale": 4, "channels": 12, "pairs": 2}
    network = build_network("plain", hyperparameters)
    card = PackageCard("random-x4", "plain", hyperparameters, 4, network.halo, "CC0-1.0")
    return Package(package_bytes(network, card))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory, package: Package) -> Path:
    folder = tmp_path_factory.mktemp("decode")
    image = tissue(FULL, seed=4)
    image[:, :560] = 243  # a glass half, so that both generators meet within the slide
    write_slide(folder / "slide.tif", image)
    chosen = EncodeSettings(ratio=None, quality=32, embed_generator=True)
    with open_source(folder / "slide.tif") as source:
        encode(source, folder / "slide.hc.tif", build_generator(package), chosen)
    return folder / "slide.hc.tif"


@pytest.fixture(scope="module")
def whole(file: Path) -> Image:
    """Level 0, decoded at once."""
    with Decoder(file) as decoder:
        return decoder.read(Region(0, 0, *FULL))


@pytest.fixture
def decoder(file: Path) -> Iterator[Decoder]:
    with Decoder(file) as opened:
        yield opened


@settings(max_examples=40, deadline=None)
@given(x=st.integers(0, FULL.width - 1), y=st.integers(0, FULL.height - 1), data=st.data())
def test_any_region_is_what_the_whole_has_there(file: Path, whole: Image, x: int, y: int, data: st.DataObject) -> None:
    width = data.draw(st.integers(1, FULL.width - x))
    height = data.draw(st.integers(1, FULL.height - y))
    with Decoder(file, cache_bytes=data.draw(st.sampled_from([0, 256 << 20]))) as decoder:
        part = decoder.read(Region(x, y, width, height))
    assert np.array_equal(part, whole[y : y + height, x : x + width])


@settings(max_examples=8, deadline=None)
@given(side=st.integers(100, 700))
def test_tiles_of_any_size_stitched_are_the_whole(file: Path, whole: Image, side: int) -> None:
    regions = [
        Region(x, y, min(side, FULL.width - x), min(side, FULL.height - y))
        for y in range(0, FULL.height, side)
        for x in range(0, FULL.width, side)
    ]
    out = np.zeros_like(whole)
    with Decoder(file) as decoder:
        for region, tile in zip(regions, decoder.read_many(regions), strict=True):
            out[region.y : region.bottom, region.x : region.right] = tile
    assert np.array_equal(out, whole)


def test_threads_see_the_same_pixels(decoder: Decoder, whole: Image) -> None:
    rng = np.random.default_rng(0)
    regions = [Region(int(x), int(y), 90, 70) for x, y in rng.integers(0, (1000, 800), (60, 2))]

    def read(region: Region) -> Image:
        if rng.random() < 0.2:
            decoder.clear_cache()
        return decoder.read(region)

    with ThreadPoolExecutor(6) as pool:
        for region, part in zip(regions, pool.map(read, regions), strict=True):
            assert np.array_equal(part, whole[region.y : region.bottom, region.x : region.right])


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_number_of_torch_threads_changes_nothing(package: Package, threads: int) -> None:
    generator = build_generator(package)
    base = tissue(Size(128 + 2 * generator.halo, 128 + 2 * generator.halo), seed=6)
    expected = generator(base)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)  # of this thread, so the network has to run in it
    try:
        assert np.array_equal(generator.run(base), expected)
    finally:
        torch.set_num_threads(before)


def test_a_callers_autocast_does_not_reach_the_pixels(package: Package) -> None:
    generator = build_generator(package)
    base = tissue(Size(128 + 2 * generator.halo, 128 + 2 * generator.halo), seed=6)
    expected = generator(base)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert np.array_equal(generator(base), expected)


def test_glass_is_bicubic_and_never_wakes_the_network(file: Path, whole: Image) -> None:
    with Decoder(file, generator="bicubic") as plain:
        flat = plain.read(Region(0, 0, 512, FULL.height))
        assert np.array_equal(flat, whole[:, :512])
        assert not np.array_equal(plain.read(Region(600, 0, 512, 512)), whole[:512, 600:1112])
    with Decoder(file) as decoder:
        decoder.read(Region(0, 0, 512, 512))
        assert decoder._loaded is None


def test_levels_are_the_full_slide_and_the_stored_pyramid(decoder: Decoder) -> None:
    assert decoder.levels == (FULL, Size(291, 227), Size(37, 29))
    assert decoder.downsamples == (1, 4, 32)
    assert decoder.mpp == pytest.approx(0.25)
    for level, size in enumerate(decoder.levels):
        assert decoder.read(Region(0, 0, *size), level).shape == (size.height, size.width, 3)


@pytest.mark.parametrize(
    ("region", "level"), [(Region(0, 0, 9, 9), 3), (Region(0, 0, 9, 9), -1), (Region(36, 0, 2, 1), 2)]
)
def test_what_is_not_there_is_refused(decoder: Decoder, region: Region, level: int) -> None:
    with pytest.raises(RegionError):
        decoder.read(region, level)


def test_the_embedded_generator_is_the_one_that_encoded(decoder: Decoder, package: Package) -> None:
    assert decoder.container.package() == package.data
    assert decoder.generator.digest == package.digest
    assert isinstance(decoder.generator, NetworkGenerator)


def test_another_generator_than_the_named_one_is_refused(file: Path) -> None:
    with Decoder(file, generator=BicubicGenerator(4)) as decoder, pytest.raises(GeneratorMismatch, match="random-x4"):
        decoder.read(Region(600, 300, 300, 300))


def test_a_generator_that_is_nowhere_is_named_in_the_error(file: Path, package: Package, tmp_path: Path) -> None:
    with open_source(file.with_name("slide.tif")) as source:
        chosen = EncodeSettings(ratio=None, quality=25, embed_generator=False)
        encode(source, tmp_path / "named.hc.tif", build_generator(package), chosen)
    with Decoder(tmp_path / "named.hc.tif") as decoder:
        assert decoder.read(Region(0, 0, 100, 100), 1).shape == (100, 100, 3)  # the base needs no generator
        with pytest.raises(UnknownGenerator, match=package.digest):
            decoder.read(Region(600, 300, 300, 300))
    with Decoder(tmp_path / "named.hc.tif", generator=load_generator(package)) as decoder:
        assert decoder.read(Region(600, 300, 300, 300)).any()
