"""The stand-in for AV1: near the codec, and passed by gradients."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from histocodec.demo.synthetic import tissue
from histocodec.errors import SettingsError
from histocodec.geometry import Image, Size
from histocodec.pixels.tile_coder import TileCoder
from histocodec.training.av1_surrogate import BITS, DCT_SIDE, QUALITIES, STEPS, Av1Surrogate, interpolated
from histocodec.training.launch import run_training
from tests.training.inputs import JOINT, config


def as_tensor(image: Image) -> torch.Tensor:
    return torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255


def test_the_stand_in_keeps_what_it_does_not_quantise_and_loses_more_with_larger_steps() -> None:
    base = tissue(Size(96, 64), seed=5)
    colour = TileCoder.fitted("av1", base).colour
    assert colour is not None
    numbers = torch.tensor([colour.numbers]).float()
    errors, bits = [], []
    for step in (0.01, 5.0, 20.0, 60.0):
        coded, taken = Av1Surrogate()(as_tensor(base), numbers, torch.tensor([step]))
        errors.append(float((255 * (coded - as_tensor(base))).square().mean()))
        bits.append(float(taken))
    assert errors[0] < 1e-3
    assert errors == sorted(errors)
    assert bits == sorted(bits, reverse=True)


def test_the_stand_in_is_near_the_codec() -> None:
    base = tissue(Size(15 * DCT_SIDE, 15 * DCT_SIDE), seed=6)
    coder = TileCoder.fitted("av1", base)
    assert coder.colour is not None
    numbers = torch.tensor([coder.colour.numbers]).float()
    for quality in (45, 65):
        data = coder.encode(base, quality)
        real = np.square(coder.decode(data, height=base.shape[0], width=base.shape[1]).astype(float) - base).mean()
        at = torch.tensor([float(quality)])
        coded, bits = Av1Surrogate()(as_tensor(base), numbers, interpolated(STEPS, at))
        assert 0.25 < float((255 * (coded - as_tensor(base))).square().mean()) / real < 4
        assert 0.25 < float(bits * interpolated(BITS, at)) / (8 * len(data) / base[..., 0].size) < 4


def test_gradients_pass_the_stand_in() -> None:
    base = as_tensor(tissue(Size(64, 64), seed=7)).requires_grad_()
    numbers = torch.tensor([TileCoder.fitted("av1", tissue(Size(64, 64), seed=7)).colour.numbers]).float()  # type: ignore[union-attr]
    coded, bits = Av1Surrogate()(base, numbers, torch.tensor([10.0]))
    (gradient,) = torch.autograd.grad(coded.sum(), base, retain_graph=True)
    assert torch.allclose(gradient, torch.ones_like(gradient), atol=1e-3)
    (gradient,) = torch.autograd.grad(bits.sum(), base)
    assert gradient.abs().max() > 0


def test_tables_are_read_between_their_points_and_end_with_them() -> None:
    quality = torch.tensor([0.0, QUALITIES[0], (QUALITIES[2] + QUALITIES[3]) / 2, QUALITIES[-1], 100.0])
    values = interpolated(STEPS, quality)
    wanted = torch.tensor([STEPS[0], STEPS[0], (STEPS[2] + STEPS[3]) / 2, STEPS[-1], STEPS[-1]])
    assert torch.allclose(values, wanted)


def test_a_crop_that_the_stand_in_cannot_cut_is_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="a multiple of 16, found 33"):
        run_training(
            config(**{**JOINT, "schedule__crop": 25}), tmp_path / "out.safetensors", data=data, folder=tmp_path / "run"
        )
