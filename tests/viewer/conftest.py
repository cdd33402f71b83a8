"""Files that the tests of the viewer share. Made once a session."""

from __future__ import annotations

from pathlib import Path

import pytest

from histocodec.geometry import Size
from tests.viewer.inputs import with_all_tiers


@pytest.fixture(scope="session")
def all_tiers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that can be shown in every way, 1300 x 1100 px."""
    return with_all_tiers(tmp_path_factory.mktemp("viewer"), Size(1300, 1100))
