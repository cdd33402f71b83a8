"""docs/claims.md: what the README says stands there, what holds it is there, and its numbers are the code's."""

from __future__ import annotations

import ast
import csv
import json
import re
import runpy
from importlib.metadata import distribution
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from benchmarks import fields
from histocodec.encoder import EncodeSettings
from histocodec.encoder.base_choice import base_scale
from histocodec.encoder.preview import RATIOS
from histocodec.encoder.settings import BASE_MPP
from histocodec.format.entries import LEVEL_STEP
from histocodec.generators.catalogue import DEFAULT_NAMES, shipped_packages
from tests import conftest
from tests.encoder.inputs import ArraySource
from tests.places import NO_DATA, REPOSITORY, FindData
from tests.test_packaging import PROJECT

README = " ".join((REPOSITORY / "README.md").read_text("utf-8").split())
PAGE = (REPOSITORY / "docs/claims.md").read_text("utf-8")
CLAIMS = re.findall(r"^\| (?!claim |---)(.+?) \| (.+?) \|$", PAGE, re.MULTILINE)
HOLDERS = sorted({name for _, held in CLAIMS for name in re.findall(r"`((?:tests|benchmarks)/[^`]+)`", held)})


def test_every_claim_stands_in_the_readme_and_is_held() -> None:
    assert len(CLAIMS) > 35
    assert [claim for claim, _ in CLAIMS if claim not in README] == []
    assert [claim for claim, held in CLAIMS if "`tests/" not in held and "`benchmarks/" not in held] == []


@pytest.mark.parametrize("holder", HOLDERS)
def test_what_holds_a_claim_is_there(holder: str) -> None:
    path, _, name = holder.partition("::")
    assert (REPOSITORY / path).is_file()
    if path.startswith("tests/"):
        body = ast.parse((REPOSITORY / path).read_text("utf-8")).body
        assert name in {node.name for node in body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}


def test_every_number_in_a_sentence_is_in_a_claim() -> None:
    text = re.sub(r"<!-- kept -->.*<!-- /kept -->", "", (REPOSITORY / "README.md").read_text("utf-8"), flags=re.DOTALL)
    text = re.sub(r"^```(?:sh|python)\n.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"\]\([^)]*\)", "]", text)  # where links lead to
    text = " ".join(text.split())
    for claim, _ in CLAIMS:
        text = text.replace(claim, "")
    assert [number for number in re.findall(r"[^ ]*\d[^ ]*", text) if number not in WORDS] == []


WORDS = {
    *("40x", "40x,", "16x", "16x,", "4.0,", "4.0*", "4.0.*"),  # magnifications, ratios, versions of licences
    *("2000", "jp2k`"),
}
"""What has a digit in it and is no number that could be wrong."""


def scale_of(mpp: float) -> int:
    return base_scale(ArraySource(np.zeros((64, 64, 3), np.uint8), mpp=mpp), "10x")


def test_the_numbers_are_those_of_the_code() -> None:
    assert EncodeSettings().ratio == 16.0
    assert RATIOS == (4, 8, 16, 24)
    assert PROJECT["requires-python"] == ">=3.11"
    assert f"{10 / LEVEL_STEP:g}x" == "1.25x"  # the first level that other programs are shown
    low, high = BASE_MPP["10x"] / 2**2.5, BASE_MPP["10x"] / 2**1.5  # of slides that lose two powers of two
    assert f"{low:.2f} to {high:.2f}" == "0.18 to 0.35"
    assert (scale_of(0.18), scale_of(0.35), scale_of(0.5)) == (4, 4, 2)


def test_4x_and_8x_get_a_20x_base_which_is_better_there() -> None:
    rows = json.loads(fields.RESULTS.read_text())["rows"]
    by = {(row["folder"], row["setting"], row["asked_ratio"]): row for row in rows}
    for folder in fields.COLUMNS:
        for ratio in (4, 8):
            usual, coarse = by[folder, fields.DEFAULT, ratio], by[folder, fields.COARSE, ratio]
            assert (usual["base_mpp"], coarse["base_mpp"]) == (0.5, 1.0)
            assert usual["psnr_db"] > coarse["psnr_db"]


def test_nothing_that_is_measured_was_trained_on() -> None:
    """By folder: those that fields.json is of, and the one that the pictures show."""
    measured = set(json.loads(fields.RESULTS.read_text())["sources"])
    assert measured == set(fields.COLUMNS)
    packages = [*shipped_packages().values(), *shipped_packages("downsampler").values()]
    for package in packages:
        trained = package.card.training["data"]["train"]
        assert trained
        assert all(folder.startswith("train/") for folder in trained)


def test_the_default_weights_learned_from_data_of_any_use_alone(find_data: FindData) -> None:
    with find_data("index.csv").open(encoding="utf-8") as file:
        any_use = {row["file"]: row["any_use"] == "yes" for row in csv.DictReader(file)}
    packages = shipped_packages() | shipped_packages("downsampler")
    for name in (*DEFAULT_NAMES, "sharp-x4", "sharp-x2"):
        for folder in packages[name].card.training["data"]["train"]:
            found = [free for file, free in any_use.items() if file == folder or file.startswith(f"{folder}/")]
            assert found, folder
            assert all(found), folder


def test_what_the_first_command_takes_of_the_disk() -> None:
    """All that `pip install .` brings, from what pip wrote down of each package, and the package with its weights."""
    tool: dict[str, Any] = runpy.run_path(str(REPOSITORY / "docs/licences.py"))
    taken = sum(path.stat().st_size for path in (REPOSITORY / "histocodec").rglob("*") if path.is_file())
    for name in tool["brought"](()):
        for file in distribution(name).files or []:
            path = Path(str(file.locate()))
            taken += path.stat().st_size if path.is_file() else 0
    assert f"{taken / 1e9:.1f} GB" == "0.6 GB"


class Terminal:
    """What pytest gives to whoever writes the end of a run."""

    def __init__(self, reasons: list[str]) -> None:
        self.stats = {"skipped": [SimpleNamespace(longrepr=reason) for reason in reasons]}
        self.lines: list[str] = []

    def write_line(self, line: str) -> None:
        self.lines.append(line)


def test_a_run_without_data_says_how_to_get_it() -> None:
    reasons = [f"{NO_DATA}: dev/monuseg", "no Chromium"]
    without, whole = Terminal(reasons), Terminal([])
    for terminal in (without, whole):
        conftest.pytest_terminal_summary(cast(pytest.TerminalReporter, terminal))
    (line,) = without.lines
    assert line.startswith("1 tests skipped")
    assert "HISTOCODEC_DATA" in line
    assert "benchmarks/README.md" in line
    assert whole.lines == []
