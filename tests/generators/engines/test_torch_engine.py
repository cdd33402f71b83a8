"""torch's engine: its batches, its threads, its memory, and its guard against convolutions that are not exact."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from histocodec.errors import GeneratorError
from histocodec.generators.engines.numpy_engine import NumpyEngine
from histocodec.generators.engines.torch_engine import TorchEngine, _Queue, _setting_threads
from histocodec.runtime.by_process import ByProcess
from tests.generators.inputs import inputs, random_net

NET = random_net("plain", scale=4, channels=8, pairs=1)


class Watched(TorchEngine):
    """Notes the images of every pass; the first waits until it is let go."""

    def __init__(self, most: int) -> None:
        super().__init__(NET, most=most)
        self._queue = ByProcess(lambda: _Queue(1))
        self.passes: list[tuple[int, ...]] = []
        self.go, self.begun = threading.Event(), threading.Event()

    def _passed(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        self.passes.append(images.shape[:3])
        self.begun.set()
        assert self.go.wait(30)
        return super()._passed(images)


def test_what_is_asked_for_meanwhile_is_computed_in_one_pass_if_it_has_one_shape() -> None:
    engine = Watched(most=6)
    square, oblong = inputs(NET, 4, 4, 9), inputs(NET, 4, 6, 2)
    calls = [square[k : k + 1] for k in range(9)] + [oblong[k : k + 1] for k in range(2)]
    with ThreadPoolExecutor(len(calls)) as pool:
        results = [pool.submit(engine, calls[0])]
        assert engine.begun.wait(30)
        queue = engine._queue()
        for count, call in enumerate(calls[1:], 1):
            results.append(pool.submit(engine, call))
            while len(queue.waiting) < count:  # in order
                pass
        engine.go.set()
        for call, result in zip(calls, results, strict=True):
            assert np.array_equal(result.result(30), NumpyEngine(NET)(call))
    assert engine.passes == [(1, 12, 12), (6, 12, 12), (2, 12, 12), (2, 12, 14)]


def test_a_device_without_the_memory_computes_in_halves_and_says_so_once(monkeypatch: pytest.MonkeyPatch) -> None:
    network = TorchEngine._network

    def small(self: TorchEngine, images: Tensor, *, plain: bool = False) -> Tensor:
        if len(images) > 3:
            raise torch.OutOfMemoryError("out of memory")
        return network(self, images, plain=plain)

    monkeypatch.setattr(TorchEngine, "_network", small)
    images = inputs(NET, 4, 4, 12)
    engine = TorchEngine(NET, most=12)
    with pytest.warns(RuntimeWarning, match="cpu lacks the memory for 12 images a pass") as said:
        assert np.array_equal(engine(images), NumpyEngine(NET)(images))
    assert len(said) == 1
    assert np.array_equal(engine(images), NumpyEngine(NET)(images))
    monkeypatch.setattr(TorchEngine, "_network", lambda *_, **__: small(engine, torch.zeros(4)))
    with pytest.raises(torch.OutOfMemoryError):
        engine(images[:1])


def test_a_convolution_that_is_not_exact_is_found_out_by_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    convolve = functional.conv2d

    def inexact(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        exact = convolve(x, weight, bias)
        return exact + 0.6 if x.shape[0] == 7 else exact

    monkeypatch.setattr("histocodec.generators.engines.torch_engine.functional.conv2d", inexact)
    engine = TorchEngine(NET, most=7)
    for count in (1, 7, 7, 1):
        images = inputs(NET, 5, 4, count)
        assert np.array_equal(engine(images), NumpyEngine(NET)(images))
    assert engine._is_plain == {(1, 13, 12, 3): False, (7, 13, 12, 3): True}


def test_the_teams_of_other_threads_stay_as_they_are() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        TorchEngine(NET)(inputs(NET, 4, 4, 5))
        assert torch.get_num_threads() == 3
        with ThreadPoolExecutor(1) as pool, _setting_threads():  # no thread of the engine is just being started
            assert pool.submit(torch.get_num_threads).result() == 3
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("device", ["cuda:99", "nonsense", "mps"])
def test_a_device_that_is_not_there(device: str) -> None:
    with pytest.raises(GeneratorError, match=f"^no device {device} here: [^\n]+$"):
        TorchEngine(NET, device)


def test_an_error_reaches_the_caller_and_the_next_call_works(monkeypatch: pytest.MonkeyPatch) -> None:
    def spoilt(self: TorchEngine, images: Tensor, *, plain: bool = False) -> Tensor:
        raise RuntimeError("spoilt")

    engine = TorchEngine(NET)
    images = inputs(NET, 4, 4, 2)
    with monkeypatch.context() as patch:
        patch.setattr(TorchEngine, "_network", spoilt)
        with pytest.raises(RuntimeError, match="spoilt"):
            engine(images)
    assert np.array_equal(engine(images), NumpyEngine(NET)(images))
