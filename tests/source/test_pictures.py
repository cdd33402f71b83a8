"""Files whose directories mislead: loops, several pictures, overviews before the slide."""

from __future__ import annotations

import resource
import struct
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import tifffile
from typer.testing import CliRunner

from histocodec.cli import app
from histocodec.demo.synthetic import tissue
from histocodec.errors import SettingsError, UnreadableSource
from histocodec.geometry import Image, Size
from histocodec.source import open_source
from histocodec.source._directories import MAX_DIRECTORIES
from tests.source.inputs import APERIO, CM_025, TILED, pixels_of, reads, refused, write


@pytest.fixture(scope="module")
def other() -> Image:
    """Another section: of other proportions, and smaller."""
    return tissue(Size(390, 250), seed=2)


def named(name: str, **more: Any) -> dict[str, Any]:
    sizes = {f"PhysicalSize{axis}{key}": value for axis in "XY" for key, value in (("", 0.25), ("Unit", "µm"))}
    return {"metadata": {"axes": "YXS", "Name": name, **sizes, **more}}


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
