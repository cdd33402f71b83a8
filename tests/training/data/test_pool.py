"""A pool of crops that processes fill."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from histocodec.errors import SettingsError
from histocodec.pixels.colour import ColourTransform
from histocodec.pixels.downsample import downsample
from histocodec.training.data.pairs import CropShape, TrainingPair, training_pairs
from histocodec.training.data.patches import collect_patches
from histocodec.training.data.pool import Batch, CropPool, PairMaker
from tests.training.inputs import AV1, config


def maker(data: Path, downsampler: Path | None = None, around: int = 0) -> PairMaker:
    settings = config(bases=AV1)
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


def test_crops_wait_for_their_draws(data: Path) -> None:
    with CropPool(maker(data), size=24, workers=1, device=torch.device("cpu"), draws_per_crop=2) as pool:
        batches = pool.batches(8)
        next(batches)
        time.sleep(1.5)
        waited = pool._made
        assert waited <= 24 + 24  # the pool, and a message that was under way
        for _ in range(30):
            next(batches)
        deadline = time.monotonic() + 60
        while pool._made <= waited and time.monotonic() < deadline:
            time.sleep(0.05)
        assert waited < pool._made <= 248 / 2 + 24


@dataclass(frozen=True)
class Numbered(PairMaker):
    """Every pair is of one number, in all of its parts."""

    def pairs(self, worker: int) -> Iterator[TrainingPair]:
        for k in itertools.count():
            level = k % 250
            numbers = ColourTransform((level,) * 12)
            yield TrainingPair(
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


def test_a_batch_on_the_cpu_is_laid_out_as_it_says(data: Path) -> None:
    pairs = maker(data).pairs(0)
    batch = Batch.of([next(pairs) for _ in range(3)])
    assert batch.base.is_contiguous()
    assert batch.colours.shape == (3, 12)
