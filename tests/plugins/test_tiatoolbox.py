"""The `WSIReader` of TIAToolbox, in TIAToolbox."""

from __future__ import annotations

import hashlib
from pathlib import Path

import histocodec
from histocodec.geometry import Region
from tests.plugins.conftest import RunProgram


def test_in_tiatoolbox(run_program: RunProgram, container_path: Path, slide_path: Path) -> None:
    facts, made, opened, notice = run_program("tiatoolbox_reader", container_path, slide_path, host="tiatoolbox")
    assert facts == "HistocodecWSIReader VirtualWSIReader (1100, 900) [0.25, 0.25]"
    with histocodec.Decoder(container_path) as decoder:
        pixels = decoder.read(Region(100, 200, 150, 120))
    assert made == opened == hashlib.sha256(pixels.tobytes()).hexdigest()
    assert notice == "not for primary diagnosis"
