"""Strips, planes and compressions; codestreams that say otherwise than their directory."""

from __future__ import annotations

import resource
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import PIL.Image
import pytest
import tifffile

from histocodec.geometry import Image, Region, Size
from histocodec.source import open_source
from histocodec.source._codestream import stated_area
from tests.source.inputs import APERIO, CM_025, TILED, pixels_of, reads, refused, write


@pytest.mark.parametrize("stated", [True, False], ids=["with its resolution", "without"])
def test_the_full_resolution_in_strips_with_tiled_overviews(stated: bool, tmp_path: Path, slide: Image) -> None:
    half = {"subfiletype": 1, **TILED, **({"resolution": (20000, 20000), "resolutionunit": 3} if stated else {})}
    pages = [(slide, {"rowsperstrip": 16, **CM_025}), (slide[::2, ::2], half), (slide[::4, ::4], half)]
    path = write(tmp_path / "a.tif", *pages, compression="lzw")
    with open_source(path) as source:
        assert (source.size, source.mpp) == (Size(401, 299), 0.25)
        np.testing.assert_array_equal(pixels_of(source), slide)


STRIPS: list[dict[str, Any]] = [
    *({"compression": name, "rowsperstrip": 16} for name in (None, "lzw", "zlib", "lzma", "zstd", "png", "jpegxl")),
    {"compression": "lzw", "rowsperstrip": 1},
    {"compression": "lzma", "rowsperstrip": 299},
    {"compression": None, "rowsperstrip": 299},
    {"compression": "jpeg2000", "rowsperstrip": 128},
]


@pytest.mark.parametrize("options", STRIPS, ids=str)
@pytest.mark.parametrize("planes", ["contig", "separate"])
def test_strips(planes: str, options: dict[str, Any], tmp_path: Path, slide: Image) -> None:
    image = slide if planes == "contig" else np.moveaxis(slide, 2, 0).copy()
    path = write(tmp_path / "a.tif", (image, {"planarconfig": planes}), **options)
    reads(path, slide)
    reads(path, slide, on_damage="fill")  # strip by strip, through tifffile
    with open_source(path, mpp=0.25, on_damage="fill") as source:
        for region in (Region(0, 298, 401, 1), Region(100, 63, 7, 2), Region(400, 0, 1, 299)):
            expected = slide[region.y : region.bottom, region.x : region.right]
            np.testing.assert_array_equal(source.read(region), expected)


@pytest.mark.parametrize("rows", [5000, 9000])
def test_large_strips_take_little_memory(rows: int, tmp_path: Path) -> None:
    """81 Mpx, uncompressed, in one strip or two."""
    path = tmp_path / "a.tif"
    image = np.broadcast_to(np.arange(9000, dtype=np.uint8)[:, None, None], (9000, 9000, 3))
    tifffile.imwrite(path, image, photometric="rgb", metadata=None, rowsperstrip=rows)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with open_source(path, mpp=0.25) as source:
        for y in range(0, 9000, 1000):
            assert (source.read(Region(y, y, 500, 500))[:, 0, 0] == (np.arange(y, y + 500) % 256)).all()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KB


def test_a_strip_too_large_to_be_held(tmp_path: Path, slide: Image) -> None:
    path = write(tmp_path / "a.tif", (slide, {"compression": "lzma", "rowsperstrip": 299}))
    with tifffile.TiffFile(path, mode="r+") as tiff:
        for name in ("ImageWidth", "ImageLength", "RowsPerStrip"):
            page = tiff.pages[0]
            assert isinstance(page, tifffile.TiffPage)
            page.tags[name].overwrite(20000, dtype="I")
    refused(path, "expected strips of at most 67108864 px, found 20000 x 20000 px.*tiles")


PLANES: dict[str, Callable[[Image], tuple[np.ndarray[Any, Any], dict[str, Any]]]] = {
    "three pages": lambda image: (np.moveaxis(image, 2, 0).copy(), {"metadata": {"axes": "CYX"}}),
    "three pages, named": lambda image: (
        np.moveaxis(image, 2, 0).copy(),
        {"metadata": {"axes": "CYX", "Channel": {"Name": ["Red", "Green", "Blue"]}}},
    ),
    "one page, planes apart": lambda image: (
        np.moveaxis(image, 2, 0).copy(),
        {"metadata": {"axes": "SYX"}, "planarconfig": "separate"},
    ),
    "one page": lambda image: (image, {"metadata": {"axes": "YXS"}, "planarconfig": "contig"}),
}


@pytest.mark.parametrize("layout", [TILED, {"rowsperstrip": 16}], ids=["tiles", "strips"])
@pytest.mark.parametrize("compression", [None, "zstd"])
@pytest.mark.parametrize("name", PLANES)
def test_grey_planes_that_are_rgb(
    name: str, compression: str | None, layout: dict[str, Any], tmp_path: Path, slide: Image
) -> None:
    page = PLANES[name](slide)
    options = {"photometric": "minisblack", "compression": compression, **layout}
    reads(write(tmp_path / "a.ome.tif", page, ome=True, **options), slide)


def test_four_channels_are_not_rgb(tmp_path: Path, slide: Image) -> None:
    four = np.concatenate([np.moveaxis(slide, 2, 0), slide[None, ..., 0]])
    page = four, {"metadata": {"axes": "CYX"}, "photometric": "minisblack"}
    refused(write(tmp_path / "a.ome.tif", page, ome=True), "expected 8-bit RGB, found 4 channels")


@pytest.mark.parametrize("suffix", ["j2k", "jp2", "bmp", "palette.bmp"])
def test_flat_images_that_libvips_does_not_read(suffix: str, tmp_path: Path, slide: Image) -> None:
    path, expected = tmp_path / f"a.{suffix}", slide
    if suffix in ("j2k", "jp2"):
        path.write_bytes(imagecodecs.jpeg2k_encode(slide, level=0, codecformat=suffix, reversible=True))
    else:
        picture = PIL.Image.fromarray(slide)
        picture = picture.quantize(64) if suffix == "palette.bmp" else picture
        picture.save(path)
        expected = np.asarray(picture.convert("RGB"))
    reads(path, expected)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    refused(path, "cut off or damaged")


def test_flat_images_of_other_kinds(tmp_path: Path, slide: Image) -> None:
    PIL.Image.fromarray(slide[..., 0]).save(tmp_path / "grey.bmp")
    refused(tmp_path / "grey.bmp", "expected 8-bit RGB, found pixels of kind L")
    deep = imagecodecs.jpeg2k_encode(slide.astype(np.uint16) * 16, level=0, codecformat="jp2", bitspersample=12)
    (tmp_path / "deep.jp2").write_bytes(deep)
    refused(tmp_path / "deep.jp2", "expected 8-bit RGB, found 12 bits")
    (tmp_path / "a.jxl").write_bytes(imagecodecs.jpegxl_encode(slide))
    refused(tmp_path / "a.jxl", "JPEG XL is read within a TIFF alone; convert it")
    (tmp_path / "notes.txt").write_bytes(b"BM stands for bitmap\n" * 9)
    refused(tmp_path / "notes.txt", "found neither")
    header = bytearray((tmp_path / "grey.bmp").read_bytes()[:54])
    struct.pack_into("<ii", header, 18, 30000, 30000)
    (tmp_path / "huge.bmp").write_bytes(header)
    refused(tmp_path / "huge.bmp", "too large for an image that has to be decoded as a whole")


@pytest.mark.parametrize("compression", ["jpeg", "jpeg2000", "png", "jpegxl"])
def test_a_tile_that_states_more_than_its_directory_is_not_decoded(
    compression: str, tmp_path: Path, slide: Image
) -> None:
    """Its library would take 12 GiB for it."""
    path = write(tmp_path / "a.tif", (slide, TILED), compression=compression)
    with tifffile.TiffFile(path) as tiff:
        places = list(zip(tiff.pages[0].dataoffsets, tiff.pages[0].databytecounts, strict=True))
    data = bytearray(path.read_bytes())
    huge = bytes(imagecodecs.jpegxl_encode(np.zeros((2100, 2100, 3), np.uint8)))[:24]
    for offset, count in places:
        tile = bytes(data[offset : offset + count])
        if compression == "jpeg":
            struct.pack_into(">2H", data, offset + tile.index(b"\xff\xc0") + 5, 65500, 65500)
        elif compression == "jpeg2000":
            struct.pack_into(">2I", data, offset + tile.index(b"\xff\x4f\xff\x51") + 8, 65500, 65500)
        elif compression == "png":
            struct.pack_into(">2I", data, offset + 16, 65500, 65500)
        else:
            data[offset : offset + len(huge)] = huge
    path.write_bytes(data)
    refused(path, r"tile or strip \d+ states \d+ px, its directory 4096|expected 64x64, got 65500x65500")
    assert stated_area(b"\xff\xd8\xff\xd0\xff\xff\xc0\0\x11\x08\0\2\0\3") == 0  # cut off before its first scan
    assert stated_area(b"\xff\xd8\xff\xd0\xff\xff\xc0\0\7\x08\0\2\0\3\xff\xda") == 6


def test_a_picture_that_its_bytes_cannot_hold(tmp_path: Path, slide: Image) -> None:
    """Else gigabytes are spooled to disk for a file of two kilobytes."""
    path = tmp_path / "a.png"
    PIL.Image.fromarray(slide).save(path)
    data = bytearray(path.read_bytes())
    struct.pack_into(">I", data, 16, 1 << 24)
    struct.pack_into(">I", data, 29, zlib.crc32(data[12:29]))
    path.write_bytes(data)
    refused(path, "states 16777216 x 299 px, its .* bytes hold less")


def test_compressions_that_nobody_decodes(tmp_path: Path, slide: Image) -> None:
    for number, reason in ((6, "old-style JPEG.*convert it"), (32809, "no reader here decodes .*; convert it first")):
        for layout in (TILED, {"rowsperstrip": 16}):
            path = write(tmp_path / "a.tif", (slide, layout), compression="jpeg")
            with tifffile.TiffFile(path, mode="r+") as tiff:
                page = tiff.pages[0]
                assert isinstance(page, tifffile.TiffPage)
                page.tags["Compression"].overwrite(number)
            refused(path, reason)


def test_a_slide_of_which_no_tile_decodes(tmp_path: Path, slide: Image) -> None:
    """Then it is the format, not damage."""
    for compression in ("jpeg", "png"):
        path = write(tmp_path / "a.tif", (slide, TILED), compression=compression)
        with tifffile.TiffFile(path) as tiff:
            places = list(zip(tiff.pages[0].dataoffsets, tiff.pages[0].databytecounts, strict=True))
        data = bytearray(path.read_bytes())
        for offset, count in places:
            data[offset : offset + count] = bytes(count)
        path.write_bytes(data)
        refused(path, "no tile can be decoded of 16 that were tried: ")


def coded(image: Image, encode: Callable[[Image], bytes]) -> list[bytes]:
    """In tiles of 64 px, with the last row and column repeated."""
    padded = np.pad(image, [(0, -image.shape[0] % 64), (0, -image.shape[1] % 64), (0, 0)], mode="edge")
    corners = [(y, x) for y in range(0, image.shape[0], 64) for x in range(0, image.shape[1], 64)]
    return [encode(np.ascontiguousarray(padded[y : y + 64, x : x + 64])) for y, x in corners]


def write_coded(path: Path, image: Image, compression: int, photometric: int, encode: Callable[[Image], bytes]) -> Path:
    options: dict[str, Any] = {"metadata": None, "photometric": "rgb", "compression": compression, **TILED}
    if path.suffix == ".svs":
        options["description"] = APERIO
    tifffile.imwrite(path, iter(coded(image, encode)), shape=image.shape, dtype=np.uint8, **options)
    with tifffile.TiffFile(path, mode="r+") as tiff:
        page = tiff.pages[0]
        assert isinstance(page, tifffile.TiffPage)
        page.tags["PhotometricInterpretation"].overwrite(photometric)
    return path


def jpeg_2000(image: Image, *, transform: bool) -> bytes:
    return bytes(imagecodecs.jpeg2k_encode(image, level=0, codecformat="j2k", mct=transform, reversible=True))


@pytest.mark.parametrize("suffix", ["tif", "svs"])
def test_rgb_under_the_number_of_ycbcr(suffix: str, tmp_path: Path, slide: Image) -> None:
    """33003 as Bio-Formats writes it: the codec itself turns the pixels to RGB."""
    encode = lambda image: jpeg_2000(image, transform=True)  # noqa: E731
    reads(write_coded(tmp_path / f"a.{suffix}", slide, 33003, 2, encode), slide)


def test_nobody_knows_what_33003_is_elsewhere(tmp_path: Path, slide: Image) -> None:
    path = write_coded(tmp_path / "a.tif", slide, 33003, 2, lambda image: jpeg_2000(image, transform=False))
    refused(path, "no reader here decodes compression 33003 .* convert it first")


def test_jpeg_of_rgb_that_is_said_to_be_ycbcr(tmp_path: Path, slide: Image) -> None:
    options: dict[str, Any] = {"level": 95, "colorspace": "rgb", "outcolorspace": "rgb"}
    path = write_coded(tmp_path / "a.tif", slide, 7, 6, lambda image: bytes(imagecodecs.jpeg8_encode(image, **options)))
    reads(path, slide, within=4)


def test_jpeg_of_ycbcr_that_is_said_to_be_rgb(tmp_path: Path, slide: Image) -> None:
    def encode(image: Image, *, jfif: bool = True) -> bytes:
        data = bytes(imagecodecs.jpeg8_encode(image, level=95, subsampling="422"))
        assert data[2:4] == b"\xff\xe0"
        return data if jfif else data[:2] + data[4 + struct.unpack_from(">H", data, 4)[0] :]

    reads(write_coded(tmp_path / "jfif.tif", slide, 7, 2, encode), slide, within=4)
    path = write_coded(tmp_path / "bare.tif", slide, 7, 2, lambda image: encode(image, jfif=False))
    refused(path, "says rgb, but its tiles are JPEG of ycbcr.*tiffset")
