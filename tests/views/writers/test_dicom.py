"""DICOM whole slide instances as dciodvfy, pydicom, wsidicom and OpenSlide see them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import openslide
import pytest

from histocodec.decoder import Decoder
from histocodec.encoder import EncodeSettings, encode
from histocodec.generators.bicubic import BicubicGenerator
from histocodec.geometry import Image, Region, Size
from histocodec.pixels.metrics import psnr
from histocodec.source import open_source
from histocodec.views.export import export_slide
from histocodec.views.levels import Compression
from tests.views.conftest import PROFILE, whole

pydicom = pytest.importorskip("pydicom", reason="pydicom is not installed (histocodec[export])")
wsidicom = pytest.importorskip("wsidicom", reason="wsidicom is not installed")

COMPRESSIONS: list[Compression] = ["jpeg", "jp2k", "lossless"]
INSTANCES = ["label", "level-0", "level-1", "level-2", "overview"]


@pytest.fixture(scope="module", params=COMPRESSIONS)
def exported(request: pytest.FixtureRequest, full_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A slide in each compression, in a folder of its name."""
    out: Path = tmp_path_factory.mktemp("dicom") / f"{request.param}.dcm"
    with Decoder(full_path) as decoder:
        export_slide(decoder, out, compression=request.param)
    return out


def close_enough(found: Image, expected: Image, exported: Path) -> bool:
    return bool(np.array_equal(found, expected) if exported.stem == "lossless" else psnr(found, expected) > 29)


def test_dciodvfy_finds_no_error(exported: Path) -> None:
    program = shutil.which("dciodvfy")
    if program is None:
        pytest.skip("dciodvfy is not installed (Debian: dicom3tools)")
    files = sorted(exported.iterdir())
    assert [file.stem for file in files] == INSTANCES
    for file in files:
        done = subprocess.run([program, file], capture_output=True, text=True, check=False)
        said = (done.stdout + done.stderr).splitlines()
        assert "VLWholeSlideMicroscopyImage" in said
        assert [line for line in said if line.startswith("Error")] == []


def test_pydicom_reads_every_frame(full: Decoder, exported: Path) -> None:
    for level in range(3):
        data = pydicom.dcmread(exported / f"level-{level}.dcm")
        size = full.levels[level]
        assert Size(data.TotalPixelMatrixColumns, data.TotalPixelMatrixRows) == size
        columns = -(-size.width // 512)
        assert data.NumberOfFrames == columns * -(-size.height // 512)
        for index, frame in enumerate(pydicom.pixels.iter_pixels(data)):
            row, column = divmod(index, columns)
            part = Region(column * 512, row * 512, 512, 512).clipped(size)
            assert part is not None
            found = frame[: part.height, : part.width]
            assert close_enough(found, full.read(part, level), exported), (level, index)


def test_wsidicom_and_openslide_see_all_levels_and_images(full: Decoder, exported: Path) -> None:
    with wsidicom.WsiDicom.open(exported) as theirs, openslide.OpenSlide(exported / "level-0.dcm") as other:
        assert [(level.size.width, level.size.height) for level in theirs.levels] == list(full.levels)
        assert other.level_dimensions == tuple(full.levels)
        assert theirs.mpp.width == pytest.approx(full.mpp)
        assert float(other.properties["openslide.mpp-x"]) == pytest.approx(full.mpp)
        assert float(other.properties["openslide.objective-power"]) == 40
        for number, level in enumerate(theirs.levels):
            size = full.levels[number]
            found = np.asarray(theirs.read_region((0, 0), level.level, tuple(size)).convert("RGB"))
            assert close_enough(found, whole(full, number), exported)
            picture = other.read_region((0, 0), number, (size.width, size.height)).convert("RGB")
            assert close_enough(np.asarray(picture), whole(full, number), exported)
        for found, name in ((theirs.read_label(), "label"), (theirs.read_overview(), "macro")):
            assert psnr(np.asarray(found.convert("RGB")), full.container.associated_image(name)) > 40
        assert set(other.associated_images) == {"label", "macro"}


def test_it_says_that_it_is_derived_and_how(full: Decoder, exported: Path) -> None:
    finest, base = (pydicom.dcmread(exported / f"level-{level}.dcm", stop_before_pixels=True) for level in (0, 1))
    own = {"jpeg": ["ISO_10918_1"], "jp2k": ["ISO_15444_1"], "lossless": []}[exported.stem]
    for data in (finest, base):
        assert data.ImageType == ["DERIVED", "PRIMARY", "VOLUME", "RESAMPLED"]
        assert data.LossyImageCompression == "01"
        steps = full.manifest.slide.lossy_history
        assert list(data.LossyImageCompressionMethod) == [*(step.method for step in steps), *own]
        assert len(data.LossyImageCompressionRatio) == len(data.LossyImageCompressionMethod)
        assert data.LossyImageCompressionRatio[0] == pytest.approx(steps[0].ratio, abs=0.01)
        assert [code.CodeMeaning for code in data.DerivationCodeSequence] == ["Lossy Compression", "Spatial resampling"]
        assert data.SeriesDescription == "RECONSTRUCTED, not for primary diagnosis"
        assert data.OpticalPathSequence[0].ICCProfile.rstrip(b"\0") == PROFILE.rstrip(b"\0")
    if own:
        frames = (exported / "level-0.dcm").stat().st_size
        coded = finest.NumberOfFrames * 512 * 512 * 3 / float(finest.LossyImageCompressionRatio[-1])
        assert coded == pytest.approx(frames, rel=0.05)  # the rest is the header
    assert finest.DerivationDescription.startswith(
        "histocodec decoded: reconstructed by bicubic-x4 builtin:bicubic-x4; measured on"
    )
    assert base.DerivationDescription.startswith("histocodec decoded: the stored base")
    assert "reconstructed" not in base.DerivationDescription
    equipment = {
        item.PurposeOfReferenceCodeSequence[0].CodeMeaning: item for item in finest.ContributingEquipmentSequence
    }
    assert equipment["Modifying Equipment"].Manufacturer == "histocodec"
    assert equipment["Modifying Equipment"].ContributionDescription.startswith("reconstructed by bicubic-x4")
    label = pydicom.dcmread(exported / "label.dcm", stop_before_pixels=True)
    assert (label.ImageType[2], label.BurnedInAnnotation, label.SpecimenLabelInImage) == ("LABEL", "YES", "YES")


def test_identifiers_are_new_each_time_and_shared_within(full: Decoder, tmp_path: Path) -> None:
    found = []
    for name in ("a.dcm", "b.dcm"):
        export_slide(full, tmp_path / name, level=1)
        read = [pydicom.dcmread(file, stop_before_pixels=True) for file in sorted((tmp_path / name).iterdir())]
        assert len({data.SOPInstanceUID for data in read}) == len(read) == 4
        assert len({data.InstanceNumber for data in read}) == len(read)
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"):
            assert len({data[keyword].value for data in read}) == 1
        found.append(read[0])
    for keyword in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"):
        assert found[0][keyword].value != found[1][keyword].value


def test_nothing_is_said_of_a_patient_and_the_label_can_be_left_out(full: Decoder, tmp_path: Path) -> None:
    export_slide(full, tmp_path / "out.dcm", level=1, associated=False)
    assert sorted(file.stem for file in (tmp_path / "out.dcm").iterdir()) == ["level-0", "level-1"]
    data = pydicom.dcmread(tmp_path / "out.dcm" / "level-0.dcm", stop_before_pixels=True)
    assert not any(data[keyword].value for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex"))
    assert data.BurnedInAnnotation == "NO"


def test_levels_lie_on_one_glass(full: Decoder, tmp_path: Path) -> None:
    """The corner of a region is as far from that of the slide as its pixels are, towards smaller numbers."""
    region = Region(400, 200, 1000, 800)
    export_slide(full, tmp_path / "all.dcm", level=1)
    export_slide(full, tmp_path / "part.dcm", region=region)
    files = tmp_path / "all.dcm" / "level-0.dcm", tmp_path / "part.dcm" / "level-0.dcm"
    slide, part = (pydicom.dcmread(f, stop_before_pixels=True).TotalPixelMatrixOriginSequence[0] for f in files)
    mm = full.mpp / 1000
    assert slide.XOffsetInSlideCoordinateSystem - part.XOffsetInSlideCoordinateSystem == pytest.approx(region.y * mm)
    assert slide.YOffsetInSlideCoordinateSystem - part.YOffsetInSlideCoordinateSystem == pytest.approx(region.x * mm)


def test_long_levels_have_a_table_of_64_bits(full: Decoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("histocodec.views.writers.dicom._LONGEST_BASIC_TABLE", 1000)
    export_slide(full, tmp_path / "out.dcm", compression="lossless")
    data = pydicom.dcmread(tmp_path / "out.dcm" / "level-0.dcm")
    assert len(data.ExtendedOffsetTable) == len(data.ExtendedOffsetTableLengths) == 8 * data.NumberOfFrames
    frame = pydicom.pixels.pixel_array(data, index=6)
    assert np.array_equal(frame, full.read(Region(512, 512, 512, 512)))
    with wsidicom.WsiDicom.open(tmp_path / "out.dcm") as theirs:
        found = np.asarray(theirs.read_region((512, 512), 0, (512, 512)).convert("RGB"))
    assert np.array_equal(found, frame)


def test_encoded_again_it_is_still_a_reconstruction(full: Decoder, exported: Path, tmp_path: Path) -> None:
    with open_source(exported / "level-0.dcm") as source:
        assert not source.notes
        assert source.size == full.levels[0]
        settings = EncodeSettings(codec="jp2k", ratio=None, quality=30, verify="none")
        report = encode(source, tmp_path / "again.hc.tif", BicubicGenerator(4), settings)
    first = report.manifest.slide.lossy_history[0]
    assert (first.method, first.derivation) == ("reconstruction", "reconstructed by bicubic-x4 builtin:bicubic-x4")


def test_pixels_of_the_original_are_not_called_reconstructed(original_path: Path, tmp_path: Path) -> None:
    with Decoder(original_path, tier="original") as decoder:
        export_slide(decoder, tmp_path / "out.dcm", compression="lossless")
        pixels, steps = whole(decoder), decoder.manifest.slide.lossy_history
    finest, base = (pydicom.dcmread(tmp_path / "out.dcm" / f"level-{level}.dcm") for level in (0, 1))
    assert finest.ImageType == ["DERIVED", "PRIMARY", "VOLUME", "NONE"]
    assert base.ImageType == ["DERIVED", "PRIMARY", "VOLUME", "RESAMPLED"]
    assert finest.SeriesDescription == "Pixels of the original, not for primary diagnosis"
    assert "reconstructed" not in finest.DerivationDescription
    assert finest.LossyImageCompression == "01"
    assert [step.method for step in steps] == ["ISO_10918_1", "ISO_15444_1"]
    assert finest.LossyImageCompressionMethod == "ISO_10918_1"  # the source's own step, and not that of the base
    assert np.array_equal(pydicom.pixels.pixel_array(finest, index=0), pixels[:512, :512])
