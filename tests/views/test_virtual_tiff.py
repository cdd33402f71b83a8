"""The bytes of a TIFF that is nowhere: other readers get the decoder's pixels of them."""

from __future__ import annotations

import io
import itertools
import pickle
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import openslide
import pytest
import pyvips
import tifffile
import tiffslide

import histocodec
from histocodec import Region, VirtualTiff, open_virtual_tiff
from histocodec.errors import CorruptContainer
from histocodec.views import virtual_tiff
from tests.places import REPOSITORY

VECTORS = REPOSITORY / "formats/container/v1/vectors/valid"


@pytest.fixture
def file(container_path: Path) -> Iterator[VirtualTiff]:
    with open_virtual_tiff(container_path, generator="bicubic") as opened:
        yield opened


@pytest.fixture(scope="module")
def whole(container_path: Path) -> bytes:
    with open_virtual_tiff(container_path, generator="bicubic") as opened:
        data = opened.read()
    assert data is not None
    return data


@pytest.fixture
def on_disk(whole: bytes, tmp_path: Path) -> Path:
    path = tmp_path / "slide.tif"
    path.write_bytes(whole)
    return path


def opened(file: Any) -> Any:
    """The file in tifffile."""
    return tifffile.TiffFile(file)


def test_tifffile_reads_every_level(file: VirtualTiff) -> None:
    decoder = file.decoder
    with opened(file) as tiff:
        assert tiff.is_bigtiff
        assert [page.shape[:2] for page in tiff.pages] == [(900, 1100), (225, 275), (29, 35)]
        for level, page in enumerate(tiff.pages):
            assert np.array_equal(page.asarray(), decoder.read(Region(0, 0, *decoder.levels[level]), level))
            assert page.tags["Software"].value == histocodec.version.software()
            per_centimetre = np.divide(*page.tags["XResolution"].value)
            assert per_centimetre == pytest.approx(40000 / decoder.downsamples[level], rel=1e-3)
        label = tiff.pages[0].description
    assert "reconstructed by bicubic-x4 builtin:bicubic-x4" in label
    assert "then written as no compression; not for primary diagnosis; level 0" in label
    assert label.endswith("|AppMag = 40|MPP = 0.25")


@pytest.mark.parametrize("name", ["jp2k-x4-1025x3", "jp2k-x2-300x200", "jp2k-x4-bounded", "av1-x2-original-set"])
def test_slides_of_all_kinds(name: str) -> None:
    with open_virtual_tiff(VECTORS / f"{name}.hc.tif") as file, opened(file) as tiff:
        decoder = file.decoder
        for level, page in enumerate(tiff.pages):
            assert np.array_equal(page.asarray(), decoder.read(Region(0, 0, *decoder.levels[level]), level))
        profile = tiff.pages[0].tags.get(34675)
        assert (profile and profile.value) == decoder.container.icc_profile


def test_openslide_libvips_and_tiffslide_read_it(on_disk: Path, file: VirtualTiff) -> None:
    decoder = file.decoder
    expected = decoder.read(Region(203, 105, 800, 700))
    with openslide.OpenSlide(on_disk) as slide:
        assert slide.level_dimensions == tuple((size.width, size.height) for size in decoder.levels)
        assert float(slide.properties[openslide.PROPERTY_NAME_MPP_X]) == 0.25
        assert float(slide.properties[openslide.PROPERTY_NAME_OBJECTIVE_POWER]) == 40
        assert np.array_equal(np.asarray(slide.read_region((203, 105), 0, (800, 700)))[..., :3], expected)
        base = np.asarray(slide.read_region((400, 200), 1, (150, 100)))[..., :3]
        assert np.array_equal(base, decoder.read(Region(100, 50, 150, 100), 1))
    picture = pyvips.Image.new_from_file(str(on_disk)).crop(203, 105, 800, 700)
    assert np.array_equal(picture.numpy(), expected)
    with tiffslide.TiffSlide(on_disk) as slide:
        assert np.array_equal(np.asarray(slide.read_region((203, 105), 0, (800, 700))), expected)


def test_the_scanned_part_is_stated_as_decode_states_it(
    container_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(virtual_tiff, "scanned_part", lambda properties: (100, 50, 2000, 700))
    with open_virtual_tiff(container_path, generator="bicubic") as file:
        (tmp_path / "slide.tif").write_bytes(file.read() or b"")
    with openslide.OpenSlide(tmp_path / "slide.tif") as slide:
        stated = [slide.properties[f"aperio.openslide.bounds-{name}"] for name in ("x", "y", "width", "height")]
    assert stated == ["100", "50", "1000", "700"]  # within the slide


def test_nothing_is_decoded_to_know_the_structure(container_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_virtual_tiff(container_path) as file:
        monkeypatch.setattr(histocodec.Decoder, "read", None)
        with monkeypatch.context() as patch:
            patch.setattr(histocodec.Container, "decoded_tile", None)
            assert file.size_bytes == file.seek(0, io.SEEK_END)
            file.seek(0)
            assert file.read(16)
        file.seek(0)
        with opened(file) as tiff:  # the description says whether the base is the encoder's
            assert len(tiff.pages) == 3
            ends = [
                offset + count
                for page in tiff.pages
                for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True)
            ]
    assert max(ends) == file.size_bytes
    assert len(set(ends)) == len(ends)


def test_any_run_of_bytes_is_that_of_the_file(file: VirtualTiff, whole: bytes) -> None:
    assert len(whole) == file.size_bytes
    random = np.random.default_rng(0)
    begins = [*random.integers(0, len(whole), 40), *random.integers(0, 8000, 60), len(whole) - 5, len(whole) + 5]
    for begin in map(int, begins):
        length = int(random.integers(0, 300_000))
        assert file.read_at(begin, length) == whole[begin : begin + length]


def test_it_is_a_file(file: VirtualTiff, whole: bytes) -> None:
    plain = io.BytesIO(whole)
    for method, *arguments in (
        ("tell",),
        ("read", 100),
        ("tell",),
        ("seek", 5000),
        ("read", 3000),
        ("seek", -300, io.SEEK_CUR),
        ("read", 700),
        ("seek", -10, io.SEEK_END),
        ("read", 100),
        ("read", 100),
        ("seek", 10**9),
        ("read", 10),
        ("tell",),
    ):
        assert getattr(file, method)(*arguments) == getattr(plain, method)(*arguments), method
    with pytest.raises(ValueError, match="negative"):
        file.seek(-1)
    assert (file.readable(), file.seekable(), file.writable()) == (True, True, False)
    assert file.name == "slide.tif"
    file.close()
    file.close()
    for use in (lambda: file.read(1), lambda: file.read_at(0, 1), file.tell, lambda: file.seek(0)):
        with pytest.raises(ValueError, match="closed"):
            use()
    assert file.decoder.container.is_closed


def test_threads_get_their_own_bytes(file: VirtualTiff, whole: bytes) -> None:
    places = list(itertools.product(range(0, len(whole) - 1000, 90_001), (1, 70_000)))
    with ThreadPoolExecutor(4) as pool:
        read = pool.map(lambda place: file.read_at(*place), places)
        assert all(data == whole[begin : begin + length] for data, (begin, length) in zip(read, places, strict=True))
        file.seek(0)
        chunks = list(pool.map(lambda _: file.read(10_000), range(50)))  # each of them once, in some order
    assert sorted(chunks) == sorted(whole[begin : begin + 10_000] for begin in range(0, 500_000, 10_000))


def test_it_is_pickled_by_its_path(file: VirtualTiff, whole: bytes) -> None:
    file.seek(100)
    with pickle.loads(pickle.dumps(file)) as again:
        assert again.decoder.is_bicubic
        assert again.read(5000) == whole[:5000]


def test_a_damaged_tile_is_an_error_and_the_others_are_read(container_path: Path, tmp_path: Path, whole: bytes) -> None:
    with histocodec.Container(container_path) as container:
        tile = container.tile(1, 0)
    data = bytearray(container_path.read_bytes())
    data[data.find(tile) + len(tile) // 2] ^= 0xFF
    (tmp_path / "damaged.hc.tif").write_bytes(data)
    with open_virtual_tiff(tmp_path / "damaged.hc.tif", generator="bicubic") as file:
        with pytest.raises(CorruptContainer):
            file.read_at(file.size_bytes - 10, 10)
        assert file.read_at(50_000, 300_000) == whole[50_000:350_000]


def test_tables_of_large_slides_are_made_where_they_are_read() -> None:
    count, first, step = 400 * 320, 10**12, 196_608
    table = (first + step * np.arange(count)).astype("<u8").tobytes()
    for begin, end in ((0, 8), (3, 21), (8 * count - 5, 8 * count), (777_777, 777_800), (16, 16)):
        assert virtual_tiff._arithmetic(first, step, "<u8", begin, end) == table[begin:end]
