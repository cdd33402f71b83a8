"""Files whose directories mislead: loops, several pictures, overviews before the slide, planes, odd compressions."""

from __future__ import annotations

import resource
import struct
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import PIL.Image
import pytest
import tifffile
from typer.testing import CliRunner

from histocodec.cli import app
from histocodec.demo.synthetic import tissue
from histocodec.errors import SettingsError, UnreadableSource
from histocodec.geometry import Image, Region, Size
from histocodec.source import Source, open_source
from histocodec.source._directories import MAX_DIRECTORIES
from histocodec.source._properties import MOST_BYTES, bounded

CM_025: dict[str, Any] = {"resolution": (40000, 40000), "resolutionunit": "CENTIMETER"}  # 0.25 um/px
TILED: dict[str, Any] = {"tile": (64, 64)}
APERIO = "Aperio Image Library v11\r\n401x299 (64x64) JPEG|AppMag = 40|MPP = 0.25"


@pytest.fixture(scope="module")
def slide() -> Image:
    return tissue(Size(401, 299), seed=1)


@pytest.fixture(scope="module")
def other() -> Image:
    """Another section: of other proportions, and smaller."""
    return tissue(Size(390, 250), seed=2)


def write(path: Path, *pages: tuple[np.ndarray[Any, Any], dict[str, Any]], ome: bool = False, **options: Any) -> Path:
    with tifffile.TiffWriter(path, ome=ome) as tiff:
        for image, own in pages:
            tiff.write(image, **({"photometric": "rgb"} | ({} if ome else {"metadata": None}) | options | own))
    return path


def named(name: str, **more: Any) -> dict[str, Any]:
    sizes = {f"PhysicalSize{axis}{key}": value for axis in "XY" for key, value in (("", 0.25), ("Unit", "µm"))}
    return {"metadata": {"axes": "YXS", "Name": name, **sizes, **more}}


def pixels_of(source: Source) -> Image:
    return source.read(Region(0, 0, *source.size))


def reads(path: Path, expected: Image, *, within: float = 0, **options: Any) -> None:
    with open_source(path, **({"mpp": 0.25} | options)) as source:
        assert source.size == Size(expected.shape[1], expected.shape[0])
        assert np.abs(pixels_of(source).astype(int) - expected).mean() <= within


def refused(path: Path, reason: str, **options: Any) -> None:
    with pytest.raises(UnreadableSource, match=reason):
        open_source(path, **({"mpp": 0.25} | options))


# ------------------------------------------------------------------------------------------------------------ loops


def directories(places: Sequence[tuple[int, Sequence[int], int]], *, big: bool = False, order: str = "<") -> bytes:
    """A TIFF of nothing but directories: (offset, SubIFDs, next). The first is at 16."""
    word, count = ("Q", "Q") if big else ("I", "H")
    head = b"II" if order == "<" else b"MM"
    head += struct.pack(order + "HHHQ", 43, 8, 0, 16) if big else struct.pack(order + "HI", 42, 16)
    data = bytearray(head.ljust(16, b"\0"))
    for offset, subifds, following in places:
        data += bytes(max(0, offset - len(data)))
        entry_end = offset + struct.calcsize(f"{order}{count}HH{word}{word}{word}")
        directory = struct.pack(order + count, 1 if subifds else 0)
        if subifds:
            inline = len(subifds) == 1
            directory += struct.pack(
                f"{order}HH{word}{word}", 330, 18 if big else 13, len(subifds), subifds[0] if inline else entry_end
            )
        directory += struct.pack(order + word, following)
        directory += b"" if len(subifds) < 2 else struct.pack(f"{order}{len(subifds)}{word}", *subifds)
        data[offset : offset + len(directory)] = directory
    return bytes(data)


LOOPS: dict[str, list[tuple[int, Sequence[int], int]]] = {
    "to itself": [(16, [], 16)],
    "to the first": [(16, [], 200), (200, [], 400), (400, [], 16)],
    "into the middle": [(16, [], 200), (200, [], 400), (400, [], 200)],
    "a SubIFD that is its own": [(16, [16], 0)],
    "a SubIFD's next": [(16, [200], 0), (200, [], 200)],
    "a SubIFD that leads back": [(16, [200, 400], 0), (200, [], 0), (400, [], 16)],
    "SubIFDs three deep": [(16, [200], 0), (200, [400], 0), (400, [600], 0), (600, [], 200)],
}


@pytest.mark.parametrize("big", [False, True], ids=["classic", "BigTIFF"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("name", LOOPS)
def test_a_loop_of_directories(name: str, order: str, big: bool, tmp_path: Path) -> None:
    path = tmp_path / "loop.tif"
    path.write_bytes(directories(LOOPS[name], big=big, order=order))
    started = time.monotonic()
    refused(path, "found a loop: the one at byte .* leads back to the one at byte")
    assert time.monotonic() - started < 2


def test_a_loop_behind_a_sound_slide(tmp_path: Path, slide: Image) -> None:
    """As in the wild: all is well but the last pointer."""
    path = write(tmp_path / "loop.tif", (slide, TILED), (slide[::2, ::2], {"subfiletype": 1, **TILED}))
    reads(path, slide)
    with tifffile.TiffFile(path) as tiff:
        first, last = tiff.pages[0].offset, tiff.pages[-1].offset
    with path.open("r+b") as file:
        file.seek(last)
        (count,) = struct.unpack("<H", file.read(2))
        file.seek(last + 2 + 12 * count)
        file.write(struct.pack("<I", first))
    refused(path, "found a loop")
    result = CliRunner().invoke(app, ["encode", str(path), "--mpp", "0.25"])
    assert result.exit_code == 1


def test_a_directory_with_two_parents_is_no_loop(tmp_path: Path) -> None:
    path = tmp_path / "shared.tif"
    path.write_bytes(directories([(16, [200, 400], 0), (200, [], 400), (400, [], 0)]))
    with pytest.raises(UnreadableSource, match=r"^(?!.*loop)"):
        open_source(path, mpp=0.25)


def test_a_loop_in_ndpi(tmp_path: Path) -> None:
    """Its pointers to directories have 64 bits in a classic TIFF."""
    first = struct.pack("<HHHII", 1, 65420, 4, 1, 1) + struct.pack("<Q", 100)
    second = struct.pack("<HQ", 0, 16)
    path = tmp_path / "a.ndpi"
    path.write_bytes((b"II*\0" + struct.pack("<Q", 16)).ljust(16, b"\0") + first.ljust(84, b"\0") + second)
    refused(path, "found a loop: the one at byte 100 leads back to the one at byte 16")


@pytest.mark.parametrize("how", ["a chain", "SubIFDs"])
def test_a_million_directories(how: str, tmp_path: Path) -> None:
    count, path = 1_000_000, tmp_path / "many.tif"
    if how == "a chain":
        chain = np.zeros(count, np.dtype([("entries", "<u2"), ("next", "<u4")]))
        chain["next"][:-1] = 8 + 6 * np.arange(1, count)
        path.write_bytes(b"II*\0" + struct.pack("<I", 8) + chain.tobytes())
    else:
        offsets = 26 + 4 * count + 6 * np.arange(count, dtype="<u4")
        first = struct.pack("<HHHIII", 1, 330, 4, count, 26, 0)
        path.write_bytes(b"II*\0" + struct.pack("<I", 8) + first + offsets.tobytes() + bytes(6 * count))
    started, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused(path, f"at most {MAX_DIRECTORIES} directories")
    assert time.monotonic() - started < 2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KB


# --------------------------------------------------------------------------------------------------------- pictures


@pytest.mark.parametrize("layout", [TILED, {"rowsperstrip": 16}], ids=["tiles", "strips"])
def test_two_pages_that_are_two_pictures(layout: dict[str, Any], tmp_path: Path, slide: Image, other: Image) -> None:
    path = write(tmp_path / "a.tif", (slide, layout), (other, layout))
    refused(path, r"expected one picture, found 2.* 0 \(401 x 299 px\), 1 \(390 x 250 px\); choose one with --series")
    reads(path, slide, series=0)
    reads(path, other, series=1)
    for series in (2, -1):
        with pytest.raises(SettingsError, match=rf"no series {series}; the pictures are 0 \(401"):
            open_source(path, mpp=0.25, series=series)


def test_two_scenes_of_ome(tmp_path: Path, slide: Image, other: Image) -> None:
    scenes = [(slide, named("scene 1")), (other, named("scene 2"))]
    path = write(tmp_path / "a.ome.tif", *scenes, ome=True, **TILED)
    refused(path, "0 'scene 1' .* 1 'scene 2' ", mpp=None)
    reads(path, slide, series=0, mpp=None)
    reads(path, other, series=1, mpp=None)


def test_pictures_of_one_size(tmp_path: Path, slide: Image) -> None:
    path = write(tmp_path / "a.tif", (slide, TILED), (slide[::-1], TILED))
    refused(path, "found 2, neither a level")
    reads(path, slide, series=0)
    reads(path, slide[::-1], series=1)


def test_what_is_half_as_large_is_a_level_if_it_looks_like_one(tmp_path: Path, slide: Image) -> None:
    half = tissue(Size(200, 149), seed=5)
    path = write(tmp_path / "other.tif", (slide, TILED), (half, TILED))
    refused(path, "found 2, neither a level")
    reads(path, half, series=1)
    for reduced in (
        slide[::2, ::2],
        np.asarray(PIL.Image.fromarray(slide).resize((100, 74), PIL.Image.Resampling.BOX)),
    ):
        for pages in ([slide, reduced], [reduced, slide]):
            reads(write(tmp_path / "a.tif", *((page, TILED) for page in pages), **CM_025), slide)
    levels = [(slide, TILED), (slide[::2, ::2], {}), (slide[::4, ::4], {"compression": "jpeg"})]
    reads(write(tmp_path / "strips.tif", *levels), slide)


def test_scenes_of_ome_that_are_levels(tmp_path: Path, slide: Image) -> None:
    """As a converter writes them that knows no pyramids: each level an image of its own."""
    level = {"PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5}
    pages = [(slide, named("a")), (slide[::2, ::2], named("a #2", **level))]
    reads(write(tmp_path / "a.ome.tif", *pages, ome=True, **TILED), slide)


def test_each_picture_with_its_levels(tmp_path: Path, slide: Image, other: Image) -> None:
    reduced = {"subfiletype": 1}
    pages = [(slide, {}), (slide[::2, ::2], reduced), (other, {}), (other[::2, ::2], reduced)]
    path = write(tmp_path / "a.tif", *pages, **TILED)
    refused(path, r"found 2, .* 0 \(401 x 299 px\), 2 \(390 x 250 px\)")
    reads(path, other, series=2)


def test_a_full_resolution_in_a_subifd(tmp_path: Path, slide: Image) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as tiff:
        options: dict[str, Any] = {"photometric": "rgb", "metadata": None, **TILED}
        tiff.write(slide[::4, ::4], subifds=1, subfiletype=1, **options)
        tiff.write(slide, **options)
    refused(path, "found 101 x 75 px there and a larger image in a SubIFD")


@pytest.mark.parametrize("first", ["macro", "slide"])
def test_a_macro_larger_than_the_slide(first: str, tmp_path: Path, slide: Image) -> None:
    macro = tissue(Size(700, 300), seed=3)
    ome = [(macro, named("macro image")), (slide, named("case 7"))]
    plain: list[tuple[Image, dict[str, Any]]] = [(macro, {"subfiletype": 1}), (slide, {})]
    described: list[tuple[Image, dict[str, Any]]] = [(macro, {"description": "macro"}), (slide, {})]
    order = slice(None, None, 1 if first == "macro" else -1)
    with open_source(write(tmp_path / "a.ome.tif", *ome[order], ome=True, **TILED)) as source:
        np.testing.assert_array_equal(pixels_of(source), slide)
        np.testing.assert_array_equal(source.associated["macro"], macro)
    reads(write(tmp_path / "a.tif", *plain[order], **TILED), slide)
    reads(write(tmp_path / "b.tif", *described[order], **TILED), slide)
    alone = [(macro, named("macro image"))]
    reads(write(tmp_path / "alone.ome.tif", *alone, ome=True, **TILED), macro)


def test_an_aperio_slide_with_two_pictures(tmp_path: Path, slide: Image, other: Image) -> None:
    thumbnail = slide[::4, ::4], {"rowsperstrip": 80, "description": "Aperio Image Library v11\r\n401x299 -> 101x75 - "}
    label = other, {"rowsperstrip": 80, "description": "Aperio Image Library v11\r\nlabel 390x250", "subfiletype": 1}
    tiles = {"description": APERIO, **TILED}
    sound = write(tmp_path / "sound.svs", (slide, tiles), thumbnail, (slide[::2, ::2], tiles), label)
    with open_source(sound) as source:
        assert source.vendor == "aperio"
        assert list(source.associated) == ["label", "thumbnail"]
        np.testing.assert_array_equal(pixels_of(source), slide)
    path = write(tmp_path / "two.svs", (slide, tiles), thumbnail, (other, tiles))
    refused(path, "found 2, neither a level")
    reads(path, slide, series=0)
    reads(path, other, series=2)


def test_a_series_of_what_has_one_picture(tmp_path: Path, slide: Image) -> None:
    PIL.Image.fromarray(slide).save(tmp_path / "a.png")
    for path in (tmp_path / "a.png", write(tmp_path / "a.tif", (slide, TILED))):
        reads(path, slide, series=0)
        with pytest.raises(SettingsError, match="no series 3"):
            open_source(path, mpp=0.25, series=3)


def test_series_on_the_command_line(tmp_path: Path, slide: Image, other: Image) -> None:
    path, file = write(tmp_path / "a.tif", (slide, TILED), (other, TILED), **CM_025), str(tmp_path / "a.hc.tif")
    quick = ["--quality", "30", "--generator", "bicubic-x4"]
    refusal = CliRunner().invoke(app, ["encode", str(path), "-o", file, *quick])
    assert refusal.exit_code == 1
    assert not Path(file).exists()
    assert CliRunner().invoke(app, ["encode", str(path), "-o", file, "--series", "1", *quick]).exit_code == 0
    compared = CliRunner().invoke(app, ["compare", str(path), file, "--series", "1", "--all", "--json"])
    assert compared.exit_code == 0
    assert '"size": [\n  390,\n  250\n ]' in compared.stdout


# ------------------------------------------------------------------------------------- strips, planes, compressions


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


# -------------------------------------------------------------------------------- codestreams against directories


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


# ------------------------------------------------------------------------------------------------------ descriptions


def test_a_description_larger_than_a_slide_is_cut_with_a_note(tmp_path: Path, slide: Image) -> None:
    long = "<x>" + "A1b2" * (MOST_BYTES // 3) + "</x>"
    path = write(tmp_path / "a.tif", (slide, {**TILED, "description": long}), compression="jpeg", **CM_025)
    file = tmp_path / "a.hc.tif"
    result = CliRunner().invoke(
        app, ["encode", str(path), "-o", str(file), "--quality", "30", "--generator", "bicubic-x4"]
    )
    assert result.exit_code == 0
    assert f"property tiff.ImageDescription cut to 65536 of {len(long)} characters" in result.stdout
    with open_source(path) as source:
        assert source.properties["tiff.ImageDescription"].startswith(long[:65536])
        assert source.properties["openslide.comment"] == "[the same as tiff.ImageDescription]"


def test_properties_within_bounds_stay_whole() -> None:
    long = "x" * (MOST_BYTES - 1000)
    assert bounded({"a": "1", "b": long}) == ({"a": "1", "b": long}, ())
    kept, notes = bounded({"a": "µ" * MOST_BYTES, "b": "y" * 100_000, "c": "y" * 100_000, "d": "1"})
    assert len(kept["a"]) < 70_000
    assert (kept["b"], kept["c"], kept["d"]) == ("y" * 100_000, "[the same as b]", "1")
    assert len(notes) == 1
