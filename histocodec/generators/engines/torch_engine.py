"""The engine for graphics cards, and for CPUs that have no better one: torch, in single precision on whole numbers.

Sums of whole numbers below 2^24 are exact in single precision in any order, and their factors, of 8 bits each, in TF32
as well. What is not exact is a convolution that goes through fractions (Winograd, Fourier), and which one a library
takes depends on the shape. So the first batch of each shape is computed twice, the second time by plain products of
matrices; where they differ, that way is taken from then on.
"""

from __future__ import annotations

import threading
import warnings
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ...errors import GeneratorError
from ...runtime.by_process import ByProcess
from ...runtime.parallel import core_count
from ..integer_net import LEAK_SHIFT, ZERO_POINT, IntegerNet

_MOST_ON_A_CARD = 32
"""Images that a graphics card computes in one pass."""

_Pending = tuple[NDArray[np.uint8], "Future[NDArray[np.uint8]]"]
"""An image, (height, width, 3) uint8 RGB, and the promise of what it becomes."""


class TorchEngine:
    """Computes a network by torch, on threads of its own.

    On a CPU each takes one image and one core. A graphics card has one thread, which computes in one pass what many
    callers have asked for meanwhile.
    """

    name = "torch"

    def __init__(self, net: IntegerNet, device: str = "cpu", *, most: int | None = None) -> None:
        """Take a network. device: as torch names it. most: images a pass; None: 1 on a CPU, 32 elsewhere.

        Raises GeneratorError for the device.
        """
        try:
            self._device = torch.device(device)
            self._layers = [
                (
                    # of 2^-shift, which leaves both exact
                    torch.from_numpy(layer.weight.astype(np.float32) / np.exp2(layer.shift)[:, None, None, None])
                    .to(self._device, torch.float32)
                    .to(memory_format=torch.channels_last),
                    torch.from_numpy(layer.bias / np.exp2(layer.shift)).to(torch.float32).to(self._device),
                )
                for layer in net.layers
            ]
        except (RuntimeError, AssertionError) as error:
            raise GeneratorError(f"no device {device} here: {str(error).splitlines()[0]}") from error
        on_cpu = self._device.type == "cpu"
        self._net = net
        self._most = most or (1 if on_cpu else _MOST_ON_A_CARD)
        self._has_warned = False
        self._is_plain: dict[tuple[int, ...], bool] = {}
        self._queue = ByProcess(lambda: _Queue(core_count() if on_cpu else 1))

    @property
    def version(self) -> str:
        """Version of torch."""
        return torch.__version__

    def kernel(self) -> str:
        """Return what computes: a CPU's instructions, or a card."""
        if self._device.type == "cuda":
            return torch.cuda.get_device_name(self._device)
        return torch.backends.cpu.get_cpu_capability() if self._device.type == "cpu" else str(self._device)

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Compute a batch: (n, height, width, 3) uint8 RGB to the same of the network's output size."""
        queue = self._queue()
        promises: list[Future[NDArray[np.uint8]]] = [Future() for _ in images]
        queue.waiting.extend(zip(images, promises, strict=True))
        for _ in images:
            queue.threads.submit(self._work_off, queue)
        return np.stack([promise.result() for promise in promises])  # copies, out of pinned memory

    def _work_off(self, queue: _Queue) -> None:
        """Compute in one pass what waits, as far as it is of one shape; nothing may be left."""
        if not (pending := queue.take(self._most)):
            return
        try:
            results = self._computed(np.stack([image for image, _ in pending]))
        except BaseException as error:  # which each caller gets
            for _, promise in pending:
                promise.set_exception(error)
            return
        for (_, promise), result in zip(pending, results, strict=True):
            promise.set_result(result)

    def _computed(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Compute a batch in one pass, or in two halves if the device lacks the memory."""
        try:
            return self._passed(images)
        except torch.OutOfMemoryError:
            count = len(images)
            if count == 1:
                raise
        half = (count + 1) // 2
        self._most = min(self._most, half)
        if not self._has_warned:
            self._has_warned = True
            warnings.warn(f"{self._device} lacks the memory for {count} images a pass", RuntimeWarning, stacklevel=2)
        torch.cuda.empty_cache()
        return np.concatenate([self._computed(images[:half]), self._computed(images[half:])])

    def _passed(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        count = len(images)
        if self._device.type != "cpu":  # few different shapes: each is proven once
            images = np.concatenate([images, images[-1:].repeat((1 << (count - 1).bit_length()) - count, axis=0)])
        is_cuda = self._device.type == "cuda"
        flags = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=True)
        with flags, torch.inference_mode():
            given = torch.from_numpy(images)
            x = (given.pin_memory() if is_cuda else given).to(self._device, non_blocking=is_cuda)
            y = self._network(x, plain=True) if self._is_plain.get(images.shape) else self._network(x)
            if images.shape not in self._is_plain:
                sure = torch.cat([self._network(x[k : k + 1], plain=True) for k in range(len(images))])
                self._is_plain[images.shape] = not torch.equal(y, sure)
                y = sure
            if not is_cuda:
                return y[:count].cpu().numpy()
            out = torch.empty(y.shape, dtype=torch.uint8, pin_memory=True)
            out.copy_(y)
            return out[:count].numpy()

    def _network(self, images: Tensor, *, plain: bool = False) -> Tensor:
        """Compute (n, height, width, 3) uint8; plain: by products of matrices alone."""
        net, scale, halo = self._net, self._net.scale, self._net.halo
        convolve = _plain_convolution if plain else functional.conv2d
        x = images.permute(0, 3, 1, 2).float()  # channels last in memory
        if net.enlarges:
            added = _cropped(x, halo).repeat_interleave(scale * scale, 1)
        else:
            added = _cropped(functional.avg_pool2d(x, scale), halo)
            x = functional.pixel_unshuffle(x, scale).contiguous(memory_format=torch.channels_last)
        stream = x
        for index, (weight, bias) in enumerate(self._layers[:-1]):
            total = convolve(x, weight, bias)
            if net.adds_stream(index):
                total += _cropped(stream, 2)
            x = functional.leaky_relu_(total, 2.0**-LEAK_SHIFT).round_().add_(ZERO_POINT).clamp_(0, 255)
            if index % 2 == 0:
                stream = x
        x = convolve(x, *self._layers[-1]).add_(added).round_().clamp_(0, 255).to(torch.uint8)
        if net.enlarges:
            x = functional.pixel_shuffle(x, scale)
        return x.permute(0, 2, 3, 1).contiguous()


class _Queue:
    """What waits to be computed, and the threads that do it."""

    def __init__(self, threads: int) -> None:
        self.waiting: deque[_Pending] = deque()
        self.threads = ThreadPoolExecutor(threads, "histocodec-torch", initializer=_take_one_core)
        self._taking = threading.Lock()

    def take(self, most: int) -> list[_Pending]:
        """Take the first that waits, and up to `most` of its shape that follow it."""
        with self._taking:
            taken: list[_Pending] = []
            while self.waiting and len(taken) < most:
                if taken and self.waiting[0][0].shape != taken[0][0].shape:
                    break
                taken.append(self.waiting.popleft())
            return taken


_setting_threads = ByProcess(threading.Lock)


def _take_one_core() -> None:
    """Keep torch from starting a team for this thread, and only for this one.

    The setting is the calling thread's, and the default of threads to come; the latter is put back, by a thread that
    ends at once.
    """
    with _setting_threads():
        default = torch.get_num_threads()
        torch.set_num_threads(1)
        restoring = threading.Thread(target=torch.set_num_threads, args=(default,))
        restoring.start()
        restoring.join()


def _plain_convolution(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Convolve as `functional.conv2d` without padding does, by one product of matrices."""
    count, _, height, width = x.shape
    product = weight.flatten(1) @ functional.unfold(x, 3)
    return product.view(count, -1, height - 2, width - 2) + bias[:, None, None]


def _cropped(x: Tensor, margin: int) -> Tensor:
    """Take so many pixels off every side of (n, channels, height, width)."""
    return x[:, :, margin:-margin, margin:-margin]
