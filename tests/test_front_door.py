"""`import histocodec`: exact, documented, and without what only some of it needs."""

from __future__ import annotations

import subprocess
import sys

import pytest

import histocodec


def test_all_is_sorted_and_each_name_is_documented() -> None:
    assert histocodec.__all__ == sorted(histocodec.__all__)
    for name in histocodec.__all__:
        assert getattr(histocodec, name).__doc__ or name == "__version__"


def test_importing_loads_no_heavy_package() -> None:
    code = "import sys, histocodec; print(sorted({'torch', 'pyvips', 'openslide', 'matplotlib'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"


def test_names_that_are_imported_late_are_listed() -> None:
    assert set(histocodec.__all__) <= set(dir(histocodec))
    with pytest.raises(AttributeError, match="no attribute 'close_slide'"):
        histocodec.close_slide  # type: ignore[attr-defined]  # noqa: B018
