"""The reader of wsidata, in wsidata."""

from __future__ import annotations

import hashlib
from pathlib import Path

import histocodec
from histocodec.geometry import Region
from tests.plugins.conftest import RunProgram


def test_in_wsidata(run_program: RunProgram, container_path: Path, slide_path: Path) -> None:
    facts, here, sent, pictures = run_program("wsidata_reader", container_path, slide_path, host="wsidata")
    assert facts == "HistocodecReader OpenSlideReader [900, 1100] 0.25"
    with histocodec.Decoder(container_path) as decoder:
        pixels = decoder.read(Region(100, 200, 150, 120))
        assert pictures == str(sorted(decoder.manifest.associated))
    assert here == sent == hashlib.sha256(pixels.tobytes()).hexdigest()
