"""Uncoded bases of training pairs: by a downsampler that is still being trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from histocodec.demo.synthetic import tissue
from histocodec.geometry import Size
from histocodec.pixels.downsample import downsample
from histocodec.training.data.downsampling import load_downsampler_weights, run_downsampler
from histocodec.training.data.pairs import CropShape
from histocodec.training.data.patches import collect_patches
from histocodec.training.data.pool import PairMaker
from histocodec.training.networks import ResidualDownsampler
from tests.training.inputs import AV1, config


def test_the_latest_downsampler_makes_the_bases(data: Path, tmp_path: Path) -> None:
    path = tmp_path / "downsampler.safetensors"
    settings = config(bases=AV1)
    patches = collect_patches(settings.data, data, seed=1)
    made = PairMaker(patches, CropShape(4, 16, 3), settings.bases, settings.augment, (1,), path)
    before = next(made.pairs(0)).base
    network = ResidualDownsampler(4, 3)
    with torch.no_grad():
        assert network.tail.bias is not None
        network.tail.bias.fill_(-0.2)
    save_file(network.state_dict(), path)
    assert next(made.pairs(0)).base.mean() < before.mean() - 30
    read = load_downsampler_weights(path, 4)
    image = tissue(Size(90, 70), seed=2)
    expected = np.clip(downsample(image, 4).astype(int) - 51, 0, 255)
    assert np.abs(run_downsampler(read, image) - expected).max() <= 1
