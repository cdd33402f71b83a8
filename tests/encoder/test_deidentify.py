"""What `--deidentify` promises: nothing in the file's bytes names the patient, the user or the scanner."""

from __future__ import annotations

import dataclasses
import functools
import io
import json
import struct
from pathlib import Path

import numpy as np
import openslide
import pytest
import tifffile
import zstandard
from PIL import Image as PILImage
from PIL import ImageCms

from histocodec.cli.info import container_info
from histocodec.decoder import Decoder
from histocodec.encoder import EncodeReport, EncodeSettings, encode
from histocodec.encoder.deidentify import deidentified_profile, deidentified_properties
from histocodec.format.descriptions import history_label, stated_reconstruction
from histocodec.format.entries import LossyStep
from histocodec.format.reader import Container
from histocodec.format.regions import RegionsOfInterest
from histocodec.generators.bicubic import BicubicGenerator
from histocodec.generators.catalogue import known_names
from histocodec.geometry import Image
from histocodec.source import open_source
from histocodec.views.export import export_slide
from histocodec.views.picture import export_picture
from histocodec.views.slide import open_slide
from tests.places import FindData

SECRETS = (
    "SECRETPATIENT",  # the slide's file name
    "SECRETNAME",
    "SECRETUSER",
    "SECRETTITLE",
    "SECRETBARCODE",
    "SECRETSERIAL1",  # of the scanner: in the description and in the ICC profile
    "987654321",
    "01/02/23",
    "11:22:33",
    "2023:01:02",
    "SECRETHOST",
)
DESCRIPTION = (
    "Aperio Image Library v11.2.1\r\n1100x900 [0,0 1100x900] (256x256) JPEG/RGB Q=80"
    "|AppMag = 40|MPP = 0.25|Filename = SECRETNAME|Date = 01/02/23|Time = 11:22:33|User = SECRETUSER"
    "|Title = SECRETTITLE|Barcode = SECRETBARCODE|ScanScope ID = SECRETSERIAL1|ImageID = 987654321"
)
LABEL, MACRO = (200, 120, 40), (30, 90, 160)


@functools.cache  # a profile states the second it was made
def profile_with_a_serial_number() -> bytes:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    name, serial = "sRGB built-in".encode("utf-16-be"), "SECRETSERIAL1".encode("utf-16-be")
    assert profile.count(name) == 1
    return profile.replace(name, serial)


@pytest.fixture(scope="module")
def svs(tmp_path_factory: pytest.TempPathFactory, slide_image: Image) -> Path:
    """A slide as Aperio writes it, with an identity wherever that format has room for one."""
    path = tmp_path_factory.mktemp("svs") / "SECRETPATIENT.svs"
    jpeg = {"compression": "jpeg", "compressionargs": {"level": 80}, "photometric": "rgb", "metadata": None}
    with tifffile.TiffWriter(path) as tiff:

        def write(image: Image, description: str, **options: object) -> None:
            tiff.write(image, description=description, software=False, **(jpeg | options))  # type: ignore[arg-type]

        write(
            slide_image,
            DESCRIPTION,
            tile=(256, 256),
            iccprofile=profile_with_a_serial_number(),
            datetime="2023:01:02 11:22:33",
            extratags=[(316, "s", 0, "SECRETHOST", True)],
        )
        write(slide_image[::4, ::4], "Aperio Image Library v11.2.1\r\n1100x900 -> 275x225 - |Filename = SECRETNAME")
        write(np.full((300, 280, 3), LABEL, np.uint8), "Aperio Image Library v11.2.1\r\nlabel 280x300", subfiletype=1)
        write(np.full((200, 500, 3), MACRO, np.uint8), "Aperio Image Library v11.2.1\r\nmacro 500x200", subfiletype=9)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("out")


def encode_svs(svs: Path, out: Path, *, deidentify: bool) -> EncodeReport:
    with open_source(svs) as source:
        return encode(
            source,
            out,
            BicubicGenerator(4),
            EncodeSettings(codec="jp2k", ratio=8, deidentify=deidentify, verify="none"),
        )


@pytest.fixture(scope="module")
def bare(svs: Path, folder: Path) -> Path:
    """De-identified."""
    encode_svs(svs, folder / "bare.hc.tif", deidentify=True)
    return folder / "bare.hc.tif"


@pytest.fixture(scope="module")
def full(svs: Path, folder: Path) -> Path:
    """With everything."""
    encode_svs(svs, folder / "full.hc.tif", deidentify=False)
    return folder / "full.hc.tif"


def found_in(path: Path, *words: str) -> set[str]:
    """The words that occur in a container's bytes or in its manifest, as ASCII or UTF-16, in any case."""
    with Container(path) as container:
        haystack = (path.read_bytes() + b"\0" + container.manifest_json).lower()
    encodings = ("ascii", "utf-16-be", "utf-16-le")
    return {word for word in words if any(word.lower().encode(encoding) in haystack for encoding in encodings)}


def test_the_fixture_says_it_all(svs: Path) -> None:
    with openslide.OpenSlide(svs) as slide:
        assert slide.properties[openslide.PROPERTY_NAME_VENDOR] == "aperio"
        assert slide.properties["aperio.Barcode"] == "SECRETBARCODE"
        assert set(slide.associated_images) == {"thumbnail", "label", "macro"}
        told = " ".join([svs.name, *slide.properties.values()])
    assert [secret for secret in SECRETS if secret not in told] == []


def test_nothing_identifies(bare: Path) -> None:
    assert found_in(bare, *SECRETS) == set()


def test_without_the_option_everything_is_kept(full: Path, svs: Path) -> None:
    assert found_in(full, *SECRETS) == set(SECRETS)
    with Container(full) as container, openslide.OpenSlide(svs) as slide:
        assert container.manifest.slide.properties == dict(slide.properties)
        assert container.icc_profile == profile_with_a_serial_number()


def test_label_and_macro_are_gone(bare: Path) -> None:
    with Container(bare) as container:
        assert container.manifest.associated == ("thumbnail",)
    with openslide.OpenSlide(bare) as slide:
        assert set(slide.associated_images) == {"thumbnail"}
    with tifffile.TiffFile(bare) as tiff:
        descriptions = " ".join(page.description for page in tiff.pages)  # type: ignore[union-attr]
    assert "label" not in descriptions
    assert "macro" not in descriptions


def test_without_the_option_openslide_shows_label_and_macro(full: Path) -> None:
    with openslide.OpenSlide(full) as slide:
        images = {
            name: np.asarray(image.convert("RGB")).mean((0, 1)) for name, image in slide.associated_images.items()
        }
    assert set(images) == {"thumbnail", "label", "macro"}
    assert np.abs(images["label"] - LABEL).max() < 3
    assert np.abs(images["macro"] - MACRO).max() < 3


def test_what_describes_optics_stays(bare: Path) -> None:
    with Container(bare) as container:
        slide = container.manifest.slide
    assert (slide.mpp, slide.objective_power, slide.vendor, slide.deidentified) == (0.25, 40.0, "aperio", True)
    assert slide.properties["aperio.MPP"] == "0.25"
    with openslide.OpenSlide(bare) as opened:
        assert float(opened.properties[openslide.PROPERTY_NAME_MPP_X]) == pytest.approx(1.0)
        assert float(opened.properties[openslide.PROPERTY_NAME_OBJECTIVE_POWER]) == pytest.approx(10.0)


def test_a_safe_key_smuggles_no_text() -> None:
    properties = {
        "aperio.MPP": "0.25",
        "aperio.AppMag": "40 for Jane Doe",
        "openslide.mpp-x": "0.25",
        "openslide.comment": "Jane Doe",
        "openslide.vendor": "Jane Doe",
        "openslide.quickhash-1": "0123",
        "tiff.DateTime": "2023:01:02",
        "tiff.ResolutionUnit": "doe-jane",
        "tiff.XResolution": "01.02.1950",
        "openslide.background-color": "0123456",
    }
    assert deidentified_properties(properties) == {"aperio.MPP": "0.25", "openslide.mpp-x": "0.25"}


def test_the_slides_name_in_the_outputs_name_is_pointed_out(svs: Path, tmp_path: Path) -> None:
    told = encode_svs(svs, tmp_path / "SECRETPATIENT.hc.tif", deidentify=True)
    assert any("SECRETPATIENT.hc.tif" in note for note in told.notes)
    assert not any("name" in note for note in encode_svs(svs, tmp_path / "7.hc.tif", deidentify=True).notes)


# Text that was stamped into a file that `decode` had written

OURS = "Aperio-compatible histocodec 1\r\nreconstructed by "
DIGEST = "sha256:" + "0a" * 32
STAMP = "SECRETNAME SECRETUSER stamped by the LIMS"


@pytest.mark.parametrize(
    ("said", "kept", "kept_bare"),
    [
        (f"jp2k-x4 {DIGEST}; {STAMP}", f"jp2k-x4 {DIGEST}", f"jp2k-x4 {DIGEST}"),
        (f"jp2k-x4 sha256:00; {STAMP}", "jp2k-x4", "jp2k-x4"),
        (f"SECRETNAME {DIGEST} {STAMP}", f"SECRETNAME {DIGEST}", DIGEST),
        (f"SECRETNAME SECRETUSER {DIGEST}", DIGEST, DIGEST),
        (f"bicubic-x4 builtin:bicubic-x4-SECRETNAME {STAMP}", "bicubic-x4", "bicubic-x4"),
        (f"bicubic-x4 builtin:bicubic-x4; lossy history: {STAMP}", *["bicubic-x4 builtin:bicubic-x4"] * 2),
        (STAMP, *["a generator that is not named"] * 2),
        (f"{DIGEST[:-1]} {STAMP}", *["a generator that is not named"] * 2),
    ],
)
def test_of_an_origin_only_name_and_digest_are_repeated(said: str, kept: str, kept_bare: str) -> None:
    for prefix in (OURS, OURS.replace("-", " ")):
        described = f"{prefix}{said}|AppMag = 40|Title = SECRETTITLE"
        assert stated_reconstruction(described) == f"reconstructed by {kept}"
        assert stated_reconstruction(described, known=known_names()) == f"reconstructed by {kept_bare}"
    assert stated_reconstruction(f"Aperio Image Library\r\nreconstructed by {said}") is None


@pytest.fixture(scope="module")
def stamped(tmp_path_factory: pytest.TempPathFactory, slide_image: Image) -> Path:
    """A decoded file that another system wrote its own text into, wherever a TIFF takes text."""
    path = tmp_path_factory.mktemp("stamped") / "SECRETPATIENT.tif"
    text = [(33432, "Copyright"), (315, "Artist"), (316, "HostComputer"), (269, "DocumentName"), (285, "PageName")]
    xmp = b"<x:xmpmeta><dc:creator>SECRETUSER</dc:creator></x:xmpmeta>"
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(
            slide_image,
            photometric="rgb",
            tile=(256, 256),
            compression="jpeg",
            metadata=None,
            description=f"{OURS}bicubic-x4 builtin:bicubic-x4; {STAMP}|AppMag = 40|MPP = 0.25|Title = SECRETTITLE",
            software="SECRETHOST",
            datetime="2023:01:02 11:22:33",
            iccprofile=profile_with_a_serial_number(),
            extratags=[
                *((tag, "s", 0, f"SECRETBARCODE {name}", True) for tag, name in text),
                (700, "B", len(xmp), xmp, True),
                (33723, "B", 11, b"SECRETTITLE", True),
            ],
        )
    return path


REGIONS = {
    "type": "FeatureCollection",
    "name": "SECRETTITLE",
    "features": [
        {
            "type": "Feature",
            "id": "SECRETBARCODE",
            "geometry": {"type": "Point", "coordinates": [300, 300, 987654321], "note": "SECRETUSER"},
            "properties": {"name": "SECRETNAME", "classification": {"name": "SECRETTITLE"}},
            "by": "SECRETUSER",
        }
    ],
}


@pytest.fixture(scope="module")
def bare_of_stamped(stamped: Path, folder: Path) -> Path:
    """De-identified, with an enhancement layer and regions of interest."""
    with open_source(stamped) as source:
        settings = EncodeSettings(
            codec="jp2k",
            ratio=None,
            quality=30,
            deidentify=True,
            regions=RegionsOfInterest.from_geojson(json.dumps(REGIONS).encode(), source.size),
            roi_psnr_db=32,
        )
        encode(source, folder / "stamped.hc.tif", BicubicGenerator(4), settings)
    return folder / "stamped.hc.tif"


def told_by(path: Path) -> bytes:
    """All that a TIFF says: its bytes, every tag of every directory, and those that are compressed, decompressed."""
    told = [path.read_bytes()]
    with tifffile.TiffFile(path) as tiff:
        pages = [page for page in tiff.pages if isinstance(page, tifffile.TiffPage)]
        pages += [page for parent in pages for page in parent.pages or () if isinstance(page, tifffile.TiffPage)]
        for page in pages:
            values = [tag.value for tag in page.tags]
            told += [value if isinstance(value, bytes) else str(value).encode() for value in values]
    zstd = [value for value in told[1:] if value.startswith(b"\x28\xb5\x2f\xfd")]
    return b"\0".join([*told, *(zstandard.ZstdDecompressor().decompressobj().decompress(value) for value in zstd)])


def test_stamped_text_survives_nowhere(bare_of_stamped: Path, stamped: Path, tmp_path: Path) -> None:
    told = told_by(bare_of_stamped)
    assert b"lossy_history" in told  # the manifest, decompressed
    assert b'"coordinates":[300' in told  # and the regions
    with Decoder(bare_of_stamped) as decoder:
        for level in (0, 1):
            for compression in ("jpeg", "jp2k", "lossless"):
                out = tmp_path / f"{compression}{level}.tif"
                export_slide(decoder, out, level=level, compression=compression)
                told += told_by(out)
            for name in ("out.png", "out.jpg"):
                export_picture(decoder, tmp_path / name, level=level, overwrite=True)
                told += (tmp_path / name).read_bytes()
                with PILImage.open(tmp_path / name) as picture:
                    told += repr(picture.info).encode()
        told += repr(decoder.container.regions()).encode() + repr(container_info(decoder.container)).encode()
    with open_slide(bare_of_stamped) as slide:
        told += repr(dict(slide.properties)).encode()
    for encoding in ("ascii", "utf-16-be", "utf-16-le"):
        assert [word for word in SECRETS if word.lower().encode(encoding) in told.lower()] == []
    assert b"reconstructed by bicubic-x4 builtin:bicubic-x4" in told
    # The test can fail: the stamped file itself says it all.
    assert {word for word in SECRETS if word.encode() in told_by(stamped)} >= {
        "SECRETNAME",
        "SECRETUSER",
        "SECRETTITLE",
    }


def test_an_older_files_history_is_not_repeated_when_it_is_decoded(container_path: Path, tmp_path: Path) -> None:
    with Decoder(container_path) as decoder:
        step = LossyStep("reconstruction", None, f"reconstructed by bicubic-x4 builtin:bicubic-x4; {STAMP}")
        slide = dataclasses.replace(decoder.manifest.slide, lossy_history=(step, *decoder.manifest.slide.lossy_history))
        decoder.manifest = dataclasses.replace(decoder.manifest, slide=slide)
        export_slide(decoder, tmp_path / "out.tif")
        assert "SECRET" not in history_label(decoder.manifest)
    assert b"SECRET" not in (tmp_path / "out.tif").read_bytes()


def test_the_name_of_a_compression_smuggles_no_text(svs: Path, tmp_path: Path) -> None:
    with open_source(svs) as source:
        source.lossy_methods = ("SECRETNAME", "ISO_10918_1")
        for deidentify, expected in ((True, "unknown"), (False, "SECRETNAME")):
            settings = EncodeSettings(codec="jp2k", ratio=None, quality=30, deidentify=deidentify, verify="none")
            report = encode(source, tmp_path / f"{deidentify}.hc.tif", BicubicGenerator(4), settings)
            steps = report.manifest.slide.lossy_history
            assert [step.method for step in steps] == [expected, "ISO_10918_1", "ISO_15444_1"]


# The ICC profile


@pytest.fixture(scope="module")
def profiles() -> list[bytes]:
    """Of ICC version 4, and of version 2 with a description as that writes it."""
    new = profile_with_a_serial_number()
    text = b"SECRETSERIAL1\0"
    description = b"desc" + struct.pack(">II", 0, len(text)) + text + bytes(78)
    header = bytearray(new[:128])
    header[8:10] = b"\2\x40"
    entries = [struct.unpack_from(">4sII", new, 132 + 12 * i) for i in range(struct.unpack_from(">I", new, 128)[0])]
    elements = {tag: new[at : at + size] for tag, at, size in entries if tag != b"cprt"} | {b"desc": description}
    table, body = struct.pack(">I", len(elements)), b""
    for tag, element in elements.items():
        table += struct.pack(">4sII", tag, 132 + 12 * len(elements) + len(body), len(element))
        body += element + bytes(-len(element) % 4)
    old = bytes(header) + table + body
    return [new, struct.pack(">I", len(old)) + old[4:]]


@pytest.mark.parametrize("number", [0, 1], ids=["version 4", "version 2"])
def test_a_profile_keeps_its_colours_and_nothing_else(profiles: list[bytes], number: int) -> None:
    profile = profiles[number]
    stripped = deidentified_profile(profile)
    assert stripped is not None
    assert struct.unpack_from(">I", stripped)[0] == len(stripped)
    for encoding in ("ascii", "utf-16-be"):
        assert "SECRET".encode(encoding) not in stripped
    assert stripped[24:36] != profile[24:36]  # when it was made
    opened = ImageCms.ImageCmsProfile(io.BytesIO(stripped))
    assert ImageCms.getProfileDescription(opened).strip() == "colours of the source"
    colours = PILImage.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    lab = ImageCms.createProfile("LAB")
    before, after = (
        np.asarray(ImageCms.profileToProfile(colours, ImageCms.ImageCmsProfile(io.BytesIO(p)), lab, outputMode="LAB"))
        for p in (profile, stripped)
    )
    assert np.array_equal(before, after)


@pytest.mark.parametrize("damaged", [b"", b"no profile", bytes(200), b"\0" * 36 + b"acsp" + b"\xff" * 200])
def test_a_profile_that_cannot_be_followed_is_dropped(damaged: bytes) -> None:
    assert deidentified_profile(damaged) is None


def test_a_dropped_profile_is_pointed_out(svs: Path, tmp_path: Path) -> None:
    with open_source(svs) as source:
        source.icc_profile = b"Jane Doe's scanner"
        settings = EncodeSettings(codec="jp2k", ratio=8, deidentify=True, verify="none")
        report = encode(source, tmp_path / "7.hc.tif", BicubicGenerator(4), settings)
        assert any("ICC profile left out" in note for note in report.notes)
        assert found_in(tmp_path / "7.hc.tif", "Jane Doe") == set()
        kept = encode(
            source, tmp_path / "8.hc.tif", BicubicGenerator(4), dataclasses.replace(settings, deidentify=False)
        )
    assert not any("ICC" in note for note in kept.notes)


# A real slide


def test_a_real_slide(find_data: FindData, tmp_path: Path) -> None:
    path = find_data("slides/CMU-1-Small-Region.svs")
    secrets = ["CMU-1", "12/29/09", "09:59:15", "CPAPERIOCS", "b414003d-95c6-48b0-9369-8010ed517ba7", "1004486"]
    files = {True: tmp_path / "bare.hc.tif", False: tmp_path / "full.hc.tif"}
    with open_source(path) as source:
        for deidentify, out in files.items():
            settings = EncodeSettings(codec="jp2k", ratio=None, quality=30, deidentify=deidentify, verify="none")
            encode(source, out, BicubicGenerator(2), settings)
    assert found_in(files[True], *secrets) == set()
    assert found_in(files[False], *secrets) == set(secrets)
    with Container(files[True]) as container:
        assert container.manifest.slide.mpp == pytest.approx(0.499)
        assert container.manifest.slide.objective_power == 20
        assert set(container.manifest.associated) == {"thumbnail"}
    with openslide.OpenSlide(files[False]) as slide:
        assert set(slide.associated_images) == {"thumbnail", "label", "macro"}
