"""A downsampler that is trained with its generator."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from histocodec.demo.synthetic import tissue
from histocodec.errors import OutputExists, SettingsError
from histocodec.generators.catalogue import load_downsampler
from histocodec.generators.package import Package
from histocodec.geometry import Size
from histocodec.pixels.downsample import shrink
from histocodec.training.config import parse_config
from histocodec.training.data.downsampling import run_downsampler
from histocodec.training.launch import run_training
from histocodec.training.networks import ResidualDownsampler
from histocodec.training.quantise import floats_of
from tests.training.inputs import JOINT, config, tables


def test_a_joint_run_writes_both_packages(data: Path, tmp_path: Path) -> None:
    output = tmp_path / "run" / "out.safetensors"
    package = run_training(config(**JOINT), output, data=data, folder=output.parent, workers=1)
    assert package.card.downsampler == "tiny-down"
    assert "av1 at 0.10 bpp" in package.card.measured["dev"]
    beside = Package(output.with_name("tiny-down.safetensors").read_bytes())
    assert beside.card.hyperparameters == {"scale": 4, "features": 4}
    downsampler = load_downsampler(output.with_name("tiny-down.safetensors"), 4)
    image = tissue(Size(200, 160), seed=8)
    assert shrink(image, downsampler).shape == (40, 50, 3)
    rows = [json.loads(line) for line in (output.parent / "metrics.jsonl").read_text().splitlines()]
    bargains = [row["bargain"] for row in rows if "bargain" in row]
    assert bargains
    assert np.isfinite(bargains).all()
    state = torch.load(output.parent / "checkpoint.pt", weights_only=True)
    assert state["standing"]["step"] == 6
    assert state["averaged_downsampler"]["tail.weight"].abs().max() > 1e-4  # it began as zeros
    whole, averaged = floats_of(beside.net), ResidualDownsampler(4, 4)
    assert isinstance(whole, ResidualDownsampler)
    averaged.load_state_dict(state["averaged_downsampler"])
    in_floats = run_downsampler(averaged, image).astype(int)
    assert np.abs(in_floats - run_downsampler(whole, image)).mean() < 0.5
    again = run_training(config(**JOINT), output, data=data, folder=output.parent, overwrite=True)
    assert again.data == package.data  # nothing was left to do


def test_an_interrupted_joint_run_goes_on(data: Path, tmp_path: Path) -> None:
    output = tmp_path / "run" / "out.safetensors"
    output.parent.mkdir()
    (output.parent / "downsampler.safetensors").write_bytes(b"of another run")

    def interrupted(stage: str, done: int, total: int, row: dict[str, float]) -> None:
        if stage == "training" and done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_training(config(**JOINT), output, data=data, folder=output.parent, progress=interrupted)
    assert not output.with_name("tiny-down.safetensors").exists()
    assert torch.load(output.parent / "checkpoint.pt", weights_only=True)["standing"]["step"] == 3
    run_training(config(**JOINT), output, data=data, folder=output.parent)
    rows = [json.loads(line) for line in (output.parent / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [2, 4, 6]
    assert output.exists()
    output.unlink()
    with pytest.raises(OutputExists, match="tiny-down"):
        run_training(config(**JOINT), output, data=data, folder=output.parent)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schedule__pool": 0}, "schedule.pool expected"),
        ({"bases": [{"codec": "jp2k", "share": 1.0, "quality": [30.0, 30.0]}]}, "stand-in for AV1"),
        ({"downsampler": {"name": "no/name"}}, "downsampler.name"),
        ({"downsampler": {"name": "tiny-x4"}}, "another name than the generator"),
        ({"downsampler": {"name": "x", "near": -1}}, "near"),
    ],
)
def test_what_cannot_train_a_downsampler_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        parse_config(tables(**{**JOINT, **changes}))
