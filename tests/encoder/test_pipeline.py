"""Encoding at the edges: a whole file within its budget, whatever the slide, or a clear error."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from pathlib import Path

import numpy as np
import pytest

from histocodec.decoder import Decoder
from histocodec.demo.synthetic import write_slide
from histocodec.encoder import EncodeSettings, encode
from histocodec.encoder.base_choice import base_scale
from histocodec.encoder.pipeline import coded_tissue
from histocodec.encoder.settings import Magnification
from histocodec.errors import (
    BudgetError,
    GeneratorError,
    SettingsError,
    UnknownGenerator,
    UnsupportedResolution,
)
from histocodec.format.reader import Container
from histocodec.generators.bicubic import BicubicGenerator
from histocodec.generators.catalogue import load_generator
from histocodec.generators.package import package_of
from histocodec.geometry import Image, Region, Size
from histocodec.pixels.rate import SEARCH_RANGES
from histocodec.pixels.tile_codecs import TileCodec
from histocodec.runtime.progress import silent
from histocodec.source import Source, open_source
from histocodec.validation import validate
from tests.encoder.inputs import BICUBIC, QUICK, ArraySource, names
from tests.generators.inputs import generator_package


class PackagedGenerator:
    """Bicubic under another name, with a package: what embedding looks at, without a network."""

    name, scale, halo, is_exact = "packaged-x4", 4, 2, True

    def __init__(self, size_bytes: int) -> None:
        self.package: bytes | None = np.random.default_rng(1).bytes(size_bytes)
        self.digest = f"sha256:{hashlib.sha256(self.package or b'').hexdigest()}"

    def __call__(self, base: Image) -> Image:
        return BICUBIC(base)


@pytest.fixture(scope="module")
def large_slide_path(tmp_path_factory: pytest.TempPathFactory, slide_image: Image) -> Path:
    """1900 x 1600 px: four base tiles, the last of them glass alone."""
    image = np.tile(slide_image, (2, 2, 1))[:1600, :1900]
    image[1024:, 1024:] = 243
    path = tmp_path_factory.mktemp("large") / "large.tif"
    write_slide(path, image)
    return path


# The budget


@pytest.mark.parametrize(
    ("codec", "ratio"),
    # JPEG's own tables do not let so small a slide reach 64.
    [
        (codec, ratio)
        for codec in ("jp2k", "av1", "jpeg")
        for ratio in (8, 16, 32, 64)
        if (codec, ratio) != ("jpeg", 64)
    ],
)
def test_the_ratio_is_kept_and_used(large_slide_path: Path, out: Path, codec: TileCodec, ratio: int) -> None:
    settings = dataclasses.replace(QUICK, codec=codec, ratio=ratio)
    with open_source(large_slide_path) as source:
        report = encode(source, out, BICUBIC, settings)
    budget = large_slide_path.stat().st_size / ratio
    assert report.size_bytes == out.stat().st_size <= budget
    best = SEARCH_RANGES[codec][1]
    # Of a few tiles, the next step of one may be too much.
    assert report.size_bytes >= 0.88 * budget or report.manifest.base.quality == best


@pytest.mark.parametrize("codec", ["jp2k", "av1", "jpeg"])
@pytest.mark.parametrize("extras", [False, True], ids=["bare", "with label and generator"])
def test_a_ratio_that_cannot_be_met_names_one_that_can(
    slide_image: Image, out: Path, codec: TileCodec, extras: bool
) -> None:
    source = ArraySource(slide_image, size_bytes=250_000)
    generator = PackagedGenerator(60) if extras else BICUBIC
    if extras:
        source.associated = {"label": slide_image[:300, :300], "macro": slide_image[::2, ::2]}
    settings = dataclasses.replace(QUICK, codec=codec, ratio=900)
    with pytest.raises(BudgetError) as caught:
        encode(source, out, generator, settings)
    assert caught.value.needed_bytes > caught.value.budget_bytes == 277
    assert not names(out.parent)
    named = re.search(r"--ratio (\S+) can be met", str(caught.value))
    assert named is not None
    ratio = float(named[1])
    report = encode(source, out, generator, dataclasses.replace(settings, ratio=ratio))
    assert report.size_bytes <= 250_000 / ratio


def test_a_slide_too_small_for_any_ratio_is_told_so(slide_image: Image, out: Path) -> None:
    source = ArraySource(slide_image[:40, :40], size_bytes=900)
    with pytest.raises(BudgetError, match="no ratio can be met, but --quality sets none"):
        encode(source, out, BICUBIC)
    assert encode(source, out, BICUBIC, EncodeSettings(codec="jp2k", ratio=None, quality=40)).size_bytes > 900


@pytest.mark.parametrize(("codec", "low", "high"), [("jp2k", 24.5, 40), ("av1", 20, 79), ("jpeg", 20, 90)])
def test_quality_decides_where_no_ratio_is_given(
    slide: Source, out: Path, codec: TileCodec, low: float, high: float
) -> None:
    sizes = []
    for quality in (low, high):
        settings = dataclasses.replace(QUICK, codec=codec, ratio=None, quality=quality)
        report = encode(slide, out, BICUBIC, settings, overwrite=True)
        assert report.manifest.base.quality == quality
        sizes.append(report.tile_bytes)
    assert sizes[0] < sizes[1] / 2


# The same input, the same bytes


@pytest.mark.parametrize("codec", ["jp2k", "av1", "jpeg"])
def test_the_same_slide_gives_the_same_bytes(slide_path: Path, out: Path, codec: TileCodec) -> None:
    files = []
    for workers in (1, 4):
        settings = EncodeSettings(codec=codec, effort="fast", workers=workers, verify_blocks=2)
        with open_source(slide_path) as source:
            encode(source, out, BICUBIC, settings, overwrite=True)
        files.append(out.read_bytes())
    assert files[0] == files[1]


# Unusual slides


def test_glass_alone_costs_next_to_nothing(out: Path) -> None:
    glass = np.random.default_rng(0).integers(240, 246, (1500, 2100, 3), dtype=np.uint8)
    report = encode(ArraySource(glass, size_bytes=200_000), out, BICUBIC, EncodeSettings(codec="jp2k"))
    assert report.manifest.quality is None
    assert any("no block of tissue" in note for note in report.notes)
    assert report.tile_bytes < 300 * 6
    assert not validate(out, deep=True)
    with Decoder(out) as decoder:
        assert not decoder.container.tissue_map.any()
        whole = decoder.read(Region(0, 0, *decoder.levels[0]))
    assert np.abs(whole.mean((0, 1)) - glass.mean((0, 1))).max() < 2.1
    assert int(np.ptp(whole)) <= 6


@pytest.mark.parametrize(("codec", "ratio"), [("jp2k", 16), ("jp2k", 64), ("av1", 64), ("jpeg", 16)])
def test_glass_keeps_its_colour_beside_tissue(
    large_slide_path: Path, out: Path, codec: TileCodec, ratio: float
) -> None:
    """At the tissue's quality, a glass tile is free to be coded as any grey; the seams would be seen."""
    with open_source(large_slide_path) as source:
        encode(source, out, BICUBIC, dataclasses.replace(QUICK, codec=codec, ratio=ratio))
        glass = source.read(Region(1100, 1100, 700, 400)).mean((0, 1))
    with Decoder(out) as decoder:
        decoded = decoder.read(Region(1100, 1100, 700, 400)).mean((0, 1))
    assert np.abs(decoded - glass).max() < 2.1


@pytest.mark.parametrize("codec", ["jp2k", "av1", "jpeg"])
@pytest.mark.parametrize("size", [Size(9, 1500), Size(2300, 3), Size(1, 1)], ids=str)
def test_slides_of_a_few_pixels_across(slide_image: Image, out: Path, codec: TileCodec, size: Size) -> None:
    image = np.resize(slide_image, (size.height, size.width, 3))
    report = encode(ArraySource(image), out, BICUBIC, EncodeSettings(codec=codec, effort="fast"))
    assert report.full_size == size
    assert not validate(out, deep=True)
    with Decoder(out) as decoder:
        assert decoder.levels[0] == size
        assert decoder.read(Region(0, 0, *size)).shape == image.shape


@pytest.mark.parametrize(
    ("base", "mpp", "scale"),
    [("10x", 0.18, 4), ("10x", 0.25, 4), ("10x", 0.35, 4), ("10x", 0.36, 2), ("10x", 0.7, 2), ("20x", 0.25, 2)],
)
def test_the_scale_brings_a_slide_to_the_base(slide_image: Image, base: Magnification, mpp: float, scale: int) -> None:
    assert base_scale(ArraySource(slide_image, mpp=mpp), base) == scale


@pytest.mark.parametrize(("base", "mpp"), [("10x", 0.17), ("10x", 0.72), ("10x", 10.0), ("20x", 0.5)])
def test_a_resolution_out_of_range(slide_image: Image, out: Path, base: Magnification, mpp: float) -> None:
    settings = EncodeSettings(codec="jp2k", base=base)
    with pytest.raises(UnsupportedResolution, match=f"{mpp:g} um/px is out of range: a {base} base is made from"):
        encode(ArraySource(slide_image, mpp=mpp), out, BICUBIC, settings)
    assert not names(out.parent)


# Generators


def test_a_generator_of_another_scale(slide: Source, out: Path) -> None:
    with pytest.raises(GeneratorError, match=r"bicubic-x2 enlarges 2 times, the base of slide\.tif needs 4"):
        encode(slide, out, BicubicGenerator(2))
    assert not names(out.parent)


def test_a_built_in_generator_cannot_be_embedded(slide: Source, out: Path) -> None:
    with pytest.raises(SettingsError, match="bicubic-x4 has no package that could be embedded"):
        encode(slide, out, BICUBIC, EncodeSettings(codec="jp2k", embed_generator=True))
    assert not names(out.parent)


@pytest.mark.parametrize(
    ("embed", "package_bytes", "embedded"),
    [(None, 60, True), (None, 200, True), (None, 400, False), (True, 400, True), (False, 60, False)],
)
def test_a_generator_is_embedded_if_it_is_small_or_if_asked(
    slide: Source, out: Path, embed: bool | None, package_bytes: int, embedded: bool
) -> None:
    generator = PackagedGenerator(package_bytes)
    report = encode(slide, out, generator, dataclasses.replace(QUICK, embed_generator=embed))
    assert report.manifest.prediction.generator.embedded == embedded
    assert report.size_bytes <= slide.size_bytes / 16
    with Container(out) as container:
        assert container.package() == (generator.package if embedded else None)


def test_an_archive_holds_its_generator_of_any_size(slide: Source, out: Path) -> None:
    generator = PackagedGenerator(4000)
    report = encode(slide, out, generator, dataclasses.replace(QUICK, archive=True))
    assert report.manifest.prediction.generator.embedded
    assert (
        "an archive: packaged-x4, 4000 bytes, is embedded, and no other file is needed to read this one" in report.notes
    )
    assert report.size_bytes <= slide.size_bytes / 16
    with Container(out) as container:
        assert container.package() == generator.package
    report = encode(slide, out, BICUBIC, dataclasses.replace(QUICK, archive=True), overwrite=True)
    assert "an archive: bicubic-x4 is built in, and no other file is needed to read this one" in report.notes
    generator.package = None
    with pytest.raises(SettingsError, match="packaged-x4 has no package that could be embedded"):
        encode(slide, out, generator, dataclasses.replace(QUICK, archive=True), overwrite=True)
    with pytest.raises(SettingsError, match="an archive holds its generator"):
        EncodeSettings(archive=True, embed_generator=False)


@pytest.mark.parametrize(
    ("licence", "note"),
    [
        ("CC BY 4.0", None),
        ("CC BY-NC 4.0", "the weights of {}, which decoding needs, are under CC BY-NC 4.0{}: non-commercial use only"),
        ("internal", "the weights of {}, which decoding needs, are under internal{}: only as that licence permits"),
    ],
)
@pytest.mark.parametrize("embed", [True, False])
def test_a_file_says_generation_and_licence_of_its_generator(
    slide: Source, out: Path, licence: str, note: str | None, embed: bool
) -> None:
    made = generator_package(4, "tiny-x4")
    package = package_of(made.net, dataclasses.replace(made.card, licence=licence, generation=3))
    report = encode(slide, out, load_generator(package), dataclasses.replace(QUICK, embed_generator=embed))
    stated = report.manifest.prediction.generator
    assert (stated.name, stated.generation, stated.licence) == ("tiny-x4", 3, licence)
    said = [text for text in report.notes if "the weights of" in text]
    held = ", and so is this file, which holds them" if embed else ""
    assert said == ([] if note is None else [note.format("tiny-x4", held)])
    with Container(out) as container:
        assert container.manifest.prediction.generator == stated


@pytest.mark.parametrize(
    ("embed", "says"),
    [
        (True, "holds the generator dr-doe-x4: see that its name and card"),
        (False, "names the generator dr-doe-x4 and its licence: see that they"),
    ],
)
def test_a_de_identified_file_points_out_a_generator_of_ones_own(
    slide: Source, out: Path, embed: bool, says: str
) -> None:
    generator = load_generator(generator_package(4, "dr-doe-x4"))
    settings = dataclasses.replace(QUICK, embed_generator=embed, deidentify=True)
    assert f"the file {says} identify nobody" in encode(slide, out, generator, settings).notes
    shown = encode(slide, out, BICUBIC, dataclasses.replace(QUICK, deidentify=True), overwrite=True).notes
    assert not any("identify nobody" in note for note in shown)


def test_bicubic_has_neither_generation_nor_licence(slide: Source, out: Path) -> None:
    stated = encode(slide, out, BICUBIC, QUICK).manifest.prediction.generator
    assert (stated.generation, stated.licence) == (None, None)
    with Container(out) as container:
        assert b"licence" not in container.manifest.to_json()


def test_a_file_whose_generator_is_not_at_hand_still_shows_its_base(slide: Source, out: Path) -> None:
    encode(slide, out, PackagedGenerator(60), dataclasses.replace(QUICK, embed_generator=False))
    with Decoder(out) as decoder:
        assert decoder.read(Region(0, 0, 64, 64), 1).shape == (64, 64, 3)
        with pytest.raises(
            UnknownGenerator, match=r"packaged-x4 sha256:.*--generator PATH.*--models, HISTOCODEC_MODELS"
        ):
            decoder.read(Region(0, 0, 64, 64), 0)
    assert [problem.code for problem in validate(out)] == ["generator-unknown"]


def test_verify_all_measures_every_block_of_tissue_those_at_the_edges_too(slide: Source, out: Path) -> None:
    report = encode(
        slide, out, BICUBIC, EncodeSettings(codec="jp2k", ratio=None, quality=30, verify="all", verify_blocks=1)
    )
    assert report.manifest.quality is not None
    assert report.manifest.quality.method == "all"
    assert report.manifest.quality.blocks == (-(-slide.size.width // 512)) * (-(-slide.size.height // 512))


def test_the_tissue_of_a_coded_base_needs_no_file(tissue_slide_path: Path, tmp_path: Path) -> None:
    """It is that of the file which the same settings give."""
    settings = EncodeSettings(codec="jp2k", verify="none")
    with open_source(tissue_slide_path) as source:
        encode(source, tmp_path / "x.hc.tif", BICUBIC, settings)
        scratch = tmp_path / "scratch"
        scratch.mkdir()
        with (
            coded_tissue(source, BICUBIC, settings, scratch, silent) as tissue,
            Decoder(tmp_path / "x.hc.tif") as decoder,
        ):
            assert names(scratch) == set()
            region = tissue.grid.region(*tissue.addresses[0])
            assert np.array_equal(tissue.read_base(region), decoder.read(region, 1))
            assert np.array_equal(tissue.read_full(region.scaled(4)), source.read(region.scaled(4)))
