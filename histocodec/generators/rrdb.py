"""The network of ESRGAN and Real-ESRGAN: the one generator in floats.

What it computes is outside the promise of the same bits everywhere: two machines may round otherwise. It runs in torch,
one block a pass, in single precision.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn
from torch.nn import functional

from ..errors import GeneratorError, InvalidPackage
from ..geometry import Image
from .package import METADATA_KEY, Package, PackageCard

_UPSAMPLING_REACH = 2
"""Base pixels, rounded up, that the last four convolutions of `RRDBNet` see on each side: 1/2 + 1/4 + 1/4 + 1/4."""


class DenseBlock(nn.Module):
    """Five 3 x 3 convolutions, each of which sees all that came before; the last, times 0.2, is added to the input."""

    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        for k in range(1, 6):
            out = features if k == 5 else growth
            self.add_module(f"conv{k}", nn.Conv2d(features + (k - 1) * growth, out, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the shape of `x`, (n, features, h, w)."""
        seen = [x]
        for k in range(1, 5):
            seen.append(functional.leaky_relu(self.get_submodule(f"conv{k}")(torch.cat(seen, 1)), 0.2))
        out: Tensor = x + 0.2 * self.get_submodule("conv5")(torch.cat(seen, 1))
        return out


class ResidualDenseBlock(nn.Module):
    """Three dense blocks; their result, times 0.2, is added to the input."""

    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        self.rdb1, self.rdb2, self.rdb3 = (DenseBlock(features, growth) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the shape of `x`, (n, features, h, w)."""
        out: Tensor = x + 0.2 * self.rdb3(self.rdb2(self.rdb1(x)))
        return out


class RRDBNet(nn.Module):
    """The generator of ESRGAN and Real-ESRGAN (Wang et al. 2018, 2021), x4.

    Residual-in-residual dense blocks between a first and a last convolution at the base's resolution, then twice an
    enlargement by repetition and a convolution. Every convolution pads with zeros, as those of the published weights
    do: each residual dense block sees up to 15 pixels, far more than any halo, so the zeros around its input reach the
    inner part, weakly (benchmarks/NOTES.md has the measured seams).

    blocks: 1 to 64. features: 1 to 256. growth: 1 to 128. halo: 0 to 64 base pixels. Raises ValueError otherwise.
    """

    scale = 4

    def __init__(self, blocks: int, features: int, growth: int, halo: int) -> None:
        super().__init__()
        if not 1 <= blocks <= 64 or not 1 <= features <= 256 or not 1 <= growth <= 128 or not 0 <= halo <= 64:
            raise ValueError(f"no such network: blocks {blocks}, features {features}, growth {growth}, halo {halo}")
        self.halo = halo
        self.conv_first = nn.Conv2d(3, features, 3, padding=1)
        self.body = nn.ModuleList(ResidualDenseBlock(features, growth) for _ in range(blocks))
        self.conv_body = nn.Conv2d(features, features, 3, padding=1)
        self.conv_up1 = nn.Conv2d(features, features, 3, padding=1)
        self.conv_up2 = nn.Conv2d(features, features, 3, padding=1)
        self.conv_hr = nn.Conv2d(features, features, 3, padding=1)
        self.conv_last = nn.Conv2d(features, 3, 3, padding=1)

    def forward(self, base: Tensor) -> Tensor:
        """Enlarge (n, 3, h + 2 halo, w + 2 halo) float RGB in 0..1 to (n, 3, h * 4, w * 4), not clipped."""
        first = self.conv_first(base)
        x = first
        for block in self.body:
            x = block(x)
        x = first + self.conv_body(x)
        margin = min(self.halo, _UPSAMPLING_REACH)
        x = functional.pad(x, [margin - self.halo] * 4)  # crops
        for conv in (self.conv_up1, self.conv_up2):
            x = functional.leaky_relu(conv(functional.interpolate(x, scale_factor=2, mode="nearest")), 0.2)
        x = self.conv_last(functional.leaky_relu(self.conv_hr(x), 0.2))
        return functional.pad(x, [-4 * margin] * 4)


class RRDBGenerator:
    """A `Generator` that runs an `RRDBNet`."""

    is_exact = False

    def __init__(self, package: Package, device: str = "cpu") -> None:
        """Build the network. Raises InvalidPackage, GeneratorError for the device."""
        card = package.card
        self.name, self.scale, self.halo, self.digest = card.name, card.scale, card.halo, package.digest
        self.package = package.data
        try:
            self._device = torch.device(device)
            self._network = rrdb_of(package).to(self._device).to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
        except (RuntimeError, AssertionError) as error:
            raise GeneratorError(f"no device {device} here: {str(error).splitlines()[0]}") from error

    def __reduce__(self) -> tuple[Callable[..., RRDBGenerator], tuple[Package, str]]:
        return RRDBGenerator, (Package(self.package), str(self._device))

    def __call__(self, base: Image) -> Image:
        """Enlarge a base as `Generator` defines it. Raises GeneratorError if the device fails."""
        try:
            return run_in_floats(self._network, base, self._device)
        except RuntimeError as error:
            reason = " ".join(str(error).split())[:200]
            raise GeneratorError(f"{self.name} failed on {self._device}: {reason}") from error


def run_in_floats(network: nn.Module, image: Image, device: torch.device) -> Image:
    """Run a network in floats on one image, (height, width, 3) uint8 RGB to the same of another size."""
    # One image a pass: a batch could choose another order of summation, and so another rounding. Nor TF32, which
    # convolutions on a GPU use unless told not to.
    exact = torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)
    with exact, torch.inference_mode():
        x = torch.from_numpy(image).to(device).permute(2, 0, 1)[None]
        y = network(x.float().div_(255.0))[0]
        levels = y.mul_(255.0).add_(0.5).clamp_(0.0, 255.0).to(torch.uint8)
        return np.ascontiguousarray(levels.permute(1, 2, 0).cpu().numpy())


def rrdb_of(package: Package) -> RRDBNet:
    """Build the network of a package, its weights in single precision. Raises InvalidPackage."""
    card = package.card
    try:
        if card.architecture != "rrdb":
            raise ValueError(f"the architecture must be rrdb, found {card.architecture!a:.40}")
        if not all(type(value) is int for value in card.hyperparameters.values()):  # 8.0 would pass every comparison
            raise TypeError(f"hyperparameters are whole numbers, found {card.hyperparameters}")
        with torch.device("meta"):  # sizes that a package states, but does not hold, cost no memory
            network = RRDBNet(**card.hyperparameters)
        tensors = load_tensors(package.data)
        if not all(value.dtype in (torch.float16, torch.float32) for value in tensors.values()):
            raise ValueError("weights that are neither F16 nor F32")
        weights = {key: value.float() for key, value in tensors.items()}
        network.load_state_dict(weights, assign=True)
        if not all(value.isfinite().all() for value in weights.values()):
            raise ValueError("weights that are not finite")
    except (KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
        raise InvalidPackage(f"package {card.name}: {' '.join(str(error).split())[:200]}") from error
    if (network.scale, network.halo) != (card.scale, card.halo):
        raise InvalidPackage(
            f"package {card.name} states scale {card.scale} and halo {card.halo}, "
            f"its network has {network.scale} and {network.halo}"
        )
    return network


def rrdb_package(network: RRDBNet, card: PackageCard) -> Package:
    """Make a package, with the weights in half precision. Raises InvalidPackage if they do not fit."""
    weights = {key: value.detach().cpu().half().contiguous() for key, value in network.state_dict().items()}
    if not all(value.isfinite().all() for value in weights.values()):
        raise InvalidPackage(f"{card.name}: weights that half precision cannot hold")
    return Package(save_tensors(weights, metadata={METADATA_KEY: card.to_json()}))
