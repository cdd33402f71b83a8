"""A catalogue as a page, a table and JSON."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from histocodec.archive.catalogue import Catalogue
from histocodec.archive.page import page
from histocodec.archive.tables import write_csv, write_json
from tests.archive.inputs import QUICK, catalogued, outcome, write_files


@pytest.fixture
def catalogue(tmp_path: Path, container_path: Path, slide_path: Path) -> Catalogue:
    """One slide that is done, one whose file is gone, and one that failed, with names that mean mischief."""
    write_files(tmp_path / "in", "=1+2.svs", "<b>.svs")
    shutil.copy(slide_path, tmp_path / "in" / "a.tif")
    opened, _ = catalogued(tmp_path / "archive", tmp_path / "in")
    for name in ("<b>", "=1+2", "a"):
        (row,) = opened.rows("output = ?", (f"{name}.hc.tif",))
        wrong: dict[str, Any] = (
            {"measured": None, "error_class": "SourceError", "error": "broken <i>"} if name == "<b>" else {}
        )
        opened.finish(outcome(row["id"], **wrong))
    shutil.copy(container_path, tmp_path / "archive" / "a.hc.tif")
    return opened


def test_a_page_for_people(catalogue: Catalogue) -> None:
    text = page(catalogue).decode()
    assert text.startswith("<!DOCTYPE html>")
    assert "<b>2</b>of 3 slides done" in text
    assert text.count("data:image/png") == 1
    assert text.count("data:image/jpeg") == 2, "decoded and source of the one slide whose file is there"
    assert "SourceError: broken &lt;i&gt;" in text
    assert "&lt;b&gt;.svs" in text
    assert "No such file" in text
    assert "default-src 'none'" in text


def test_an_empty_archive_has_a_page(tmp_path: Path) -> None:
    with Catalogue.create(tmp_path) as empty:
        assert "of 0 slides done" in page(empty).decode()


def test_a_table(catalogue: Catalogue) -> None:
    out = io.StringIO()
    write_csv(catalogue, out)
    rows = {row["state"]: row for row in csv.DictReader(io.StringIO(out.getvalue()))}
    assert rows["failed"]["error"] == "broken <i>"
    assert "'=1+2.hc.tif" in out.getvalue(), "no spreadsheet computes it"
    assert "name_key" not in rows["done"]


def test_json(catalogue: Catalogue) -> None:
    out = io.StringIO()
    write_json(catalogue, out)
    told = json.loads(out.getvalue())
    assert told["totals"]["done"] == 2
    assert [slide["state"] for slide in told["slides"]].count("failed") == 1
    assert told["settings"] == {QUICK.digest: json.loads(QUICK.to_json())}
    assert {slide["settings"] for slide in told["slides"]} == {QUICK.digest}
