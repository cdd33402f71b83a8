"""Slides of scanners: OME, Aperio, DICOM, and real ones where they are at hand."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import openslide
import pytest
import tifffile

from histocodec.errors import (
    MissingResolution,
)
from histocodec.geometry import Image, Region, Size
from histocodec.source import open_source
from histocodec.source._files import slide_files
from tests.places import FindData
from tests.source.inputs import (
    CM_025,
    HEIGHT,
    OME_025,
    WIDTH,
    unreadable,
)


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


def test_a_label_beyond_any_size_is_left_out(tmp_path: Path, pixels: Image) -> None:
    path = write_aperio(tmp_path / "a.svs", pixels)
    with tifffile.TiffFile(path, mode="r+") as tiff:
        page = tiff.pages[2]
        assert isinstance(page, tifffile.TiffPage)
        page.tags["ImageWidth"].overwrite(0xFFFFFFFF, dtype="I")
    with open_source(path) as source:
        assert sorted(source.associated) == ["macro", "thumbnail"]


def test_a_property_whose_name_is_no_text_is_left_out(tmp_path: Path, pixels: Image) -> None:
    path = write_aperio(tmp_path / "a.svs", pixels)
    path.write_bytes(path.read_bytes().replace(b"AppMag = 40", b"App\xe91ag = 4"))
    with open_source(path) as source:
        assert source.properties["aperio.MPP"] == "0.2521"
        assert not any("1ag" in name for name in source.properties)


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


def test_slide_files_finds_every_file(tmp_path: Path) -> None:
    for name, size in (("a.mrxs", 5), ("a/Slidedat.ini", 7), ("a/deep/Data0000.dat", 11), ("b/Data0000.dat", 13)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(bytes(size))
    files = slide_files(tmp_path / "a.mrxs", "mirax", {})
    assert [file.relative_to(tmp_path).as_posix() for file in files] == [
        "a.mrxs",
        "a/Slidedat.ini",
        "a/deep/Data0000.dat",
    ]
    assert slide_files(tmp_path / "a.mrxs", "generic-tiff", {}) == (tmp_path / "a.mrxs",)

    for name, size in (("s.vms", 1), ("s.jpg", 2), ("s(1,0).jpg", 4), ("s_map.jpg", 8), ("stranger.jpg", 16)):
        (tmp_path / name).write_bytes(bytes(size))
    named = {"hamamatsu.ImageFile": "s.jpg", "hamamatsu.ImageFile(1,0)": "s(1,0).jpg", "hamamatsu.MapFile": "s_map.jpg"}
    named |= {"hamamatsu.Reference": "../a.mrxs", "openslide.comment": "stranger.jpg"}
    found = [file.name for file in slide_files(tmp_path / "s.vms", "hamamatsu", named)]
    assert found == ["s.vms", "s(1,0).jpg", "s.jpg", "s_map.jpg"]


def test_a_real_slide_of_jpeg_tiles(find_data: FindData) -> None:
    path = find_data("slides/CMU-1-Small-Region.svs")
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


def test_a_real_slide_without_a_resolution(find_data: FindData) -> None:
    path = find_data("slides/tcga-cr-7395-01a-01-ts1.svs")
    with pytest.raises(MissingResolution, match="--mpp"):
        open_source(path)
    with open_source(path, mpp=0.25) as source:
        assert (source.size, source.mpp, source.vendor) == (Size(4443, 3567), 0.25, "aperio")
        assert source.lossy_methods == ("ISO_15444_1",)
        assert source.icc_profile is not None
        assert len(source.icc_profile) == 3144
        assert list(source.associated) == ["thumbnail"]
        assert source.read(Region(4000, 3500, 443, 67)).shape == (67, 443, 3)


def test_a_real_slide_cut_off(find_data: FindData, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    data = find_data("slides/CMU-1-Small-Region.svs").read_bytes()
    path = tmp_path / "cut.svs"
    for length in (1000, len(data) // 2):
        path.write_bytes(data[:length])
        unreadable(path, "cut off")
    assert capfd.readouterr().err == ""
