"""The training loop: L1, Adam, cosine decay, averaged weights, exact resume."""

from __future__ import annotations

import json
import math
import platform
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ..errors import SettingsError
from ..networks import build_network
from .patches import Pair, Tiles, training_pairs


@dataclass(frozen=True)
class TrainSettings:
    """One run, completely: the same settings, data and machine give the same weights."""

    scale: int = 4
    channels: int = 64
    pairs: int = 3
    steps: int = 4000
    batch: int = 8
    crop: int = 64
    """Base pixels a side of a training crop, halo aside."""
    learning_rate: float = 1e-3
    final_learning_rate: float = 1e-6
    warmup_steps: int = 100
    average: float = 0.998
    """Decay of the exponential moving average of the weights; the average is what ships."""
    seed: int = 1
    log_every: int = 100
    save_every: int = 100


T = TypeVar("T")
Evaluate = Callable[[torch.nn.Module], dict[str, float]]


def train(
    settings: TrainSettings,
    tiles: Tiles,
    folder: Path,
    *,
    evaluate: Evaluate,
    progress: Callable[[dict[str, float]], None],
) -> torch.nn.Module:
    """Train a `plain` network and return it with averaged weights; resumes from `folder/checkpoint.pt`.

    Writes config.json, metrics.jsonl and the checkpoint into `folder`. Raises SettingsError if the folder holds a
    checkpoint of other settings, FloatingPointError if the loss is no longer a number.
    """
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint_path = folder / "checkpoint.pt"
    hyperparameters = {"scale": settings.scale, "channels": settings.channels, "pairs": settings.pairs}
    torch.manual_seed(settings.seed)
    network = build_network("plain", hyperparameters)
    averaged = build_network("plain", hyperparameters)
    averaged.load_state_dict(network.state_dict())
    optimiser = torch.optim.Adam(network.parameters(), lr=settings.learning_rate, betas=(0.9, 0.99))
    step, spent_s = 0, 0.0
    if checkpoint_path.exists():
        checkpoint = torch.load(checkpoint_path, weights_only=True)
        if checkpoint["settings"] != asdict(settings):
            raise SettingsError(f"{checkpoint_path} was written with other settings: resume with the same, or move it")
        network.load_state_dict(checkpoint["network"])
        averaged.load_state_dict(checkpoint["averaged"])
        optimiser.load_state_dict(checkpoint["optimiser"])
        step, spent_s = checkpoint["step"], checkpoint["spent_s"]
    else:
        environment = {"torch": torch.__version__, "numpy": np.__version__, "machine": platform.machine()}
        (folder / "config.json").write_text(json.dumps({**asdict(settings), **environment}, indent=1) + "\n")

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        return _batches(settings, tiles, network.halo, first_step=step)

    for base, full in _prefetched(batches):
        if step >= settings.steps:
            break
        started = time.monotonic()
        rate = _learning_rate(settings, step)
        for group in optimiser.param_groups:
            group["lr"] = rate
        loss = functional.l1_loss(network(base), full)
        if not math.isfinite(loss.item()):
            raise FloatingPointError(f"the loss is {loss.item()} at step {step}: lower the learning rate")
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        step += 1
        keep = min(settings.average, step / (step + 10))
        with torch.no_grad():
            for mean, value in zip(averaged.parameters(), network.parameters(), strict=True):
                mean.lerp_(value, 1 - keep)
        spent_s += time.monotonic() - started
        if step % settings.log_every == 0 or step == settings.steps:
            row: dict[str, float] = {"step": step, "seconds": round(spent_s, 1), "loss": loss.item(), "rate": rate}
            if step % (5 * settings.log_every) == 0 or step == settings.steps:
                row |= evaluate(averaged)
            with (folder / "metrics.jsonl").open("a") as log:
                log.write(json.dumps(row) + "\n")
            progress(row)
        if step % settings.save_every == 0 or step == settings.steps:
            state: dict[str, Any] = {
                "settings": asdict(settings),
                "network": network.state_dict(),
                "averaged": averaged.state_dict(),
                "optimiser": optimiser.state_dict(),
                "step": step,
                "spent_s": spent_s,
            }
            partial = checkpoint_path.with_suffix(".partial")
            torch.save(state, partial)
            partial.replace(checkpoint_path)
    return averaged


def _learning_rate(settings: TrainSettings, step: int) -> float:
    """Linear warm-up, then half a cosine down to the final rate."""
    if step < settings.warmup_steps:
        return settings.learning_rate * (step + 1) / settings.warmup_steps
    done = (step - settings.warmup_steps) / max(1, settings.steps - settings.warmup_steps)
    fade = 0.5 * (1 + math.cos(math.pi * done))
    return settings.final_learning_rate + fade * (settings.learning_rate - settings.final_learning_rate)


# A generator of pairs restarts at every multiple of this many steps, seeded by the step: that is what makes a resumed
# run see the very batches that an uninterrupted one would have seen.
_STEPS_PER_SEED = 100


def _batches(settings: TrainSettings, tiles: Tiles, halo: int, *, first_step: int) -> Iterator[tuple[Tensor, Tensor]]:
    step = first_step - first_step % _STEPS_PER_SEED
    while True:
        rng = np.random.default_rng([settings.seed, step])
        pairs = training_pairs(tiles, rng, scale=settings.scale, halo=halo, crop=settings.crop)
        shuffled = _shuffled(pairs, rng, 4 * settings.batch)
        for _ in range(_STEPS_PER_SEED):
            batch = [next(shuffled) for _ in range(settings.batch)]
            if step >= first_step:
                yield _stack([b for b, _ in batch]), _stack([f for _, f in batch])
            step += 1


def _shuffled(pairs: Iterator[Pair], rng: np.random.Generator, depth: int) -> Iterator[Pair]:
    """Mix crops of neighbouring regions, so that a batch is not of one tile."""
    held = [next(pairs) for _ in range(depth)]
    for pair in pairs:
        at = int(rng.integers(depth))
        yield held[at]
        held[at] = pair


def _stack(images: list[Any]) -> Tensor:
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float().div_(255.0)


def _prefetched(batches: Callable[[], Iterator[T]]) -> Iterator[T]:
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
            ready.put(error)

    threading.Thread(target=fill, daemon=True).start()
    try:
        while True:
            item = ready.get()
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stop.set()
