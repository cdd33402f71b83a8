"""The picture of a preview: the right pixels in the right places."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from histocodec.comparison.preview_sheet import duration, preview_sheet
from histocodec.comparison.sheet import WIDTH
from histocodec.encoder.preview import Preview, Previewed, Refused
from histocodec.geometry import Image, Region


def drawn(field: Image, ratios: int) -> Image:
    rows = tuple(
        Previewed(ratio, "10x", 62_000_000, 240.0, 28.0, None, field // (ratio + 2), 900, 27.0, 0.8, is_full=True)
        for ratio in range(ratios)
    )
    refused = Refused(900, "no")
    place = Region(5, 6, field.shape[1], field.shape[0])
    picture = preview_sheet(Preview(Path("case.svs"), 10**9, place, field, 0.01, (*rows, refused)))
    assert picture.mode == "RGB"
    assert picture.width == WIDTH
    return np.asarray(picture)


def places(sheet: Image, picture: Image) -> list[tuple[int, int]]:
    """Find where a picture lies, pixel for pixel."""
    found = []
    for y, x in np.argwhere((sheet[:, :, :3] == picture[0, 0]).all(-1)).tolist():
        cut = sheet[y : y + picture.shape[0], x : x + picture.shape[1]]
        if cut.shape == picture.shape and np.array_equal(cut, picture):
            found.append((x, y))
    return found


@pytest.mark.parametrize(("height", "width", "columns"), [(512, 512, 3), (100, 200, 3), (300, 1536, 1)])
def test_pixel_for_pixel_side_by_side(height: int, width: int, columns: int) -> None:
    field = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    field[0, 0] = 255, 20, 20
    sheet = drawn(field, 3)
    corners = [places(sheet, each) for each in (field, *(field // (ratio + 2) for ratio in range(3)))]
    assert [len(found) for found in corners] == [1, 1, 1, 1]
    (x, y), *others = (found[0] for found in corners)
    assert [other_y == y for _, other_y in others] == [number + 1 < columns for number in range(3)]
    assert others[columns - 1][0] == x


def test_times_have_few_digits() -> None:
    assert [duration(seconds) for seconds in (4.2, 99, 240, 3000)] == ["4 s", "99 s", "4 min", "50 min"]
