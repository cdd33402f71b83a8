"""The losses of the paper's training, and the critic."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional

from histocodec.errors import SettingsError
from histocodec.training.discriminator import UNetDiscriminator
from histocodec.training.losses import PerceptualLoss, discriminator_loss, generator_loss
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


def test_the_critic_judges_every_pixel_and_is_spectrally_normalised() -> None:
    torch.manual_seed(0)
    critic = UNetDiscriminator(4)
    logits = critic(torch.rand(2, 3, 40, 24))
    assert logits.shape == (2, 1, 40, 24)
    for _ in range(30):
        critic(torch.rand(1, 3, 16, 16))
    critic.eval()
    for conv in (*critic.down, *critic.up, *critic.smooth):
        largest = torch.linalg.matrix_norm(conv.weight.detach().flatten(1), 2)
        assert largest.item() == pytest.approx(1.0, abs=0.05)


def test_the_critic_learns_to_tell_two_kinds_of_images_apart() -> None:
    torch.manual_seed(0)
    critic = UNetDiscriminator(4)
    optimiser = torch.optim.Adam(critic.parameters(), 3e-3)
    for _ in range(60):
        rough = torch.rand(4, 3, 16, 16)
        smooth = functional.avg_pool2d(rough, 3, stride=1, padding=1)
        loss = discriminator_loss(critic(smooth), critic(rough), relativistic=False)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    assert critic(rough).mean() > critic(smooth).mean() + 1
