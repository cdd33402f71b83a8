"""A base that a network makes: the same whoever made it and how, stated by the file, and needed by no decoder."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import openslide
import pytest

import histocodec.generators.catalogue
from histocodec import cli
from histocodec.comparison.compare import compare
from histocodec.comparison.heatmap import quality_picture
from histocodec.decoder import Decoder
from histocodec.demo.synthetic import tissue, write_slide
from histocodec.encoder import EncodeSettings, base_choice, encode
from histocodec.encoder.base_choice import PATCH
from histocodec.errors import InvalidPackage, SettingsError
from histocodec.format.entries import DownsamplingEntry
from histocodec.format.reader import Container
from histocodec.format.tiers import enhance, strip
from histocodec.generators.bicubic import BicubicGenerator
from histocodec.generators.catalogue import downsampler_for, find_package, load_generator, shipped_packages
from histocodec.generators.network_resampler import build_downsampler
from histocodec.generators.package import METADATA_KEY, package_of
from histocodec.geometry import Region, Size
from histocodec.pixels.degrade import degrade
from histocodec.pixels.downsample import BoxDownsampler, downsample, make_base, shrink
from histocodec.pixels.tile_codecs import TileCodec
from histocodec.runtime.files import atomic_output
from histocodec.source import open_source
from histocodec.validation import validate
from histocodec.views.export import export_slide
from tests.generators.inputs import by_definition, downsampler_package, flat_package, generator_package

BICUBIC = BicubicGenerator(4)
QUICK = EncodeSettings(codec="jp2k", ratio=None, quality=34.0, verify="none")


@pytest.fixture
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The path of a downsampler x4."""
    path = tmp_path_factory.mktemp("downsampler") / "tiny.safetensors"
    path.write_bytes(downsampler_package().data)
    return str(path)


@pytest.fixture
def shipped(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of models whose default generators name downsamplers, in place of the one that ships."""
    folder = tmp_path_factory.mktemp("models")
    (folder / "downsamplers").mkdir()
    for scale in (2, 4):
        for codec in ("av1", "jp2k"):
            generator = flat_package(scale, f"{codec}-x{scale}", f"tiny-down-x{scale}")
            (folder / f"{codec}-x{scale}.safetensors").write_bytes(generator.data)
        downsampler = folder / "downsamplers" / f"tiny-down-x{scale}.safetensors"
        downsampler.write_bytes(downsampler_package(scale).data)
    monkeypatch.setattr(histocodec.generators.catalogue, "MODELS_FOLDER", folder)
    return folder


# ---------------------------------------------------------------------------------------------------------- packages


def test_a_package_of_a_downsampler_is_built_and_is_no_generator() -> None:
    package = downsampler_package()
    downsampler = build_downsampler(package)
    stated = (downsampler.name, downsampler.digest, downsampler.scale, downsampler.halo)
    assert stated == ("tiny-down-x4", package.digest, 4, 3)
    image = np.random.default_rng(0).integers(0, 256, (56, 64, 3)).astype(np.uint8)
    found = downsampler(image)
    assert found.shape == (8, 10, 3)
    assert np.array_equal(found, by_definition(package.net, image))


def test_a_generator_names_its_downsampler_or_says_nothing() -> None:
    named = generator_package(4, "tiny-x4", "tiny-down-x4")
    assert named.card.downsampler == "tiny-down-x4"
    silent = generator_package(4, "tiny-x4", None)
    assert silent.card.downsampler is None
    assert b"downsampler" not in silent.data
    for package in shipped_packages().values():  # written anew, the cards that have shipped are the same text
        length = int.from_bytes(package.data[:8], "little")
        text = json.loads(package.data[8 : 8 + length])["__metadata__"][METADATA_KEY]
        assert json.loads(package.card.to_json()) == json.loads(text)


@pytest.mark.parametrize("value", ["x|y", "", 3, ["tiny"]])
def test_a_downsampler_that_is_no_name_is_refused(value: object) -> None:
    named = generator_package(4, "tiny-x4")
    card = dataclasses.replace(named.card, downsampler=value)  # type: ignore[arg-type]
    with pytest.raises(InvalidPackage, match="a name or left out"):
        assert package_of(named.net, card).card


def test_what_ships_is_found_by_name_digest_and_path_and_listed_apart(shipped: Path, tiny: str) -> None:
    assert set(shipped_packages()) == {"av1-x2", "av1-x4", "jp2k-x2", "jp2k-x4"}
    assert set(shipped_packages("downsampler")) == {"tiny-down-x2", "tiny-down-x4"}
    package = shipped_packages("downsampler")["tiny-down-x4"]
    for name in ("tiny-down-x4", package.digest, tiny):
        assert find_package(name, "downsampler") == package
    with pytest.raises(SettingsError, match=r"no downsampler nothing: not box, .*\(tiny-down-x2, tiny-down-x4\)"):
        find_package("nothing", "downsampler")
    (shipped / "downsamplers").rename(shipped / "elsewhere")
    assert shipped_packages("downsampler") == {}
    with pytest.raises(SettingsError, match=r"\(none\)"):
        find_package("tiny-down-x4", "downsampler")


def test_a_wish_goes_before_what_the_generator_names(shipped: Path) -> None:
    generator = load_generator("jp2k-x4")
    assert downsampler_for(generator, 4).name == "tiny-down-x4"
    assert downsampler_for(shipped_packages()["jp2k-x4"], 4).name == "tiny-down-x4"
    assert downsampler_for(generator, 4, "box") == BoxDownsampler(4) == downsampler_for(BICUBIC, 4)
    with pytest.raises(SettingsError, match="tiny-down-x2 shrinks 2 times, this base needs 4"):
        downsampler_for(generator, 4, "tiny-down-x2")
    with pytest.raises(SettingsError, match="trained with downsampler nothing, which does not ship"):
        downsampler_for(generator_package(4, "tiny-x4", "nothing"), 4)


# -------------------------------------------------------------------------------------------------------------- base


@pytest.mark.parametrize("scale", [2, 4])
def test_the_box_average_is_a_downsampler(scale: int) -> None:
    image = tissue(Size(301, 203), seed=2)
    assert np.array_equal(shrink(image, BoxDownsampler(scale)), downsample(image, scale))
    assert np.array_equal(degrade(image, scale, "jp2k", 34), degrade(image, scale, "jp2k", 34, downsampler=None))
    with pytest.raises(SettingsError, match="the scale must be 2 or 4, found 3"):
        BoxDownsampler(3)


@pytest.mark.parametrize("scale", [2, 4])
def test_parts_along_the_grid_are_the_whole(scale: int) -> None:
    downsampler = build_downsampler(downsampler_package(scale))
    margin, block = 3 * scale, 32
    image = tissue(Size(161 * scale + 2 * margin, 140 * scale + 2 * margin), seed=4)
    whole, tissue_map = make_base(image, downsampler, block)
    assert whole.shape == (140, 161, 3)
    assert tissue_map.shape == (5, 6)
    for y in range(0, 140, 2 * block):
        for x in range(0, 161, 2 * block):
            height, width = min(2 * block, 140 - y), min(2 * block, 161 - x)
            seen = image[y * scale : (y + height) * scale + 2 * margin, x * scale : (x + width) * scale + 2 * margin]
            part, part_map = make_base(seen, downsampler, block)
            assert np.array_equal(part, whole[y : y + height, x : x + width])
            row, column = y // block, x // block
            assert np.array_equal(part_map, tissue_map[row : row + 2, column : column + 2])
    is_tissue = tissue_map.repeat(block, 0).repeat(block, 1)[:140, :161] > 0
    assert np.array_equal(downsampler(image)[is_tissue], whole[is_tissue])


def test_glass_stays_the_average_and_tissue_does_not() -> None:
    image = tissue(Size(1024, 512), seed=3)
    image[:, 512:] = np.random.default_rng(0).integers(238, 246, (512, 512, 3))
    downsampler = build_downsampler(downsampler_package())
    base, box = shrink(image, downsampler), downsample(image, 4)
    assert np.array_equal(base[:, 128:], box[:, 128:])
    assert (base[:, :128] != box[:, :128]).mean() > 0.5
    assert np.array_equal(degrade(image, 4, None, downsampler=downsampler), base)
    with pytest.raises(SettingsError, match="shrinks 4 times, expected 2"):
        degrade(image, 2, None, downsampler=downsampler)


def test_what_is_beyond_the_image_is_its_edge() -> None:
    image = tissue(Size(121, 90), seed=5)
    downsampler = build_downsampler(downsampler_package())
    extended = np.pad(image, ((12, 14), (12, 15), (0, 0)), mode="edge")
    assert np.array_equal(shrink(image, downsampler), downsampler(np.ascontiguousarray(extended)))


# ------------------------------------------------------------------------------------------------------------ encode


@pytest.fixture(scope="module")
def odd_slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """2203 x 1301 px, so base tiles of 256 and 512 px have neighbours, and glass at the right."""
    image = tissue(Size(2203, 1301), seed=9)
    image[:, 1536:] = 243
    path = tmp_path_factory.mktemp("odd") / "odd.tif"
    write_slide(path, image)
    return path


@pytest.mark.parametrize("codec", ["jp2k", "av1"])
def test_a_file_says_what_made_its_base_and_is_the_same_with_any_number_of_workers(
    odd_slide: Path, tmp_path: Path, tiny: str, codec: TileCodec
) -> None:
    files = []
    for workers in (1, 4):
        settings = EncodeSettings(codec=codec, downsampling=tiny, workers=workers, verify_blocks=4)
        with open_source(odd_slide) as source:
            report = encode(source, tmp_path / f"{workers}.hc.tif", BICUBIC, settings)
        files.append((tmp_path / f"{workers}.hc.tif").read_bytes())
    assert files[0] == files[1]
    assert report.manifest.base.downsampling == DownsamplingEntry("tiny-down-x4", downsampler_package().digest)
    step = report.manifest.slide.lossy_history[-1]
    speed = " at speed 6 of libaom" if codec == "av1" else ""
    assert step.derivation == f"downsampled by tiny-down-x4, 4 x 4 to one and coded as {codec}{speed}"
    assert validate(tmp_path / "1.hc.tif", deep=True) == []
    with Container(tmp_path / "1.hc.tif") as container:
        assert container.manifest == report.manifest


def test_a_decoder_needs_no_downsampler(odd_slide: Path, tmp_path: Path, tiny: str) -> None:
    with open_source(odd_slide) as source:
        encode(source, tmp_path / "x.hc.tif", BICUBIC, dataclasses.replace(QUICK, downsampling=tiny))
    Path(tiny).unlink()
    with Decoder(tmp_path / "x.hc.tif") as decoder:
        assert decoder.read(Region(0, 0, 300, 300)).shape == (300, 300, 3)
        export_slide(decoder, tmp_path / "base.tif", level=1)
    with openslide.OpenSlide(tmp_path / "base.tif") as slide:
        description = slide.properties["tiff.ImageDescription"]
    assert "the stored base, made from the slide by tiny-down-x4" in description


def test_glass_alone_gives_the_box_averages_pixels(tmp_path: Path, tiny: str) -> None:
    write_slide(tmp_path / "glass.tif", np.full((901, 1102, 3), 240, np.uint8))
    tiles = []
    for downsampling in (tiny, "box"):
        out = tmp_path / "x.hc.tif"
        with open_source(tmp_path / "glass.tif") as source:
            encode(source, out, BICUBIC, dataclasses.replace(QUICK, downsampling=downsampling), overwrite=True)
        with Container(out) as container:
            tiles.append([container.tile(0, index) for index in range(container.grids[0].count)])
            assert container.tissue_map.max() == 0
    assert tiles[0] == tiles[1]


def test_a_slide_smaller_than_the_halo(tmp_path: Path, tiny: str) -> None:
    write_slide(tmp_path / "small.tif", np.ascontiguousarray(tissue(Size(64, 64), seed=1)[:3, :5]))
    with open_source(tmp_path / "small.tif") as source:
        encode(source, tmp_path / "x.hc.tif", BICUBIC, dataclasses.replace(QUICK, downsampling=tiny))
    assert validate(tmp_path / "x.hc.tif", deep=True) == []


def test_the_default_is_what_the_generator_was_trained_with(shipped: Path, slide_path: Path, tmp_path: Path) -> None:
    for wish, name in ((None, "tiny-down-x4"), ("box", None)):
        out = tmp_path / f"{wish}.hc.tif"
        with open_source(slide_path) as source:
            report = encode(source, out, None, dataclasses.replace(QUICK, downsampling=wish))
        made = report.manifest.base.downsampling
        assert (made and made.name) == name
        assert report.manifest.prediction.generator.name == "jp2k-x4"
    (shipped / "downsamplers" / "tiny-down-x4.safetensors").unlink()
    with open_source(slide_path) as source, pytest.raises(SettingsError, match="trained with downsampler tiny-down-x4"):
        encode(source, tmp_path / "none.hc.tif", None, QUICK)
    assert not (tmp_path / "none.hc.tif").exists()


@pytest.mark.parametrize("spoilt", [2, 4])
def test_base_auto_tries_each_base_with_its_own_downsampler(
    shipped: Path, tmp_path: Path, spoilt: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the one whose downsampler spoils it loses."""
    monkeypatch.setitem(base_choice.UNSURE, "jp2k", (10.0, 60.0))  # try both, whatever the bytes say
    (shipped / "downsamplers" / f"tiny-down-x{spoilt}.safetensors").write_bytes(
        downsampler_package(spoilt, spoils=True).data
    )
    write_slide(tmp_path / "slide.tif", tissue(Size(PATCH, PATCH), seed=3))  # all that is looked at
    with open_source(tmp_path / "slide.tif") as source:
        settings = EncodeSettings(codec="jp2k", base="auto", ratio=4, verify="none")
        report = encode(source, tmp_path / "x.hc.tif", settings=settings)
    assert report.manifest.base.downsampling is not None
    assert report.manifest.base.downsampling.name == f"tiny-down-x{report.manifest.base.scale}"
    assert report.manifest.base.scale == 6 - spoilt
    assert EncodeSettings(codec="jp2k", base="auto", downsampling="box").downsampling == "box"
    with pytest.raises(SettingsError, match="between two scales"):
        EncodeSettings(codec="jp2k", base="auto", downsampling="tiny-down-x4")


def test_floors_tiers_and_comparisons(slide_path: Path, tmp_path: Path, tiny: str) -> None:
    out, small, back = (tmp_path / f"{name}.hc.tif" for name in ("bounded", "small", "back"))
    settings = dataclasses.replace(QUICK, downsampling=tiny, min_psnr_db=31.0, verify="all")
    with open_source(slide_path) as source:
        report = encode(source, out, BICUBIC, settings)
    assert report.manifest.tier == "bounded"
    assert report.manifest.quality is not None
    assert report.manifest.quality.consistency_db is not None
    strip(out, small)
    enhance(small, out, back)
    assert back.read_bytes() == out.read_bytes()
    for path in (out, small):
        assert validate(path, deep=True) == []
        with Container(path) as container:
            assert container.manifest.base.downsampling == DownsamplingEntry(
                "tiny-down-x4", downsampler_package().digest
            )
    with open_source(slide_path) as source, Decoder(out) as decoder:
        assert min(row.psnr_db for row in compare(source, decoder).blocks) >= 31
        with atomic_output(tmp_path / "quality.png", overwrite=False) as file:
            quality_picture(decoder).save(file, "PNG")
    other = tmp_path / "other.hc.tif"
    with open_source(slide_path) as source:
        encode(source, other, BICUBIC, dataclasses.replace(settings, downsampling="box"))
    with pytest.raises(histocodec.errors.PairMismatch, match="not the same bytes"):
        enhance(small, other, tmp_path / "mixed.hc.tif")


# ------------------------------------------------------------------------------------------------------ command line


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Exit code, stdout and stderr of a command line, run in this process."""

    def in_process(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["histocodec", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        captured = capfd.readouterr()
        return int(caught.value.code or 0), captured.out, captured.err

    return in_process


Run = Callable[..., tuple[int, str, str]]


def test_the_command_line_takes_and_shows_it(run: Run, slide_path: Path, tmp_path: Path, tiny: str) -> None:
    out, digest = tmp_path / "x.hc.tif", downsampler_package().digest
    options = ["--generator", "bicubic-x4", "--quality", 34, "-o", out, "--overwrite"]
    code, text, err = run("encode", slide_path, *options, "--downsampling", tiny, "--json")
    assert code == 0, err
    assert json.loads(text)["downsampling"] == {"name": "tiny-down-x4", "digest": digest}
    assert json.loads(run("info", out, "--json")[1])["downsampling"] == {"name": "tiny-down-x4", "digest": digest}
    assert f"name tiny-down-x4, digest {digest}" in run("info", out)[1]
    assert run("validate", out, "--deep")[0] == 0
    assert run("compare", slide_path, out)[0] == 0
    assert run("encode", slide_path, *options, "--downsampling", "box")[0] == 0
    assert json.loads(run("info", out, "--json")[1])["downsampling"] == {"name": "box", "digest": "builtin:box"}


def test_the_command_line_refuses_in_a_sentence(
    run: Run, shipped: Path, slide_path: Path, tmp_path: Path, tiny: str
) -> None:
    (tmp_path / "text.safetensors").write_text("no package")
    (tmp_path / "generator.safetensors").write_bytes(generator_package(4, "tiny-x4", None).data)
    for options, said in (
        (["--downsampling", "nothing"], "no downsampler nothing: not box, not a file, and not among those that ship"),
        (["--downsampling", ""], "no downsampler"),
        (["--downsampling", tiny, "--base", "20x"], "tiny-down-x4 shrinks 4 times, this base needs 2"),
        (["--downsampling", tmp_path / "text.safetensors"], "not a package"),
        (["--downsampling", tmp_path / "generator.safetensors"], "package tiny-x4 is no downsampler"),
        (["--downsampling", "tiny-down-x4", "--base", "auto"], "between two scales"),
        (["--generator", tiny], "package tiny-down-x4 is no generator in whole numbers"),
    ):
        code, text, err = run("encode", slide_path, "-o", tmp_path / "x.hc.tif", *options)
        assert (code, text, err.count("\n")) == (1, "", 1)
        assert said in err
    assert not (tmp_path / "x.hc.tif").exists()


def test_models_lists_generators_alone(run: Run, shipped: Path) -> None:
    assert set(json.loads(run("models", "--json")[1])) == {"av1-x2", "av1-x4", "jp2k-x2", "jp2k-x4"}
