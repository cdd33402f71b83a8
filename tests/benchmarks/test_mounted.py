"""The cost of mounted files: both sides read the same pixels, and their seconds are counted."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.mounted import PLACES, measured
from histocodec.errors import SettingsError
from histocodec.views import mount


@pytest.mark.parametrize("places", PLACES)
def test_a_measurement(places: str, container_path: Path) -> None:
    if not Path("/proc/self/stat").exists():
        pytest.skip("seconds of another process are read from /proc")
    try:
        mount._fuse()
    except SettingsError as error:
        pytest.skip(f"no FUSE: {error}")
    found = measured(container_path, places, seed=1)
    together = found["reader_ms"] + found["decoder_ms"]
    assert found["open_slide_ms"] > 0
    assert found["ratio"] == pytest.approx(together / found["open_slide_ms"], rel=0.1)
