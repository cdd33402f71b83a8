"""The network in floats: what it sees, what comes out, how it is packed, and what is refused."""

from __future__ import annotations

import dataclasses
import pickle
from typing import Any

import numpy as np
import pytest
import torch

from histocodec.errors import GeneratorError, InvalidPackage
from histocodec.generators.catalogue import load_generator
from histocodec.generators.package import Package, PackageCard
from histocodec.generators.rrdb import RRDBGenerator, RRDBNet, rrdb_of, rrdb_package

SIZES = {"blocks": 1, "features": 8, "growth": 4, "halo": 5}


def built(**changes: int) -> RRDBNet:
    torch.manual_seed(0)
    return RRDBNet(**SIZES | changes).eval()


def card(**changes: Any) -> PackageCard:
    return dataclasses.replace(PackageCard("tiny", "rrdb", SIZES, 4, 5, "CC0-1.0"), **changes)


@pytest.mark.parametrize("halo", [5, 0])
def test_the_output_is_the_inner_part_enlarged(halo: int) -> None:
    out = built(halo=halo)(torch.rand(2, 3, 12 + 2 * halo, 8 + 2 * halo))
    assert out.shape == (2, 3, 48, 32)


def test_the_halo_is_cut_off_and_nothing_else() -> None:
    whole, cropped = built(halo=0), built(halo=6)
    cropped.load_state_dict(whole.state_dict())
    base = torch.rand(1, 3, 20, 24)
    assert torch.allclose(whole(base)[:, :, 24:-24, 24:-24], cropped(base), atol=1e-6)


@pytest.mark.parametrize("change", [{"blocks": 0}, {"blocks": 65}, {"features": 0}, {"growth": 129}, {"halo": 65}])
def test_impossible_networks_are_refused(change: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="no such network"):
        RRDBNet(**SIZES | change)


def test_a_package_is_a_generator_that_is_not_exact_and_survives_a_pickle() -> None:
    network = built()
    package = rrdb_package(network, card())
    generator = load_generator(package)
    assert isinstance(generator, RRDBGenerator)
    assert (generator.name, generator.halo, generator.is_exact, package.is_exact) == ("tiny", 5, False, False)
    image = np.random.default_rng(0).integers(0, 256, (22, 26, 3)).astype(np.uint8)
    with torch.inference_mode():
        y = network.half().float()(torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255)[0].permute(1, 2, 0)
    expected = (y * 255 + 0.5).clamp(0, 255).to(torch.uint8).numpy()
    assert np.abs(generator(image).astype(int) - expected).max() <= 1
    assert np.array_equal(pickle.loads(pickle.dumps(generator))(image), generator(image))
    with pytest.raises(InvalidPackage, match="must be plain or residual-downsampler, found 'rrdb'"):
        package.net  # noqa: B018


def test_a_package_that_cannot_be_trusted_is_refused() -> None:
    good = rrdb_package(built(), card())
    for package, said in (
        (Package(good.data[:-100]), "package tiny"),
        (rrdb_package(built(), card(hyperparameters=SIZES | {"features": 9})), "size mismatch"),
        (rrdb_package(built(), card(hyperparameters=SIZES | {"features": 8.0})), "whole numbers"),
        (rrdb_package(built(), card(hyperparameters=SIZES | {"blocks": 10**9})), "no such network"),
        (rrdb_package(built(), card(halo=4)), "states scale 4 and halo 4, its network has 4 and 5"),
        (rrdb_package(built(), card(architecture="plain")), "must be rrdb, found 'plain'"),
    ):
        with pytest.raises(InvalidPackage, match=said):
            rrdb_of(package)


def test_weights_that_half_precision_cannot_hold_are_not_packaged() -> None:
    network = built()
    with torch.no_grad():
        next(network.parameters()).fill_(1e6)
    with pytest.raises(InvalidPackage, match="half precision"):
        rrdb_package(network, card())


@pytest.mark.parametrize("device", ["cuda:99", "nonsense"])
def test_a_device_that_is_not_there(device: str) -> None:
    with pytest.raises(GeneratorError, match=f"^no device {device} here: [^\n]+$"):
        RRDBGenerator(rrdb_package(built(), card()), device)
