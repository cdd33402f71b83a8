"""Every reader gives the pixels that were written, and says what the file states of them."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from histocodec.errors import (
    RegionError,
    SourceReadError,
)
from histocodec.geometry import Image, Region, Size
from histocodec.source import Source, open_source
from histocodec.source._reader import over
from tests.source.inputs import (
    CM_025,
    EXACT,
    HEIGHT,
    WIDTH,
    write_tiled,
    write_with_pillow,
)


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


def test_every_reader_is_a_source(tmp_path: Path, pixels: Image) -> None:
    for name in ("OpenSlide, tiled", "tifffile, pyramid", "libvips, PNG"):
        with open_source(EXACT[name][1](tmp_path, pixels), mpp=0.25) as source:
            assert set(Source.__annotations__) <= set(vars(source))
