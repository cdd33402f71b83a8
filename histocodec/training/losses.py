"""The terms of the loss: pixels, features of a VGG network, and the two sides of the adversarial game."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from ..errors import SettingsError

# torchvision's numbering: convolutions by stage; a max pooling follows each stage.
_VGG16 = ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28))
_VGG19 = ((0, 2), (5, 7), (10, 12, 14, 16), (19, 21, 23, 25), (28, 30, 32, 34))
_STAGE_WEIGHTS = (0.1, 0.1, 1.0, 1.0, 1.0)
"""Weights of the five stages, those of Real-ESRGAN (Wang et al. 2021)."""
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and standard deviation of R, G and B by which VGG's input is normalised."""
_LEAST_SQUARED = 1e-6
"""Squared error added to every crop's, 60 dB: bare glass does not set the direction."""


class PerceptualLoss(nn.Module):
    """L1 between VGG features (Johnson et al. 2016), as Real-ESRGAN weighs them.

    The last convolution of each of the five stages, before its activation; weights 0.1, 0.1, 1, 1, 1. VGG16 or VGG19
    (Simonyan and Zisserman 2014), told apart by the names of their tensors.
    """

    def __init__(self, path: Path, stages: int = 5) -> None:
        """Read the weights.

        path: safetensors with `features.N.weight` and `.bias` in torchvision's numbering. stages: 1 to 5, the first
        ones. Raises SettingsError.
        """
        super().__init__()
        try:
            tensors = load_file(path)
        except (OSError, SafetensorError) as error:
            raise SettingsError(f"loss.vgg: {path}: no safetensors that can be read: {error}") from error
        self.stages = (_VGG19 if "features.34.weight" in tensors else _VGG16)[:stages]
        self.convolutions = nn.ModuleDict()
        for index in (i for stage in self.stages for i in stage):
            weight, bias = (tensors.get(f"features.{index}.{part}") for part in ("weight", "bias"))
            if weight is None or bias is None or weight.shape[2:] != (3, 3) or bias.shape != weight.shape[:1]:
                raise SettingsError(f"loss.vgg: {path}: no convolution features.{index}, which VGG16 and VGG19 have")
            conv = nn.Conv2d(weight.shape[1], weight.shape[0], 3, padding=1)
            conv.load_state_dict({"weight": weight.float(), "bias": bias.float()})
            self.convolutions[str(index)] = conv
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(_MEAN).reshape(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(_STD).reshape(1, 3, 1, 1))
        self.requires_grad_(False)

    def features(self, image: Tensor) -> list[Tensor]:
        """Return the last convolution of each stage for (n, 3, h, w) RGB in 0..1."""
        x = (image - self.mean) / self.std
        found = []
        for number, stage in enumerate(self.stages):
            if number:
                x = functional.max_pool2d(x, 2)
            for index in stage:
                before = self.convolutions[str(index)](x)
                x = functional.relu(before)
            found.append(before)
        return found

    def forward(self, made: Tensor, real: Tensor) -> Tensor:
        """Compare two (n, 3, h, w) RGB in 0..1, at least 16 px a side; return a scalar."""
        with torch.no_grad():
            wanted = self.features(real)
        total = torch.zeros((), device=made.device)
        for weight, a, b in zip(_STAGE_WEIGHTS[: len(wanted)], self.features(made), wanted, strict=True):
            total = total + weight * functional.l1_loss(a, b)
        return total


def pixel_loss(made: Tensor, real: Tensor, error: Literal["l1", "rms"]) -> Tensor:
    """Compare two (n, 3, h, w) RGB in 0..1; return a scalar, `l1` or `rms` as `LossConfig.error` defines them."""
    if error == "l1":
        return functional.l1_loss(made, real)
    squared = (made - real).square().mean((1, 2, 3))
    return (squared + _LEAST_SQUARED).sqrt().mean()


def generator_loss(made: Tensor, real: Tensor | None) -> Tensor:
    """Return the generator's loss from the discriminator's opinion of its images.

    made: logits of realness, a pixel each. Non-saturating (Goodfellow et al. 2014): - log sigmoid(made).
    real: logits of the originals, for the relativistic average loss (Jolicoeur-Martineau 2018); None without it.
    """
    if real is None:
        return functional.softplus(-made).mean()
    return (functional.softplus(real - made.mean()) + functional.softplus(-(made - real.mean()))).mean() / 2


def discriminator_loss(made: Tensor, real: Tensor, *, relativistic: bool) -> Tensor:
    """Return the discriminator's loss: - log sigmoid(real) - log(1 - sigmoid(made)); see `generator_loss`."""
    if not relativistic:
        return (functional.softplus(-real) + functional.softplus(made)).mean()
    return (functional.softplus(-(real - made.mean())) + functional.softplus(made - real.mean())).mean() / 2
