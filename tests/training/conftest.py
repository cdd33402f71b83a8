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
