"""Fixtures that several tests of this folder share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.training.inputs import write_data


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    write_data(root)
    return root


@pytest.fixture(autouse=True)
def few_calibration_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calibrate on few crops: small networks need no more."""
    monkeypatch.setattr("histocodec.training.calibration.PAIRS", 4)


@pytest.fixture(autouse=True)
def without_figures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw no figures of runs, which take longer than their few steps, unless the test is marked `figures`."""
    if request.node.get_closest_marker("figures") is None:
        for name in ("entropy_figure", "training_figure"):
            monkeypatch.setattr(f"histocodec.training.launch.{name}", lambda *_: None)
