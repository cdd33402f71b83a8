"""The benchmark of layered files: hulls, rates, differences, and one small measurement."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks.layered import (
    LAYER_BYTES,
    SETTINGS,
    Setting,
    at,
    byte_excess,
    differences,
    hull,
    layered_points,
    tables,
)
from histocodec.demo.synthetic import tissue
from histocodec.geometry import Size


def test_a_hull_leaves_out_what_a_line_passes_above() -> None:
    points = [(0.1, 20.0), (0.2, 24.0), (0.25, 24.5), (0.3, 28.0), (0.35, 27.0), (0.6, 31.0)]
    assert hull(points) == [(0.1, 20.0), (0.3, 28.0), (0.6, 31.0)]
    assert hull([]) == []


def test_a_rate_between_points_is_on_their_line_and_beyond_them_nothing() -> None:
    assert at([(0.1, 20.0), (0.3, 24.0)], 0.2) == pytest.approx(22.0)
    assert at([(0.1, 20.0), (0.3, 24.0)], 0.31) is None
    assert at([(0.1, 20.0), (0.3, 24.0)], 0.3) == pytest.approx(24.0)


def _row(source: str, ours: float, peer: float, history: str = "other") -> dict[str, Any]:
    flat = {setting.name: [(0.1, ours), (1.1, ours)] for setting in SETTINGS}
    peers = {name: [(0.1, peer), (1.1, peer)] for name in ("AVIF", "JPEG XL", "JPEG")}
    return {
        "source": source,
        "image": "x",
        "history": history,
        "curves": {**flat, **peers, "JPEG 2000": [(0.1, peer), (1.1, peer)]},
    }


def test_differences_are_means_of_the_sources_means() -> None:
    rows = [_row("a", 31.0, 30.0), _row("a", 33.0, 30.0), _row("b", 30.0, 31.0)]
    name, gain, tiles = differences(rows, ("a", "b"), 0.5)["AVIF"]
    assert name == SETTINGS[0].name
    assert gain == pytest.approx((2.0 - 1.0) / 2)
    assert tiles == 3


def test_bytes_at_equal_psnr() -> None:
    row = _row("a", 0.0, 0.0)
    row["curves"]["JPEG 2000"] = [(0.2, 20.0), (1.0, 28.0)]
    row["curves"] |= {setting.name: [(0.1, 20.0), (0.9, 28.0)] for setting in SETTINGS}
    assert byte_excess(row, 0.5) == pytest.approx(0.4 / 0.5 - 1)
    assert byte_excess(row, 1.2) is None


def test_tables_have_a_row_for_each_rate() -> None:
    rows = [_row("dev/monuseg", 31.0, 30.0, "jpeg2000-born"), _row("foreign/tnbc", 30.0, 31.0)]
    text = tables({"environment": {"libaom": "3.14.1"}, "rows": rows})
    assert "with libaom 3.14.1." in text
    assert text.count("| 0.5 |") == 3
    assert "+1.00 (1)" in text
    assert "-1.00 (1)" in text


def test_points_of_a_tile_count_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.layered.FLOORS", (20.0, 31.0, 34.0))
    image = np.ascontiguousarray(tissue(Size(512, 512), seed=7))
    points = list(layered_points(image, Setting("jp2k", "bicubic-x4", "jp2k", (26.0,))))
    rates, psnr_db = zip(*points, strict=True)
    assert len(points) == 3  # the first floor is met by the base alone
    assert list(psnr_db) == sorted(psnr_db)
    assert list(rates) == sorted(rates)
    assert rates[1] - rates[0] > 8 * LAYER_BYTES / image[..., 0].size
