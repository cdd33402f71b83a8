"""A few inputs for each harness, always the same; and what notices crashes, hangs and floods notices them."""

from __future__ import annotations

import io
import random
import sys
from pathlib import Path

import numpy as np
import pytest

from histocodec.decoder import Decoder
from histocodec.geometry import Region
from histocodec.validation import validate
from tests.fuzz import campaign
from tests.fuzz.anatomy import Anatomy
from tests.fuzz.campaign import Length, Tally, one, run, summary
from tests.fuzz.containers import sound_files
from tests.fuzz.registry import SHARES

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits of memory, and what a process takes, by Linux")

FEW = {"directory", "manifest", "layers", "tiles", "original", "svs", "ome-tiff"}
"""Harnesses whose inputs take longest."""


@pytest.mark.parametrize("name", SHARES)
def test_a_harness_meets_no_fault(name: str, tmp_path: Path) -> None:
    """Less than a second each of what a campaign does for hours: docs/fuzzing.md."""
    count = 80 if name in FEW else 200
    tally = run({name: Length(60, count)}, 1, tmp_path, lambda line: None)[name]
    assert {place: fault["told"] for place, fault in tally.faults.items()} == {}
    assert tally.executions >= count
    assert tally.outcomes > 1


def test_every_fault_is_noticed_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campaign, "HANG_S", 0.5)
    tally, name = Tally(), "tests.fuzz.broken:Broken"
    one(name, Length(60, 30), 3, tmp_path, tally, lambda line: None)
    kinds = {place.partition(" in ")[0]: fault for place, fault in tally.faults.items()}
    expected = {"AssertionError", "IndexError", "Wrong", "crash: SIGABRT", "hang: more than 0.5 s of the processor"}
    assert {*kinds} == expected
    assert Path(kinds["crash: SIGABRT"]["file"]).read_bytes() == b"crash"
    assert Path(kinds["hang: more than 0.5 s of the processor"]["file"]).read_bytes() == b"hang"
    assert Path(kinds["Wrong"]["file"]).read_bytes() == b"memory"
    assert summary({name: tally})["faults"] == len(expected)
    assert tally.executions >= 30


def test_a_file_that_is_taken_apart_and_put_together_is_sound() -> None:
    """So the checksums that are made right are those that readers look at, and what a change meets lies behind them."""
    for data in sound_files():
        again = Anatomy(data).whole(predictions=True)
        assert validate(io.BytesIO(again), deep=True) == []
        with Decoder(io.BytesIO(data)) as one_file, Decoder(io.BytesIO(again)) as other:
            for level, size in enumerate(one_file.levels):
                region = Region(0, 0, *size)
                np.testing.assert_array_equal(one_file.read(region, level), other.read(region, level))


def test_a_file_of_another_size_is_sound_too() -> None:
    rng = random.Random(1)
    for data in rng.sample(sound_files(), 6):
        anatomy = Anatomy(data)
        anatomy.resize(rng.choice((1, 257, 2049)), rng.choice((3, 513)))
        assert validate(io.BytesIO(anatomy.whole(predictions=True)), deep=True) == []
