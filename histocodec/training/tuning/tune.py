"""Tune a generator to what it will enlarge: a shipped one, trained on with blocks of the slide itself.

The encoder has the slide, so it has what no training set can offer: this scanner, this stain, and the base exactly as
the file stores it. A part of the blocks is held back, and says what the tuning gained.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ...errors import SettingsError, TrainingDiverged
from ...format.entries import NAME
from ...generators.catalogue import load_generator
from ...generators.package import Package, package_of
from ...geometry import Image
from ...pixels.metrics import psnr
from ...pixels.resampler import Generator
from ...pixels.score import PSNR_CAP_DB
from ...runtime.progress import StageProgress, silent
from ..config import ScheduleConfig
from ..data.augment import symmetry
from ..networks import PlainNet
from ..optim.schedule import optimisers_for, rate_share
from ..quantise import floats_of, quantise

_TIMED_STEPS = 6
"""Steps of the warm-up, whose duration says how many more there is time for."""
_CAUTION = 0.95
"""Share of the time left that is planned to be used."""
_AVERAGED = 15.0
"""Part of the steps, as 1 / this, over whose last weights the average reaches."""
_AGAIN = 1.5
"""Time kept for what follows the training, over the time that the same took before it."""
_CALIBRATING = 32
"""Crops on which the tuned network becomes one in whole numbers."""


@dataclass(frozen=True, slots=True)
class TuningBlock:
    """One block: its base as the decoder sees it, and its original."""

    base: Image
    """(side + 2 halo, side + 2 halo, 3) uint8 RGB: the decoded base of the block and its halo."""
    full: Image
    """(side * scale, side * scale, 3) uint8 RGB: the original of the block."""


@dataclass(frozen=True, slots=True)
class TuneSettings:
    """Settings of a tuning; checked on construction (SettingsError)."""

    seconds: float = 120.0
    """Wall-clock time for everything, 1 second to a week: training, and measuring before and after it."""
    steps: int | None = None
    """Number of steps, to repeat a run whose card states it; the time limit still holds. None: as many as there is time
    for."""
    seed: int = 0
    """Seed of the draw of crops."""
    batch: int = 8
    """Crops of a step."""
    crop: int = 48
    """Base pixels a side of the part of a block that a step sees, halo aside."""
    learning_rate: float = 7e-4
    """Learning rate of Muon, see `ScheduleConfig`."""
    adam_learning_rate: float = 5e-5
    """Learning rate of Adam, see `ScheduleConfig`."""

    def __post_init__(self) -> None:
        if not 1 <= self.seconds <= 7 * 86400:
            raise SettingsError(f"tuning takes 1 second to a week, found {self.seconds:g} s")
        if self.steps is not None and self.steps < 1:
            raise SettingsError(f"at least one step expected, found {self.steps}")


@dataclass(frozen=True, slots=True)
class Tuned:
    """The result of a tuning."""

    package: Package
    """Tuned generator."""
    steps: int
    """Steps that were trained."""
    held_back: int
    """Number of blocks that were measured and never trained on."""
    before_db: float
    """Mean PSNR of the blocks held back, with the generator that was started from."""
    after_db: float
    """Mean PSNR of the blocks held back, with the tuned generator."""

    @property
    def gain_db(self) -> float:
        """Gain of the tuning on the blocks held back, in dB."""
        return self.after_db - self.before_db


def tune(
    start: Package,
    learn: Sequence[TuningBlock],
    held_back: Sequence[TuningBlock],
    settings: TuneSettings,
    *,
    name: str | None = None,
    device: str = "cpu",
    progress: StageProgress = silent,
) -> Tuned:
    """Train the generator `start` on with the blocks `learn`, by squared error: for the highest PSNR.

    It trains in floats, then becomes a network in whole numbers again, fitted to some of the blocks it learned from.
    The steps are planned from the time that the first ones take, and fixed from then on: the card states them, and the
    same steps with the same seed, blocks and machine give the same package.

    Raises SettingsError if there is nothing to learn from or `start` is no `plain` network (one that was trained for
    texture would lose it), TrainingDiverged.
    """
    began = time.monotonic()
    name = name or _tuned_name(start.card.name)
    if not NAME.fullmatch(name):
        raise SettingsError(f"a generator's name has 1 to 64 letters, digits, spaces and ._+-, found {name!a:.80}")
    if start.card.architecture != "plain":
        raise SettingsError(
            f"{start.card.name} cannot be tuned: squared error would take away the texture that it was trained for"
        )
    if not learn or not held_back:
        raise SettingsError(f"nothing to tune on: {len(learn)} blocks to learn from, {len(held_back)} held back")
    network = floats_of(start.net)
    assert isinstance(network, PlainNet)
    calibrating = _calibration(learn, network, settings)
    before_db = _mean_psnr(load_generator(start, device=device), held_back)
    quantise(network, calibrating)  # for its duration
    deadline = began + settings.seconds - _AGAIN * (time.monotonic() - began)
    averaged, steps = _trained(network.to(device), learn, settings, deadline, device, progress)
    net = quantise(averaged, calibrating)
    training = {
        "purpose": f"{start.card.name}, tuned to what it was encoded with.",
        "tuned_from": start.digest,
        "blocks": len(learn),
        "steps": steps,
        **{key: value for key, value in dataclasses.asdict(settings).items() if key not in ("seconds", "steps")},
    }
    card = dataclasses.replace(start.card, name=name, training=training, measured={})
    after_db = _mean_psnr(load_generator(package_of(net, card), device=device), held_back)
    measured = {"held_back": {"blocks": len(held_back), "psnr_db": after_db, "started_from_psnr_db": before_db}}
    package = package_of(net, dataclasses.replace(card, measured=measured))
    return Tuned(package, steps, len(held_back), before_db, after_db)


def _tuned_name(name: str) -> str:
    return name if name.endswith("-tuned") else f"{name[:58]}-tuned"


def _trained(
    network: PlainNet,
    blocks: Sequence[TuningBlock],
    settings: TuneSettings,
    deadline: float,
    device: str,
    progress: StageProgress,
) -> tuple[PlainNet, int]:
    """Train for as many steps as there is time for, one at least; return the averaged network and their number."""
    rng = np.random.default_rng([settings.seed, 7])
    schedule = ScheduleConfig(
        steps=settings.steps or _TIMED_STEPS,
        warmup_steps=_TIMED_STEPS,
        learning_rate=settings.learning_rate,
        adam_learning_rate=settings.adam_learning_rate,
    )
    optimisers = optimisers_for(schedule, network)
    rates = [(group, group["lr"]) for optimiser in optimisers for group in optimiser.param_groups]
    averaged: dict[str, Tensor] = {key: value.detach().clone() for key, value in network.named_parameters()}
    step, took = 0, []
    while step < schedule.steps and (step == 0 or time.monotonic() < deadline):
        began = time.monotonic()
        base, full = _batch(blocks, network, settings, rng)
        for group, rate in rates:
            group["lr"] = rate * rate_share(schedule, step)
        for optimiser in optimisers:
            optimiser.zero_grad(set_to_none=True)
        loss = functional.mse_loss(network(base.to(device)), full.to(device))
        if not bool(loss.isfinite()):
            raise TrainingDiverged(f"the loss of the tuning is {loss.item()} at step {step}: lower the learning rate")
        loss.backward()  # type: ignore[no-untyped-call]
        for optimiser in optimisers:
            optimiser.step()
        step += 1
        keep = 0.0 if step <= _TIMED_STEPS else max(0.0, 1 - _AVERAGED / schedule.steps)
        with torch.no_grad():
            for key, value in network.named_parameters():
                averaged[key].lerp_(value, 1 - keep)
        took.append(time.monotonic() - began)
        if step == _TIMED_STEPS and settings.steps is None:
            left = (deadline - time.monotonic()) / float(np.median(took))
            schedule = msgspec.structs.replace(schedule, steps=step + max(0, int(_CAUTION * left)))
        progress(step, schedule.steps)
    network.load_state_dict(averaged)
    return network, step


def _calibration(blocks: Sequence[TuningBlock], network: PlainNet, settings: TuneSettings) -> NDArray[np.uint8]:
    """Return crops of the bases of blocks, spread over them: (n, h, w, 3)."""
    rng = np.random.default_rng([settings.seed, 11])
    crops = []
    for index in np.linspace(0, len(blocks) - 1, _CALIBRATING).round().astype(int):
        block = blocks[index]
        room = block.full.shape[0] // network.scale
        side = min(settings.crop, room)
        y, x = (int(v) for v in rng.integers(0, room - side + 1, 2))
        crops.append(block.base[y : y + side + 2 * network.halo, x : x + side + 2 * network.halo])
    return np.stack(crops)


def _batch(
    blocks: Sequence[TuningBlock], network: PlainNet, settings: TuneSettings, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Draw crops of random blocks, turned and mirrored at random: (n, 3, h, w) float32 in 0..1."""
    bases, fulls = [], []
    halo, scale = network.halo, network.scale
    for _ in range(settings.batch):
        block = blocks[int(rng.integers(len(blocks)))]
        room = block.full.shape[0] // scale
        side = min(settings.crop, room)
        y, x = (int(v) for v in rng.integers(0, room - side + 1, 2))
        base = block.base[y : y + side + 2 * halo, x : x + side + 2 * halo]
        full = block.full[y * scale : (y + side) * scale, x * scale : (x + side) * scale]
        turns, mirrored = int(rng.integers(4)), bool(rng.integers(2))
        bases.append(symmetry(base, turns, mirrored))
        fulls.append(symmetry(full, turns, mirrored))
    return _stacked(bases), _stacked(fulls)


def _stacked(images: list[Image]) -> Tensor:
    """Stack (h, w, 3) uint8 images into (n, 3, h, w) float32 in 0..1."""
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float().div_(255.0).contiguous()


def _mean_psnr(generator: Generator, blocks: Sequence[TuningBlock]) -> float:
    """Return the mean PSNR of the blocks in dB, each capped at PSNR_CAP_DB."""
    capped = [min(PSNR_CAP_DB, psnr(block.full, generator(block.base))) for block in blocks]
    return round(float(np.mean(capped)), 4)
