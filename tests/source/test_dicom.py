"""DICOM slides whose header and codestream say different things of the colours."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, generate_uid

from histocodec.demo.synthetic import tissue
from histocodec.encoder import EncodeSettings, encode
from histocodec.errors import UnreadableSource
from histocodec.generators.bicubic import BicubicGenerator
from histocodec.geometry import Image, Region, Size
from histocodec.source import open_source
from histocodec.source._codestream import read_jpeg_2000_header, read_jpeg_header

FRAME = 128
JPEG, JPEG_2000, JPEG_2000_LOSSLESS = (f"1.2.840.10008.1.2.4.{last}" for last in (50, 91, 90))
Encode = Callable[[Image], bytes]


@pytest.fixture(scope="module")
def slide() -> Image:
    return tissue(Size(384, 256), seed=4)


def write_dicom(path: Path, image: Image, syntax: str, photometric: str, encode: Encode, **more: Any) -> Path:
    """One instance of tiles of FRAME px. more: attributes; `frames` go behind the image's own."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = UID(syntax)
    meta.MediaStorageSOPClassUID = UID("1.2.840.10008.5.1.4.1.1.77.1.6")
    meta.MediaStorageSOPInstanceUID = generate_uid()
    height, width = image.shape[:2]
    corners = [(y, x) for y in range(0, height, FRAME) for x in range(0, width, FRAME)]
    frames = [encode(np.ascontiguousarray(image[y : y + FRAME, x : x + FRAME])) for y, x in corners]
    frames += more.pop("frames", [])
    dataset = Dataset()
    dataset.file_meta = meta
    dataset.SOPClassUID, dataset.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.3", "1.2.3.4"
    dataset.FrameOfReferenceUID, dataset.Modality = "1.2.3.5", "SM"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    dataset.Rows = dataset.Columns = FRAME
    dataset.TotalPixelMatrixRows, dataset.TotalPixelMatrixColumns = height, width
    dataset.NumberOfFrames = len(frames)
    dataset.SamplesPerPixel, dataset.PlanarConfiguration, dataset.PixelRepresentation = 3, 0, 0
    dataset.PhotometricInterpretation = photometric
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
    dataset.DimensionOrganizationType, dataset.TotalPixelMatrixFocalPlanes = "TILED_FULL", 1
    measures, shared, path_0 = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing = [0.00025, 0.00025]
    shared.PixelMeasuresSequence = [measures]
    dataset.SharedFunctionalGroupsSequence = [shared]
    path_0.OpticalPathIdentifier = "0"
    dataset.OpticalPathSequence = [path_0]
    for name, value in more.items():
        setattr(dataset, name, value)
    dataset.PixelData = encapsulate(frames)
    dataset["PixelData"].is_undefined_length = True
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset.save_as(path, enforce_file_format=True)
    return path


def as_ycbcr(image: Image) -> Image:
    """ITU-R BT.601, full range."""
    values = image.astype(float)
    y = values @ [0.299, 0.587, 0.114]
    cb, cr = 128 + (values[..., 2] - y) / 1.772, 128 + (values[..., 0] - y) / 1.402
    return np.stack([y, cb, cr], axis=2).round().clip(0, 255).astype(np.uint8)


def jpeg(**options: Any) -> Encode:
    return lambda image: bytes(imagecodecs.jpeg8_encode(image, level=95, **options))


def jpeg_2000(*, transform: bool, ycbcr: bool = False, container: str = "j2k", level: int = 50) -> Encode:
    def encode(image: Image) -> bytes:
        stored = as_ycbcr(image) if ycbcr else image
        options: dict[str, Any] = {"level": level, "reversible": level == 0}
        return bytes(imagecodecs.jpeg2k_encode(stored, mct=transform, codecformat=container, **options))

    return encode


RGB_JPEG = jpeg(colorspace="rgb", outcolorspace="rgb")

RIGHT: dict[str, tuple[str, str, Encode, str]] = {
    "JPEG 4:2:2": (JPEG, "YBR_FULL_422", jpeg(subsampling="422"), ""),
    "JPEG 4:4:4": (JPEG, "YBR_FULL_422", jpeg(subsampling="444"), ""),
    "JPEG of RGB": (JPEG, "RGB", RGB_JPEG, ""),
    "JPEG 4:2:2 that says RGB": (JPEG, "RGB", jpeg(subsampling="422"), "says RGB, but its frames are YCbCr"),
    "JPEG 4:2:0 that says RGB": (JPEG, "RGB", jpeg(subsampling="420"), "says RGB, but its frames are YCbCr"),
    "JPEG 4:4:4 that says RGB": (JPEG, "RGB", jpeg(subsampling="444"), "says RGB, but its frames are YCbCr"),
    "JPEG 2000, ICT": (JPEG_2000, "YBR_ICT", jpeg_2000(transform=True), ""),
    "JPEG 2000, RCT": (JPEG_2000_LOSSLESS, "YBR_RCT", jpeg_2000(transform=True, level=0), ""),
    "JPEG 2000, RGB": (JPEG_2000, "RGB", jpeg_2000(transform=False), ""),
    "JPEG 2000, RGB with the transform": (JPEG_2000, "RGB", jpeg_2000(transform=True), ""),
    "JPEG 2000, ICT said, YCbCr stored": (
        JPEG_2000,
        "YBR_ICT",
        jpeg_2000(transform=False, ycbcr=True),
        "says YBR_ICT, but its codestream has no such transform and holds YCbCr",
    ),
    "JPEG 2000, RCT said, YCbCr stored": (
        JPEG_2000_LOSSLESS,
        "YBR_RCT",
        jpeg_2000(transform=False, ycbcr=True, level=0),
        "says YBR_RCT, but its codestream has no such transform and holds YCbCr",
    ),
    "JPEG 2000, ICT said, RGB stored": (
        JPEG_2000,
        "YBR_ICT",
        jpeg_2000(transform=False),
        "says YBR_ICT, but its codestream has no such transform and holds RGB",
    ),
}


@pytest.mark.parametrize("name", RIGHT)
def test_colours_are_those_of_the_codestream(name: str, tmp_path: Path, slide: Image) -> None:
    syntax, photometric, how, note = RIGHT[name]
    with open_source(write_dicom(tmp_path / "a.dcm", slide, syntax, photometric, how)) as source:
        assert (source.vendor, source.mpp) == ("dicom", 0.25)
        difference = source.read(Region(0, 0, *source.size)) - slide.astype(float)
        assert np.abs(difference.mean(axis=(0, 1))).max() < 0.6
        assert np.abs(difference).mean() < 3
        assert len(source.notes) == bool(note)
        assert all(note in sentence for sentence in source.notes)


REFUSED: dict[str, tuple[str, str, Encode, str]] = {
    # OpenSlide converts what needs no conversion, and clips: that cannot be undone.
    "JPEG of RGB that says YBR_FULL_422": (
        JPEG,
        "YBR_FULL_422",
        RGB_JPEG,
        "says YBR_FULL_422, but its frames are RGB.*set PhotometricInterpretation right in a copy",
    ),
    "JP2 files as frames": (
        JPEG_2000,
        "YBR_ICT",
        jpeg_2000(transform=True, container="jp2"),
        "expected bare JPEG 2000 codestreams as frames, found JP2 files",
    ),
    "YBR_FULL in JPEG 2000": (JPEG_2000, "YBR_FULL", jpeg_2000(transform=False, ycbcr=True), "OpenSlide cannot open"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_put_right_is_refused(name: str, tmp_path: Path, slide: Image) -> None:
    syntax, photometric, how, reason = REFUSED[name]
    with pytest.raises(UnreadableSource, match=reason):
        open_source(write_dicom(tmp_path / "a.dcm", slide, syntax, photometric, how))


def test_what_may_be_rgb_or_ycbcr_is_refused(tmp_path: Path, slide: Image) -> None:
    """RGB of which nearly all, but not all, could be YCbCr."""
    grey = np.full_like(slide, 128)
    grey[:, :2] = 240
    how = jpeg_2000(transform=False, level=0)
    path = write_dicom(tmp_path / "a.dcm", grey, JPEG_2000_LOSSLESS, "YBR_RCT", how)
    with pytest.raises(UnreadableSource, match="cannot be told"):
        open_source(path)


def test_several_optical_paths_are_refused(tmp_path: Path, slide: Image) -> None:
    paths = []
    for name in "01":
        paths.append(Dataset())
        paths[-1].OpticalPathIdentifier = name
    how = jpeg(subsampling="422")
    frames = [how(np.ascontiguousarray(255 - slide[y : y + 128, x : x + 128])) for y in (0, 128) for x in (0, 128, 256)]
    more = {"OpticalPathSequence": paths, "NumberOfOpticalPaths": 2, "frames": frames}
    path = write_dicom(tmp_path / "a.dcm", slide, JPEG, "YBR_FULL_422", how, **more)
    with pytest.raises(UnreadableSource, match="expected one optical path, found several"):
        open_source(path)


def test_the_finest_level_is_what_is_looked_at(tmp_path: Path, slide: Image) -> None:
    """Whichever file of the series is opened: the colours of another level do not matter."""
    write_dicom(tmp_path / "0.dcm", slide, JPEG, "RGB", jpeg(subsampling="422"))
    write_dicom(tmp_path / "1.dcm", slide[::2, ::2][:, :128], JPEG, "YBR_FULL_422", jpeg(subsampling="422"))
    for name in ("0.dcm", "1.dcm"):
        with open_source(tmp_path / name) as source:
            assert source.size == Size(384, 256)
            assert "YCbCr" in source.notes[0]
            assert np.abs(source.read(Region(0, 0, *source.size)) - slide.astype(float)).mean() < 3


def test_an_associated_image_of_wrong_colours_is_left_out(tmp_path: Path, slide: Image) -> None:
    write_dicom(tmp_path / "0.dcm", slide, JPEG, "YBR_FULL_422", jpeg(subsampling="422"))
    label, macro = slide[:128, :128], slide[128:, :128]
    kind = {"ImageType": ["ORIGINAL", "PRIMARY", "LABEL", "NONE"], "DimensionOrganizationType": "TILED_FULL"}
    write_dicom(tmp_path / "label.dcm", label, JPEG, "RGB", jpeg(subsampling="422"), **kind)
    kind = {"ImageType": ["ORIGINAL", "PRIMARY", "OVERVIEW", "NONE"], "DimensionOrganizationType": "TILED_FULL"}
    write_dicom(tmp_path / "macro.dcm", macro, JPEG, "YBR_FULL_422", jpeg(subsampling="422"), **kind)
    with open_source(tmp_path / "0.dcm") as source:
        assert list(source.associated) == ["macro"]
        assert source.notes == ("label left out: its header says other colours than its codestream holds",)


def test_a_note_reaches_the_report(tmp_path: Path, slide: Image) -> None:
    path = write_dicom(tmp_path / "a.dcm", slide, JPEG, "RGB", jpeg(subsampling="422"))
    with open_source(path) as source:
        settings = EncodeSettings(codec="jp2k", ratio=None, quality=35)
        report = encode(source, tmp_path / "a.hc.tif", BicubicGenerator(4), settings)
    assert any("its frames are YCbCr" in note for note in report.notes)


@pytest.mark.parametrize("which", [0, 3])
def test_a_damaged_frame(which: int, tmp_path: Path, slide: Image) -> None:
    """The first one, too: then the next tells of the colours."""
    path = write_dicom(tmp_path / "a.dcm", slide, JPEG, "RGB", jpeg(subsampling="422"))
    data, position = bytearray(path.read_bytes()), -1
    for _ in range(which + 1):
        position = data.index(b"\xff\xd8\xff", position + 1)
    data[position : position + 1000] = bytes(1000)
    path.write_bytes(data)
    with open_source(path, on_damage="fill") as source:
        image = source.read(Region(0, 0, *source.size))
        (place,) = source.damaged
        assert (place.x, place.y) == (which % 3 * FRAME, which // 3 * FRAME)
        expected = slide.astype(float)
        expected[place.y : place.bottom, place.x : place.right] = 255
        assert np.abs(image - expected).mean() < 3


def test_facts_of_codestreams(slide: Image) -> None:
    assert read_jpeg_header(b"") is None
    assert read_jpeg_header(jpeg()(slide[..., :1].repeat(3, axis=2))[:20]) is None
    facts = read_jpeg_header(RGB_JPEG(slide))
    assert facts is not None
    assert facts.colours == "rgb"
    facts = read_jpeg_header(jpeg(subsampling="420")(slide))
    assert facts is not None
    assert (facts.is_subsampled, facts.colours) == (True, "ycbcr")
    for transform in (True, False):
        j2k = read_jpeg_2000_header(jpeg_2000(transform=transform)(slide))
        assert j2k is not None
        assert (j2k.has_transform, j2k.is_subsampled, j2k.bits) == (transform, False, 8)
    data = jpeg_2000(transform=True)(slide)
    for length in range(120):
        read_jpeg_2000_header(data[:length])
        read_jpeg_header(RGB_JPEG(slide)[:length])


def test_frames_that_are_not_one_behind_the_other_are_refused(tmp_path: Path, slide: Image) -> None:
    """Its library takes the length of a frame from where the next one begins, and crashes on one below zero."""
    path = write_dicom(tmp_path / "a.dcm", slide, JPEG, "YBR_FULL_422", jpeg(subsampling="422"))
    data = path.read_bytes()
    table = data.index(b"\xe0\x7f\x10\x00OB\0\0\xff\xff\xff\xff") + 20
    for offsets in ((0, 0), (0x80000000, 8)):
        path.write_bytes(data[:table] + struct.pack("<2I", *offsets) + data[table + 8 :])
        with pytest.raises(UnreadableSource, match=r"offsets of a\.dcm is not in ascending order"):
            open_source(path)


@pytest.mark.parametrize(
    ("stated", "reason"),
    [
        ({(0x0028, 0x0010, b"US"): b"\xff\xff", (0x0028, 0x0011, b"US"): b"\xff\xff"}, "frames of 65535 x 65535 px"),
        ({(0x0048, 0x0006, b"UL"): b"\xff" * 4}, r"a\.dcm states 4294967295 x 256 px"),
        ({(0x0028, 0x0008, b"IS"): b"9" * 10}, "states 9999999999 frames, more than it has room for"),
    ],
)
def test_sizes_that_no_slide_has_are_refused_before_memory_is_asked_for(
    tmp_path: Path, slide: Image, stated: dict[tuple[int, int, bytes], bytes], reason: str
) -> None:
    path = write_dicom(tmp_path / "a.dcm", slide, JPEG, "YBR_FULL_422", jpeg(subsampling="422"))
    data = path.read_bytes()
    for element, value in stated.items():
        place = data.index(struct.pack("<HH2s", *element)) + 6
        (length,) = struct.unpack_from("<H", data, place)
        data = data[:place] + struct.pack("<H", len(value)) + value + data[place + 2 + length :]
    path.write_bytes(data)
    with pytest.raises(UnreadableSource, match=reason):
        open_source(path)
