"""Crops for a GPU: made by other processes, held on the device, and drawn from many times."""

from __future__ import annotations

import multiprocessing
import pickle
import queue
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from ..base import downsample
from ..codecs import Image
from ..errors import SettingsError
from ..networks import ResidualDownsampler
from .config import AugmentConfig, BaseConfig
from .pairs import CropShape, Pair, training_pairs
from .patches import Patches

_CROPS_PER_PATCH = 12
_FILLED_FIRST = 1024
"""Crops, or all of the pool if it is smaller, that are there before the first batch is drawn."""


class Batch(NamedTuple):
    """What a step learns from, on its device; see `Pair`."""

    base: Tensor
    """(n, 3, h, w) float32 in 0..1."""
    full: Tensor
    """(n, 3, h', w') float32 in 0..1."""
    quality: Tensor
    """(n,) float32."""
    colours: Tensor
    """(n, 12) float32: the numbers of each base's `ColourTransform`."""

    @classmethod
    def of(cls, pairs: Sequence[Pair]) -> Batch:
        """The pairs, stacked, on the CPU."""
        base, full, quality, colours = cls(*_stacked(pairs)).as_float()
        return cls(base.contiguous(), full.contiguous(), quality, colours)

    def as_float(self) -> Batch:
        """8-bit images, channels last in memory, as what a network takes."""
        base, full = (images.permute(0, 3, 1, 2).float().div_(255.0) for images in self[:2])
        return Batch(base, full, self.quality, self.colours)


@dataclass(frozen=True, slots=True)
class PairMaker:
    """All that another process needs to make pairs."""

    patches: Patches
    shape: CropShape
    bases: Sequence[BaseConfig]
    settings: AugmentConfig
    seed: int
    downsampler: Path | None = None
    """Weights of a `ResidualDownsampler`, read again whenever they change; the box average while there are none."""

    def pairs(self, worker: int) -> Iterator[Pair]:
        """Endless; other ones for every worker."""
        return training_pairs(
            self.patches,
            np.random.default_rng([self.seed, worker]),
            shape=self.shape,
            bases=self.bases,
            settings=self.settings,
            downsampled=downsample if self.downsampler is None else _LatestDownsampler(self.downsampler),
            crops_per_patch=_CROPS_PER_PATCH,
        )


class CropPool:
    """Use as a context manager: its processes end with it."""

    def __init__(self, maker: PairMaker, *, size: int, workers: int, device: torch.device) -> None:
        """size: crops that are held. workers: processes, at least 1."""
        if workers < 1:
            raise SettingsError(f"a pool needs at least one process that makes crops, found {workers}")
        self._maker, self._size, self._device = maker, size, device
        context = multiprocessing.get_context("spawn")  # a CUDA context does not survive a fork
        self._arriving: multiprocessing.Queue[Any] = context.Queue(maxsize=2 * workers)
        # By way of a file: what is handed to a process directly is written to it before the next one is started.
        self._folder = tempfile.TemporaryDirectory(prefix="histocodec-pool-")
        path = Path(self._folder.name) / "maker.pickle"
        self._processes = [
            context.Process(target=_work, args=(path, number, self._arriving), daemon=True) for number in range(workers)
        ]
        self._stop, self._ready = threading.Event(), threading.Event()
        self._error: str | None = None
        self._held: list[Tensor] = []
        self._filled = self._next = 0
        self._receiver = threading.Thread(target=self._receive, daemon=True)

    def __enter__(self) -> CropPool:
        with (Path(self._folder.name) / "maker.pickle").open("wb") as file:
            pickle.dump(self._maker, file)
        for process in self._processes:
            process.start()
        self._receiver.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for process in self._processes:
            process.terminate()
        self._receiver.join()
        self._folder.cleanup()

    def batches(self, count: int) -> Iterator[Batch]:
        """Endless batches of `count`. Raises SettingsError with what a process failed of."""
        while not self._ready.wait(1.0):
            self._check()
        while True:
            self._check()
            drawn = torch.randint(self._filled, (count,), device=self._device)
            yield Batch(*(held[drawn] for held in self._held)).as_float()

    def _check(self) -> None:
        if self._error is not None:
            raise SettingsError(f"making crops failed: {self._error}")

    def _receive(self) -> None:
        while not self._stop.is_set():
            try:
                arrived = self._arriving.get(timeout=0.5)
            except queue.Empty:
                if not all(process.is_alive() for process in self._processes):
                    self._error = self._error or "a process ended; is there enough memory?"
                continue
            if isinstance(arrived, str):
                self._error = arrived
                return
            new = [torch.from_numpy(part) for part in arrived]
            if not self._held:
                self._held = [part.new_empty((self._size, *part.shape[1:]), device=self._device) for part in new]
            count = min(len(new[0]), self._size - self._next)  # what does not fit at the end is left out
            for held, part in zip(self._held, new, strict=True):
                held[self._next : self._next + count] = part[:count].to(self._device)
            self._filled = max(self._filled, self._next + count)
            self._next = (self._next + count) % self._size
            if self._filled >= min(_FILLED_FIRST, self._size):
                self._ready.set()


def _work(path: Path, worker: int, arriving: multiprocessing.Queue[Any]) -> None:
    try:
        torch.set_num_threads(1)
        maker: PairMaker = pickle.loads(path.read_bytes())
        pairs = maker.pairs(worker)
        while True:
            arriving.put([part.numpy() for part in _stacked(list(islice(pairs, 2 * _CROPS_PER_PATCH)))])
    except Exception as error:  # whatever it is, the training has to hear of it
        arriving.put(f"{type(error).__name__}: {error}"[:500])


def _stacked(pairs: Sequence[Pair]) -> list[Tensor]:
    """Bases and originals as (n, h, w, 3) uint8, qualities (n,) and colours (n, 12) as float32."""
    return [
        torch.from_numpy(np.stack([pair.base for pair in pairs])),
        torch.from_numpy(np.stack([pair.full for pair in pairs])),
        torch.tensor([pair.quality for pair in pairs], dtype=torch.float32),
        torch.tensor([pair.colour.numbers for pair in pairs], dtype=torch.float32),
    ]


class _LatestDownsampler:
    """A downsampler that is still being trained, as it was last saved."""

    def __init__(self, path: Path) -> None:
        self._path, self._seen = path, 0
        self._network: ResidualDownsampler | None = None

    def __call__(self, image: Image, scale: int) -> Image:
        changed = self._path.stat().st_mtime_ns if self._path.exists() else 0
        if changed != self._seen:
            self._network, self._seen = load_downsampler_weights(self._path, scale), changed
        return downsample(image, scale) if self._network is None else run_downsampler(self._network, image)


def load_downsampler_weights(path: Path, scale: int) -> ResidualDownsampler:
    """A network from safetensors with its tensors' names."""
    weights = load_file(path)
    network = ResidualDownsampler(scale, weights["head.weight"].shape[0])
    network.load_state_dict({name: value.float() for name, value in weights.items()})
    return network


def run_downsampler(network: ResidualDownsampler, image: Image) -> Image:
    """A whole image at once, as `base.shrink` does it block by block."""
    scale, margin = network.scale, network.halo * network.scale
    height, width = image.shape[:2]
    around = (margin, margin + -height % scale), (margin, margin + -width % scale), (0, 0)
    x = torch.from_numpy(np.pad(image, around, mode="edge")).permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode():
        levels = network(x)[0].mul_(255).add_(0.5).clamp_(0, 255).to(torch.uint8)
    return np.ascontiguousarray(levels.permute(1, 2, 0).numpy())
