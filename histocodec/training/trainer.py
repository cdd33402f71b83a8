"""The training loop: one step after another, averaged weights, checkpoints, exact resume."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from torch import Tensor, nn

from ..errors import GeneratorError, SettingsError, TrainingDiverged, TrainingPaused
from .checkpoint import Standing, Stateful, load_checkpoint, save_checkpoint
from .config import NetworkConfig, ScheduleConfig, TrainConfig
from .data.downsampling import fixed_downsampling
from .data.pairs import CropShape, training_pairs
from .data.patches import Patches
from .data.pool import Batch, CropPool, PairMaker
from .data.stream import prefetched, shuffled
from .discriminator import UNetDiscriminator
from .joint_downsampling import DownsamplerTraining
from .losses import PerceptualLoss, discriminator_loss, generator_loss, pixel_loss
from .metrics_log import MetricsLog, Row
from .networks import Network, build_network
from .optim.expansion import effective, expand
from .optim.schedule import ADAM_BETAS, optimisers_for, rate_share, steps_in_time

Weights = dict[str, Tensor]

_STEPS_PER_SEED = 100
"""Steps after which the stream of crops starts again from a seed, so that a run can be resumed there."""
_BATCHES_MIXED = 4
"""Batches whose crops wait together, to be drawn in random order."""
_STEPS_PER_DOWNSAMPLER = 2
"""Steps of the generator for one of the downsampler."""
_STEPS_PER_HANDOVER = 100
"""Steps of the generator until those who make bases get the downsampler's new weights."""
_LARGEST_GRADIENT = 1.0
"""Norm to which a gradient is cut."""


class TrainingRun:
    """One training run: its networks, their optimisers, and how far it has come."""

    def __init__(
        self,
        config: TrainConfig,
        folder: Path,
        *,
        start: Weights | None = None,
        vgg: Path | None = None,
        device: str = "cpu",
        workers: int = 1,
    ) -> None:
        """Build the networks, and go on from the folder's checkpoint if there is one.

        folder: keeps `metrics.jsonl` and `checkpoint.pt`. Resuming is exact on a CPU with as many threads: the weights
        are those of a run that was never interrupted.
        start: weights to start from. vgg: the file of the perceptual loss, if it has a weight.
        device: as torch names it. workers: processes that fill the pool of crops, if the configuration has one.
        Raises SettingsError if the folder's checkpoint is of another configuration, if there is no such network, or if
        `start` does not fit it; GeneratorError if there is no such device.
        """
        self.config, self.folder, self.workers = config, folder, workers
        self.log = MetricsLog(folder / "metrics.jsonl")
        try:
            self.device = torch.empty(0, device=device).device
        except (RuntimeError, AssertionError) as error:
            raise GeneratorError(f"no device {device} here: {str(error).splitlines()[0]}") from error
        if self.device.type == "cuda":
            torch.backends.cudnn.benchmark = True  # every step has the same shapes
        _check_while_training(config.network)
        torch.manual_seed(config.seed)
        self.network, self.averaged = self._built(start), self._built(start)
        self.averaged.load_state_dict(self.network.state_dict())
        if config.schedule.expansion:
            expand(self.network, config.schedule.expansion)
        self.optimisers = optimisers_for(config.schedule, self.network)
        self.perceptual: PerceptualLoss | None = None
        if vgg and config.loss.perceptual:
            self.perceptual = PerceptualLoss(vgg, config.loss.perceptual_stages).to(self.device)
        self.discriminator: UNetDiscriminator | None = None
        self.discriminator_optimiser: torch.optim.Optimizer | None = None
        if config.loss.adversarial:
            self.discriminator = UNetDiscriminator(config.loss.discriminator_features).to(self.device)
            rate = config.schedule.adam_learning_rate
            self.discriminator_optimiser = torch.optim.Adam(self.discriminator.parameters(), rate, betas=ADAM_BETAS)
        self.downsampling: DownsamplerTraining | None = None
        if config.downsampler is not None:
            self.downsampling = DownsamplerTraining(config.downsampler, self.network, config.schedule.crop, self.device)
        self._rates = [group["lr"] for group in self._groups()]
        standing = load_checkpoint(self._checkpoint, config, self._parts(), self.device)
        self.step, self.spent_s, self.planned_steps = standing
        self._took: list[float] = []
        self.log.drop_after(self.step)

    @property
    def schedule(self) -> ScheduleConfig:
        """Schedule of the configuration, with the steps that were planned if time decides."""
        return msgspec.structs.replace(self.config.schedule, steps=self.planned_steps or self.config.schedule.steps)

    def train(
        self,
        patches: Patches,
        *,
        watch: Callable[[Network], Row],
        progress: Callable[[Row], None],
        deadline: float = math.inf,
    ) -> Network:
        """Train to the last step and return the network with averaged weights.

        The network is as it trained: with the hyperparameters of `while_training`.
        watch: measures the averaged network. progress: is given each row that is logged. deadline: `time.monotonic()`
        after which no further step begins; a checkpoint is saved and TrainingPaused raised.
        Raises TrainingDiverged if a loss or a gradient is no longer a number, before it reaches the weights, and
        GeneratorError if the device fails, for want of memory for instance. The last checkpoint stays as it was.
        """
        schedule = self.schedule
        since: list[dict[str, Tensor]] = []
        if self.step >= schedule.steps:
            return self.averaged
        with ExitStack() as stack:
            batches = (
                self._pooled(patches, stack)
                if schedule.pool
                else stack.enter_context(closing(prefetched(lambda: self._batches(patches))))
            )
            while self.step < schedule.steps:
                if time.monotonic() >= deadline:
                    self._save()
                    raise TrainingPaused(
                        f"the time is over after step {self.step} of {schedule.steps}; the same command goes on from "
                        f"the checkpoint in {self.folder}"
                    )
                batch = next(batches)
                started = time.monotonic()
                try:
                    since.append(self._advance(Batch(*(part.to(self.device) for part in batch))))
                except RuntimeError as error:
                    raise GeneratorError(f"step {self.step} failed on {self.device}: {str(error)[:300]}") from error
                self._took.append(time.monotonic() - started)
                self.spent_s += self._took[-1]
                if schedule.seconds and self.planned_steps is None and self.step >= schedule.warmup_steps:
                    self.planned_steps = steps_in_time(schedule, self.step, self.spent_s, self._took)
                    schedule = self.schedule
                last = self.step == schedule.steps
                watched = self.step % schedule.watch_every == 0 or last
                if self.step % schedule.log_every == 0 or watched:
                    row: Row = {"step": self.step, "seconds": round(self.spent_s, 1), **_means(since)}
                    since = []
                    if watched:
                        row |= watch(self.averaged)
                    self.log.append(row)
                    progress(row)
                if self.step % schedule.save_every == 0 or last:
                    self._save()
        return self.averaged

    def _save(self) -> None:
        standing = Standing(self.step, self.spent_s, self.planned_steps)
        save_checkpoint(self._checkpoint, self.config, standing, self._parts())

    @property
    def _checkpoint(self) -> Path:
        return self.folder / "checkpoint.pt"

    @property
    def _downsampler_path(self) -> Path:
        return self.folder / "downsampler.safetensors"

    @property
    def _shape(self) -> CropShape:
        halo = self.network.halo
        around = 0 if self.downsampling is None else halo + self.downsampling.network.halo
        return CropShape(self.network.scale, self.config.schedule.crop, halo, around)

    def _built(self, start: Weights | None) -> Network:
        network = self.config.network
        built = build_configured(network, {**network.hyperparameters, **network.while_training})
        if start is not None:
            try:
                built.load_state_dict(start)
            except RuntimeError as error:
                reason = " ".join(str(error).split())[:300]
                raise SettingsError(f"network.start: weights of another architecture or scale: {reason}") from error
        layout = torch.channels_last if computes_in_bfloat16(self.device) else torch.contiguous_format
        return built.to(self.device).to(memory_format=layout)  # type: ignore[call-overload,no-any-return]

    def _parts(self) -> dict[str, Stateful]:
        """Return everything with a state, by name."""
        parts: dict[str, Stateful] = {"network": self.network, "averaged": self.averaged}
        parts |= {f"optimiser_{k}": optimiser for k, optimiser in enumerate(self.optimisers)}
        if self.discriminator is not None and self.discriminator_optimiser is not None:
            parts |= {"discriminator": self.discriminator, "discriminator_optimiser": self.discriminator_optimiser}
        if self.downsampling is not None:
            parts |= self.downsampling.parts()
        return parts

    def _groups(self) -> Iterator[dict[str, Any]]:
        """Yield the parameter groups of all optimisers, in one order."""
        downsampler = self.downsampling.optimiser if self.downsampling else None
        for optimiser in (*self.optimisers, self.discriminator_optimiser, downsampler):
            if optimiser is not None:
                yield from optimiser.param_groups

    def _advance(self, batch: Batch) -> dict[str, Tensor]:
        """Take one step on one batch and return the losses by name."""
        loss = self.config.loss
        share = rate_share(self.schedule, self.step)
        for group, rate in zip(self._groups(), self._rates, strict=True):
            group["lr"] = rate * share
        adversarial = self.discriminator is not None and self.step >= loss.adversarial_from_step
        mixed = torch.autocast(self.device.type, torch.bfloat16, enabled=computes_in_bfloat16(self.device))
        edge = self._shape.around * self._shape.scale
        full = batch.full[:, :, edge:-edge, edge:-edge] if edge else batch.full
        with mixed:
            made = self.network(batch.base)
            losses = {"pixel": pixel_loss(made, full, loss.error)}
            total = loss.pixel * losses["pixel"]
            if self.perceptual is not None and self.step >= loss.perceptual_from_step:
                losses["perceptual"] = self.perceptual(made, full)
                total = total + loss.perceptual * losses["perceptual"]
            if adversarial:
                assert self.discriminator is not None
                self.discriminator.requires_grad_(False)
                real = self.discriminator(full) if loss.relativistic else None
                losses["adversarial"] = generator_loss(self.discriminator(made), real)
                total = total + loss.adversarial * losses["adversarial"]
        self._descend("generator", total, self.network, self.optimisers)
        if adversarial:
            assert self.discriminator is not None
            assert self.discriminator_optimiser is not None
            self.discriminator.requires_grad_(True)
            with mixed:
                losses["discriminator"] = discriminator_loss(
                    self.discriminator(made.detach()), self.discriminator(full), relativistic=loss.relativistic
                )
            self._descend("discriminator", losses["discriminator"], self.discriminator, [self.discriminator_optimiser])
        keep = min(self.config.schedule.average, (self.step + 1) / (self.step + 11))
        if self.downsampling is not None and self.step % _STEPS_PER_DOWNSAMPLER == 0:
            self.network.requires_grad_(False)
            total, parts = self.downsampling.loss(batch, self.network)
            self._descend("downsampler", total, self.downsampling.network, [self.downsampling.optimiser])
            self.network.requires_grad_(True)
            self.downsampling.average(keep)
            losses |= parts
        self.step += 1
        if self.downsampling is not None and self.step % _STEPS_PER_HANDOVER == 0:
            self.downsampling.save(self._downsampler_path)
        with torch.no_grad():
            for name, mean in self.averaged.named_parameters():
                mean.lerp_(effective(self.network, name), 1 - keep)
        return {name: value.detach() for name, value in losses.items()}

    def _descend(self, what: str, loss: Tensor, network: nn.Module, optimisers: list[torch.optim.Optimizer]) -> None:
        """Take one step of the optimisers. Raises TrainingDiverged before a weight is touched."""
        for optimiser in optimisers:
            optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        # A loss that is no number has such gradients: one look is enough, since on a GPU each one waits for it.
        norm = torch.nn.utils.clip_grad_norm_(network.parameters(), _LARGEST_GRADIENT).item()
        if not math.isfinite(norm):
            raise TrainingDiverged(
                f"at step {self.step} the {what}'s loss is {loss.item()} and its gradient {norm}: lower the learning "
                f"rate; the checkpoint in {self.folder} is the last good one"
            )
        for optimiser in optimisers:
            optimiser.step()

    def _pooled(self, patches: Patches, stack: ExitStack) -> Iterator[Batch]:
        """Draw batches from a pool that other processes fill, until the stack is closed."""
        config = self.config
        followed = None
        if self.downsampling is not None:
            followed = self._downsampler_path
            self.downsampling.save(followed)  # what lies there may be of another step, or of another run
        seed = (config.seed, self.step)
        maker = PairMaker(patches, self._shape, config.bases, config.augment, seed, followed, config.data.downsampler)
        schedule = config.schedule
        pool = CropPool(
            maker,
            size=schedule.pool,
            workers=self.workers,
            device=self.device,
            draws_per_crop=schedule.draws_per_crop,
        )
        return stack.enter_context(pool).batches(schedule.batch)

    def _batches(self, patches: Patches) -> Iterator[Batch]:
        """Make batches from the current step on.

        The stream of pairs restarts at every multiple of so many steps, seeded by the step: a resumed run sees the very
        batches that an uninterrupted one would have seen.
        """
        config, first = self.config, self.step
        step = first - first % _STEPS_PER_SEED
        while True:
            rng = np.random.default_rng([config.seed, step])
            pairs = training_pairs(
                patches,
                rng,
                shape=self._shape,
                bases=config.bases,
                settings=config.augment,
                downsampled=fixed_downsampling(config.data.downsampler, self.network.scale),
            )
            mixed = shuffled(pairs, rng, _BATCHES_MIXED * config.schedule.batch)
            for _ in range(_STEPS_PER_SEED):
                drawn = [next(mixed) for _ in range(config.schedule.batch)]
                if step >= first:
                    yield Batch.of(drawn)
                step += 1


def computes_in_bfloat16(device: torch.device) -> bool:
    """Tell if a device has units for products in bfloat16: a GPU, and a CPU with AMX."""
    return device.type == "cuda" or torch.cpu._is_amx_tile_supported()


def build_configured(network: NetworkConfig, hyperparameters: dict[str, int]) -> Network:
    """Build the network of a configuration. Raises SettingsError if there is none with these hyperparameters."""
    try:
        return build_network(network.architecture, hyperparameters)
    except (TypeError, ValueError) as error:
        raise SettingsError(f"network.hyperparameters: {error}") from error


def _check_while_training(network: NetworkConfig) -> None:
    """Raise SettingsError if the network that trains would have other weights than the one that ships."""
    ships, trains = (
        {name: value.shape for name, value in build_configured(network, settings).state_dict().items()}
        for settings in (network.hyperparameters, {**network.hyperparameters, **network.while_training})
    )
    if ships != trains:
        raise SettingsError("network.while_training: it changes the weights; only what leaves them alone can differ")


def _means(rows: list[dict[str, Tensor]]) -> Row:
    """Return the mean of each loss over the steps that have it."""
    names = {name for row in rows for name in row}
    return {
        name: float(torch.stack([row[name] for row in rows if name in row]).float().mean()) for name in sorted(names)
    }
