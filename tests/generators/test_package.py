"""Packages: they state their network, their bytes are their identity, and what cannot be trusted is refused."""

from __future__ import annotations

import dataclasses
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from histocodec.errors import InvalidPackage, UnknownGenerator
from histocodec.generators.catalogue import find_package, load_generator, shipped_packages
from histocodec.generators.integer_net import tensors_of
from histocodec.generators.network_resampler import build_downsampler, build_generator
from histocodec.generators.package import METADATA_KEY, Package, package_of
from histocodec.generators.self_test import build_test_block as block_of
from histocodec.generators.self_test import crc32_of_test_block as crc32_of
from tests.generators.inputs import (
    by_definition,
    card_of,
    downsampler_package,
    generator_package,
    inputs,
    random_net,
)

NET = random_net("plain", scale=2, channels=4, pairs=1)


def packed(tensors: dict[str, Any] | None = None, **changes: Any) -> Package:
    """A package whose card is changed, its checksum apart."""
    card = dataclasses.replace(package_of(NET, card_of(NET)).card, **changes)
    return Package(save(tensors or tensors_of(NET), metadata={METADATA_KEY: card.to_json()}))


def test_a_package_states_its_network_and_its_digest_is_its_bytes(tmp_path: Path) -> None:
    package = package_of(NET, card_of(NET, "tiny-x2"))
    (tmp_path / "tiny.safetensors").write_bytes(package.data)
    found = find_package(tmp_path / "tiny.safetensors")
    assert found.digest == package.digest
    assert found.card == package.card
    assert found.is_exact
    generator = load_generator(tmp_path / "tiny.safetensors")
    assert (generator.name, generator.scale, generator.halo, generator.is_exact) == ("tiny-x2", 2, 4, True)
    image = inputs(NET, 24, 20)[0]
    assert np.array_equal(generator(image), by_definition(NET, image))


def test_a_card_states_its_generation_from_the_second_on() -> None:
    first, second = packed(), packed(generation=2)
    assert (first.card.generation, second.card.generation) == (1, 2)
    assert b"generation" not in first.data
    assert b"generation" in second.data


def test_a_generator_and_a_downsampler_are_pickled_by_their_package() -> None:
    for built in (build_generator(generator_package()), build_downsampler(downsampler_package())):
        again = pickle.loads(pickle.dumps(built))
        assert (again.name, again.digest, again.package) == (built.name, built.digest, built.package)
        image = np.random.default_rng(0).integers(0, 256, (48, 40, 3)).astype(np.uint8)
        assert np.array_equal(again(image), built(image))


def test_the_checksum_is_that_of_the_test_block_by_definition() -> None:
    for package in (generator_package(), downsampler_package()):
        assert package.card.test_block_crc32 == crc32_of(
            package.net,
            lambda images, net=package.net: by_definition(net, images[0])[None],  # type: ignore[misc]
        )
    block = block_of(NET)
    assert block.shape == (72, 72, 3)
    assert set(np.unique(block[30:40])) == {0, 255}
    assert np.unique(block[:20]).size == 256
    assert block_of(random_net("residual-downsampler", scale=2, features=4)).shape == (140, 140, 3)


@pytest.mark.parametrize(
    ("package", "said"),
    [
        (Package(packed().data[:-100]), "package tiny: "),
        (
            Package(
                packed()
                .data.replace(b'"architecture', b'"architexture')
                .replace(b'architecture\\"', b'architexture\\"')
            ),
            "no histocodec card",
        ),
        (packed(architecture="fancy"), "tiny is no generator in whole numbers"),
        (packed(architecture=[3]), "tiny is no generator in whole numbers"),
        (packed(hyperparameters={"scale": 2, "channels": 5, "pairs": 1}), r"head.weight: expected \(5, 3, 3, 3\)"),
        (packed(hyperparameters={"scale": 2, "channels": 4}), "hyperparameters are whole numbers"),
        (packed(hyperparameters={"scale": 2, "channels": 1 << 40, "pairs": 1}), "no such network"),
        (packed(hyperparameters=["scale", "channels", "pairs"]), "hyperparameters, training and measured are objects"),
        (packed(training=[]), "hyperparameters, training and measured are objects"),
        (packed(halo=1), "states scale 2 and halo 1, its network has 2 and 4"),
        (packed(scale=4), "states scale 4"),
        (packed(test_block_crc32=None), "states no test_block_crc32"),
        (packed(test_block_crc32=-1), "test_block_crc32 is a CRC-32, found -1"),
        (packed(test_block_crc32=True), "found True"),
        (packed(generation=0), "generation is a whole number from 1 on, found 0"),
        (packed(generation="2026-11"), "generation is a whole number from 1 on, found '2026-11'"),
        (packed(licence=3), "licence has 1 to 200 printable characters of ASCII, found 3"),
        (packed(licence="MIT\nfor any use"), "licence has 1 to 200"),
        (packed(test_block_crc32=12345), "test_block_crc32 is not that of its network"),
        (packed({k: v.astype(np.float16) for k, v in tensors_of(NET).items()}), "of int8, found .* of float16"),
        (packed({k: v for k, v in tensors_of(NET).items() if "shift" not in k}), "tensors of other names"),
        (packed(tensors_of(NET) | {"head.shift": np.full(4, 200, np.uint8)}), "shifts are at most 12"),
        (packed(tensors_of(NET) | {"head.bias": np.full(4, -(1 << 31), np.int32)}), "must stay below"),
        (packed(tensors_of(NET) | {"body.0.weight": np.full((4, 4, 3, 3), 65, np.int8)}), "two neighbouring channels"),
    ],
)
def test_a_package_that_cannot_be_trusted_is_refused(package: Package, said: str) -> None:
    with pytest.raises(InvalidPackage, match=said):
        build_generator(package)


def test_a_network_in_floats_is_no_generator_in_whole_numbers() -> None:
    floats = packed({"head.weight": np.zeros((4, 3, 3, 3), np.float16), "head.bias": np.zeros(4, np.float16)})
    with pytest.raises(InvalidPackage, match="package tiny: expected tensors of other names"):
        build_generator(floats)
    with pytest.raises(InvalidPackage, match="is no downsampler"):
        build_downsampler(generator_package())
    with pytest.raises(InvalidPackage, match="is no generator in whole numbers"):
        build_generator(downsampler_package())


def test_a_generator_that_nobody_knows_is_named() -> None:
    with pytest.raises(UnknownGenerator, match="no-such-thing"):
        load_generator("no-such-thing")


def test_a_shipped_generator_is_found_by_its_name_and_by_its_digest() -> None:
    for name, package in shipped_packages().items():
        assert find_package(name) == find_package(package.digest) == package
