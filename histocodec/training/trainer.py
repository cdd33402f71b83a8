"""The training loop: rates, averaged weights, checkpoints, exact resume."""

from __future__ import annotations

import json
import math
import queue
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import GeneratorError, SettingsError, TrainingDiverged
from ..generators.networks import Network, build_network
from .config import NetworkConfig, ScheduleConfig, TrainConfig, as_tables
from .data.pairs import CropShape, Pair, training_pairs
from .data.patches import Patches
from .data.pool import Batch, CropPool, PairMaker, fixed_downsampling
from .discriminator import UNetDiscriminator
from .joint_downsampling import DownsamplerTraining
from .losses import PerceptualLoss, discriminator_loss, generator_loss, pixel_loss
from .optim.expansion import effective, expand
from .optim.muon import Muon

T = TypeVar("T")
Weights = dict[str, Tensor]
Row = dict[str, float]


class Run:
    """One training run: its networks, their optimisers, and where it stands.

    folder: keeps `metrics.jsonl` and `checkpoint.pt`; a checkpoint that is there is resumed. On a CPU, with as many
    threads, that is exact: the weights are those of a run that was never interrupted.
    start: weights to start from. vgg: the file of the perceptual loss, if it has a weight.
    device: as torch names it. workers: processes that fill the pool of crops, if the configuration has one.
    Raises SettingsError if the folder's checkpoint is of another configuration, if there is no such network, or if
    `start` does not fit it; GeneratorError if there is no such device.
    """

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
        self.config, self.folder, self.workers = config, folder, workers
        self.step, self.spent_s = 0, 0.0
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
        self.critic: UNetDiscriminator | None = None
        self.critic_optimiser: torch.optim.Optimizer | None = None
        if config.loss.adversarial:
            self.critic = UNetDiscriminator(config.loss.discriminator_features).to(self.device)
            rate = config.schedule.adam_learning_rate
            self.critic_optimiser = torch.optim.Adam(self.critic.parameters(), rate, betas=(0.9, 0.99))
        self.downsampling: DownsamplerTraining | None = None
        if config.downsampler is not None:
            self.downsampling = DownsamplerTraining(config.downsampler, self.network, config.schedule.crop, self.device)
        self._rates = [group["lr"] for group in self._groups()]
        self._resume()

    def train(self, patches: Patches, *, watch: Callable[[Network], Row], progress: Callable[[Row], None]) -> Network:
        """Train to the last step and return the network with averaged weights.

        The network is as it trained: with the hyperparameters of `while_training`.
        watch: measures the averaged network. progress: is given each row that is logged.
        Raises TrainingDiverged if a loss or a gradient is no longer a number, before it reaches the weights, and
        GeneratorError if the device fails, for want of memory for instance. The last checkpoint stays as it was.
        """
        schedule = self.config.schedule
        since: list[dict[str, Tensor]] = []
        if self.step >= schedule.steps:
            return self.averaged
        with ExitStack() as stack:
            batches = (
                self._pooled(patches, stack)
                if schedule.pool
                else stack.enter_context(closing(_prefetched(lambda: self._batches(patches))))
            )
            while self.step < schedule.steps:
                batch = next(batches)
                started = time.monotonic()
                try:
                    since.append(self._advance(Batch(*(part.to(self.device) for part in batch))))
                except RuntimeError as error:
                    raise GeneratorError(f"step {self.step} failed on {self.device}: {str(error)[:300]}") from error
                self.spent_s += time.monotonic() - started
                last = self.step == schedule.steps
                watched = self.step % schedule.watch_every == 0 or last
                if self.step % schedule.log_every == 0 or watched:
                    row: Row = {"step": self.step, "seconds": round(self.spent_s, 1), **_means(since)}
                    since = []
                    if watched:
                        row |= watch(self.averaged)
                    with (self.folder / "metrics.jsonl").open("a", encoding="utf-8") as log:
                        log.write(json.dumps(row) + "\n")
                    progress(row)
                if self.step % schedule.save_every == 0 or last:
                    self._save()
        return self.averaged

    def _built(self, start: Weights | None) -> Network:
        network = self.config.network
        built = build_configured(network, {**network.hyperparameters, **network.while_training})
        if start is not None:
            try:
                built.load_state_dict(start)
            except RuntimeError as error:
                reason = " ".join(str(error).split())[:300]
                raise SettingsError(f"network.start: weights of another architecture or scale: {reason}") from error
        layout = torch.channels_last if self.device.type == "cuda" else torch.contiguous_format
        return built.to(self.device).to(memory_format=layout)  # type: ignore[call-overload,no-any-return]

    def _groups(self) -> Iterator[dict[str, Any]]:
        downsampler = self.downsampling.optimiser if self.downsampling else None
        for optimiser in (*self.optimisers, self.critic_optimiser, downsampler):
            if optimiser is not None:
                yield from optimiser.param_groups

    def _advance(self, batch: Batch) -> dict[str, Tensor]:
        """One step on one batch; the losses by name."""
        loss = self.config.loss
        share = rate_share(self.config.schedule, self.step)
        for group, rate in zip(self._groups(), self._rates, strict=True):
            group["lr"] = rate * share
        adversarial = self.critic is not None and self.step >= loss.adversarial_from_step
        mixed = torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda")
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
                assert self.critic is not None
                self.critic.requires_grad_(False)
                real = self.critic(full) if loss.relativistic else None
                losses["adversarial"] = generator_loss(self.critic(made), real)
                total = total + loss.adversarial * losses["adversarial"]
        self._descend("generator", total, self.network, self.optimisers)
        if adversarial:
            assert self.critic is not None
            assert self.critic_optimiser is not None
            self.critic.requires_grad_(True)
            with mixed:
                losses["discriminator"] = discriminator_loss(
                    self.critic(made.detach()), self.critic(full), relativistic=loss.relativistic
                )
            self._descend("critic", losses["discriminator"], self.critic, [self.critic_optimiser])
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
        for optimiser in optimisers:
            optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        # A loss that is no number has such gradients: one look is enough, since on a GPU each one waits for it.
        norm = torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0).item()
        if not math.isfinite(norm):
            raise TrainingDiverged(
                f"at step {self.step} the {what}'s loss is {loss.item()} and its gradient {norm}: lower the learning "
                f"rate; "
                f"the checkpoint in {self.folder} is the last good one"
            )
        for optimiser in optimisers:
            optimiser.step()

    @property
    def _shape(self) -> CropShape:
        halo = self.network.halo
        around = 0 if self.downsampling is None else halo + self.downsampling.network.halo
        return CropShape(self.network.scale, self.config.schedule.crop, halo, around)

    @property
    def _downsampler_path(self) -> Path:
        return self.folder / "downsampler.safetensors"

    def _pooled(self, patches: Patches, stack: ExitStack) -> Iterator[Batch]:
        """From a pool that other processes fill, until the stack is closed."""
        config = self.config
        followed = None
        if self.downsampling is not None:
            followed = self._downsampler_path
            self.downsampling.save(followed)  # what lies there may be of another step, or of another run
        seed = (config.seed, self.step)
        maker = PairMaker(patches, self._shape, config.bases, config.augment, seed, followed, config.data.downsampler)
        size = config.schedule.pool
        pool = stack.enter_context(CropPool(maker, size=size, workers=self.workers, device=self.device))
        return pool.batches(config.schedule.batch)

    def _batches(self, patches: Patches) -> Iterator[Batch]:
        """From the current step on.

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
            shuffled = _shuffled(pairs, rng, 4 * config.schedule.batch)
            for _ in range(_STEPS_PER_SEED):
                drawn = [next(shuffled) for _ in range(config.schedule.batch)]
                if step >= first:
                    yield Batch.of(drawn)
                step += 1

    def _parts(self) -> dict[str, Any]:
        """Everything with a state, by name."""
        parts: dict[str, Any] = {"network": self.network, "averaged": self.averaged}
        parts |= {f"optimiser_{k}": optimiser for k, optimiser in enumerate(self.optimisers)}
        if self.critic is not None:
            parts |= {"critic": self.critic, "critic_optimiser": self.critic_optimiser}
        if self.downsampling is not None:
            parts |= self.downsampling.parts()
        return parts

    def _save(self) -> None:
        state = {name: part.state_dict() for name, part in self._parts().items()}
        state |= {"config": as_tables(self.config), "step": self.step, "spent_s": self.spent_s}
        partial = self.folder / "checkpoint.partial"
        torch.save(state, partial)
        partial.replace(self.folder / "checkpoint.pt")

    def _resume(self) -> None:
        path = self.folder / "checkpoint.pt"
        if not path.exists():
            self._drop_later_rows()
            return
        try:
            state = torch.load(path, weights_only=True, map_location=self.device)
            config = state["config"]
        except Exception as error:  # torch.load raises whatever unpickling does
            raise SettingsError(f"{path}: not a checkpoint of histocodec: {error}") from error
        if config != as_tables(self.config):
            changed = sorted(key for key, value in as_tables(self.config).items() if config.get(key) != value)
            raise SettingsError(
                f"{path} is of another configuration ({', '.join(changed)} differ): "
                "resume with the same one, or train in another folder (--run)"
            )
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        self.step, self.spent_s = state["step"], state["spent_s"]
        self._drop_later_rows()

    def _drop_later_rows(self) -> None:
        """Of the log: what was written behind the checkpoint is about to be written again."""
        path = self.folder / "metrics.jsonl"
        if path.exists():
            lines = [
                line for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if line.endswith("}\n")
            ]
            kept = "".join(line for line in lines if json.loads(line)["step"] <= self.step)
            path.write_text(kept, encoding="utf-8")


def _means(rows: list[dict[str, Tensor]]) -> Row:
    """Of each loss over the steps since the last row that was logged."""
    names = {name for row in rows for name in row}
    return {
        name: float(torch.stack([row[name] for row in rows if name in row]).float().mean()) for name in sorted(names)
    }


_STEPS_PER_SEED = 100
_STEPS_PER_DOWNSAMPLER = 2
_STEPS_PER_HANDOVER = 100
"""Steps of the generator for one of the downsampler, and until those who make bases get its new weights."""


def build_configured(network: NetworkConfig, hyperparameters: dict[str, int]) -> Network:
    """The network of a configuration. Raises SettingsError if there is none with these hyperparameters."""
    try:
        return build_network(network.architecture, hyperparameters)
    except (TypeError, ValueError) as error:
        raise SettingsError(f"network.hyperparameters: {error}") from error


def _check_while_training(network: NetworkConfig) -> None:
    """Raises SettingsError if what trains would have other weights than what ships."""
    ships, trains = (
        {name: value.shape for name, value in build_configured(network, settings).state_dict().items()}
        for settings in (network.hyperparameters, {**network.hyperparameters, **network.while_training})
    )
    if ships != trains:
        raise SettingsError("network.while_training: it changes the weights; only what leaves them alone can differ")


def optimisers_for(schedule: ScheduleConfig, network: nn.Module) -> list[torch.optim.Optimizer]:
    """Muon for the convolutions but the last, whose rows are the output's channels, and Adam for the rest."""
    if schedule.optimiser == "adam":
        return [torch.optim.Adam(network.parameters(), schedule.learning_rate, betas=(0.9, 0.99))]
    matrices: list[Tensor] = []
    others: list[Tensor] = []
    for name, parameter in network.named_parameters():
        last = name.startswith(("tail", "conv_last"))
        (matrices if parameter.dim() > 1 and not last else others).append(parameter)
    adam = torch.optim.Adam(others, schedule.adam_learning_rate, betas=(0.9, 0.99))
    return [Muon(matrices, schedule.learning_rate, weight_decay=schedule.weight_decay), adam]


def rate_share(schedule: ScheduleConfig, step: int) -> float:
    """Of the learning rate: linear warm-up, then half a cosine down to the final share; anew at each restart."""
    if step < schedule.warmup_steps:
        return (step + 1) / schedule.warmup_steps
    ends = [schedule.warmup_steps, *schedule.restarts, schedule.steps]
    cycle = sum(step >= end for end in schedule.restarts)
    done = (step - ends[cycle]) / max(1, ends[cycle + 1] - ends[cycle])
    peak = schedule.restart_share**cycle
    return peak * (schedule.final_share + (1 - schedule.final_share) * 0.5 * (1 + math.cos(math.pi * done)))


def _shuffled(pairs: Iterator[Pair], rng: np.random.Generator, depth: int) -> Iterator[Pair]:
    """Mix crops of neighbouring patches, so that a batch is not of one patch."""
    held = [next(pairs) for _ in range(depth)]
    for pair in pairs:
        at = int(rng.integers(depth))
        yield held[at]
        held[at] = pair


def _prefetched(batches: Callable[[], Iterator[T]]) -> Generator[T, None, None]:
    """Run the iterator in a thread, a few items ahead; its exception is raised here."""
    ready: queue.Queue[T | BaseException] = queue.Queue(maxsize=4)
    stop = threading.Event()

    def fill() -> None:
        try:
            for item in batches():
                while not stop.is_set():
                    try:
                        ready.put(item, timeout=1)
                        break
                    except queue.Full:
                        continue
                if stop.is_set():
                    return
        except BaseException as error:
            with suppress(queue.Full):  # nobody may be left to hear of it
                ready.put(error, timeout=60)

    threading.Thread(target=fill, daemon=True).start()
    try:
        while True:
            item = ready.get()
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stop.set()
