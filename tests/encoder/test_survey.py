"""The first look over a slide: cells that stand for all, and a field that tells."""

from __future__ import annotations

from pathlib import Path

from histocodec.encoder.survey import PROBE, Probe, Survey, look_over
from histocodec.geometry import Image, Region, Size
from histocodec.runtime.progress import silent
from histocodec.runtime.resources import Resources
from tests.encoder.inputs import ArraySource

SIZE = Size(8 * 1024, 4 * 1024)


def survey(weights: list[int], tissue_from: int = 0) -> Survey:
    """One probe a cell of 1024 px, 8 columns."""
    return Survey(
        SIZE,
        tuple(
            Probe(Region(k % 8 * 1024 + 256, k // 8 * 1024 + 256, PROBE, PROBE), weight, weight >= tissue_from)
            for k, weight in enumerate(weights)
        ),
    )


def test_every_kind_of_place_is_sampled_as_often_as_it_is_there() -> None:
    cells = survey([9] * 8 + [500] * 16 + [100] * 8).sample(1024, 17)
    assert [cell.y // 1024 for cell in cells].count(0) == 4
    assert [cell.y // 1024 for cell in cells].count(3) == 4
    assert len(set(cells)) == 16
    assert all(cell.width == cell.height == 1024 for cell in cells)


def test_as_many_cells_as_fill_a_square() -> None:
    assert len(survey([1] * 32).sample(1024, 100)) == 25


def test_the_telling_field_is_neither_glass_nor_the_worst() -> None:
    weights = [9] * 23 + list(range(100, 190, 10))
    place = survey(weights, tissue_from=100).telling_field(512)
    assert place == Region((23 + 6) % 8 * 1024, 3 * 1024, 512, 512)


def test_the_field_lies_within_a_small_slide() -> None:
    small = Survey(Size(700, 400), (Probe(Region(300, 100, PROBE, PROBE), 5, tissue=True),))
    assert small.telling_field(512) == Region(0, 0, 512, 400)


def test_glass_is_told_from_tissue(slide_image: Image, tmp_path: Path) -> None:
    image = slide_image.copy()
    image[:, 512:] = 240
    found = look_over(ArraySource(image), 256, Resources(tmp_path, 2, 0, silent))
    assert {probe.region.x: probe.tissue for probe in found.probes} == {0: True, 512: False}
