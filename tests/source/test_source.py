from __future__ import annotations

import os
import struct
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import openslide
import PIL.Image
import pytest
import tifffile

from histocodec.errors import (
    MissingResolution,
    RegionError,
    SettingsError,
    SourceError,
    SourceReadError,
    UnreadableSource,
    UnsupportedResolution,
)
from histocodec.format.tags import TAG_MANIFEST
from histocodec.geometry import Image, Region, Size
from histocodec.source import Source, open_source
from histocodec.source._files import size_on_disk
from histocodec.source._reader import over
from tests.places import DATA

WIDTH, HEIGHT = 401, 299
CM_025: dict[str, Any] = {"resolution": (40000, 40000), "resolutionunit": "CENTIMETER"}  # 0.25 um/px
OME_025 = {
    "axes": "YXS",
    "PhysicalSizeX": 250.0,
    "PhysicalSizeXUnit": "nm",
    "PhysicalSizeY": 250.0,
    "PhysicalSizeYUnit": "nm",
}


@pytest.fixture(scope="module")
def pixels() -> Image:
    """Noise, so that a pixel out of place or a swapped channel cannot hide."""
    return np.random.default_rng(20).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


def write_tiled(path: Path, image: np.ndarray[Any, Any], **options: Any) -> Path:
    tifffile.imwrite(path, image, **({"tile": (64, 80), "photometric": "rgb", "metadata": None} | options))
    return path


def write_sparse(path: Path, image: Image, missing: int, **options: Any) -> Path:
    """Tiles of 64 x 64 px, without the one at position `missing`."""
    padded = np.pad(image, [(0, -HEIGHT % 64), (0, -WIDTH % 64), (0, 0)])
    corners = [(y, x) for y in range(0, HEIGHT, 64) for x in range(0, WIDTH, 64)]
    tiles = [None if i == missing else padded[y : y + 64, x : x + 64] for i, (y, x) in enumerate(corners)]
    tifffile.imwrite(
        path,
        iter(tiles),
        shape=image.shape,
        dtype=image.dtype,
        tile=(64, 64),
        photometric="rgb",
        metadata=None,
        **options,
    )
    return path


def write_pyramid(path: Path, image: Image, **options: Any) -> Path:
    with tifffile.TiffWriter(path, bigtiff=True) as tiff:
        common: dict[str, Any] = {"tile": (64, 64), "photometric": "rgb", "metadata": None} | options
        tiff.write(image, **common, **CM_025)
        tiff.write(image[::2, ::2], subfiletype=1, **common)
        tiff.write(image[::4, ::4], subfiletype=1, **common)
    return path


def write_ome(path: Path, image: Image, **options: Any) -> Path:
    """The OME way: reduced levels in SubIFDs, micrometres in the XML, a screen's resolution in the tags."""
    with tifffile.TiffWriter(path, ome=True) as tiff:
        common: dict[str, Any] = {"photometric": "rgb"} | options
        tiff.write(image, subifds=1, resolution=(72, 72), resolutionunit="INCH", metadata=OME_025, **common)
        tiff.write(image[::2, ::2], subfiletype=1, **common)
    return path


def write_with_pillow(path: Path, image: np.ndarray[Any, Any], mode: str | None = None, **options: Any) -> Path:
    picture = PIL.Image.fromarray(image)
    (picture if mode is None else picture.convert(mode)).save(path, **options)
    return path


EXACT: dict[str, tuple[str, Callable[[Path, Image], Path]]] = {
    "OpenSlide, tiled": ("generic-tiff", lambda folder, image: write_tiled(folder / "a.tif", image, **CM_025)),
    "OpenSlide, pyramid": ("generic-tiff", lambda folder, image: write_pyramid(folder / "a.tif", image)),
    "OpenSlide, planes": (
        "generic-tiff",
        lambda folder, image: write_tiled(
            folder / "a.tif", np.moveaxis(image, 2, 0).copy(), planarconfig="separate", **CM_025
        ),
    ),
    "OpenSlide, OME": ("generic-tiff", lambda folder, image: write_ome(folder / "a.ome.tif", image, tile=(64, 64))),
    "tifffile, pyramid": ("tiff", lambda folder, image: write_pyramid(folder / "a.tif", image, compression="png")),
    "tifffile, planes": (
        "tiff",
        lambda folder, image: write_tiled(
            folder / "a.tif", np.moveaxis(image, 2, 0).copy(), planarconfig="separate", compression="png", **CM_025
        ),
    ),
    "tifffile, big-endian": (
        "tiff",
        lambda folder, image: write_tiled(folder / "a.tif", image, byteorder=">", compression="png", **CM_025),
    ),
    "tifffile, OME": (
        "ome-tiff",
        lambda folder, image: write_ome(folder / "a.ome.tif", image, tile=(64, 64), compression="png"),
    ),
    "libvips, stripped": (
        "tiff",
        lambda folder, image: write_tiled(folder / "a.tif", image, tile=None, rowsperstrip=7, compression="zlib"),
    ),
    "libvips, stripped OME": ("ome-tiff", lambda folder, image: write_ome(folder / "a.ome.tif", image)),
    "libvips, PNG": ("image", lambda folder, image: write_with_pillow(folder / "a.png", image)),
    "libvips, WebP": ("image", lambda folder, image: write_with_pillow(folder / "a.webp", image, lossless=True)),
    "libvips, brackets in the name": (
        "image",
        lambda folder, image: write_with_pillow(folder / "case [page=3] µ,é.png", image),
    ),
    "libvips, a name that lies": (
        "image",
        lambda folder, image: write_with_pillow(folder / "a.svs", image, format="png"),
    ),
}


@pytest.mark.parametrize("name", EXACT)
def test_regions_are_the_pixels_that_were_written(name: str, tmp_path: Path, pixels: Image) -> None:
    vendor, write = EXACT[name]
    path = write(tmp_path, pixels)
    random = np.random.default_rng(7)
    with open_source(path, mpp=0.25) as source:
        assert (source.size, source.mpp, source.vendor) == (Size(WIDTH, HEIGHT), 0.25, vendor)
        assert source.size_bytes == path.stat().st_size
        assert source.background == (255, 255, 255)
        regions = [Region(0, 0, WIDTH, HEIGHT), Region(WIDTH - 1, HEIGHT - 1, 1, 1)]
        for _ in range(12):
            x, y = int(random.integers(WIDTH)), int(random.integers(HEIGHT))
            width, height = int(random.integers(1, WIDTH - x + 1)), int(random.integers(1, HEIGHT - y + 1))
            regions.append(Region(x, y, width, height))
        for region in regions:
            image = source.read(region)
            assert image.dtype == np.uint8
            assert image.flags.c_contiguous
            assert image.flags.writeable
            np.testing.assert_array_equal(image, pixels[region.y : region.bottom, region.x : region.right])


@pytest.mark.parametrize("name", ["OpenSlide, pyramid", "tifffile, pyramid", "libvips, PNG", "libvips, stripped"])
def test_threads_read_what_one_thread_reads(name: str, tmp_path: Path, pixels: Image) -> None:
    regions = [Region(x, y, 90, 70) for x in range(0, WIDTH - 90, 31) for y in range(0, HEIGHT - 70, 23)]
    with open_source(EXACT[name][1](tmp_path, pixels), mpp=0.25) as source, ThreadPoolExecutor(4) as pool:
        for region, image in zip(regions, pool.map(source.read, regions), strict=True):
            np.testing.assert_array_equal(image, pixels[region.y : region.bottom, region.x : region.right])


@pytest.mark.parametrize("compression", [None, "png"], ids=["OpenSlide", "tifffile"])
def test_missing_tiles_are_background(compression: str | None, tmp_path: Path, pixels: Image) -> None:
    path = write_sparse(tmp_path / "sparse.tif", pixels, missing=8, compression=compression, **CM_025)
    expected = pixels.copy()
    expected[64:128, 64:128] = 255
    with open_source(path) as source:
        np.testing.assert_array_equal(source.read(Region(0, 0, WIDTH, HEIGHT)), expected)


@pytest.mark.parametrize("reader", ["OpenSlide", "tifffile", "libvips"])
def test_straight_alpha_is_blended_over_white(reader: str, tmp_path: Path, pixels: Image) -> None:
    alpha = np.resize(np.array([0, 1, 100, 128, 254, 255, 255], np.uint8), (HEIGHT, WIDTH, 1))
    rgba = np.concatenate([pixels, alpha], axis=2)
    match reader:
        case "libvips":
            path = write_with_pillow(tmp_path / "a.png", rgba)
        case _:
            compression = None if reader == "OpenSlide" else "png"
            path = write_tiled(tmp_path / "a.tif", rgba, extrasamples=["unassalpha"], compression=compression)
    share = alpha / 255
    expected = pixels * share + 255 * (1 - share)
    with open_source(path, mpp=0.25) as source:
        image = source.read(Region(0, 0, WIDTH, HEIGHT))
    assert image.shape == (HEIGHT, WIDTH, 3)
    # OpenSlide works with premultiplied colours: one rounding more.
    assert np.abs(image - expected).max() <= (2.0 if reader == "OpenSlide" else 0.5)
    np.testing.assert_array_equal(image[alpha[..., 0] == 0], 255)
    np.testing.assert_array_equal(image[alpha[..., 0] == 255], pixels[alpha[..., 0] == 255])


@pytest.mark.parametrize("compression", [None, "png"], ids=["OpenSlide", "tifffile"])
def test_associated_alpha_is_not_applied_twice(compression: str | None, tmp_path: Path, pixels: Image) -> None:
    rgba = np.concatenate([pixels // 2, np.full((HEIGHT, WIDTH, 1), 128, np.uint8)], axis=2)
    path = write_tiled(tmp_path / "a.tif", rgba, extrasamples=["assocalpha"], compression=compression)
    with open_source(path, mpp=0.25) as source:
        image = source.read(Region(0, 0, WIDTH, HEIGHT))
    assert np.abs(image - (pixels // 2 + 127.0)).max() <= 1


def test_over_rounds_to_the_nearest_and_keeps_to_the_range() -> None:
    alpha, colour = np.meshgrid(np.arange(256, dtype=np.uint8), np.arange(256, dtype=np.uint8))
    rgba = np.stack([colour, colour, colour, alpha], axis=2)
    exact = (colour * (alpha / 255))[..., None] + np.array([255, 0, 40]) * (1 - alpha / 255)[..., None]
    assert np.abs(over(rgba, (255, 0, 40)) - exact).max() <= 0.5
    assert over(np.full((1, 1, 4), 200, np.uint8), (255, 255, 255), premultiplied=True).max() == 255


def test_a_region_outside_is_refused(tmp_path: Path, pixels: Image) -> None:
    with open_source(write_tiled(tmp_path / "a.tif", pixels), mpp=0.25) as source:
        for region in (Region(-1, 0, 2, 2), Region(0, HEIGHT - 1, 2, 2), Region(WIDTH, 0, 1, 1)):
            with pytest.raises(RegionError, match="is not within 401 x 299 px"):
                source.read(region)


@pytest.mark.parametrize("name", ["OpenSlide, tiled", "tifffile, pyramid", "libvips, PNG"])
def test_a_closed_source_says_so(name: str, tmp_path: Path, pixels: Image) -> None:
    source = open_source(EXACT[name][1](tmp_path, pixels), mpp=0.25)
    source.close()
    source.close()
    with pytest.raises(SourceReadError, match="closed"):
        source.read(Region(0, 0, 1, 1))


# Resolution


@pytest.mark.parametrize(
    ("unit", "per_unit"), [("CENTIMETER", 20000), ("INCH", 50800)], ids=["per centimetre", "per inch"]
)
@pytest.mark.parametrize("compression", [None, "png"], ids=["OpenSlide", "tifffile"])
def test_resolution_tags(unit: str, per_unit: int, compression: str | None, tmp_path: Path, pixels: Image) -> None:
    options = {"resolution": (per_unit, per_unit * 1.01), "resolutionunit": unit, "compression": compression}
    path = write_tiled(tmp_path / "a.tif", pixels, **options)
    with open_source(path) as source:
        assert source.mpp == pytest.approx((0.5 + 0.5 / 1.01) / 2, rel=1e-6)
    with open_source(path, mpp=0.3) as source:
        assert source.mpp == 0.3


@pytest.mark.parametrize("compression", [None, "png"], ids=["OpenSlide", "tifffile"])
def test_pixels_that_are_not_square(compression: str | None, tmp_path: Path, pixels: Image) -> None:
    options = {"resolution": (40000, 39000), "resolutionunit": "CENTIMETER", "compression": compression}
    path = write_tiled(tmp_path / "a.tif", pixels, **options)
    with pytest.raises(UnsupportedResolution, match=r"0\.25 x 0\.2564.*--mpp"):
        open_source(path)
    with open_source(path, mpp=0.25) as source:
        assert source.mpp == 0.25


@pytest.mark.parametrize("compression", [None, "png"], ids=["OpenSlide", "tifffile"])
@pytest.mark.parametrize("dpi", [72, 96, 300, 600, 10_000_000])
def test_the_resolution_of_a_screen_is_none(dpi: int, compression: str | None, tmp_path: Path, pixels: Image) -> None:
    options = {"resolution": (dpi, dpi), "resolutionunit": "INCH", "compression": compression}
    with pytest.raises(MissingResolution, match="--mpp"):
        open_source(write_tiled(tmp_path / "a.tif", pixels, **options))


@pytest.mark.parametrize(
    "options",
    [{}, {"resolution": (40000, 40000), "resolutionunit": "NONE"}, {"resolution": ((0, 1), (0, 1))}],
    ids=["absent", "without a unit", "of zero"],
)
def test_no_resolution(options: dict[str, Any], tmp_path: Path, pixels: Image) -> None:
    for compression in (None, "png"):
        path = write_tiled(tmp_path / "a.tif", pixels, compression=compression, **options)
        with pytest.raises(MissingResolution, match="--mpp"):
            open_source(path)


@pytest.mark.parametrize("name", ["libvips, PNG", "libvips, stripped"])
def test_flat_images_are_not_believed(name: str, tmp_path: Path, pixels: Image) -> None:
    with pytest.raises(MissingResolution, match="--mpp"):
        open_source(EXACT[name][1](tmp_path, pixels))


@pytest.mark.parametrize("name", [name for name in EXACT if name.endswith("OME")])
def test_ome_is_believed_before_the_tags(name: str, tmp_path: Path, pixels: Image) -> None:
    with open_source(EXACT[name][1](tmp_path, pixels)) as source:
        assert source.mpp == pytest.approx(0.25)


@pytest.mark.parametrize("mpp", [0.0, -0.25, float("nan"), float("inf")])
def test_mpp_out_of_range(mpp: float, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="mpp"):
        open_source(tmp_path / "not looked at.svs", mpp=mpp)


# Metadata


def test_ome_label_macro_and_objective(tmp_path: Path, pixels: Image) -> None:
    label, macro = pixels[:40, :60], pixels[50:90, :70]
    path = tmp_path / "a.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as tiff:
        for name, image in (("Label image", label), ("scan", pixels), ("macro", macro)):
            options: dict[str, Any] = {"tile": (64, 64), "compression": "png"} if name == "scan" else {}
            tiff.write(image, photometric="rgb", metadata=OME_025 | {"Name": name}, **options)
    xml = str(tifffile.tiffcomment(path))
    objective = '<Instrument ID="I:0"><Objective ID="O:0" NominalMagnification="40.0"/></Instrument>'
    head, rest = xml.split("<Image ", 1)
    xml = f"{head}{objective}<Image {rest}".replace('Name="scan">', 'Name="scan"><ObjectiveSettings ID="O:0"/>')
    tifffile.tiffcomment(path, xml.encode())
    with open_source(path) as source:
        assert source.vendor == "ome-tiff"
        assert source.size == Size(WIDTH, HEIGHT)
        assert source.objective_power == 40.0
        assert sorted(source.associated) == ["label", "macro"]
        np.testing.assert_array_equal(source.associated["label"], label)
        np.testing.assert_array_equal(source.associated["macro"], macro)
        assert source.properties["tiff.ImageDescription"].startswith("<?xml")


@pytest.mark.parametrize("compression", [None, "png"], ids=["OpenSlide", "tifffile"])
def test_the_full_resolution_counts_not_the_first(compression: str | None, tmp_path: Path, pixels: Image) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as tiff:
        options: dict[str, Any] = {"tile": (64, 64), "photometric": "rgb", "metadata": None, "compression": compression}
        tiff.write(pixels[::2, ::2], subfiletype=1, **options, **CM_025)
        tiff.write(pixels, **options, **CM_025)
    with open_source(path) as source:
        assert source.size == Size(WIDTH, HEIGHT)
        np.testing.assert_array_equal(source.read(Region(0, 0, WIDTH, HEIGHT)), pixels)


def test_icc_profile_is_handed_through(tmp_path: Path, pixels: Image) -> None:
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    paths = [
        write_tiled(tmp_path / "openslide.tif", pixels, iccprofile=profile),
        write_tiled(tmp_path / "tifffile.tif", pixels, iccprofile=profile, compression="png"),
        write_with_pillow(tmp_path / "libvips.png", pixels, icc_profile=profile),
    ]
    for path in paths:
        with open_source(path, mpp=0.25) as source:
            assert source.icc_profile == profile, path.name


@pytest.mark.parametrize(
    ("write", "methods"),
    [
        (lambda path, image: write_tiled(path, image, compression="jpeg", tile=(64, 64)), ("ISO_10918_1",)),
        (lambda path, image: write_tiled(path, image, compression="jpeg2000"), ("ISO_15444_1",)),
        (lambda path, image: write_tiled(path, image, compression="webp"), ("WEBP",)),
        (lambda path, image: write_tiled(path, image, compression="jpegxl"), ("ISO_18181_1",)),
        (lambda path, image: write_tiled(path, image, compression="zstd"), ()),
        (
            lambda path, image: write_tiled(path, image, compression="jpeg", tile=None, rowsperstrip=64),
            ("ISO_10918_1",),
        ),
        (lambda path, image: write_with_pillow(path, image, format="jpeg"), ("ISO_10918_1",)),
        (lambda path, image: write_with_pillow(path, image, format="png"), ()),
    ],
    ids=["JPEG", "JPEG 2000", "WebP", "JPEG XL", "zstd", "JPEG strips", ".jpg", ".png"],
)
def test_lossy_methods(
    write: Callable[[Path, Image], Path], methods: tuple[str, ...], tmp_path: Path, pixels: Image
) -> None:
    path = write(tmp_path / "a", pixels)
    with open_source(path, mpp=0.25) as source:
        assert source.lossy_methods == methods
        # A smoke test of the colours: noise survives no lossy codec, its mean does.
        mean = source.read(Region(0, 0, WIDTH, HEIGHT)).mean(axis=(0, 1))
        assert np.abs(mean - pixels.mean(axis=(0, 1))).max() < 12


def test_tifffile_and_openslide_give_the_same_jpeg_colours(tmp_path: Path) -> None:
    ramp = np.linspace(20, 235, 256, dtype=np.uint8)
    image = np.stack(np.broadcast_arrays(ramp[:, None], ramp[None, ::-1], np.uint8(90)), axis=2)
    jpeg: dict[str, Any] = {"tile": (64, 64), "photometric": "rgb", "compression": "jpeg", "subsampling": (2, 2)}
    alone = write_tiled(tmp_path / "alone.tif", image, **jpeg)
    second = tmp_path / "second.tif"  # OpenSlide would read the first image
    with tifffile.TiffWriter(second) as tiff:
        for each in (image[:64, :64], image):
            tiff.write(each, metadata=None, **jpeg)
    with tifffile.TiffFile(second) as stored:
        page = stored.pages[1]
        assert isinstance(page, tifffile.TiffPage)
        assert page.photometric == tifffile.PHOTOMETRIC.YCBCR
    with open_source(alone, mpp=0.25) as one, open_source(second, mpp=0.25) as other:
        assert (one.vendor, other.vendor) == ("generic-tiff", "tiff")
        found = [source.read(Region(0, 0, 256, 256)).astype(int) for source in (one, other)]
    assert np.abs(found[0] - found[1]).max() <= 2
    assert np.abs(found[0] - image).max() < 16


@pytest.mark.parametrize("compression", [None, "png"], ids=["OpenSlide", "tifffile"])
def test_memory_follows_the_region_not_the_slide(compression: str | None, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tile = np.full((512, 512, 3), 90, np.uint8)
    tiles = (tile if index == 0 else None for index in range(100 * 100))
    shape = (51200, 51200, 3)
    tifffile.imwrite(
        path, tiles, shape=shape, dtype=np.uint8, tile=(512, 512), photometric="rgb", compression=compression
    )
    tracemalloc.start()
    try:
        with open_source(path, mpp=0.25) as source:
            assert (source.read(Region(0, 0, 1024, 1024)) == 255).mean() == 0.75
            assert (source.read(Region(50176, 50176, 1024, 1024)) == 255).all()
        assert tracemalloc.get_traced_memory()[1] < 40e6
    finally:
        tracemalloc.stop()


def write_aperio(path: Path, image: Image, **options: Any) -> Path:
    with tifffile.TiffWriter(path) as tiff:
        common: dict[str, Any] = {"photometric": "rgb", "metadata": None, "software": False} | options
        text = "Aperio Image Library v1\r\n401x299 [0,0 401x299] (64x64)|AppMag = 40|MPP = 0.2521"
        tiff.write(image, tile=(64, 64), description=text, **common)
        tiff.write(image[:20, :26], description="Aperio\r\n401x299 -> 26x20", **common)
        tiff.write(image[:30, :50], description="Aperio\r\nlabel 50x30", subfiletype=1, **common)
        tiff.write(image[:90, :80], description="Aperio\r\nmacro 80x90", subfiletype=9, **common)
    return path


def test_an_aperio_slide(tmp_path: Path, pixels: Image) -> None:
    with open_source(write_aperio(tmp_path / "a.svs", pixels)) as source:
        assert (source.vendor, source.mpp, source.objective_power) == ("aperio", 0.2521, 40.0)
        assert source.properties["aperio.AppMag"] == "40"
        assert sorted(source.associated) == ["label", "macro", "thumbnail"]
        np.testing.assert_array_equal(source.associated["label"], pixels[:30, :50])
        np.testing.assert_array_equal(source.read(Region(0, 0, WIDTH, HEIGHT)), pixels)


def test_a_damaged_label_costs_only_the_label(tmp_path: Path, pixels: Image) -> None:
    path = write_aperio(tmp_path / "a.svs", pixels, compression="jpeg")
    with tifffile.TiffFile(path) as tiff:
        offset = tiff.pages[2].dataoffsets[0]
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(bytes(100))
    with open_source(path) as source:
        assert sorted(source.associated) == ["macro", "thumbnail"]
        assert source.read(Region(0, 0, WIDTH, HEIGHT)).shape == (HEIGHT, WIDTH, 3)


def test_an_aperio_slide_whose_codec_only_tifffile_has(tmp_path: Path, pixels: Image) -> None:
    path = write_aperio(tmp_path / "a.svs", pixels, compression="png")
    with pytest.raises(MissingResolution, match="--mpp"):
        open_source(path)
    with open_source(path, mpp=0.25) as source:
        assert source.vendor == "tiff"
        np.testing.assert_array_equal(source.read(Region(0, 0, WIDTH, HEIGHT)), pixels)


def write_dicom(path: Path, image: Image, *, series: str, instance: str, methods: str = "") -> None:
    """A whole-slide image in one uncompressed file, explicit VR, with the least that OpenSlide asks for."""

    def element(tag: int, kind: str, value: str | int | bytes) -> bytes:
        if isinstance(value, int):
            value = struct.pack("<H" if kind == "US" else "<I", value)
        elif isinstance(value, str):
            value = value.encode()
        value += (b"\0" if kind == "UI" else b" ") * (len(value) % 2)
        head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, kind.encode())
        return head + struct.pack("<xxI" if kind in ("OB", "SQ") else "<H", len(value)) + value

    def item(value: bytes) -> bytes:
        return struct.pack("<HHI", 0xFFFE, 0xE000, len(value)) + value

    height, width, _ = image.shape
    side = 32
    frames = [
        image[y : y + side, x : x + side].tobytes() for y in range(0, height, side) for x in range(0, width, side)
    ]
    storage = "1.2.840.10008.5.1.4.1.1.77.1.6"
    spacing = item(element(0x00280030, "DS", "0.00025\\0.00025"))
    meta = (
        element(0x00020001, "OB", b"\0\1")
        + element(0x00020002, "UI", storage)
        + element(0x00020003, "UI", instance)
        + element(0x00020010, "UI", "1.2.840.10008.1.2.1")
    )
    data = [
        element(0x00080008, "CS", "ORIGINAL\\PRIMARY\\VOLUME\\NONE"),
        element(0x00080016, "UI", storage),
        element(0x00080018, "UI", instance),
        element(0x0020000E, "UI", series),
        element(0x00209311, "CS", "TILED_FULL"),
        element(0x00280002, "US", 3),
        element(0x00280004, "CS", "RGB"),
        element(0x00280006, "US", 0),
        element(0x00280008, "IS", str(len(frames))),
        element(0x00280010, "US", side),
        element(0x00280011, "US", side),
        element(0x00280100, "US", 8),
        element(0x00280101, "US", 8),
        element(0x00280102, "US", 7),
        element(0x00280103, "US", 0),
        element(0x00282114, "CS", methods),
        element(0x00480006, "UL", width),
        element(0x00480007, "UL", height),
        element(0x52009229, "SQ", item(element(0x00289110, "SQ", spacing))),
        element(0x7FE00010, "OB", b"".join(frames)),
    ]
    group = element(0x00020000, "UL", len(meta))
    path.write_bytes(bytes(128) + b"DICM" + group + meta + b"".join(data))


def test_dicom_series(tmp_path: Path, pixels: Image) -> None:
    image = pixels[:128, :192]
    write_dicom(tmp_path / "1.dcm", image, series="1.2.34", instance="1.2.1", methods="ISO_15444_1\\ISO_10918_1")
    write_dicom(tmp_path / "2.dcm", image[::2, ::2], series="1.2.34", instance="1.2.2")
    write_dicom(tmp_path / "other.dcm", image, series="1.2.345", instance="1.2.3")
    (tmp_path / "notes.txt").write_text("1.2.34")
    for name in ("1.dcm", "2.dcm"):
        with open_source(tmp_path / name) as source:
            assert (source.vendor, source.mpp, source.size) == ("dicom", 0.25, Size(192, 128))
            assert source.lossy_methods == ("ISO_15444_1", "ISO_10918_1")
            assert source.size_bytes == sum((tmp_path / each).stat().st_size for each in ("1.dcm", "2.dcm"))
            np.testing.assert_array_equal(source.read(Region(30, 20, 100, 100)), image[20:120, 30:130])


def test_size_on_disk_counts_every_file(tmp_path: Path) -> None:
    for name, size in (("a.mrxs", 5), ("a/Slidedat.ini", 7), ("a/deep/Data0000.dat", 11), ("b/Data0000.dat", 13)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(bytes(size))
    assert size_on_disk(tmp_path / "a.mrxs", "mirax", {}) == 23
    assert size_on_disk(tmp_path / "a.mrxs", "generic-tiff", {}) == 5

    for name, size in (("s.vms", 1), ("s.jpg", 2), ("s(1,0).jpg", 4), ("s_map.jpg", 8), ("stranger.jpg", 16)):
        (tmp_path / name).write_bytes(bytes(size))
    named = {"hamamatsu.ImageFile": "s.jpg", "hamamatsu.ImageFile(1,0)": "s(1,0).jpg", "hamamatsu.MapFile": "s_map.jpg"}
    named |= {"hamamatsu.Reference": "../a.mrxs", "openslide.comment": "stranger.jpg"}
    assert size_on_disk(tmp_path / "s.vms", "hamamatsu", named) == 15


# What is refused


def unreadable(path: Path, reason: str) -> None:
    with pytest.raises(UnreadableSource, match=reason) as caught:
        open_source(path, mpp=0.25)
    assert caught.value.path == path
    assert "\n" not in caught.value.reason


def test_not_a_file(tmp_path: Path) -> None:
    (tmp_path / "empty.svs").touch()
    (tmp_path / "notes.svs").write_text("slide 12, box 3\n" * 100)
    (tmp_path / "table.csv").write_text("1,2,3\n4,5,6\n")
    os.mkfifo(tmp_path / "pipe.svs")
    unreadable(tmp_path / "missing.svs", "no such file")
    unreadable(tmp_path / "notes.svs" / "below.svs", "cannot be opened")
    unreadable(tmp_path, "directory")
    unreadable(tmp_path / "empty.svs", "empty file")
    unreadable(tmp_path / "notes.svs", "expected a slide or an image file, found neither")
    unreadable(tmp_path / "table.csv", "expected a slide or an image file, found neither")
    unreadable(tmp_path / "pipe.svs", "pipe")


def test_tiff_of_other_than_8_bit_rgb(tmp_path: Path, pixels: Image) -> None:
    wide = pixels.astype(np.uint16) * 200
    four = np.concatenate([pixels, pixels[..., :1]], axis=2)
    for tile in ((64, 64), None):  # OpenSlide turns most of the tiled ones into RGB without a word
        write_tiled(tmp_path / "a.tif", wide, tile=tile)
        unreadable(tmp_path / "a.tif", "expected 8-bit RGB, found 3 x 16 bit per pixel")
        write_tiled(tmp_path / "a.tif", pixels[..., 0], tile=tile, photometric="minisblack")
        unreadable(tmp_path / "a.tif", "expected 8-bit RGB, found 1 x 8 bit per pixel")
        write_tiled(tmp_path / "a.tif", pixels.astype(np.int8), tile=tile)
        unreadable(tmp_path / "a.tif", "expected 8-bit RGB")
        write_tiled(tmp_path / "a.tif", four, tile=tile, photometric="separated")
        unreadable(tmp_path / "a.tif", r"expected 8-bit RGB, found 4 x 8 bit .*\(separated\)")
        write_tiled(tmp_path / "a.tif", four, tile=tile, extrasamples=["unspecified"])
        unreadable(tmp_path / "a.tif", "expected 8-bit RGB, found 4 x 8 bit")
        write_tiled(tmp_path / "a.tif", pixels, tile=tile, photometric="cielab")
        unreadable(tmp_path / "a.tif", "expected 8-bit RGB, found cielab")


def test_channels_and_planes(tmp_path: Path, pixels: Image) -> None:
    path = tmp_path / "channels.ome.tif"
    planes = np.moveaxis(pixels, 2, 0).copy()
    dyes = {"axes": "CYX", "Channel": {"Name": ["DAPI", "FITC", "Cy5"]}}
    tifffile.imwrite(path, planes, tile=(64, 64), photometric="minisblack", metadata=dyes)
    unreadable(path, "expected 8-bit RGB, found 3 channels of 1 x 8 bit .* not said to be red, green and blue")
    path = tmp_path / "grey.tif"
    tifffile.imwrite(path, planes, tile=(64, 64), photometric="minisblack", metadata=None)
    unreadable(path, "found 3 grey images of 401 x 299 px, which nothing says to be red, green and blue.*vips bandjoin")
    path = tmp_path / "focus.ome.tif"
    for compression in (None, "png"):
        tifffile.imwrite(
            path,
            np.stack([pixels, pixels[::-1]]),
            tile=(64, 64),
            photometric="rgb",
            compression=compression,
            metadata={"axes": "ZYXS"},
        )
        unreadable(path, "expected one image, found 2 of 401 x 299 px")


def test_flat_images_of_other_than_8_bit_rgb(tmp_path: Path, pixels: Image) -> None:
    unreadable(write_with_pillow(tmp_path / "grey.png", pixels[..., 0]), r"expected 8-bit RGB, found 1 x uchar .*b-w")
    unreadable(write_with_pillow(tmp_path / "grey.jpg", pixels[..., 0]), "expected 8-bit RGB")
    unreadable(write_with_pillow(tmp_path / "cmyk.jpg", pixels, "CMYK"), "expected 8-bit RGB, found 4 x uchar .*cmyk")
    unreadable(write_with_pillow(tmp_path / "bit.png", pixels, "1"), "expected 8-bit RGB")
    deep = write_with_pillow(tmp_path / "deep.png", pixels[..., 0].astype(np.uint16) * 257)
    unreadable(deep, "expected 8-bit RGB, found 1 x ushort")
    frames = [PIL.Image.fromarray(image) for image in (pixels, pixels[::-1])]
    frames[0].save(tmp_path / "film.webp", save_all=True, append_images=frames[1:], lossless=True)
    unreadable(tmp_path / "film.webp", "expected one image, found 2")


def test_a_turned_tiff(tmp_path: Path, pixels: Image) -> None:
    for compression in (None, "png"):
        path = write_tiled(tmp_path / "a.tif", pixels, compression=compression, extratags=[(274, 3, 1, 3, True)])
        unreadable(path, "turned or mirrored")


def test_a_turned_photograph_is_set_upright(tmp_path: Path, pixels: Image) -> None:
    picture = PIL.Image.fromarray(pixels)
    exif = picture.getexif()
    exif[274] = 6
    picture.save(tmp_path / "a.png", exif=exif)
    with open_source(tmp_path / "a.png", mpp=0.25) as source:
        assert source.size == Size(HEIGHT, WIDTH)
        np.testing.assert_array_equal(source.read(Region(0, 0, HEIGHT, WIDTH)), np.rot90(pixels, -1))


def test_a_histocodec_file(tmp_path: Path, pixels: Image) -> None:
    path = write_tiled(
        tmp_path / "a.hc.tif", pixels, extratags=[(TAG_MANIFEST, 7, 4, b"\x28\xb5\x2f\xfd", True)], **CM_025
    )
    unreadable(path, "already a histocodec file; decode it first")


def test_tiles_too_large_to_be_read_one_by_one(tmp_path: Path) -> None:
    path = write_tiled(tmp_path / "a.tif", np.zeros((16, 16, 3), np.uint8), tile=(16, 16))
    with tifffile.TiffFile(path, mode="r+") as tiff:
        for name in ("ImageWidth", "ImageLength", "TileWidth", "TileLength"):
            page = tiff.pages[0]
            assert isinstance(page, tifffile.TiffPage)
            page.tags[name].overwrite(32768, dtype="I")
    unreadable(path, "expected tiles of at most 67108864 px, found 32768 x 32768 px")


# What is cut off or damaged


def directories_last(data: bytes) -> bytes:
    """A little-endian BigTIFF with its directories behind the pixels, as scanners write them."""
    pointer, (offset,) = 8, struct.unpack_from("<Q", data, 8)
    moved = bytearray(data)
    while offset:
        (count,) = struct.unpack_from("<Q", data, offset)
        struct.pack_into("<Q", moved, pointer, len(moved))
        pointer = len(moved) + 8 + 20 * count
        moved += data[offset : offset + 8 + 20 * count + 8]
        (offset,) = struct.unpack_from("<Q", data, offset + 8 + 20 * count)
    return bytes(moved)


@pytest.mark.parametrize("compression", [None, "png"], ids=["OpenSlide", "tifffile"])
@pytest.mark.parametrize("layout", ["directories first", "directories last"])
def test_a_tiff_cut_off_anywhere(
    layout: str, compression: str | None, tmp_path: Path, pixels: Image, capfd: pytest.CaptureFixture[str]
) -> None:
    path = write_pyramid(tmp_path / "a.tif", pixels, compression=compression)
    data = path.read_bytes()
    with tifffile.TiffFile(path) as tiff:
        cut = max(np.add(tiff.pages[0].dataoffsets, tiff.pages[0].databytecounts)) - 1
    if layout == "directories last":
        data = directories_last(data)
        cut = len(data) - 1
    for length in (2, 4, 8, 16, 100, 300, len(data) // 3, len(data) * 2 // 3, cut, len(data)):
        path.write_bytes(data[:length])
        if length < 4:
            unreadable(path, "found neither")
        elif length <= cut:
            unreadable(path, "cut off")
        else:
            with open_source(path) as source:
                np.testing.assert_array_equal(source.read(Region(0, 0, WIDTH, HEIGHT)), pixels)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("compression", ["jpeg", "png"], ids=["OpenSlide", "tifffile"])
def test_a_damaged_tile(compression: str, tmp_path: Path, pixels: Image, capfd: pytest.CaptureFixture[str]) -> None:
    path = write_tiled(tmp_path / "a.tif", pixels, tile=(64, 64), compression=compression)
    with tifffile.TiffFile(path) as tiff:
        offset = tiff.pages[0].dataoffsets[-1]
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(bytes(200))
    with open_source(path, mpp=0.25) as source:
        assert source.read(Region(0, 0, 64, 64)).shape == (64, 64, 3)
        with pytest.raises(SourceReadError, match=r"the region of 1 x 2 px at \(400, 297\): \w") as caught:
            source.read(Region(WIDTH - 1, HEIGHT - 2, 1, 2))
        assert caught.value.path == path
    assert capfd.readouterr().err == ""


def test_a_tile_that_contradicts_its_directory(tmp_path: Path, pixels: Image) -> None:
    """A grey codestream in an RGB page must not be spread over three channels."""
    path = write_tiled(tmp_path / "a.tif", pixels, tile=(64, 64), compression="png")
    grey = write_tiled(
        tmp_path / "grey.tif", pixels[:64, :64, 0], tile=(64, 64), compression="png", photometric="minisblack"
    )
    with tifffile.TiffFile(grey) as tiff:
        start, count = tiff.pages[0].dataoffsets[0], tiff.pages[0].databytecounts[0]
    with tifffile.TiffFile(path) as tiff:
        offset = tiff.pages[0].dataoffsets[0]
    codestream = grey.read_bytes()[start : start + count]
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(codestream)
    with open_source(path, mpp=0.25) as source, pytest.raises(SourceReadError):
        source.read(Region(0, 0, 64, 64))


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_a_flat_image_cut_off(suffix: str, tmp_path: Path, pixels: Image, capfd: pytest.CaptureFixture[str]) -> None:
    path = write_with_pillow(tmp_path / f"a.{suffix}", pixels)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(SourceError), open_source(path, mpp=0.25) as source:  # PNG and JPEG open, WebP does not
        source.read(Region(0, 0, WIDTH, HEIGHT))
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("compression", [None, "png"], ids=["OpenSlide", "tifffile"])
def test_damaged_headers_end_in_a_sentence(
    compression: str | None, tmp_path: Path, pixels: Image, capfd: pytest.CaptureFixture[str]
) -> None:
    """Whatever byte of the directory is wrong: pixels, or one of our errors; no other exception, nothing on stderr."""
    path = write_tiled(tmp_path / "a.tif", pixels[:100, :90], tile=(64, 64), compression=compression, **CM_025)
    data = path.read_bytes()
    random = np.random.default_rng(3)
    for _ in range(150):
        damaged = bytearray(data)
        damaged[int(random.integers(4, 220))] = int(random.integers(256))
        path.write_bytes(damaged)
        try:
            with open_source(path) as source:
                assert source.read(Region(0, 0, 1, 1)).shape == (1, 1, 3)
        except SourceError:
            pass
    assert capfd.readouterr().err == ""


# Real slides


def slide(name: str) -> Path:
    path = DATA / "slides" / name
    if not path.is_file():
        pytest.skip(f"the shared data are not there: no {path.name} (HISTOCODEC_DATA)")
    return path


def test_a_real_slide_of_jpeg_tiles() -> None:
    path = slide("CMU-1-Small-Region.svs")
    with open_source(path) as source, openslide.OpenSlide(path) as oracle:
        assert (source.size, source.mpp, source.objective_power) == (Size(2220, 2967), 0.499, 20.0)
        assert (source.vendor, source.lossy_methods, source.icc_profile) == ("aperio", ("ISO_10918_1",), None)
        assert source.size_bytes == 1938955
        assert source.properties == dict(oracle.properties)
        assert {name: image.shape for name, image in source.associated.items()} == {
            "label": (463, 387, 3),
            "macro": (431, 1280, 3),
            "thumbnail": (768, 574, 3),
        }
        expected = np.asarray(oracle.read_region((1000, 1200), 0, (300, 200)))[..., :3]
        np.testing.assert_array_equal(source.read(Region(1000, 1200, 300, 200)), expected)


def test_a_real_slide_without_a_resolution() -> None:
    path = slide("tcga-cr-7395-01a-01-ts1.svs")
    with pytest.raises(MissingResolution, match="--mpp"):
        open_source(path)
    with open_source(path, mpp=0.25) as source:
        assert (source.size, source.mpp, source.vendor) == (Size(4443, 3567), 0.25, "aperio")
        assert source.lossy_methods == ("ISO_15444_1",)
        assert source.icc_profile is not None
        assert len(source.icc_profile) == 3144
        assert list(source.associated) == ["thumbnail"]
        assert source.read(Region(4000, 3500, 443, 67)).shape == (67, 443, 3)


def test_a_real_slide_cut_off(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    data = slide("CMU-1-Small-Region.svs").read_bytes()
    path = tmp_path / "cut.svs"
    for length in (1000, len(data) // 2):
        path.write_bytes(data[:length])
        unreadable(path, "cut off")
    assert capfd.readouterr().err == ""


def test_every_reader_is_a_source(tmp_path: Path, pixels: Image) -> None:
    for name in ("OpenSlide, tiled", "tifffile, pyramid", "libvips, PNG"):
        with open_source(EXACT[name][1](tmp_path, pixels), mpp=0.25) as source:
            assert set(Source.__annotations__) <= set(vars(source))
