"""Train a downsampler together with the generator that enlarges its bases.

Its loss is the trade between error and bytes, log(e) + s log(b): e is the squared error of the reconstruction, b the
bits of the base, and s the slope by which log(e) falls with log(b) at that quality. The least of it is the most
decibels at equal bytes. Two penalties keep the base near the box average.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor
from torch.nn import functional

from ..errors import SettingsError
from ..runtime.files import atomic_output
from .av1_surrogate import BITS, DCT_SIDE, SLOPES, STEPS, Av1Surrogate, interpolated
from .checkpoint import Stateful
from .config import DownsamplerConfig
from .data.pool import Batch
from .networks import Network, ResidualDownsampler
from .optim.schedule import ADAM_BETAS

_LEAST_ERROR = 1e-5
"""Squared error added to every crop's, 50 dB: glass does not set the direction."""
_LEAST_BITS = 0.02
"""Bits a base pixel added to every crop's: glass does not set the direction."""
_COARSE = 4
"""Base pixels a side of the means that the coarser penalty compares."""


class DownsamplerTraining:
    """A downsampler, its averaged weights, and their training."""

    def __init__(self, config: DownsamplerConfig, network: Network, crop: int, device: torch.device) -> None:
        """Build the downsampler and its optimiser.

        network: the generator. crop: base pixels a side, without the halo. Raises SettingsError if the stand-in for
        AV1 cannot cut a crop and its halo into blocks.
        """
        if (crop + 2 * network.halo) % DCT_SIDE:
            raise SettingsError(
                f"schedule.crop: with a downsampler, a crop and a halo of {network.halo} on both sides have to be a "
                f"multiple of {DCT_SIDE}, found {crop + 2 * network.halo}"
            )
        self.config, self.scale = config, network.scale
        self.network, self.averaged = (ResidualDownsampler(self.scale, config.features).to(device) for _ in range(2))
        self.averaged.load_state_dict(self.network.state_dict())
        self.surrogate = Av1Surrogate().to(device)
        self.optimiser = torch.optim.Adam(self.network.parameters(), config.learning_rate, betas=ADAM_BETAS)

    def loss(self, batch: Batch, generator: Network) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss to minimise, and its terms by name for the log.

        batch: with originals of the base, halo included, and of `ResidualDownsampler.halo` base pixels around it.
        generator: its weights must not ask for gradients.
        """
        margin = self.network.halo * self.scale
        inner = batch.full[:, :, margin:-margin, margin:-margin]
        mean = functional.avg_pool2d(inner, self.scale)
        base = self.network(batch.full)
        whole = (base * 255).round().clamp(0, 255) / 255
        coded, bits = self.surrogate(base + (whole - base).detach(), batch.colours, interpolated(STEPS, batch.quality))
        halo = generator.halo * self.scale
        with torch.autocast(base.device.type, torch.bfloat16, enabled=base.device.type == "cuda"):
            made = generator(coded.clamp(0, 1).contiguous(memory_format=torch.channels_last))
        error = (made.float() - inner[:, :, halo:-halo, halo:-halo]).square().mean((1, 2, 3))
        bits = bits * interpolated(BITS, batch.quality)
        slope = interpolated(SLOPES, batch.quality)
        gain = torch.log(error + _LEAST_ERROR) + slope * torch.log(bits + _LEAST_BITS)
        apart = (base - mean).square().mean()
        coarse = functional.avg_pool2d(base - mean, _COARSE).square().mean()
        total = gain.mean() + self.config.near * apart + self.config.near_coarse * coarse
        return total, {"bargain": gain.mean(), "apart": apart, "coarse": coarse}

    def average(self, keep: float) -> None:
        """Move the averaged weights towards the present ones."""
        with torch.no_grad():
            for mean, value in zip(self.averaged.parameters(), self.network.parameters(), strict=True):
                mean.lerp_(value, 1 - keep)

    def parts(self) -> dict[str, Stateful]:
        """Return everything with a state, by name."""
        return {
            "downsampler": self.network,
            "averaged_downsampler": self.averaged,
            "downsampler_optimiser": self.optimiser,
        }

    def save(self, path: Path) -> None:
        """Write the averaged weights, for those who make bases with them, atomically. Raises OutputError."""
        weights = {name: value.detach().cpu().contiguous() for name, value in self.averaged.state_dict().items()}
        with atomic_output(path, overwrite=True) as file:
            file.write(save(weights))
