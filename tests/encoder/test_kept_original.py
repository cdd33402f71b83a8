"""The original is kept whole, of whatever source, smaller where it is JPEG, and shown where it is one grid of tiles."""

from __future__ import annotations

import dataclasses
import hashlib
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile

from histocodec.decoder import Decoder
from histocodec.demo.synthetic import tissue, write_slide
from histocodec.encoder import EncodeReport, EncodeSettings, encode, kept_original
from histocodec.encoder.source_segments import CHUNK_BYTES, cut, scanned
from histocodec.errors import OutputError, SettingsError, SourceReadError
from histocodec.format.original import Kind
from histocodec.format.reader import Container
from histocodec.format.restoration import restore
from histocodec.format.tags import MAX_SEGMENT_BYTES
from histocodec.generators.bicubic import BicubicGenerator
from histocodec.geometry import Image, Region, Size
from histocodec.pixels.jpeg_xl import to_jpeg, to_jpeg_xl
from histocodec.runtime.scratch import PieceSpool
from histocodec.source import open_source
from histocodec.validation import validate
from tests.encoder.inputs import ArraySource
from tests.source.inputs import CM_025, write_ome, write_pyramid, write_tiled
from tests.source.test_dicom import JPEG, write_dicom

SETTINGS = EncodeSettings(keep_original=True, ratio=None, quality=30, verify="none")
BICUBIC = BicubicGenerator(4)


@pytest.fixture(scope="module")
def picture() -> Image:
    return tissue(Size(512, 384), seed=5)


def write_mrxs(path: Path, image: Image, side: int = 64) -> Path:
    """A slide as MIRAX scanners write it: one level of JPEG tiles in a data file, and what says where they are."""
    folder = path.with_suffix("")
    folder.mkdir()
    slide_id, level = "0123456789ABCDEF" * 2, "LAYER_0_LEVEL_0_SECTION"
    rows, columns = image.shape[0] // side, image.shape[1] // side
    said: dict[str, dict[str, object]] = {
        "GENERAL": {
            "SLIDE_VERSION": "01.02",
            "SLIDE_ID": slide_id,
            "OBJECTIVE_MAGNIFICATION": 40,
            "IMAGENUMBER_X": columns,
            "IMAGENUMBER_Y": rows,
            "CameraImageDivisionsPerSide": 1,
        },
        "HIERARCHICAL": {
            "HIER_COUNT": 1,
            "NONHIER_COUNT": 0,
            "INDEXFILE": "Index.dat",
            "HIER_0_NAME": "Slide zoom level",
            "HIER_0_COUNT": 1,
            "HIER_0_VAL_0": "ZoomLevel_0",
            "HIER_0_VAL_0_SECTION": level,
        },
        "DATAFILE": {"FILE_COUNT": 1, "FILE_0": "Data0000.dat"},
        level: {
            "OVERLAP_X": 0,
            "OVERLAP_Y": 0,
            "MICROMETER_PER_PIXEL_X": 0.25,
            "MICROMETER_PER_PIXEL_Y": 0.25,
            "IMAGE_FORMAT": "JPEG",
            "IMAGE_FILL_COLOR_BGR": 0xFFFFFF,
            "IMAGE_CONCAT_FACTOR": 0,
            "DIGITIZER_WIDTH": side,
            "DIGITIZER_HEIGHT": side,
        },
    }
    lines = [line for name, keys in said.items() for line in (f"[{name}]", *(f"{k} = {v}" for k, v in keys.items()))]
    (folder / "Slidedat.ini").write_text("\r\n".join(lines) + "\r\n", "utf-8-sig", newline="")
    data, entries = bytearray(41), b""
    for index in range(rows * columns):
        y, x = (side * n for n in divmod(index, columns))
        jpeg = imagecodecs.jpeg_encode(np.ascontiguousarray(image[y : y + side, x : x + side]), level=85)
        entries += struct.pack("<4i", index, len(data), len(jpeg), 0)
        data += jpeg
    (folder / "Data0000.dat").write_bytes(data)
    head = b"01.02" + slide_id.encode()
    root = len(head) + 8
    lists = struct.pack("<7i", root, 0, root + 4, 0, root + 12, rows * columns, 0)
    (folder / "Index.dat").write_bytes(head + lists + entries)
    path.write_bytes(b"\xff\xd8\xff\xd9")
    return path


def write_jpeg_2000(path: Path, image: Image) -> Path:
    """Tiles in JPEG 2000, as Aperio writes them."""
    tiles = []
    for index in range((image.shape[0] // 128) * (image.shape[1] // 128)):
        y, x = (128 * n for n in divmod(index, image.shape[1] // 128))
        tile = np.ascontiguousarray(image[y : y + 128, x : x + 128])
        tiles.append(bytes(imagecodecs.jpeg2k_encode(tile, level=35, codecformat="j2k")))
    tifffile.imwrite(
        path, iter(tiles), shape=image.shape, dtype=np.uint8, tile=(128, 128), photometric="rgb", compression=33005,
        metadata=None, description="Aperio|AppMag = 40|MPP = 0.25",
    )  # fmt: skip
    return path


def write_jpeg_slide(path: Path, image: Image) -> Path:
    write_slide(path, image)
    return path


def jpeg_frame(image: Image) -> bytes:
    return bytes(imagecodecs.jpeg_encode(image, level=80))


def write_series(path: Path, image: Image) -> Path:
    """A series of two levels and a label, beside an instance of another."""
    write_dicom(path, image, JPEG, "YBR_FULL_422", jpeg_frame)
    write_dicom(path.with_name("level.dcm"), image[::2, ::2], JPEG, "YBR_FULL_422", jpeg_frame)
    kind = {"ImageType": ["ORIGINAL", "PRIMARY", "LABEL", "NONE"], "DimensionOrganizationType": "TILED_FULL"}
    write_dicom(path.with_name("label.dcm"), image[:128, :128], JPEG, "YBR_FULL_422", jpeg_frame, **kind)
    write_dicom(path.with_name("other.dcm"), image, JPEG, "YBR_FULL_422", jpeg_frame, SeriesInstanceUID="1.2.3.9")
    return path


Write = Callable[[Path, Image], Path]
SQUARE: dict[str, Any] = {"tile": (64, 64), **CM_025}
SOURCES: dict[str, tuple[str, Write, int | None]] = {
    "jpeg": ("a.tif", write_jpeg_slide, 50002),
    "jpeg 2000": ("a.svs", write_jpeg_2000, 33005),
    "deflate": ("a.tif", lambda p, i: write_pyramid(p, i, compression="deflate", predictor=True), 8),
    "deflate, no predictor": ("a.tif", lambda p, i: write_pyramid(p, i, compression="deflate"), 8),
    "lzw": ("a.tif", lambda p, i: write_tiled(p, i, compression="lzw", predictor=True, **SQUARE), 5),
    "uncompressed": ("a.tif", lambda p, i: write_tiled(p, i, **SQUARE), 50000),
    "ome": ("a.ome.tif", lambda p, i: write_ome(p, i, tile=(128, 128), compression="jpeg"), 50002),
    "oblong tiles": ("a.tif", lambda p, i: write_tiled(p, i, **CM_025), None),
    "strips": ("a.tif", lambda p, i: write_tiled(p, i, tile=None, rowsperstrip=16, compression="jpeg", **CM_025), None),
    "dicom": ("a.dcm", write_series, None),
    "mirax": ("a.mrxs", write_mrxs, None),
}
"""Name of the file, how it is written, and the compression by which other readers see its tiles; None: not at all."""


def kept(source: Path, out: Path, settings: EncodeSettings = SETTINGS, scale: int = 4) -> EncodeReport:
    with open_source(source) as slide:
        return encode(slide, out, BicubicGenerator(scale), settings, overwrite=True)


@pytest.mark.parametrize("kind", SOURCES)
def test_whatever_the_source_it_comes_back(kind: str, tmp_path: Path, out: Path, picture: Image) -> None:
    name, write, compression = SOURCES[kind]
    folder = tmp_path / "source"
    folder.mkdir()
    source = write(folder / name, picture)
    report = kept(source, out)
    assert validate(out, deep=True) == []
    assert report.manifest.tier == "original"
    with open_source(source) as slide:
        files, pixels = slide.files, slide.read(Region(0, 0, *slide.size))
    written = restore(out, tmp_path / "again")
    assert len(written) == len(files) == {"mirax": 4, "dicom": 3}.get(kind, 1)
    for ours, theirs in zip(written, files, strict=True):
        assert ours.read_bytes() == theirs.read_bytes()
        assert int(ours.stat().st_mtime) == int(theirs.stat().st_mtime)
    if len(written) > 1:
        assert [path.relative_to(tmp_path / "again") for path in written] == [p.relative_to(folder) for p in files]
    if compression is None:
        assert any("not read as pixels" in note for note in report.notes)
        with pytest.raises(SettingsError, match="it can be restored, and no more"):
            Decoder(out, tier="original")
        return
    with Decoder(out, tier="original") as decoder:
        np.testing.assert_array_equal(decoder.read(Region(0, 0, *decoder.levels[0])), pixels)
        np.testing.assert_array_equal(decoder.read(Region(70, 30, 200, 100)), pixels[30:130, 70:270])
    with tifffile.TiffFile(out) as tiff:
        pages = tiff.pages.first.pages
        assert pages is not None
        page = pages[-1]
        assert isinstance(page, tifffile.TiffPage)
        assert page.compression == compression
        apart = np.abs(page.asarray().astype(np.int16) - pixels)
        assert apart.mean() < 1.5 if compression == 50002 else not apart.any()


def test_jpeg_tiles_take_fewer_bytes_and_the_ratio_counts_the_rest(tmp_path: Path, out: Path) -> None:
    source = tmp_path / "slide.tif"
    write_slide(source, tissue(Size(1024, 1024), seed=3))
    with_it = kept(source, out, EncodeSettings(keep_original=True, ratio=8, verify="none"))
    assert with_it.original_bytes < 0.92 * source.stat().st_size
    assert with_it.size_bytes - with_it.original_bytes <= source.stat().st_size / 8
    with Container(out) as container:
        original = container.original
        assert original is not None
        assert abs(original.total_bytes - with_it.original_bytes) < 1000  # what points to it is not counted
        assert (original.segments.kinds == Kind.JPEG_XL).mean() > 0.8


def test_the_rest_of_the_file_is_the_same_with_and_without(tmp_path: Path, out: Path, slide_path: Path) -> None:
    kept(slide_path, out)
    plain = tmp_path / "plain.hc.tif"
    kept(slide_path, plain, dataclasses.replace(SETTINGS, keep_original=False))
    with Container(out) as a, Container(plain) as b:
        assert a.checksums == b.checksums
        assert b.original is None
        assert a.manifest.source == b.manifest.source


def test_a_jpeg_that_does_not_come_back_stays_as_it_is(tmp_path: Path) -> None:
    good = jpeg_frame(tissue(Size(64, 64), seed=2))
    assert to_jpeg_xl(good) is not None
    path = tmp_path / "a.bin"
    for odd in (good[: len(good) // 2], good[:2] + b"\xff\xc4\x00\x03\x00" + good[2:], b"\xff\xd8" + bytes(200)):
        path.write_bytes(odd)
        stored = kept_original._stored((path, dataclasses.replace(cut(path, "", Size(9, 9)).ranges[0], is_jpeg=True)))
        assert stored.restored == odd
        assert stored.kind != Kind.JPEG_XL or to_jpeg_xl(odd) is not None


def test_a_recipe_without_a_place_stays_with_its_stream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_original, "MAX_SHARED", 1)
    shared, numbers, paths = {b"": 0}, list[int](), list[Path]()
    for number, optimised in enumerate((False, True, False, True)):  # tables of each one's own
        path = tmp_path / f"{number}.jpg"
        image = np.ascontiguousarray(tissue(Size(128, 128), seed=number))
        path.write_bytes(imagecodecs.jpeg8_encode(image, level=85, optimize=optimised))
        paths.append(path)
    for path in paths:
        data = path.read_bytes()
        stored = kept_original._sharing(kept_original._stored((path, cut(path, "", Size(9, 9)).ranges[0])), shared)
        numbers.append(shared[stored.recipe])
        assert stored.kind == Kind.JPEG_XL
        assert to_jpeg(stored.data, len(data), stored.recipe) == data
    assert numbers == [1, 0, 1, 0]
    assert len(shared) == 2


def test_streams_are_found_in_files_of_any_format(tmp_path: Path) -> None:
    """Also progressive ones, and thumbnails within a marker; what only looks like one is left alone."""
    image = tissue(Size(96, 64), seed=2)
    plain = jpeg_frame(image)
    with_thumbnail = plain[:2] + b"\xff\xe1" + struct.pack(">H", 2 + len(plain)) + plain + plain[2:]
    progressive = tmp_path / "p.jpg"
    import PIL.Image

    PIL.Image.fromarray(image).save(progressive, progressive=True)
    parts = [b"DICM head", plain, b"\0", with_thumbnail, b"\xff\xd8\xff\xe0 not one", progressive.read_bytes(), b"tail"]
    path = tmp_path / "a.dat"
    path.write_bytes(b"".join(parts))
    ends = np.cumsum([len(part) for part in parts]).tolist()
    found = [(one.offset, one.end) for one in scanned(path)]
    assert found == [(ends[k - 1], ends[k]) for k in (1, 3, 5)]
    ranges = cut(path, "", Size(1, 1)).ranges
    assert [one.offset for one in ranges] == [0, *(one.end for one in ranges[:-1])]
    assert ranges[-1].end == ends[-1]
    assert [one.is_jpeg for one in ranges] == [False, True, False, True, False, True, False]


def test_a_long_file_is_cut_into_pieces_that_memory_can_hold(tmp_path: Path) -> None:
    path = tmp_path / "huge.dat"
    endless = b"\xff\xd8\xff\xda\x00\x02" + bytes(MAX_SEGMENT_BYTES) + b"\xff\xd9"
    path.write_bytes(endless)
    ranges = cut(path, "", Size(1, 1)).ranges
    assert not any(one.is_jpeg for one in ranges)
    assert max(one.length for one in ranges) == CHUNK_BYTES
    assert ranges[-1].end == len(endless)


def test_what_cannot_be_kept(tmp_path: Path, out: Path, picture: Image) -> None:
    with pytest.raises(SettingsError, match="scanner's own file"):
        EncodeSettings(keep_original=True, deidentify=True)
    with pytest.raises(SettingsError, match="no files that could be kept"):
        encode(ArraySource(picture), out, BICUBIC, SETTINGS)
    if not (tmp_path / "CON:").exists():  # a name that other systems do not take; of one file it is no hindrance
        source = write_mrxs(tmp_path / "a.mrxs", picture)
        (tmp_path / "a" / "b:c.dat").write_bytes(b"x")
        with pytest.raises(SettingsError, match="each needs a name that every"):
            kept(source, out)
    assert not out.exists()


def test_a_source_that_changes_meanwhile_is_refused(slide_path: Path, out: Path, tmp_path: Path) -> None:
    source = tmp_path / "slide.tif"
    source.write_bytes(slide_path.read_bytes())

    def change(stage: str, done: int, total: int) -> None:
        if stage == "keeping the original" and done == 1:
            data = bytearray(source.read_bytes())
            data[-1] ^= 1
            source.write_bytes(data)

    with open_source(source) as slide, pytest.raises(SourceReadError, match="changed while it was read"):
        encode(slide, out, BICUBIC, dataclasses.replace(SETTINGS, workers=1), progress=change)
    assert not out.exists()
    assert list(tmp_path.iterdir()) == [source]


def test_what_was_written_wrong_gets_no_name(
    slide_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A disk that returns other bytes than it was given."""
    before = hashlib.sha256(slide_path.read_bytes()).digest()
    get = PieceSpool.get
    monkeypatch.setattr(PieceSpool, "get", lambda self, index: get(self, index)[:-1] + b"\0")
    monkeypatch.setattr(kept_original.KeptOriginal, "_shows", lambda self, job: True)
    with pytest.raises(OutputError, match="the original does not come back from it"):
        kept(slide_path, out)
    assert list(tmp_path.iterdir()) == []
    assert hashlib.sha256(slide_path.read_bytes()).digest() == before


def test_tiles_whose_pixels_are_others_are_not_shown(
    slide_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def darker(data: bytes, tiles: object) -> Image:
        return np.zeros((256, 256, 3), np.uint8)

    monkeypatch.setattr(kept_original, "decoded_tile", darker)
    report = kept(slide_path, out)
    assert report.manifest.layers.original is not None
    assert report.manifest.layers.original.tiles is None


def test_real_slides(tmp_path: Path, out: Path, find_data: Callable[[str], Path]) -> None:
    source = find_data("slides/CMU-1-Small-Region.svs")
    report = kept(source, out, EncodeSettings(keep_original=True, verify="none"), scale=2)
    assert report.size_bytes <= 0.82 * source.stat().st_size
    assert restore(out, tmp_path / "again.svs")[0].read_bytes() == source.read_bytes()
