"""Where a container keeps what opening reads, and how little of it a server has to give: counted at nginx."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest
import tifffile

from histocodec.decoder import Decoder
from histocodec.errors import ChangedFile, FileError
from histocodec.format.bigtiff import Directory, first_offset, read_directories
from histocodec.format.entries import Layer, Layers, QualityMapLayer, level_sizes
from histocodec.format.gathered import GatheredTiff
from histocodec.format.layers import coded_quality_map
from histocodec.format.pieces import crc_table, image_crc32
from histocodec.format.quality import QualityMap
from histocodec.format.reader import Container
from histocodec.format.tags import Tag
from histocodec.format.writer import checksum_table, write_container
from histocodec.geometry import Grid, Region, Size
from histocodec.pixels.tile_coder import TileCoder
from histocodec.validation import validate
from histocodec.views.slide import open_slide
from tests.format.conformance.make_vectors.writing import VECTORS
from tests.runtime.servers import Served, Wire, start_nginx

SIDE = 100_000
"""Full pixels a side of the slide that is served."""
TILE, BLOCK, SCALE = 512, 128, 4


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with `large.hc.tif`, a slide of 100,000 px, and `small.hc.tif`, a valid vector."""
    pytest.importorskip("aiohttp", reason="aiohttp is not installed (pip install '.[remote]')")
    for server in start_nginx(tmp_path_factory.mktemp("nginx")):
        (server.files / "small.hc.tif").write_bytes((VECTORS / "valid" / "jp2k-x4-bounded.hc.tif").read_bytes())
        with (server.files / "large.hc.tif").open("w+b") as file:
            write_large(file)
        yield server


def write_large(file: IO[bytes]) -> None:
    """A slide of 100,000 px: four tiles of noise over and over; half of it tissue, each block of which is measured."""
    with Container(VECTORS / "valid" / "av1-x4-300x200.hc.tif") as small:
        model, coder = small.manifest, small._parts.levels[0].coder
    random = np.random.default_rng(0)
    base = Size(SIDE // SCALE, SIDE // SCALE)
    levels = level_sizes(base, TILE)
    counts = [Grid(Size(*level.size), TILE).count for level in levels]
    # Smooth noise, in tiles of the usual number of bytes.
    noise = [random.integers(0, 256, (32, 32, 3), np.uint8).repeat(16, 0).repeat(16, 1) for _ in range(4)]
    coded = [coder.encode(tile, 30) for tile in noise]
    overview = TileCoder("jp2k").encode(noise[0], 30)
    sums = [np.uint32(image_crc32(coder.decode(data, height=TILE, width=TILE))) for data in coded]
    base_sums = np.array(list(itertools.islice(itertools.cycle(sums), counts[0])), np.uint32)
    blocks = Grid(base, BLOCK).shape
    tissue = np.zeros((blocks.height, blocks.width), np.uint8)
    tissue[30:170, 20:158] = 1
    measured = random.normal((14_500, 54_000, 1_500, 20_000), (1_000, 1_500, 250, 1_000), (*tissue.shape, 4))
    quality_map = QualityMap((measured * tissue[..., None]).astype(np.uint16))
    tiles = [list(itertools.islice(itertools.cycle(coded), counts[0])), *([overview] * count for count in counts[1:])]
    checksums = checksum_table(tiles, [], tissue, None, base_sums)
    map_sums = hashlib.sha256(crc_table([coded_quality_map(quality_map)])).hexdigest()
    size = (blocks.width, blocks.height)
    manifest = dataclasses.replace(
        model,
        slide=dataclasses.replace(model.slide, size=(SIDE, SIDE)),
        base=dataclasses.replace(model.base, tile=TILE, levels=levels),
        prediction=dataclasses.replace(model.prediction, block=BLOCK),
        layers=Layers(Layer(1, size), QualityMapLayer(2, size, map_sums)),
        associated=(),
        checksums_sha256=hashlib.sha256(checksums).hexdigest(),
    )
    write_container(
        file,
        manifest,
        level_tiles=tiles,
        checksums=checksums,
        base_sums=base_sums,
        tissue_map=tissue,
        icc_profile=None,
        package=None,
        associated=[],
        quality_map=quality_map,
    )


def test_opening_takes_three_requests_and_a_field_two_more(served: Served) -> None:
    before = len(served.requests())
    with Decoder(served.url("large.hc.tif")) as far, Decoder(served.files / "large.hc.tif") as near:
        opening = served.requests_after(before, 2)
        assert len(opening) <= 3
        assert sum(count for *_, count in opening) <= 256_000
        assert np.array_equal(far.container.tissue_map, near.container.tissue_map)
        # Across the corner of four tiles.
        corner = 20 * TILE * SCALE
        field = Region(corner - 250, corner - 250, 512, 512)
        assert np.array_equal(far.read(field), near.read(field))
        assert len(served.requests_after(before, len(opening) + 2)) <= len(opening) + 2
        far.read(Region(corner - 250, corner - 240, 512, 512))
        overview = Region(0, 0, 3125, 3125)
        assert np.array_equal(far.read(overview, 2), near.read(overview, 2))
        assert len(served.requests_after(before)) <= len(opening) + 2 + 1


def test_everything_opens_urls_and_file_objects(served: Served) -> None:
    path, url = served.files / "small.hc.tif", served.url("small.hc.tif")
    region = Region(100, 5, 300, 40)
    with Decoder(path) as near, Decoder(url) as far, path.open("rb") as file, Decoder(file) as of_object:
        expected = near.read(region)
        assert np.array_equal(far.read(region), expected)
        assert np.array_equal(of_object.read(region), expected)
        assert far.path == url
    with open_slide(url) as slide:
        assert np.array_equal(np.asarray(slide.read_region((100, 5), 0, (300, 40)))[..., :3], expected)
    assert validate(url, deep=True) == validate(io.BytesIO(path.read_bytes()), deep=True) == []


def test_a_file_that_is_cut_or_replaced_is_no_damaged_file(served: Served) -> None:
    wire = Wire(served.port, [2000, 3000, 1])
    try:
        with Decoder(f"http://127.0.0.1:{wire.port}/files/large.hc.tif") as far:
            assert far.read(Region(0, 0, 64, 64), 3).shape == (64, 64, 3)
    finally:
        wire.close()
    path = served.files / "replaced.hc.tif"
    path.write_bytes((served.files / "large.hc.tif").read_bytes())
    with Decoder(served.url("replaced.hc.tif")) as far:
        path.write_bytes(path.read_bytes()[:-2])
        with pytest.raises(ChangedFile, match="open it again"):
            far.read(Region(50_000, 50_000, 64, 64))
    path.unlink()
    with pytest.raises(FileError, match="403 Forbidden"):
        open_slide(served.url("large.hc.tif", "forbidden"))


def test_directories_and_short_values_lie_behind_the_tiles(served: Served) -> None:
    data = (served.files / "large.hc.tif").read_bytes()
    start = first_offset(lambda offset, length: data[offset : offset + length])
    with tifffile.TiffFile(served.files / "large.hc.tif") as file:
        first = file.pages.first
        pages = [*file.pages, *first.pages]  # type: ignore[misc]
        assert [page.shape for page in pages] == [
            (3125, 3125, 3),
            (391, 391, 3),
            (25000, 25000, 3),
            (196, 196),
            (196, 196, 4),
        ]
        assert min(page.offset for page in pages) == start
        assert max(max(page.dataoffsets) for page in pages if page.is_tiled) < start
        assert all(min(page.dataoffsets) > start for page in pages if not page.is_tiled)
        assert sum(sum(page.databytecounts) for page in pages if page.is_tiled) + 16 + start % 2 >= start - 1


def directories(data: bytes) -> list[Directory]:
    return read_directories(lambda offset, length: data[offset : offset + length])


def test_images_are_as_tifffile_writes_them(tmp_path: Path) -> None:
    pieces = [b"first piece", b"", b"a third one", b"4"]
    keywords: dict[str, Any] = {
        "shape": (32, 32),
        "dtype": np.uint8,
        "tile": (16, 16),
        "compression": 50000,
        "metadata": None,
    }
    profile, private = bytes(range(256)) * 2, [(65302, 7, 300, bytes(300), True)]
    strip = {**keywords, "tile": None, "rowsperstrip": 32}
    ours, theirs = io.BytesIO(), io.BytesIO()
    with GatheredTiff(ours) as tiff:
        tiff.write(pieces, subifds=1, iccprofile=profile, extratags=private, description="x" * 20, **keywords)
        tiff.write_beside(b"a strip", **strip)
        tiff.write(pieces, **keywords)
    with tifffile.TiffWriter(theirs, bigtiff=True, byteorder="<") as writer:
        writer.write(iter(pieces), subifds=1, iccprofile=profile, extratags=private, description="x" * 20, **keywords)
        writer.write(iter([b"a strip"]), **strip)
        writer.write(iter(pieces), **keywords)
    places = {Tag.TileOffsets, Tag.TileByteCounts, Tag.StripOffsets, Tag.StripByteCounts, Tag.SubIFDs}
    found = [directories(out.getvalue()) for out in (ours, theirs)]
    assert len(found[0]) == len(found[1]) == 2
    for mine, its in zip(*found, strict=True):
        assert {t: v for t, v in mine.stored().items() if t not in places} == {
            t: v for t, v in its.stored().items() if t not in places
        }
    ours.seek(0)
    with tifffile.TiffFile(ours) as file:
        first = file.pages.first
        stored = zip(first.dataoffsets, first.databytecounts, strict=True)
        assert [ours.getvalue()[at : at + count] for at, count in stored] == pieces
        assert first.dataoffsets[1] == 0
        inner = first.pages
        assert inner is not None
        at = inner[0].dataoffsets[0]
        assert ours.getvalue()[at : at + 7] == b"a strip"
    # The package is what nobody reads first.
    assert ours.getvalue().endswith(bytes(300))


def test_nothing_is_written_behind_an_exception() -> None:
    out = io.BytesIO()
    with pytest.raises(OSError, match="full"), GatheredTiff(out):
        raise OSError("full")
    assert out.getvalue() == bytes(16)
