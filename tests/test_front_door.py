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


def test_importing_loads_nothing_else() -> None:
    code = (
        "import sys; before = set(sys.modules); import histocodec; "
        "new = {name.partition('.')[0] for name in set(sys.modules) - before}; "
        "sys.exit(str(new - {'histocodec'} - set(sys.stdlib_module_names) or ''))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.stderr.strip() == ""


def test_every_public_name_has_one_place() -> None:
    placed = [name for names in histocodec._PLACES.values() for name in names]
    assert sorted([*placed, "__version__"]) == histocodec.__all__
    assert set(histocodec.__all__) <= set(dir(histocodec))


def test_rooms_can_be_reached_and_other_names_are_refused() -> None:
    code = "import histocodec; assert issubclass(histocodec.errors.BudgetError, histocodec.HistocodecError)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        histocodec.nothing  # type: ignore[attr-defined]  # noqa: B018
