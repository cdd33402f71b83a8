"""Decoded levels as TIFF and pictures: the right pixels, opened by others, and labelled as what they are."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import openslide
import pytest
import tifffile
import tiffslide
from PIL import Image as PILImage
from PIL import ImageCms

from histocodec.decoder import Decoder
from histocodec.demo.synthetic import write_slide
from histocodec.encoder import EncodeSettings, encode
from histocodec.errors import NoSpace, OutputError, RegionError, SettingsError
from histocodec.format.entries import LossyStep
from histocodec.generators.bicubic import BicubicGenerator
from histocodec.geometry import Image, Region
from histocodec.pixels.metrics import psnr
from histocodec.source import open_source
from histocodec.views import picture as pictures
from histocodec.views.export import export_slide
from histocodec.views.levels import Compression
from histocodec.views.picture import export_picture
from histocodec.views.slide import open_slide

FULL = (1100, 900)
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


class PackagedGenerator:
    """Bicubic under another name, so that a file names a generator that bicubic is not."""

    name, scale, halo, is_exact = "packaged-x4", 4, 2, True
    package: bytes | None = b"weights"
    digest = f"sha256:{hashlib.sha256(b'weights').hexdigest()}"

    def __call__(self, base: Image) -> Image:
        return BicubicGenerator(4)(base)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory, slide_image: Image) -> Path:
    """Of a slide with an ICC profile."""
    folder = tmp_path_factory.mktemp("export")
    write_slide(folder / "slide.tif", slide_image)
    with open_source(folder / "slide.tif") as source:
        source.icc_profile = PROFILE
        encode(source, folder / "slide.hc.tif", PackagedGenerator(), EncodeSettings(codec="jp2k", ratio=12))
    return folder / "slide.hc.tif"


@pytest.fixture
def decoder(file: Path) -> Iterator[Decoder]:
    with Decoder(file, generator=PackagedGenerator()) as opened:
        yield opened


def levels_of(path: Path) -> list[Image]:
    """Every level, as tifffile reads it."""
    with tifffile.TiffFile(path) as tiff:
        return [page.asarray() for page in tiff.pages if page.is_tiled]  # type: ignore[union-attr]


def descriptions_of(path: Path) -> list[str]:
    with tifffile.TiffFile(path) as tiff:
        return [page.description for page in tiff.pages if page.is_tiled]  # type: ignore[union-attr]


def names(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}


# Pixels


@pytest.mark.parametrize("compression", ["jpeg", "lossless", "jp2k"])
def test_openslide_opens_every_compression(decoder: Decoder, tmp_path: Path, compression: Compression) -> None:
    out = tmp_path / "out.tif"
    export_slide(decoder, out, compression=compression)
    with openslide.OpenSlide(out) as slide:
        assert slide.level_dimensions == (FULL, (275, 225))
        assert slide.level_downsamples == pytest.approx((1, 4))
        assert float(slide.properties[openslide.PROPERTY_NAME_MPP_X]) == pytest.approx(0.25)
        assert float(slide.properties[openslide.PROPERTY_NAME_MPP_Y]) == pytest.approx(0.25)
        assert float(slide.properties[openslide.PROPERTY_NAME_OBJECTIVE_POWER]) == pytest.approx(40)
        assert slide.color_profile is not None
        for level, size in enumerate(slide.level_dimensions):
            picture = np.asarray(slide.read_region((0, 0), level, size).convert("RGB"))
            expected = decoder.read(Region(0, 0, *size), level)
            assert psnr(expected, picture) > (99 if compression == "lossless" else 32)
    with open_source(out) as source:  # and so do we
        assert source.size == FULL
        assert source.mpp == pytest.approx(0.25)


@pytest.mark.parametrize("level", [0, 1, 2])
def test_lossless_is_exact_at_every_level(decoder: Decoder, tmp_path: Path, level: int) -> None:
    export_slide(decoder, tmp_path / "out.tif", compression="lossless", level=level)
    levels = levels_of(tmp_path / "out.tif")
    assert len(levels) == {0: 2, 1: 2, 2: 1}[level]
    for offset, pixels in enumerate(levels):
        assert np.array_equal(pixels, decoder.read(Region(0, 0, *decoder.levels[level + offset]), level + offset))


@pytest.mark.parametrize(
    ("region", "parts"),
    [
        (Region(0, 0, 1100, 900), [Region(0, 0, 1100, 900), Region(0, 0, 275, 225)]),
        (Region(333, 171, 601, 555), [Region(333, 171, 601, 555), Region(83, 42, 151, 140)]),
        (Region(1, 1, 513, 3), [Region(1, 1, 513, 3), Region(0, 0, 129, 1)]),
        (Region(1099, 899, 1, 1), [Region(1099, 899, 1, 1), Region(274, 224, 1, 1)]),
    ],
    ids=str,
)
def test_lossless_is_exact_for_any_region(
    decoder: Decoder, tmp_path: Path, region: Region, parts: list[Region]
) -> None:
    export_slide(decoder, tmp_path / "out.tif", compression="lossless", region=region)
    for level, (pixels, part) in enumerate(zip(levels_of(tmp_path / "out.tif"), parts, strict=True)):
        assert np.array_equal(pixels, decoder.read(part, level))
    with openslide.OpenSlide(tmp_path / "out.tif") as slide:
        assert slide.level_dimensions == tuple((part.width, part.height) for part in parts)


def test_a_region_of_a_coarser_level_covers_what_was_asked_for(decoder: Decoder, tmp_path: Path) -> None:
    export_slide(decoder, tmp_path / "out.tif", compression="lossless", level=1, region=Region(333, 171, 601, 555))
    pixels = levels_of(tmp_path / "out.tif")[0]
    assert np.array_equal(pixels, decoder.read(Region(83, 42, 151, 140), 1))
    with openslide.OpenSlide(tmp_path / "out.tif") as slide:
        assert float(slide.properties[openslide.PROPERTY_NAME_MPP_X]) == pytest.approx(1.0)
        assert float(slide.properties[openslide.PROPERTY_NAME_OBJECTIVE_POWER]) == pytest.approx(10)


@pytest.mark.parametrize(("compression", "low", "high"), [("jpeg", 30, 95), ("jp2k", 30, 45)])
def test_quality_is_heard(
    decoder: Decoder, tmp_path: Path, compression: Literal["jpeg", "jp2k"], low: float, high: float
) -> None:
    region, fidelity = Region(100, 100, 512, 512), []
    for quality in (low, high):
        out = tmp_path / f"{quality}.tif"
        export_slide(decoder, out, compression=compression, quality=quality, region=region)
        fidelity.append(psnr(levels_of(out)[0], decoder.read(region)))
    assert fidelity[1] > fidelity[0] + 3


@pytest.mark.parametrize("level", [0, 1])
def test_pictures_have_the_pixels(decoder: Decoder, tmp_path: Path, level: int) -> None:
    region, part = Region(333, 171, 600, 555), [Region(333, 171, 600, 555), Region(83, 42, 151, 140)][level]
    for name in ("out.png", "out.jpg"):
        export_picture(decoder, tmp_path / name, level=level, region=region)
        with PILImage.open(tmp_path / name) as picture:
            pixels = np.asarray(picture)
        expected = decoder.read(part, level)
        assert pixels.shape == expected.shape
        assert psnr(pixels, expected) > (99 if name == "out.png" else 30)


def test_progress_counts_every_tile(decoder: Decoder, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    export_slide(decoder, tmp_path / "out.tif", progress=lambda done, total: seen.append((done, total)))
    assert seen == [(i, 7) for i in range(1, 8)]


# Labels


def label(decoder: Decoder) -> str:
    assert decoder.manifest.quality is not None
    return f"mean PSNR {decoder.manifest.quality.psnr_db.mean:.2f} dB"


def test_the_full_resolution_says_that_it_is_reconstructed(decoder: Decoder, tmp_path: Path) -> None:
    region = Region(101, 99, 700, 600)
    export_slide(decoder, tmp_path / "out.tif", region=region)
    export_picture(decoder, tmp_path / "out.png", region=region)
    export_picture(decoder, tmp_path / "out.jpg", region=region)
    with PILImage.open(tmp_path / "out.png") as png, PILImage.open(tmp_path / "out.jpg") as jpg:
        png.load()
        texts = [descriptions_of(tmp_path / "out.tif")[0], png.text["Description"], jpg.info["comment"].decode()]  # type: ignore[attr-defined]
    for text in texts:
        assert f"reconstructed by packaged-x4 {PackagedGenerator.digest};" in text
        assert label(decoder) in text
        assert "lossy history: ISO_10918_1" in text
        assert "; ISO_15444_1" in text
        assert "not for primary diagnosis" in text
        assert "region 101,99,700,600 of level 0" in text
        assert text.endswith("|AppMag = 40|MPP = 0.25")


@pytest.mark.parametrize("level", [1, 2])
def test_what_is_stored_is_not_called_reconstructed(decoder: Decoder, tmp_path: Path, level: int) -> None:
    export_slide(decoder, tmp_path / "out.tif", level=level)
    export_picture(decoder, tmp_path / "out.png", level=level)
    with PILImage.open(tmp_path / "out.png") as png:
        png.load()
        texts = [*descriptions_of(tmp_path / "out.tif"), png.text["Description"]]  # type: ignore[attr-defined]
    for text in texts:
        assert "reconstructed" not in text
        assert "the stored base, averaged from the slide; lossy history: " in text
        assert "not for primary diagnosis" in text


def test_the_levels_of_one_file_are_labelled_each_for_itself(decoder: Decoder, tmp_path: Path) -> None:
    export_slide(decoder, tmp_path / "out.tif")
    assert ["reconstructed" in text for text in descriptions_of(tmp_path / "out.tif")] == [True, False]


def test_bicubic_in_a_generators_place_is_labelled_so(file: Path, tmp_path: Path) -> None:
    with Decoder(file, generator="bicubic") as decoder:
        export_slide(decoder, tmp_path / "out.tif")
        export_picture(decoder, tmp_path / "out.png", region=Region(0, 0, 99, 99))
        assert decoder.manifest.quality is not None
        measured = f"mean PSNR {decoder.manifest.quality.bicubic_psnr_db:.2f} dB; lossy"
    with PILImage.open(tmp_path / "out.png") as png:
        png.load()
        texts = [descriptions_of(tmp_path / "out.tif")[0], png.text["Description"]]  # type: ignore[attr-defined]
    for text in texts:
        assert "reconstructed by bicubic-x4 builtin:bicubic-x4; " in text
        assert measured in text
        assert "packaged-x4" not in text
    with open_slide(file, generator="bicubic") as slide:
        assert slide.properties["histocodec.level[0]"] == "reconstructed by bicubic-x4 builtin:bicubic-x4"
        assert slide.properties["histocodec.quality"].endswith(measured.removesuffix("; lossy"))


@pytest.mark.parametrize("name", ["out.tif", "out.png", "out.jpg"])
def test_the_icc_profile_survives(decoder: Decoder, tmp_path: Path, name: str) -> None:
    if name == "out.tif":
        export_slide(decoder, tmp_path / name)
    else:
        export_picture(decoder, tmp_path / name)
    with PILImage.open(tmp_path / name) as picture:
        assert picture.info["icc_profile"] == PROFILE


def test_a_png_states_its_resolution(decoder: Decoder, tmp_path: Path) -> None:
    export_picture(decoder, tmp_path / "out.png", level=1)
    with PILImage.open(tmp_path / "out.png") as picture:
        assert picture.info["dpi"] == pytest.approx((25400, 25400), rel=1e-3)


# What cannot be


@pytest.mark.parametrize(
    "region", [Region(-1, 0, 5, 5), Region(1000, 0, 101, 5), Region(0, 899, 1, 2), Region(2000, 2000, 1, 1)], ids=str
)
def test_a_region_outside_is_refused_before_anything_is_written(
    decoder: Decoder, tmp_path: Path, region: Region
) -> None:
    with pytest.raises(RegionError, match="does not lie within the slide of 1100 x 900 px"):
        export_slide(decoder, tmp_path / "out.tif", region=region)
    with pytest.raises(RegionError, match="does not lie within"):
        export_picture(decoder, tmp_path / "out.png", region=region)
    assert not names(tmp_path)


def test_quality_out_of_its_range(decoder: Decoder, tmp_path: Path) -> None:
    for compression, quality in (("jpeg", 0), ("jpeg", 85.5), ("jp2k", 99), ("lossless", 50), ("webp", None)):
        with pytest.raises(SettingsError):
            export_slide(decoder, tmp_path / "out.tif", compression=compression, quality=quality)  # type: ignore[arg-type]
    assert not names(tmp_path)


def test_a_picture_too_large_for_its_format(decoder: Decoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "_MAX_JPEG_SIDE", 500)
    with pytest.raises(RegionError, match=r"600 x 5 px are too many for one picture: write a \.tif"):
        export_picture(decoder, tmp_path / "out.jpg", region=Region(0, 0, 600, 5))
    export_picture(decoder, tmp_path / "out.png", region=Region(0, 0, 600, 5))
    monkeypatch.setattr(pictures, "_MAX_PICTURE_PIXELS", 1000)
    with pytest.raises(RegionError, match="too many"):
        export_picture(decoder, tmp_path / "more.png", region=Region(0, 0, 600, 5))
    assert names(tmp_path) == {"out.png"}


@pytest.mark.parametrize("name", ["out.tif", "out.png", "out.jpg"])
def test_a_full_disk_leaves_the_old_file(decoder: Decoder, tmp_path: Path, name: str) -> None:
    out, write = tmp_path / name, export_slide if name == "out.tif" else export_picture
    out.write_bytes(b"old")
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(NoSpace):
            write(decoder, out, overwrite=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert out.read_bytes() == b"old"
    assert names(tmp_path) == {name}


def test_a_container_is_not_replaced_by_what_is_decoded_from_it(file: Path, tmp_path: Path) -> None:
    link = tmp_path / "case.hc.tif"
    link.symlink_to(file)
    with Decoder(file, generator="bicubic") as decoder:
        for write in (export_slide, export_picture):
            with pytest.raises(OutputError, match="is the file that is being read"):
                write(decoder, link, overwrite=True)


def test_a_history_of_any_text_is_made_harmless(container_path: Path, tmp_path: Path) -> None:
    with Decoder(container_path) as decoder:
        step = LossyStep("\u4e2d|MPP = 9|", None, "x" * 100_000)
        slide = dataclasses.replace(decoder.manifest.slide, lossy_history=(step, *decoder.manifest.slide.lossy_history))
        decoder.manifest = dataclasses.replace(decoder.manifest, slide=slide)
        export_slide(decoder, tmp_path / "out.tif")
        export_picture(decoder, tmp_path / "out.jpg", region=Region(0, 0, 64, 64))
    with openslide.OpenSlide(tmp_path / "out.tif") as out:
        assert float(out.properties["openslide.mpp-x"]) == pytest.approx(0.25)


def test_a_reconstruction_encoded_again_still_says_what_it_is(container_path: Path, tmp_path: Path) -> None:
    with Decoder(container_path) as decoder:
        export_slide(decoder, tmp_path / "decoded.tif")
    with open_source(tmp_path / "decoded.tif") as source:
        report = encode(
            source,
            tmp_path / "again.hc.tif",
            settings=EncodeSettings(codec="jp2k", ratio=None, quality=30, deidentify=True),
        )
    first, *_, last = report.manifest.slide.lossy_history
    assert first.method == "reconstruction"
    assert first.derivation == "reconstructed by bicubic-x4 builtin:bicubic-x4"
    assert last.method == "ISO_15444_1"
    assert any("itself a reconstruction" in note for note in report.notes)


def test_the_quality_of_a_picture(container_path: Path, tmp_path: Path) -> None:
    with Decoder(container_path) as decoder:
        for quality in (20, 95):
            export_picture(decoder, tmp_path / f"{quality}.jpg", quality=quality, region=Region(0, 0, 128, 128))
        assert (tmp_path / "20.jpg").stat().st_size < (tmp_path / "95.jpg").stat().st_size
        with pytest.raises(SettingsError, match="lossless"):
            export_picture(decoder, tmp_path / "x.png", quality=20)


# Label, macro and thumbnail, and the levels beside them

LABEL, MACRO = (200, 120, 40), (30, 90, 160)


@pytest.fixture(scope="module", params=[(4, "jp2k"), (2, "av1")], ids=["40x", "20x av1"])
def labelled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, slide_image: Image) -> Path:
    """A container of a slide with label and macro."""
    scale, codec = request.param
    folder = tmp_path_factory.mktemp("labelled")
    write_slide(folder / "slide.tif", np.tile(slide_image, (2, 2, 1)), mpp=1 / scale)
    with open_source(folder / "slide.tif") as source:
        source.associated = {
            "label": np.full((300, 281, 3), LABEL, np.uint8),
            "macro": np.full((200, 500, 3), MACRO, np.uint8),
            "thumbnail": np.ascontiguousarray(slide_image[::8, ::8]),
        }
        settings = EncodeSettings(ratio=None, quality=30, codec=codec, verify="none")
        encode(source, folder / "slide.hc.tif", BicubicGenerator(scale), settings)
    return folder / "slide.hc.tif"


@pytest.mark.parametrize("compression", ["jpeg", "jp2k", "lossless"])
def test_every_reader_sees_all_levels_and_the_associated_images(
    labelled: Path, tmp_path: Path, compression: Compression
) -> None:
    out = tmp_path / "out.tif"
    with Decoder(labelled) as decoder:
        export_slide(decoder, out, compression=compression)
        sizes, mpp = decoder.levels, decoder.mpp
        stored = {name: decoder.container.associated_image(name) for name in decoder.manifest.associated}
    assert len(sizes) == 3
    with openslide.OpenSlide(out) as theirs, tiffslide.TiffSlide(out) as other, tifffile.TiffFile(out) as tiff:
        assert theirs.level_dimensions == other.level_dimensions == tuple(tuple(size) for size in sizes)
        baseline, *more = tiff.series
        assert [level.shape[:2] for level in baseline.levels] == [(size.height, size.width) for size in sizes]
        assert [series.name for series in more] == ["Thumbnail", "Label", "Macro"]
        assert set(theirs.associated_images) == set(other.associated_images) == {"thumbnail", "label", "macro"}
        for name, image in stored.items():
            assert np.array_equal(np.asarray(theirs.associated_images[name].convert("RGB")), image)
        for level in range(3):
            pixels = np.asarray(theirs.read_region((0, 0), level, (130, 120)).convert("RGB"))
            assert np.array_equal(np.asarray(other.read_region((0, 0), level, (130, 120))), pixels)
        assert other.properties["tiffslide.mpp-x"] == pytest.approx(mpp)
    with open_source(out) as source:  # and they outlive another encode
        assert set(source.associated) == {"thumbnail", "label", "macro"}


def test_without_associated_images(labelled: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.tif"
    with Decoder(labelled) as decoder:
        export_slide(decoder, out, associated=False)
        sizes = tuple(tuple(size) for size in decoder.levels)
        one_factor = decoder.downsamples == (1, 4, 16)
    with openslide.OpenSlide(out) as theirs, tiffslide.TiffSlide(out) as other:
        assert theirs.level_dimensions == sizes
        assert dict(theirs.associated_images) == {}
        if one_factor:
            assert other.level_dimensions == sizes
            assert dict(other.associated_images) == {}


def test_a_region_has_a_thumbnail_of_its_own(labelled: Path, tmp_path: Path) -> None:
    with Decoder(labelled) as decoder:
        export_slide(decoder, tmp_path / "part.tif", region=Region(301, 203, 1200, 700), compression="lossless")
        export_slide(decoder, tmp_path / "pixel.tif", region=Region(301, 203, 1, 1))
    with openslide.OpenSlide(tmp_path / "part.tif") as part:
        assert set(part.associated_images) == {"thumbnail", "label", "macro"}
        coarsest = part.level_count - 1
        whole = part.read_region((0, 0), coarsest, part.level_dimensions[coarsest]).convert("RGB")
        thumbnail = part.associated_images["thumbnail"].convert("RGB")
        assert thumbnail.size == whole.size
        assert np.abs(np.asarray(thumbnail).astype(int) - np.asarray(whole)).mean() < 12
    with openslide.OpenSlide(tmp_path / "pixel.tif") as pixel:
        assert pixel.dimensions == (1, 1)
