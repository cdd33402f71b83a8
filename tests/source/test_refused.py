"""What is no slide, or not one that can be read: refused in a sentence."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import tifffile

from histocodec.errors import (
    SourceError,
    SourceReadError,
    UnreadableSource,
)
from histocodec.format.tags import Tag
from histocodec.geometry import Image, Region, Size
from histocodec.source import open_source
from tests.source.inputs import (
    CM_025,
    HEIGHT,
    WIDTH,
    unreadable,
    write_pyramid,
    write_tiled,
    write_with_pillow,
)


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
        tmp_path / "a.hc.tif", pixels, extratags=[(Tag.Manifest, 7, 4, b"\x28\xb5\x2f\xfd", True)], **CM_025
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


@pytest.mark.parametrize("tag", ["ImageWidth", "ImageLength"])
@pytest.mark.parametrize("layout", [{"tile": (64, 64)}, {"tile": None, "rowsperstrip": 16}], ids=["tiles", "strips"])
def test_a_picture_without_pixels(layout: dict[str, Any], tag: str, tmp_path: Path, pixels: Image) -> None:
    path = write_tiled(tmp_path / "a.tif", pixels, compression="png", **layout)
    with tifffile.TiffFile(path, mode="r+") as tiff:
        page = tiff.pages[0]
        assert isinstance(page, tifffile.TiffPage)
        page.tags[tag].overwrite(0)
    for on_damage in ("refuse", "fill"):
        with pytest.raises(UnreadableSource):
            open_source(path, mpp=0.25, on_damage=on_damage)
