"""Training: the pairs are what a decoder sees, runs resume exactly, packages round-trip."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from histocodec.base import downsample
from histocodec.errors import InvalidPackage, SettingsError, UnknownGenerator, UnreadableSource
from histocodec.generators import load_generator
from histocodec.geometry import Size
from histocodec.model import build_generator, save_package
from histocodec.networks import Plain, build_network
from histocodec.package import Package, PackageCard, find_package
from histocodec.synthetic import tissue
from histocodec.training.evaluate import evaluation_tile, score
from histocodec.training.patches import CodedBases, Tiles, training_pairs
from histocodec.training.trainer import TrainSettings, train

SMALL = TrainSettings(channels=8, pairs=1, steps=6, batch=2, crop=16, save_every=3, log_every=2, warmup_steps=2)


@pytest.fixture(scope="module")
def tiles() -> Tiles:
    image = tissue(Size(400, 400), seed=1)
    return Tiles((image,), np.array([1.0]))


def test_an_uncoded_pair_is_the_original_and_its_box_average(tiles: Tiles) -> None:
    rng = np.random.default_rng(2)
    pairs = training_pairs(tiles, rng, scale=4, halo=3, crop=16, bases=(CodedBases(None, 1.0),))
    for _ in range(12):
        base, full = next(pairs)
        assert base.shape == (22, 22, 3)
        assert full.shape == (64, 64, 3)
        assert np.array_equal(downsample(full, 4), base[3:-3, 3:-3])


def test_pairs_are_seeded_and_coded_bases_differ_from_clean_ones(tiles: Tiles) -> None:
    def draw(seed: int) -> list[bytes]:
        coded = (CodedBases("jp2k", 1.0, 24.0, 30.0),)
        pairs = training_pairs(tiles, np.random.default_rng(seed), scale=4, halo=2, crop=16, bases=coded)
        return [base.tobytes() + full.tobytes() for base, full in (next(pairs) for _ in range(8))]

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)


def test_a_resumed_run_ends_in_the_same_weights(tiles: Tiles, tmp_path: Path) -> None:
    def no_evaluation(network: torch.nn.Module) -> dict[str, float]:
        return {}

    def stop(row: dict[str, float]) -> None:
        if row["step"] == 4:
            raise KeyboardInterrupt

    once = train(SMALL, tiles, tmp_path / "once", evaluate=no_evaluation, progress=lambda row: None)
    with pytest.raises(KeyboardInterrupt):
        train(SMALL, tiles, tmp_path / "twice", evaluate=no_evaluation, progress=stop)
    twice = train(SMALL, tiles, tmp_path / "twice", evaluate=no_evaluation, progress=lambda row: None)
    for a, b in zip(once.parameters(), twice.parameters(), strict=True):
        assert torch.equal(a, b)
    rows = [json.loads(line) for line in (tmp_path / "once" / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [2, 4, 6]
    other = TrainSettings(**{**SMALL.__dict__, "seed": 2})
    with pytest.raises(SettingsError, match="other settings"):
        train(other, tiles, tmp_path / "once", evaluate=no_evaluation, progress=lambda row: None)


def test_an_empty_training_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableSource, match="no training tile"):
        Tiles.from_folders({tmp_path: 1.0})


def test_the_network_sees_its_halo_and_no_further() -> None:
    torch.manual_seed(0)
    network = Plain(scale=4, channels=6, pairs=2)
    assert network.halo == 6
    base = torch.rand(1, 3, 20, 20)
    out = network(base)
    assert out.shape == (1, 3, 32, 32)
    beyond = base.clone()
    beyond[:, :, :, -1] = 0  # 7 base pixels to the right of the first output column's base pixel plus its halo
    assert torch.equal(network(beyond)[..., :28], out[..., :28])
    assert not torch.equal(network(beyond)[..., 28:], out[..., 28:])


def test_a_package_states_its_network_and_its_digest_is_its_bytes(tmp_path: Path) -> None:
    network = build_network("plain", {"scale": 2, "channels": 4, "pairs": 0})
    card = PackageCard("tiny-x2", "plain", {"scale": 2, "channels": 4, "pairs": 0}, 2, 2, "CC0-1.0")
    package = save_package(tmp_path / "tiny.safetensors", network, card)
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
def test_a_package_that_cannot_be_trusted_is_refused(tmp_path: Path, damage: str) -> None:
    hyperparameters = {"scale": 4, "channels": 4, "pairs": 0}
    card = PackageCard("tiny", "plain", hyperparameters, 4, 2, "CC0-1.0")
    network = build_network("plain", hyperparameters)
    if damage == "architecture":
        card = PackageCard("tiny", "fancy", hyperparameters, 4, 2, "CC0-1.0")
    if damage == "weights":
        card = PackageCard("tiny", "plain", {**hyperparameters, "channels": 5}, 4, 2, "CC0-1.0")
    if damage == "halo":
        card = PackageCard("tiny", "plain", hyperparameters, 4, 1, "CC0-1.0")
    data = save_package(tmp_path / "p", network, card).data
    if damage == "cut":
        data = data[:-100]
    if damage == "card":
        data = data.replace(b'"architecture', b'"architexture').replace(b'architecture\\"', b'architexture\\"')
    with pytest.raises(InvalidPackage):
        build_generator(Package(data))


def test_a_generator_that_nobody_knows_is_named() -> None:
    with pytest.raises(UnknownGenerator, match="no-such-thing"):
        load_generator("no-such-thing")


def test_scores_compare_with_bicubic_on_the_same_base() -> None:
    image = tissue(Size(256, 256), seed=3)
    clean, coded = evaluation_tile("a", image, 4), evaluation_tile("b", image, 4, "jp2k", 0.1)
    assert coded.bits_per_full_pixel == pytest.approx(0.1, rel=0.1)
    assert coded.bits_per_full_pixel <= 0.1
    bicubic = score(load_generator("bicubic-x4"), [clean, coded])
    assert bicubic.psnr_db == bicubic.bicubic_psnr_db
    assert bicubic.tiles == 2
