"""Packages: they state their network, their bytes are their identity, and what cannot be trusted is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from histocodec.errors import InvalidPackage, UnknownGenerator
from histocodec.generators.catalogue import find_package, load_generator, shipped_packages
from histocodec.generators.networks import build_network
from histocodec.generators.package import Package, PackageCard
from histocodec.generators.torch_runner import build_generator, package_bytes


def test_a_package_states_its_network_and_its_digest_is_its_bytes(tmp_path: Path) -> None:
    network = build_network("plain", {"scale": 2, "channels": 4, "pairs": 0})
    card = PackageCard("tiny-x2", "plain", {"scale": 2, "channels": 4, "pairs": 0}, 2, 2, "CC0-1.0")
    package = Package(package_bytes(network, card))
    (tmp_path / "tiny.safetensors").write_bytes(package.data)
    found = find_package(tmp_path / "tiny.safetensors")
    assert found.digest == package.digest
    assert found.card == card
    generator = load_generator(tmp_path / "tiny.safetensors")
    assert (generator.name, generator.scale, generator.halo) == ("tiny-x2", 2, 2)
    image = np.random.default_rng(0).integers(0, 256, (24, 24, 3)).astype(np.uint8)
    with torch.inference_mode():
        x = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
        y = network.half().float()(x)[0].permute(1, 2, 0)
        expected = (y * 255 + 0.5).clamp(0, 255).to(torch.uint8).numpy()
    assert np.abs(generator(image).astype(int) - expected).max() <= 1


@pytest.mark.parametrize("damage", ["cut", "card", "weights", "architecture", "halo"])
def test_a_package_that_cannot_be_trusted_is_refused(damage: str) -> None:
    hyperparameters = {"scale": 4, "channels": 4, "pairs": 0}
    card = PackageCard("tiny", "plain", hyperparameters, 4, 2, "CC0-1.0")
    network = build_network("plain", hyperparameters)
    if damage == "architecture":
        card = PackageCard("tiny", "fancy", hyperparameters, 4, 2, "CC0-1.0")
    if damage == "weights":
        card = PackageCard("tiny", "plain", {**hyperparameters, "channels": 5}, 4, 2, "CC0-1.0")
    if damage == "halo":
        card = PackageCard("tiny", "plain", hyperparameters, 4, 1, "CC0-1.0")
    data = package_bytes(network, card)
    if damage == "cut":
        data = data[:-100]
    if damage == "card":
        data = data.replace(b'"architecture', b'"architexture').replace(b'architecture\\"', b'architexture\\"')
    with pytest.raises(InvalidPackage):
        build_generator(Package(data))


def test_a_generator_that_nobody_knows_is_named() -> None:
    with pytest.raises(UnknownGenerator, match="no-such-thing"):
        load_generator("no-such-thing")


def test_a_shipped_generator_is_found_by_its_name_and_by_its_digest() -> None:
    for name, package in shipped_packages().items():
        assert find_package(name) == find_package(package.digest) == package


def test_weights_that_half_precision_cannot_hold_are_not_packaged() -> None:
    network = build_network("plain", {"scale": 4, "channels": 4, "pairs": 0})
    with torch.no_grad():
        next(network.parameters()).fill_(1e6)
    with pytest.raises(InvalidPackage, match="half precision"):
        package_bytes(network, PackageCard("tiny", "plain", {}, 4, 2, "CC0-1.0"))
