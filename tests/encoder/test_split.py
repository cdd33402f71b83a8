"""A floor, alone or within a ratio: the split of bytes between base and layer."""

from __future__ import annotations

from pathlib import Path

import pytest

from histocodec.decoder import Decoder
from histocodec.demo.synthetic import tissue, write_slide
from histocodec.errors import BudgetError
from histocodec.geometry import Region, Size
from histocodec.source import open_source
from tests.encoder.inputs import FLOOR, encoded, psnr_by_block


@pytest.fixture(scope="module")
def two_blocks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A slide of two blocks, for what codes it many times over."""
    path = tmp_path_factory.mktemp("two-blocks") / "slide.tif"
    write_slide(path, tissue(Size(900, 500), seed=7))
    return path


def test_a_floor_alone_finds_a_split_that_takes_fewer_bytes_than_bad_ones(tmp_path: Path, two_blocks: Path) -> None:
    best = encoded(two_blocks, tmp_path / "best.hc.tif", ratio=None, min_psnr_db=FLOOR).size_bytes
    for quality in (36.0, 44.0):
        other = encoded(two_blocks, tmp_path / f"{quality}.hc.tif", ratio=None, quality=quality, min_psnr_db=FLOOR)
        assert best < other.size_bytes


def test_a_ratio_and_a_floor_both_hold_where_they_can(tmp_path: Path, two_blocks: Path) -> None:
    report = encoded(two_blocks, tmp_path / "both.hc.tif", ratio=2.0, min_psnr_db=28.0)
    assert report.ratio_to_source >= 2.0
    with open_source(two_blocks) as source, Decoder(report.path) as decoder:
        pixels = source.read(Region(0, 0, *source.size))
        assert min(psnr_by_block(decoder, pixels).values()) >= 28.0


def test_where_they_cannot_the_encoder_says_by_how_much_and_what_would(tmp_path: Path, two_blocks: Path) -> None:
    output = tmp_path / "out.hc.tif"
    with pytest.raises(
        BudgetError, match=r"times as many: .* (--ratio [\d.]+|no ratio) can be met with this floor"
    ) as caught:
        encoded(two_blocks, output, ratio=16.0, min_psnr_db=40.0, enhancement_codec="jpeg")
    assert caught.value.needed_bytes > caught.value.budget_bytes
    assert not output.exists()
