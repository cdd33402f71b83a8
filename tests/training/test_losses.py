"""The losses of training."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional

from histocodec.errors import SettingsError
from histocodec.training.losses import PerceptualLoss, discriminator_loss, generator_loss, pixel_loss
from tests.training.inputs import vgg_weights


@pytest.mark.parametrize(("depth", "convolutions"), [(16, 13), (19, 16)])
def test_the_perceptual_loss_takes_either_vgg(tmp_path: Path, depth: int, convolutions: int) -> None:
    save_file(vgg_weights(depth), tmp_path / "vgg.safetensors")
    loss = PerceptualLoss(tmp_path / "vgg.safetensors")
    assert len(loss.convolutions) == convolutions
    a, b = torch.rand(2, 1, 3, 32, 32)
    assert loss(a, a) == 0
    a.requires_grad_()
    loss(a, b).backward()
    assert a.grad is not None
    assert a.grad.abs().sum() > 0
    assert not any(p.requires_grad for p in loss.parameters())


def test_the_perceptual_loss_is_of_the_features_before_activation(tmp_path: Path) -> None:
    weights = vgg_weights(16)
    save_file(weights, tmp_path / "vgg.safetensors")
    loss = PerceptualLoss(tmp_path / "vgg.safetensors")
    image = torch.rand(1, 3, 16, 16)
    x = (image - loss.mean) / loss.std
    x = functional.conv2d(x, weights["features.0.weight"], weights["features.0.bias"], padding=1).relu()
    x = functional.conv2d(x, weights["features.2.weight"], weights["features.2.bias"], padding=1)
    first, *others = loss.features(image)
    assert torch.allclose(first, x, atol=1e-5)
    assert (first < 0).any()
    assert [f.shape[-1] for f in others] == [8, 4, 2, 1]


@pytest.mark.parametrize("broken", ["missing", "not safetensors", "a layer missing"])
def test_vgg_weights_that_cannot_be_used_are_named(tmp_path: Path, broken: str) -> None:
    path = tmp_path / "vgg.safetensors"
    if broken == "not safetensors":
        path.write_bytes(b"nothing of the kind")
    if broken == "a layer missing":
        weights = vgg_weights(16)
        del weights["features.12.weight"]
        save_file(weights, path)
    with pytest.raises(SettingsError, match=r"loss\.vgg"):
        PerceptualLoss(path)


def test_the_adversarial_losses_are_their_formulas() -> None:
    made, real = torch.tensor([-1.0, 0.5]), torch.tensor([2.0, 0.25])

    def sigmoid(x: float) -> float:
        return 1 / (1 + math.exp(-x))

    assert generator_loss(made, None).item() == pytest.approx(-(math.log(sigmoid(-1)) + math.log(sigmoid(0.5))) / 2)
    plain = (
        -(math.log(sigmoid(2)) + math.log(sigmoid(0.25)) + math.log(1 - sigmoid(-1)) + math.log(1 - sigmoid(0.5))) / 2
    )
    assert discriminator_loss(made, real, relativistic=False).item() == pytest.approx(plain)
    centred_real, centred_made = real - made.mean(), made - real.mean()
    average = (-torch.log(torch.sigmoid(centred_real)) - torch.log(1 - torch.sigmoid(centred_made))).mean() / 2
    assert discriminator_loss(made, real, relativistic=True).item() == pytest.approx(average.item())
    swapped = (-torch.log(torch.sigmoid(centred_made)) - torch.log(1 - torch.sigmoid(centred_real))).mean() / 2
    assert generator_loss(made, real).item() == pytest.approx(swapped.item())


def test_rms_is_the_root_of_each_crop_s_squared_error() -> None:
    made = torch.zeros(2, 3, 4, 4)
    real = torch.stack([torch.full((3, 4, 4), 0.1), torch.full((3, 4, 4), 0.3)])
    assert float(pixel_loss(made, real, "rms")) == pytest.approx(0.2, abs=1e-4)
    real[0, :, :2] = 0
    assert float(pixel_loss(made, real, "rms")) == pytest.approx((0.1 / 2**0.5 + 0.3) / 2, abs=1e-4)
    assert float(pixel_loss(made, real, "l1")) == pytest.approx((0.05 + 0.3) / 2)


def test_the_perceptual_loss_can_end_early(tmp_path: Path) -> None:
    weights = vgg_weights(16)
    save_file(weights, tmp_path / "whole.safetensors")
    save_file({k: v for k, v in weights.items() if int(k.split(".")[1]) <= 14}, tmp_path / "part.safetensors")
    a, b = torch.rand(2, 1, 3, 32, 32)
    part = PerceptualLoss(tmp_path / "part.safetensors", 3)(a, b)
    assert 0 < part < PerceptualLoss(tmp_path / "whole.safetensors")(a, b)
    with pytest.raises(SettingsError, match=r"no convolution features\.17"):
        PerceptualLoss(tmp_path / "part.safetensors")
