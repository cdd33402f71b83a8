"""Run networks as generators and as downsamplers; build them from packages, and write packages."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from ..errors import GeneratorError, InvalidPackage
from ..geometry import Image
from ..runtime.parallel import core_count
from .networks import DOWNSAMPLERS, GENERATORS, Architectures, N, Network, build_among
from .package import METADATA_KEY, Package, PackageCard

_runners: dict[int, ThreadPoolExecutor] = {}
"""The thread that runs networks, by process."""


def _runner() -> ThreadPoolExecutor:
    """Return the one thread of this process that runs networks, whoever asks.

    A network uses all cores by itself. torch keeps a team of threads for every thread that it is called from, and takes
    some settings (autocast) from that thread: with one thread there is one team, and one way to compute. By process,
    since threads do not survive a fork.
    """
    runner = _runners.get(os.getpid())
    if runner is None:
        runner = _runners.setdefault(os.getpid(), ThreadPoolExecutor(1, "histocodec-network", initializer=_limit_team))
    return runner


def _limit_team() -> None:
    """Tell torch, which counts cores itself, if there shall be fewer. The pixels do not depend on it."""
    torch.set_num_threads(min(torch.get_num_threads(), core_count()))


def run_network(network: torch.nn.Module, image: Image, device: torch.device) -> Image:
    """Run a network on one image, (height, width, 3) uint8 RGB to the same of another size, in the calling thread."""
    # One image a pass: a batch could choose another order of summation, and so another rounding.
    # Nor TF32, which convolutions on a GPU use unless told not to: the format promises single precision.
    exact = torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)
    with exact, torch.inference_mode():
        x = torch.from_numpy(image).to(device).permute(2, 0, 1)[None]
        y = network(x.float().div_(255.0))[0]
        levels = y.mul_(255.0).add_(0.5).clamp_(0.0, 255.0).to(torch.uint8)
        return np.ascontiguousarray(levels.permute(1, 2, 0).cpu().numpy())


class _ImageNetwork:
    """A network from pixels to pixels, under the name of its package. Raises GeneratorError for the device."""

    def __init__(self, card: PackageCard, network: torch.nn.Module, *, digest: str, device: str) -> None:
        self.name, self.scale, self.halo = card.name, card.scale, card.halo
        self.digest = digest
        try:
            self._device = torch.device(device)
            self._network = network.to(self._device).to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
        except (RuntimeError, AssertionError) as error:
            raise GeneratorError(f"no device {device} here: {str(error).splitlines()[0]}") from error

    def on_runner(self, image: Image) -> Image:
        """Run the network in the thread for it. Raises GeneratorError if the device fails, for want of memory say."""
        try:
            return _runner().submit(self.run, image).result()
        except RuntimeError as error:
            reason = " ".join(str(error).split())[:200]
            raise GeneratorError(f"{self.name} failed on {self._device}: {reason}") from error

    def run(self, image: Image) -> Image:
        """Run the network in the calling thread."""
        return run_network(self._network, image, self._device)


class NetworkGenerator(_ImageNetwork):
    """A `Generator` that runs a network."""

    def __init__(self, card: PackageCard, network: Network, *, digest: str, package: bytes | None, device: str) -> None:
        super().__init__(card, network, digest=digest, device=device)
        self.package = package

    def __reduce__(self) -> tuple[Callable[..., NetworkGenerator], tuple[Package, str]]:
        if self.package is None:
            raise TypeError(f"{self.name} has no package to be pickled by")
        return build_generator, (Package(self.package), str(self._device))

    def __call__(self, base: Image) -> Image:
        """Enlarge a base as `Generator` defines it. Raises GeneratorError if the device fails."""
        return self.on_runner(base)


class NetworkDownsampler(_ImageNetwork):
    """A `Downsampler` that runs a network."""

    def __call__(self, image: Image) -> Image:
        """Shrink an image as `Downsampler` defines it. Raises GeneratorError if the device fails."""
        return self.on_runner(image)


def build_generator(package: Package, device: str = "cpu") -> NetworkGenerator:
    """Build a generator from its package. Raises InvalidPackage, GeneratorError for the device."""
    network = network_of(package)
    return NetworkGenerator(package.card, network, digest=package.digest, package=package.data, device=device)


def build_downsampler(package: Package, device: str = "cpu") -> NetworkDownsampler:
    """Build a downsampler from its package. Raises InvalidPackage, GeneratorError for the device."""
    network = _with_weights(DOWNSAMPLERS, package)
    return NetworkDownsampler(package.card, network, digest=package.digest, device=device)


def network_of(package: Package) -> Network:
    """Build the network of a generator's package, its weights in single precision. Raises InvalidPackage."""
    return _with_weights(GENERATORS, package)


def _with_weights(known: Architectures[N], package: Package) -> N:
    card = package.card
    try:
        with torch.device("meta"):  # sizes that a package states, but does not hold, cost no memory
            network = build_among(known, card.architecture, card.hyperparameters)
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


def round_weights(network: torch.nn.Module, bits: int) -> None:
    """Round convolutions in place, so that an embedded package compresses well.

    Each output channel's weights become whole multiples, of at most `bits` bits with the sign, of a power of two. Half
    precision holds those exactly, so the package is one like any other, and zstd finds the few values that are left.
    bits: 2 to 11.
    """
    with torch.no_grad():
        for weights in network.parameters():
            if weights.dim() == 4:
                largest = weights.abs().amax((1, 2, 3), keepdim=True).clamp_min(2.0**-14)
                step = torch.exp2(torch.ceil(torch.log2(largest / (2 ** (bits - 1) - 1))))
                weights.copy_((weights / step).round() * step)


def package_bytes(network: torch.nn.Module, card: PackageCard) -> bytes:
    """Return a package: the weights in half precision, with the card. Raises InvalidPackage if they do not fit."""
    weights = {key: value.detach().cpu().half().contiguous() for key, value in network.state_dict().items()}
    if not all(value.isfinite().all() for value in weights.values()):
        raise InvalidPackage(f"{card.name}: weights that half precision cannot hold")
    return save_tensors(weights, metadata={METADATA_KEY: card.to_json()})
