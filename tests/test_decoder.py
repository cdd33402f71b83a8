"""The decoder's promise: what a pixel is never depends on how it was asked for."""

from __future__ import annotations

import os
import pickle
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histocodec.decoder import Decoder
from histocodec.demo.synthetic import tissue, write_slide
from histocodec.encoder import EncodeSettings, encode
from histocodec.errors import GeneratorMismatch, RegionError, UnknownGenerator
from histocodec.generators.bicubic import BicubicGenerator
from histocodec.generators.catalogue import load_generator
from histocodec.generators.export import of_file
from histocodec.generators.folders import MODELS_VARIABLE
from histocodec.generators.integer_net import IntegerNet, Layer
from histocodec.generators.network_resampler import NetworkResampler, build_generator
from histocodec.generators.package import Package, PackageCard, package_of
from histocodec.generators.predict import predict
from histocodec.geometry import Grid, Image, Region, Size
from histocodec.runtime import parallel
from histocodec.source import open_source
from histocodec.validation import validate
from histocodec.views.slide import open_slide

FULL = Size(1161, 907)
"""No multiple of the scale, of a tile or of a block."""


def random_package(scale: int) -> Package:
    """A small network with random weights: its pixels mean nothing, but where they come from does."""
    rng = np.random.default_rng(3)
    widths = [3, *[12] * 5, 3 * scale * scale]
    layers = [
        Layer(
            rng.integers(-30, 31, (outputs, inputs, 3, 3)).astype(np.int8),
            rng.integers(-999, 999, outputs).astype(np.int32),
            np.full(outputs, 8, np.uint8),
        )
        for inputs, outputs in pairwise(widths)
    ]
    net = IntegerNet("plain", scale, tuple(layers))
    card = PackageCard(
        f"random-x{scale}", "plain", {"scale": scale, "channels": 12, "pairs": 2}, scale, net.halo, "CC0-1.0"
    )
    return package_of(net, card)


def encoded(folder: Path, image: Image, scale: int) -> Path:
    write_slide(folder / "slide.tif", image)
    base: Literal["10x", "20x"] = "10x" if scale == 4 else "20x"
    chosen = EncodeSettings(codec="jp2k", base=base, ratio=None, quality=32, embed_generator=True)
    with open_source(folder / "slide.tif") as source:
        encode(source, folder / "slide.hc.tif", build_generator(random_package(scale)), chosen)
    return folder / "slide.hc.tif"


def by_whole_blocks(file: Path) -> Image:
    """Level 0 as the format defines it: block by block, each of them whole."""
    with Decoder(file) as decoder:
        scale, grid = decoder.manifest.base.scale, Grid(decoder.levels[1], decoder.manifest.prediction.block)
        full = np.empty((grid.size.height * scale, grid.size.width * scale, 3), np.uint8)
        for index in range(grid.count):
            column, row = grid.address(index)
            is_tissue = decoder.container.tissue_map[row, column]
            generator = decoder.generator if is_tissue else BicubicGenerator(scale)
            block = predict(generator, lambda region: decoder.read(region, 1), grid, column, row)
            part = grid.covered(column, row).scaled(scale)
            full[part.y : part.bottom, part.x : part.right] = block[: part.height, : part.width]
        return full[: decoder.levels[0].height, : decoder.levels[0].width]


@pytest.fixture(scope="module")
def package() -> Package:
    return random_package(4)


@pytest.fixture(scope="module", params=[4, 2], ids=["x4", "x2"])
def either(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Image]:
    """A file of either scale, and its level 0."""
    image = tissue(FULL, seed=4)
    image[:, :560] = 243  # a glass half, so that both generators meet within the slide
    file = encoded(tmp_path_factory.mktemp("decode"), image, request.param)
    return file, by_whole_blocks(file)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    image = tissue(FULL, seed=4)
    image[:, :560] = 243
    return encoded(tmp_path_factory.mktemp("decode"), image, 4)


@pytest.fixture(scope="module")
def whole(file: Path) -> Image:
    return by_whole_blocks(file)


@pytest.fixture
def decoder(file: Path) -> Iterator[Decoder]:
    with Decoder(file) as opened:
        yield opened


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_region_is_what_the_whole_has_there(either: tuple[Path, Image], data: st.DataObject) -> None:
    file, whole = either
    with Decoder(file, cache_bytes=data.draw(st.sampled_from([0, 256 << 20]))) as decoder:
        for most in data.draw(st.lists(st.sampled_from([1, 257, 513, 1161]), min_size=1, max_size=4)):
            x, y = data.draw(st.integers(0, FULL.width - 1)), data.draw(st.integers(0, FULL.height - 1))
            width = data.draw(st.integers(1, min(most, FULL.width - x)))
            height = data.draw(st.integers(1, min(most, FULL.height - y)))
            part = decoder.read(Region(x, y, width, height), keep=data.draw(st.booleans()))
            assert np.array_equal(part, whole[y : y + height, x : x + width])


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("size", [Size(1, 1), Size(3, 300), Size(258, 1)], ids=str)
def test_a_slide_of_few_pixels_has_those_of_its_block(scale: int, size: Size, tmp_path: Path) -> None:
    file = encoded(tmp_path, tissue(Size(300, 300), seed=5)[: size.height, : size.width], scale)
    with Decoder(file) as decoder:
        assert np.array_equal(decoder.read(Region(0, 0, *size)), by_whole_blocks(file))


def test_a_small_tile_computes_itself_and_a_large_region_every_block_once(
    file: Path,
) -> None:
    seen: list[tuple[int, ...]] = []

    class Counting(NetworkResampler):
        def __call__(self, image: Image) -> Image:
            seen.append(image.shape[:2])
            return super().__call__(image)

    generator = Counting(random_package(4))
    with Decoder(file, generator=generator) as decoder:
        decoder.read(Region(768, 256, 256, 256))
        decoder.read(Region(701, 99, 256, 256))
        assert seen == [(64 + 12, 64 + 12), (68 + 12, 68 + 12)]
        seen.clear()
        decoder.clear_cache()
        decoder.read(Region(512, 0, 512, FULL.height))
        assert seen == [(128 + 12, 128 + 12)] * 2


def test_a_float_network_sees_whole_blocks_alone(file: Path) -> None:
    seen: list[tuple[int, ...]] = []

    class Inexact(NetworkResampler):
        is_exact = False

        def __call__(self, image: Image) -> Image:
            seen.append(image.shape[:2])
            return super().__call__(image)

    with Decoder(file, generator=Inexact(random_package(4))) as decoder:
        decoder.read(Region(768, 256, 256, 256))
        decoder.read(Region(701, 99, 9, 9))
        decoder.read(Region(701, 600, 9, 9), keep=False)
    assert seen == [(128 + 12, 128 + 12)] * 2


def test_a_block_that_is_corrected_is_predicted_whole(tmp_path: Path) -> None:
    write_slide(tmp_path / "slide.tif", tissue(Size(600, 520), seed=4))
    chosen = EncodeSettings(codec="jp2k", ratio=None, quality=30, min_psnr_db=34)
    with open_source(tmp_path / "slide.tif") as source:
        encode(source, tmp_path / "slide.hc.tif", BicubicGenerator(4), chosen)
    with Decoder(tmp_path / "slide.hc.tif") as decoder:
        layer = decoder.container.enhancement
        assert layer is not None
        assert layer.modes.any()
        whole = decoder.read(Region(0, 0, 600, 520))
        decoder.clear_cache()
        for x, y in ((0, 0), (300, 200), (431, 200), (511, 511)):
            assert np.array_equal(decoder.read(Region(x, y, 80, 9)), whole[y : y + 9, x : x + 80])


def test_decoders_beside_each_other_predict_nothing_twice(tmp_path: Path) -> None:
    seen: list[tuple[int, ...]] = []

    class Counting(BicubicGenerator):
        def __call__(self, image: Image) -> Image:
            seen.append(image.shape[:2])
            return super().__call__(image)

    write_slide(tmp_path / "slide.tif", tissue(Size(1200, 1000), seed=4))
    chosen = EncodeSettings(codec="jp2k", base="10x", ratio=None, quality=30, min_psnr_db=32)
    with open_source(tmp_path / "slide.tif") as source:
        encode(source, tmp_path / "slide.hc.tif", BicubicGenerator(4), chosen)
    everything = Region(0, 0, 1200, 1000)
    with Decoder(tmp_path / "slide.hc.tif") as alone:
        corrected = alone.read(everything)
    generator = Counting(4)
    with Decoder(tmp_path / "slide.hc.tif", generator=generator, tier="reconstructed") as first:
        cell = first.read(Region(512, 0, 256, 256))
        beside = Decoder(first, tier="bounded")
        assert beside.container is first.container
        assert beside.is_enhanced
        assert np.array_equal(beside.read(everything), corrected)
        predicted = len(seen)
        assert predicted >= 9  # blocks of 512 px, one of them in 4 cells
        whole = first.read(everything)
        assert np.array_equal(whole[:256, 512:768], cell)
        assert not np.array_equal(whole, corrected)
        assert len(seen) == predicted
        bicubic = Decoder(first, generator="bicubic")
        assert np.array_equal(bicubic.read(everything), whole)  # the generator of this file is bicubic
        assert len(seen) == predicted
        assert bicubic.rendition.label.startswith("reconstructed by bicubic-x4")
        assert Decoder(bicubic, tier="reconstructed").rendition.label == bicubic.rendition.label
        assert beside.rendition.label == first.rendition.label
    with pytest.raises(ValueError, match="closed"):
        beside.read(everything)


def test_threads_that_begin_together_load_one_generator(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[object] = []

    def slowly(package: Package, *, device: str) -> NetworkResampler:
        loaded.append(package)
        time.sleep(0.1)
        return build_generator(package, device)

    monkeypatch.setattr("histocodec.decoder.load_generator", slowly)
    with Decoder(file) as decoder, ThreadPoolExecutor(4) as pool:
        tiles = list(pool.map(decoder.read, [Region(600 + 100 * k, 300, 90, 90) for k in range(4)]))
    assert len(tiles) == 4
    assert len(loaded) == 1


def test_a_device_that_computes_batches_is_fed_by_more_threads_than_cores(file: Path) -> None:
    with Decoder(file) as here, Decoder(file, device="cuda") as there:
        assert here.threads == parallel.core_count()
        assert there.threads >= 2 * 32  # two batches: one computes while the other gathers


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
    assert isinstance(decoder.generator, NetworkResampler)


def test_another_generator_than_the_named_one_is_refused(file: Path) -> None:
    with Decoder(file, generator=BicubicGenerator(4)) as decoder, pytest.raises(GeneratorMismatch, match="random-x4"):
        decoder.read(Region(600, 300, 300, 300))


def test_a_generator_that_is_nowhere_is_named_in_the_error(file: Path, package: Package, tmp_path: Path) -> None:
    with open_source(file.with_name("slide.tif")) as source:
        chosen = EncodeSettings(codec="jp2k", ratio=None, quality=25, embed_generator=False)
        encode(source, tmp_path / "named.hc.tif", build_generator(package), chosen)
    with Decoder(tmp_path / "named.hc.tif") as decoder:
        assert decoder.read(Region(0, 0, 100, 100), 1).shape == (100, 100, 3)  # the base needs no generator
        with pytest.raises(UnknownGenerator) as caught:
            decoder.read(Region(600, 300, 300, 300))
    said = str(caught.value)
    assert f"named.hc.tif needs generator {package.card.name} {package.digest} of generation 1" in said
    assert f"{tmp_path / 'models'} (no such folder)" in said
    assert "--models" in said
    with Decoder(tmp_path / "named.hc.tif", generator=load_generator(package)) as decoder:
        assert decoder.read(Region(600, 300, 300, 300)).any()


def test_a_generator_is_found_in_a_folder(
    file: Path, package: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(MODELS_VARIABLE, raising=False)
    path, region = tmp_path / "archive" / "named.hc.tif", Region(600, 300, 300, 300)
    path.parent.mkdir()
    with open_source(file.with_name("slide.tif")) as source:
        chosen = EncodeSettings(ratio=None, quality=32, embed_generator=False)
        encode(source, path, build_generator(package), chosen)
    with Decoder(path, generator=load_generator(package)) as decoder:
        expected = decoder.read(region)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "any name.safetensors").write_bytes(package.data)
    assert [problem.code for problem in validate(path)] == ["generator-unknown"]
    assert validate(path, models=elsewhere) == []
    with Decoder(path, models=elsewhere) as decoder, pickle.loads(pickle.dumps(decoder)) as again:
        assert np.array_equal(decoder.read(region), expected)
        assert np.array_equal(again.read(region), expected)
    with open_slide(path, models=str(elsewhere)) as slide:
        shown = np.asarray(slide.read_region((600, 300), 0, (300, 300)))
        assert np.array_equal(shown[..., :3], expected)
    monkeypatch.setenv(MODELS_VARIABLE, f"{tmp_path / 'none'}{os.pathsep}{elsewhere}")
    with Decoder(path) as decoder:
        assert np.array_equal(decoder.read(region), expected)
    monkeypatch.delenv(MODELS_VARIABLE)
    elsewhere.rename(path.parent / "models")
    monkeypatch.chdir(path.parent)
    with Decoder(path.name) as decoder:
        monkeypatch.chdir(tmp_path)  # the folder is that beside the file, wherever the process has gone
        assert np.array_equal(decoder.read(region), expected)
    exported = of_file(path)
    assert exported is not None
    assert exported.files == {f"{package.card.name}.safetensors": package.data}
