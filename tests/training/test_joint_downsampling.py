"""A pool of crops, the stand-in for AVIF, and a downsampler that is trained with its generator."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from histocodec.demo.synthetic import tissue
from histocodec.errors import OutputExists, SettingsError
from histocodec.generators.downsamplers import load_downsampler
from histocodec.generators.networks import ResidualDownsampler
from histocodec.generators.package import Package
from histocodec.geometry import Image, Size
from histocodec.pixels.colour import ColourTransform
from histocodec.pixels.downsample import downsample, shrink
from histocodec.pixels.tile_coder import TileCoder
from histocodec.training.avif_surrogate import BITS, BLOCK, QUALITIES, STEPS, StandIn, interpolated
from histocodec.training.config import parse_config
from histocodec.training.data.pairs import CropShape, Pair, training_pairs
from histocodec.training.data.patches import collect_patches
from histocodec.training.data.pool import Batch, CropPool, PairMaker, load_downsampler_weights, run_downsampler
from histocodec.training.launch import run_training
from histocodec.training.losses import PerceptualLoss, pixel_loss
from histocodec.training.optim.muon import Muon
from tests.training.inputs import config, tables, vgg_weights, write_data

AVIF = [{"codec": "avif", "share": 1.0, "quality": [40.0, 80.0]}]
JOINT: dict[str, Any] = {
    "bases": AVIF,
    "downsampler": {"name": "tiny-down", "features": 4, "learning_rate": 0.01},
    "schedule__pool": 64,
    "schedule__crop": 24,  # and a halo of 4 on both sides: two blocks
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    write_data(root)
    return root


def as_tensor(image: Image) -> torch.Tensor:
    return torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255


def maker(data: Path, downsampler: Path | None = None, around: int = 0) -> PairMaker:
    settings = config(bases=AVIF)
    patches = collect_patches(settings.data, data, seed=1)
    return PairMaker(patches, CropShape(4, 16, 3, around), settings.bases, settings.augment, (1,), downsampler)


def test_the_original_reaches_as_far_around_a_crop_as_is_asked(data: Path) -> None:
    settings = config()
    patches = collect_patches(settings.data, data, seed=1)
    bases = [base for base in settings.bases if base.codec == "uncoded"]
    pairs = training_pairs(
        patches, np.random.default_rng(1), shape=CropShape(4, 16, 3, 5), bases=bases, settings=settings.augment
    )
    for _ in range(8):
        pair = next(pairs)
        assert pair.base.shape == (22, 22, 3)
        assert pair.full.shape == (104, 104, 3)
        assert np.array_equal(downsample(pair.full, 4)[2:-2, 2:-2], pair.base)
        assert pair.quality == 0


def test_a_pool_gives_crops_that_its_processes_made(data: Path) -> None:
    with CropPool(maker(data), size=40, workers=2, device=torch.device("cpu")) as pool:
        batches = pool.batches(6)
        drawn = [next(batches) for _ in range(3)]
    for batch in drawn:
        assert batch.base.shape == (6, 3, 22, 22)
        assert batch.full.shape == (6, 3, 64, 64)
        assert batch.base.dtype == torch.float32
        assert 0 <= batch.base.min() < batch.base.max() <= 1
        assert ((batch.quality >= 40) & (batch.quality <= 80)).all()
        seen = torch.nn.functional.avg_pool2d(batch.full, 4)
        assert (seen - batch.base[:, :, 3:-3, 3:-3]).abs().mean() < 0.05
    assert all(not process.is_alive() for process in pool._processes)


def test_what_fails_in_a_process_is_said_in_this_one(data: Path) -> None:
    broken = maker(data)
    tiny = PairMaker(broken.patches, CropShape(4, 4096, 3), broken.bases, broken.settings, (1,))
    with (
        CropPool(tiny, size=8, workers=1, device=torch.device("cpu")) as pool,
        pytest.raises(SettingsError, match="no patch has 16408 px a side"),
    ):
        next(pool.batches(2))
    with pytest.raises(SettingsError, match="at least one process"):
        CropPool(broken, size=8, workers=0, device=torch.device("cpu"))


@dataclass(frozen=True)
class Numbered(PairMaker):
    """Every pair is of one number, in all of its parts."""

    def pairs(self, worker: int) -> Iterator[Pair]:
        for k in itertools.count():
            level = k % 250
            numbers = ColourTransform((level,) * 12)
            yield Pair(
                np.full((60, 60, 3), level, np.uint8), np.full((200, 200, 3), level, np.uint8), float(level), numbers
            )


def test_the_parts_of_a_crop_stay_together_while_others_arrive_and_the_pool_ends(data: Path) -> None:
    made = maker(data)
    numbered = Numbered(made.patches, made.shape, made.bases, made.settings, made.seed)
    with CropPool(numbered, size=30, workers=2, device=torch.device("cpu")) as pool:  # messages of megabytes
        batches = pool.batches(16)
        seen = set()
        for _ in range(300):
            batch = next(batches)
            seen |= set(batch.quality.tolist())
            for levels in (255 * batch.base[:, 0, 0, 0], 255 * batch.full[:, 2, -1, -1], batch.colours[:, 11]):
                assert torch.equal(levels.round(), batch.quality)
    assert len(seen) > 60  # others did arrive
    assert not pool._receiver.is_alive()
    assert all(not process.is_alive() for process in pool._processes)


def test_a_process_that_is_killed_is_noticed(data: Path) -> None:
    with CropPool(maker(data), size=24, workers=2, device=torch.device("cpu")) as pool:
        batches = pool.batches(2)
        next(batches)
        pool._processes[0].kill()
        deadline = time.monotonic() + 20
        with pytest.raises(SettingsError, match="ended before its time"):
            next(batch for batch in batches if time.monotonic() > deadline)


def test_the_latest_downsampler_makes_the_bases(data: Path, tmp_path: Path) -> None:
    path = tmp_path / "downsampler.safetensors"
    made = maker(data, path)
    before = next(made.pairs(0)).base
    network = ResidualDownsampler(4, 3)
    with torch.no_grad():
        assert network.tail.bias is not None
        network.tail.bias.fill_(-0.2)
    save_file(network.state_dict(), path)
    assert next(made.pairs(0)).base.mean() < before.mean() - 30
    read = load_downsampler_weights(path, 4)
    image = tissue(Size(90, 70), seed=2)
    expected = np.clip(downsample(image, 4).astype(int) - 51, 0, 255)
    assert np.abs(run_downsampler(read, image) - expected).max() <= 1


def test_the_stand_in_keeps_what_it_does_not_quantise_and_loses_more_with_larger_steps() -> None:
    base = tissue(Size(96, 64), seed=5)
    colour = TileCoder.fitted("avif", base).colour
    assert colour is not None
    numbers = torch.tensor([colour.numbers]).float()
    errors, bits = [], []
    for step in (0.01, 5.0, 20.0, 60.0):
        coded, taken = StandIn()(as_tensor(base), numbers, torch.tensor([step]))
        errors.append(float((255 * (coded - as_tensor(base))).square().mean()))
        bits.append(float(taken))
    assert errors[0] < 1e-3
    assert errors == sorted(errors)
    assert bits == sorted(bits, reverse=True)


def test_the_stand_in_is_near_the_codec() -> None:
    base = tissue(Size(15 * BLOCK, 15 * BLOCK), seed=6)
    coder = TileCoder.fitted("avif", base)
    assert coder.colour is not None
    numbers = torch.tensor([coder.colour.numbers]).float()
    for quality in (45, 65):
        data = coder.encode(base, quality)
        real = np.square(coder.decode(data, height=base.shape[0], width=base.shape[1]).astype(float) - base).mean()
        at = torch.tensor([float(quality)])
        coded, bits = StandIn()(as_tensor(base), numbers, interpolated(STEPS, at))
        assert 0.25 < float((255 * (coded - as_tensor(base))).square().mean()) / real < 4
        assert 0.25 < float(bits * interpolated(BITS, at)) / (8 * len(data) / base[..., 0].size) < 4


def test_gradients_pass_the_stand_in() -> None:
    base = as_tensor(tissue(Size(64, 64), seed=7)).requires_grad_()
    numbers = torch.tensor([TileCoder.fitted("avif", tissue(Size(64, 64), seed=7)).colour.numbers]).float()  # type: ignore[union-attr]
    coded, bits = StandIn()(base, numbers, torch.tensor([10.0]))
    (gradient,) = torch.autograd.grad(coded.sum(), base, retain_graph=True)
    assert torch.allclose(gradient, torch.ones_like(gradient), atol=1e-3)
    (gradient,) = torch.autograd.grad(bits.sum(), base)
    assert gradient.abs().max() > 0


def test_tables_are_read_between_their_points_and_end_with_them() -> None:
    quality = torch.tensor([0.0, QUALITIES[0], (QUALITIES[2] + QUALITIES[3]) / 2, QUALITIES[-1], 100.0])
    values = interpolated(STEPS, quality)
    wanted = torch.tensor([STEPS[0], STEPS[0], (STEPS[2] + STEPS[3]) / 2, STEPS[-1], STEPS[-1]])
    assert torch.allclose(values, wanted)


def test_a_joint_run_writes_both_packages(data: Path, tmp_path: Path) -> None:
    output = tmp_path / "run" / "out.safetensors"
    package = run_training(config(**JOINT), output, data=data, folder=output.parent, workers=1)
    assert package.card.downsampler == "tiny-down"
    assert "avif at 0.10 bpp" in package.card.measured["dev"]
    beside = Package(output.with_name("tiny-down.safetensors").read_bytes())
    assert beside.card.hyperparameters == {"scale": 4, "features": 4}
    downsampler = load_downsampler(output.with_name("tiny-down.safetensors"), 4)
    image = tissue(Size(200, 160), seed=8)
    assert shrink(image, downsampler).shape == (40, 50, 3)
    rows = [json.loads(line) for line in (output.parent / "metrics.jsonl").read_text().splitlines()]
    bargains = [row["bargain"] for row in rows if "bargain" in row]
    assert bargains
    assert np.isfinite(bargains).all()
    state = torch.load(output.parent / "checkpoint.pt", weights_only=True)
    assert state["step"] == 6
    assert state["averaged_downsampler"]["tail.weight"].abs().max() > 1e-4  # it began as zeros
    kept = load_file(output.with_name("tiny-down.safetensors"))
    assert torch.equal(kept["tail.weight"], state["averaged_downsampler"]["tail.weight"].half())
    again = run_training(config(**JOINT), output, data=data, folder=output.parent, overwrite=True)
    assert again.data == package.data  # nothing was left to do


def test_an_interrupted_joint_run_goes_on(data: Path, tmp_path: Path) -> None:
    output = tmp_path / "run" / "out.safetensors"
    output.parent.mkdir()
    (output.parent / "downsampler.safetensors").write_bytes(b"of another run")

    def interrupted(stage: str, done: int, total: int, row: dict[str, float]) -> None:
        if stage == "training" and done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_training(config(**JOINT), output, data=data, folder=output.parent, progress=interrupted)
    assert not output.with_name("tiny-down.safetensors").exists()
    assert torch.load(output.parent / "checkpoint.pt", weights_only=True)["step"] == 3
    run_training(config(**JOINT), output, data=data, folder=output.parent)
    rows = [json.loads(line) for line in (output.parent / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [2, 4, 6]
    assert output.exists()
    output.unlink()
    with pytest.raises(OutputExists, match="tiny-down"):
        run_training(config(**JOINT), output, data=data, folder=output.parent)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schedule__pool": 0}, "schedule.pool expected"),
        ({"bases": [{"codec": "jp2k", "share": 1.0, "quality": [30.0, 30.0]}]}, "stand-in for AVIF"),
        ({"downsampler": {"name": "no/name"}}, "downsampler.name"),
        ({"downsampler": {"name": "tiny-x4"}}, "another name than the generator"),
        ({"downsampler": {"name": "x", "near": -1}}, "near"),
    ],
)
def test_what_cannot_train_a_downsampler_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        parse_config(tables(**{**JOINT, **changes}))


def test_a_crop_that_the_stand_in_cannot_cut_is_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="a multiple of 16, found 33"):
        run_training(
            config(**{**JOINT, "schedule__crop": 25}), tmp_path / "out.safetensors", data=data, folder=tmp_path / "run"
        )


def test_rms_is_the_root_of_each_crop_s_squared_error() -> None:
    made = torch.zeros(2, 3, 4, 4)
    real = torch.stack([torch.full((3, 4, 4), 0.1), torch.full((3, 4, 4), 0.3)])
    assert float(pixel_loss(made, real, "rms")) == pytest.approx(0.2, abs=1e-4)
    real[0, :, :2] = 0
    assert float(pixel_loss(made, real, "rms")) == pytest.approx((0.1 / 2**0.5 + 0.3) / 2, abs=1e-4)
    assert float(pixel_loss(made, real, "l1")) == pytest.approx((0.05 + 0.3) / 2)


def test_the_perceptual_loss_can_end_early(tmp_path: Path) -> None:
    weights = vgg_weights(16)
    save_file(weights, tmp_path / "whole.safetensors")
    save_file({k: v for k, v in weights.items() if int(k.split(".")[1]) <= 14}, tmp_path / "part.safetensors")
    a, b = torch.rand(2, 1, 3, 32, 32)
    part = PerceptualLoss(tmp_path / "part.safetensors", 3)(a, b)
    assert 0 < part < PerceptualLoss(tmp_path / "whole.safetensors")(a, b)
    with pytest.raises(SettingsError, match=r"no convolution features\.17"):
        PerceptualLoss(tmp_path / "part.safetensors")


def test_muon_s_weight_decay_shrinks_what_has_no_gradient() -> None:
    weight = torch.nn.Parameter(torch.ones(4, 3, 3, 3))
    weight.grad = torch.zeros_like(weight)
    Muon([weight], lr=0.1, weight_decay=0.5).step()
    assert torch.allclose(weight, torch.full_like(weight, 0.95))


def test_a_batch_on_the_cpu_is_laid_out_as_it_says(data: Path) -> None:
    pairs = maker(data).pairs(0)
    batch = Batch.of([next(pairs) for _ in range(3)])
    assert batch.base.is_contiguous()
    assert batch.colours.shape == (3, 12)
