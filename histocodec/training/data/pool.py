"""A pool of crops for a GPU: other processes make them, the device holds them, and batches draw from them again."""

from __future__ import annotations

import multiprocessing
import pickle
import signal
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...errors import SettingsError
from ..config import AugmentConfig, BaseConfig
from .downsampling import Downsample, LatestDownsampler, fixed_downsampling
from .pairs import CropShape, TrainingPair, training_pairs
from .patches import Patches

_CROPS_PER_PATCH = 12
_CROPS_PER_MESSAGE = 2 * _CROPS_PER_PATCH
_FILLED_FIRST = 1024
"""Crops that are there before the first batch is drawn, or all of the pool if it is smaller."""


class Batch(NamedTuple):
    """Training pairs stacked for one step, on its device; see `TrainingPair`."""

    base: Tensor
    """(n, 3, h, w) float32 in 0..1."""
    full: Tensor
    """(n, 3, h', w') float32 in 0..1."""
    quality: Tensor
    """(n,) float32."""
    colours: Tensor
    """(n, 12) float32: the numbers of each base's `ColourTransform`."""

    @classmethod
    def of(cls, pairs: Sequence[TrainingPair]) -> Batch:
        """Stack pairs, on the CPU."""
        base, full, quality, colours = cls(*_stacked(pairs)).as_float()
        return cls(base.contiguous(), full.contiguous(), quality, colours)

    def as_float(self) -> Batch:
        """Return a batch of 8-bit images, channels last, as a network takes them: channels second, float in 0..1."""
        base, full = (images.permute(0, 3, 1, 2).float().div_(255.0) for images in self[:2])
        return Batch(base, full, self.quality, self.colours)


@dataclass(frozen=True, slots=True)
class PairMaker:
    """The settings by which another process makes pairs."""

    patches: Patches
    shape: CropShape
    bases: Sequence[BaseConfig]
    settings: AugmentConfig
    seed: tuple[int, ...]
    """Seed, another one for each run and each time that a run goes on."""
    downsampler: Path | None = None
    """Weights of a `ResidualDownsampler`, read again whenever they change; the box average while there are none."""
    fixed: str | None = None
    """Downsampler that is not trained, as `DataConfig.downsampler`; counts if `downsampler` is None."""

    def pairs(self, worker: int) -> Iterator[TrainingPair]:
        """Yield pairs without end, other ones for every worker."""
        downsampled: Downsample
        if self.downsampler is None:
            downsampled = fixed_downsampling(self.fixed, self.shape.scale)
        else:
            downsampled = LatestDownsampler(self.downsampler)
        return training_pairs(
            self.patches,
            np.random.default_rng([*self.seed, worker]),
            shape=self.shape,
            bases=self.bases,
            settings=self.settings,
            downsampled=downsampled,
            crops_per_patch=_CROPS_PER_PATCH,
        )


class CropPool:
    """A pool of crops and the processes that fill it, which end with its context."""

    def __init__(
        self, maker: PairMaker, *, size: int, workers: int, device: torch.device, draws_per_crop: float = 0.0
    ) -> None:
        """Take the settings; processes start with the context.

        size: crops that are held. workers: processes, at least 1, or SettingsError. device: holds the crops.
        draws_per_crop: how often a crop is drawn before it is worth making another; 0: once is enough.
        """
        if workers < 1:
            raise SettingsError(f"a pool needs at least one process that makes crops, found {workers}")
        self._maker, self._size, self._workers, self._device = maker, size, workers, device
        self._draws_per_crop = draws_per_crop
        self._processes: list[BaseProcess] = []
        self._readers: list[Connection] = []
        self._stop, self._ready = threading.Event(), threading.Event()
        self._lock = threading.Lock()  # the four parts of a crop are written, and drawn, together
        self._error: str | None = None
        self._held: list[Tensor] = []
        self._filled = self._next = 0
        self._made = self._drawn = 0
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
        """Yield batches of `count` without end.

        Raises SettingsError with the reason if a process, or the device's memory, failed.
        """
        while not self._ready.wait(1.0):
            self._check()
        while True:
            self._check()
            with self._lock:
                drawn = torch.randint(self._filled, (count,), device=self._device)
                batch = Batch(*(held[drawn] for held in self._held))
                self._drawn += count
            yield batch.as_float()

    @property
    def _has_enough(self) -> bool:
        least = min(_FILLED_FIRST, self._size)
        return self._made > max(least, self._drawn / self._draws_per_crop) if self._draws_per_crop else False

    def _check(self) -> None:
        if self._error is not None:
            raise SettingsError(f"making crops failed: {self._error}")

    def _receive(self) -> None:
        try:
            while not self._stop.is_set():
                if self._has_enough:  # what nobody takes stops those who make it
                    self._stop.wait(0.1)
                    continue
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
            self._made += count
            self._next = (self._next + count) % self._size
        if self._filled >= min(_FILLED_FIRST, self._size):
            self._ready.set()


def _work(path: Path, worker: int, writer: Connection) -> None:
    """Make crops and send them, until nobody reads them any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent's affair
    torch.set_num_threads(1)
    try:
        with path.open("rb") as file:
            maker: PairMaker = pickle.load(file)
        pairs = maker.pairs(worker)
        while True:
            writer.send([part.numpy() for part in _stacked(list(islice(pairs, _CROPS_PER_MESSAGE)))])
    except BrokenPipeError:
        return
    except Exception as error:
        writer.send(f"{type(error).__name__}: {error}"[:500])


def _stacked(pairs: Sequence[TrainingPair]) -> list[Tensor]:
    """Stack bases and originals as (n, h, w, 3) uint8, qualities (n,) and colours (n, 12) as float32."""
    return [
        torch.from_numpy(np.stack([pair.base for pair in pairs])),
        torch.from_numpy(np.stack([pair.full for pair in pairs])),
        torch.tensor([pair.quality for pair in pairs], dtype=torch.float32),
        torch.tensor([pair.colour.numbers for pair in pairs], dtype=torch.float32),
    ]
