"""Crops for a GPU: made by other processes, held on the device, and drawn from many times."""

from __future__ import annotations

import multiprocessing
import pickle
import signal
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor

from ...errors import SettingsError
from ...generators.catalogue import load_downsampler
from ...generators.networks import ResidualDownsampler
from ...geometry import Image
from ...pixels.degrade import degrade
from ...pixels.downsample import downsample
from ..config import AugmentConfig, BaseConfig
from .pairs import CropShape, Downsample, Pair, training_pairs
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
    seed: tuple[int, ...]
    """Another one for every run, and for every time that a run goes on."""
    downsampler: Path | None = None
    """Weights of a `ResidualDownsampler`, read again whenever they change; the box average while there are none."""
    fixed: str | None = None
    """Instead of that: `DataConfig.downsampler`."""

    def pairs(self, worker: int) -> Iterator[Pair]:
        """Endless; other ones for every worker."""
        return training_pairs(
            self.patches,
            np.random.default_rng([*self.seed, worker]),
            shape=self.shape,
            bases=self.bases,
            settings=self.settings,
            downsampled=fixed_downsampling(self.fixed, self.shape.scale)
            if self.downsampler is None
            else _LatestDownsampler(self.downsampler),
            crops_per_patch=_CROPS_PER_PATCH,
        )


class CropPool:
    """Use as a context manager: its processes end with it."""

    def __init__(self, maker: PairMaker, *, size: int, workers: int, device: torch.device) -> None:
        """size: crops that are held. workers: processes, at least 1."""
        if workers < 1:
            raise SettingsError(f"a pool needs at least one process that makes crops, found {workers}")
        self._maker, self._size, self._workers, self._device = maker, size, workers, device
        self._processes: list[BaseProcess] = []
        self._readers: list[Connection] = []
        self._stop, self._ready = threading.Event(), threading.Event()
        self._lock = threading.Lock()  # the four parts of a crop are written, and drawn, together
        self._error: str | None = None
        self._held: list[Tensor] = []
        self._filled = self._next = 0
        self._receiver = threading.Thread(target=self._receive, daemon=True)

    def __enter__(self) -> CropPool:
        context = multiprocessing.get_context("spawn")  # a CUDA context does not survive a fork
        # By way of a file: what is handed to a process directly is written to it before the next one is started.
        self._folder = tempfile.TemporaryDirectory(prefix="histocodec-pool-")
        path = Path(self._folder.name) / "maker.pickle"
        with path.open("wb") as file:
            pickle.dump(self._maker, file)
        for number in range(self._workers):
            reader, writer = context.Pipe(duplex=False)
            process = context.Process(target=_work, args=(path, number, writer), daemon=True)
            process.start()
            writer.close()  # the process alone has it now: its end is seen at once
            self._processes.append(process)
            self._readers.append(reader)
        self._receiver.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._receiver.join()
        for reader in self._readers:
            reader.close()
        for process in self._processes:
            process.terminate()
            process.join()
        self._folder.cleanup()

    def batches(self, count: int) -> Iterator[Batch]:
        """Endless batches of `count`. Raises SettingsError with what a process, or the device's memory, failed of."""
        while not self._ready.wait(1.0):
            self._check()
        while True:
            self._check()
            with self._lock:
                drawn = torch.randint(self._filled, (count,), device=self._device)
                batch = Batch(*(held[drawn] for held in self._held))
            yield batch.as_float()

    def _check(self) -> None:
        if self._error is not None:
            raise SettingsError(f"making crops failed: {self._error}")

    def _receive(self) -> None:
        try:
            while not self._stop.is_set():
                for reader in wait(self._readers, 0.5):
                    assert isinstance(reader, Connection)
                    arrived = reader.recv()
                    if isinstance(arrived, str):
                        raise SettingsError(arrived)
                    self._keep(arrived)
        except (EOFError, OSError):
            self._error = "a process ended before its time; is there enough memory?"
        except Exception as error:  # whatever it is, who waits for a batch has to hear of it
            self._error = str(error) or type(error).__name__

    def _keep(self, arrived: list[NDArray[Any]]) -> None:
        new = [torch.from_numpy(part).to(self._device) for part in arrived]
        with self._lock:
            if not self._held:
                self._held = [part.new_empty((self._size, *part.shape[1:])) for part in new]
            count = min(len(new[0]), self._size - self._next)  # what does not fit at the end is left out
            for held, part in zip(self._held, new, strict=True):
                held[self._next : self._next + count] = part[:count]
            self._filled = max(self._filled, self._next + count)
            self._next = (self._next + count) % self._size
        if self._filled >= min(_FILLED_FIRST, self._size):
            self._ready.set()


def _work(path: Path, worker: int, writer: Connection) -> None:
    """Make crops until nobody reads them any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent's affair
    torch.set_num_threads(1)
    try:
        with path.open("rb") as file:
            maker: PairMaker = pickle.load(file)
        pairs = maker.pairs(worker)
        while True:
            writer.send([part.numpy() for part in _stacked(list(islice(pairs, 2 * _CROPS_PER_PATCH)))])
    except BrokenPipeError:
        return
    except Exception as error:
        writer.send(f"{type(error).__name__}: {error}"[:500])


def _stacked(pairs: Sequence[Pair]) -> list[Tensor]:
    """Bases and originals as (n, h, w, 3) uint8, qualities (n,) and colours (n, 12) as float32."""
    return [
        torch.from_numpy(np.stack([pair.base for pair in pairs])),
        torch.from_numpy(np.stack([pair.full for pair in pairs])),
        torch.tensor([pair.quality for pair in pairs], dtype=torch.float32),
        torch.tensor([pair.colour.numbers for pair in pairs], dtype=torch.float32),
    ]


def fixed_downsampling(name: str | None, scale: int) -> Downsample:
    """Return the way to an uncoded base by a downsampler that is not trained; None for the box average."""
    return partial(degrade, codec=None, downsampler=None if name is None else load_downsampler(name, scale))


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
    """A whole image at once, as `pixels.downsample.shrink` does it block by block."""
    scale, margin = network.scale, network.halo * network.scale
    height, width = image.shape[:2]
    around = (margin, margin + -height % scale), (margin, margin + -width % scale), (0, 0)
    x = torch.from_numpy(np.pad(image, around, mode="edge")).permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode():
        levels = network(x)[0].mul_(255).add_(0.5).clamp_(0, 255).to(torch.uint8)
    return np.ascontiguousarray(levels.permute(1, 2, 0).numpy())
