"""The order in which the tiles of an export are made, and what is kept meanwhile."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from histocodec.decoder import Decoder
from histocodec.demo.synthetic import tissue, write_slide
from histocodec.encoder import EncodeSettings, encode
from histocodec.generators.bicubic import BicubicGenerator
from histocodec.geometry import Address, Image, Region, Size
from histocodec.runtime import parallel
from histocodec.runtime.progress import StageProgress
from histocodec.source import open_source
from histocodec.views.coded_levels import CodedLevels
from histocodec.views.level_tiles import needed_cache_bytes
from histocodec.views.levels import TILE, Coding, Levels, Part


@pytest.fixture
def decoder(container_path: Path) -> Iterator[Decoder]:
    with Decoder(container_path) as opened:
        yield opened


def parts_of(decoder: Decoder, count: int) -> list[Part]:
    levels = zip(decoder.downsamples, decoder.levels, strict=True)
    return [Part(n, factor, Region(0, 0, *size)) for n, (factor, size) in enumerate(levels)][:count]


class Uncoded(Coding):
    """What is coded as it is."""

    def encode(self, tile: Image) -> bytes:
        return tile.tobytes()


def coded_levels(
    decoder: Decoder, parts: list[Part], folder: Path, progress: StageProgress = lambda *_: None
) -> CodedLevels:
    return CodedLevels(Levels(decoder, tuple(parts), Uncoded("lossless", 0, "deflate"), (), folder, progress))


def test_tiles_come_level_by_level_whatever_the_order_they_are_made_in(decoder: Decoder, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    parts = parts_of(decoder, 3)
    with coded_levels(decoder, parts, tmp_path, lambda *step: told.append(step)) as coded:
        for number, part in enumerate(parts):
            tiles = list(coded.tiles(number))
            assert len(tiles) == part.grid.count
            for index, data in enumerate(tiles):
                region = part.grid.covered(*part.grid.address(index))
                pixels = decoder.read(region, part.level)
                assert data[: region.width * 3] == pixels[0].tobytes()
                assert len(data) == TILE * TILE * 3
    total = sum(part.grid.count for part in parts)
    assert told == [(done, total) for done in range(1, total + 1)]
    assert not list(tmp_path.iterdir())


def test_a_writer_that_takes_no_more_than_it_needs_loses_nothing(decoder: Decoder, tmp_path: Path) -> None:
    parts = parts_of(decoder, 2)
    with coded_levels(decoder, parts, tmp_path) as coded:
        first = coded.tiles(0)
        assert all(next(first) for _ in range(parts[0].grid.count))
        assert len(list(coded.tiles(1))) == parts[1].grid.count


def test_a_writer_that_gives_up_leaves_no_thread(decoder: Decoder, tmp_path: Path) -> None:
    with coded_levels(decoder, parts_of(decoder, 2), tmp_path) as coded:
        next(coded.tiles(0))
    decoder.close()  # a thread that still read would fail
    assert not list(tmp_path.iterdir())


def test_base_tiles_are_decoded_once_and_blocks_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_slide(tmp_path / "slide.tif", np.tile(tissue(Size(520, 500), seed=2), (14, 1, 1)))
    with open_source(tmp_path / "slide.tif") as source:
        encode(source, tmp_path / "slide.hc.tif", BicubicGenerator(4), EncodeSettings(codec="jp2k"))
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr(parallel, "core_count", lambda: 1)
    decoded: Counter[Address] = Counter()
    with Decoder(tmp_path / "slide.hc.tif") as decoder:
        parts = parts_of(decoder, 2)
        decoder.cache_bytes = needed_cache_bytes(decoder, parts[0])
        assert decoder.cache_bytes < decoder.container.grids[0].count * 256 * 256 * 3
        decode = decoder.container.decoded_tile

        def counted(level: int, index: int) -> Image:
            decoded[level, index] += 1
            return decode(level, index)

        monkeypatch.setattr(decoder.container, "decoded_tile", counted)
        with coded_levels(decoder, parts, tmp_path / "scratch") as coded:
            for number in (0, 1):
                assert len(list(coded.tiles(number))) == parts[number].grid.count
        assert decoded == {(0, index): 1 for index in range(decoder.container.grids[0].count)}
        assert decoder._cache.memory.used_bytes <= decoder.cache_bytes


@pytest.mark.parametrize(("x", "more"), [(0, False), (512, False), (100, True)])
def test_blocks_are_kept_where_tiles_share_them(decoder: Decoder, x: int, more: bool) -> None:
    part = Part(0, 1, Region(x, 0, 500, 500))
    base_alone = needed_cache_bytes(decoder, Part(1, 4, Region(x // 4, 0, 125, 125)))
    assert (needed_cache_bytes(decoder, part) > base_alone) is more
    assert Size(500, 500) == part.grid.size
