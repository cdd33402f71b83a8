"""The critic of adversarial training."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from histocodec.training.discriminator import UNetDiscriminator
from histocodec.training.losses import discriminator_loss


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
