"""Every engine that is here gives the same bits: shapes, batches, threads, instructions, extremes, processes."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from histocodec.generators.catalogue import find_package
from histocodec.generators.engines import openvino_engine
from histocodec.generators.engines.numpy_engine import NumpyEngine
from histocodec.generators.engines.openvino_engine import OpenVinoEngine
from histocodec.generators.engines.torch_engine import TorchEngine
from histocodec.generators.integer_net import Architecture, IntegerNet
from tests.generators.inputs import inputs, random_net
from tests.places import REPOSITORY

NETS: list[tuple[Architecture, dict[str, int]]] = [
    ("plain", {"scale": 4, "channels": 24, "pairs": 2}),
    ("plain", {"scale": 2, "channels": 7, "pairs": 1}),
    ("residual-downsampler", {"scale": 4, "features": 16}),
    ("residual-downsampler", {"scale": 2, "features": 5}),
]
BUILT: dict[str, Callable[[IntegerNet], OpenVinoEngine | TorchEngine]] = {
    "openvino": lambda net: OpenVinoEngine(net, threads=2),
    "torch": TorchEngine,
    "torch in batches": lambda net: TorchEngine(net, most=32),
}


@pytest.mark.parametrize("built", BUILT.values(), ids=BUILT)
@pytest.mark.parametrize(("architecture", "sizes"), NETS)
def test_shapes_and_batches(
    architecture: Architecture, sizes: dict[str, int], built: Callable[[IntegerNet], OpenVinoEngine]
) -> None:
    net = random_net(architecture, seed=3, **sizes)
    reference, engine = NumpyEngine(net), built(net)
    for height, width, count in ((16, 16, 1), (16, 16, 7), (16, 16, 32), (1, 1, 5), (3, 40, 5), (33, 9, 5)):
        images = inputs(net, height, width, count)
        out = engine(images)
        assert out.dtype == np.uint8
        assert np.array_equal(out, reference(images)), (height, width, count)


@pytest.mark.parametrize("built", BUILT.values(), ids=BUILT)
def test_many_threads(built: Callable[[IntegerNet], OpenVinoEngine]) -> None:
    net = random_net("plain", scale=4, channels=16, pairs=1)
    engine = built(net)
    batches = [inputs(net, *shape, 40)[k : k + 1] for shape in ((8, 8), (12, 5)) for k in range(40)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(engine, batches))
    assert all(np.array_equal(out, NumpyEngine(net)(batch)) for out, batch in zip(found, batches, strict=True))


@pytest.mark.parametrize("name", ["jp2k-x4", "av1-x2"])
def test_networks_that_ship(name: str) -> None:
    net = find_package(name).net
    images = inputs(net, 24, 31, 3)
    expected = NumpyEngine(net)(images)
    for engine in (OpenVinoEngine(net, threads=1), TorchEngine(net)):
        assert np.array_equal(engine(images), expected), engine.name


OF_A_PROCESS = """
import zlib
from histocodec.generators.catalogue import find_package
from histocodec.generators.engines.choice import engine_for
from tests.generators.inputs import inputs
package = find_package("jp2k-x4")
engine = engine_for(package)
print(engine.name, engine.kernel(), zlib.crc32(engine(inputs(package.net, 24, 31, 3)).data))
"""


@pytest.mark.parametrize("instructions", ["AVX2", "SSE41"])
def test_older_processors(instructions: str) -> None:
    """What oneDNN computes with where there is no AVX-512: products of 8 bits are added in 16, which may saturate."""
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", OF_A_PROCESS],
        env={**os.environ, "ONEDNN_MAX_CPU_ISA": instructions, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    name, kernel, checksum = run.stdout.split()
    net = find_package("jp2k-x4").net
    assert name == "openvino"
    assert "avx512" not in kernel
    assert int(checksum) == zlib.crc32(NumpyEngine(net)(inputs(net, 24, 31, 3)).data)


def test_shapes_beyond_the_last_few_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino_engine, "_KEPT_SHAPES", 2)
    net = random_net("plain", scale=2, channels=4, pairs=0)
    engine = OpenVinoEngine(net, threads=1)
    for _ in range(2):
        for width in range(1, 4):
            images = inputs(net, 4, width, 1)
            assert np.array_equal(engine(images), NumpyEngine(net)(images))
    kept = engine._here().by_shape
    assert [len(compiled._idle) for compiled in kept.values()] == [1, 1]


def _crc_in_a_child(engine: OpenVinoEngine, net: IntegerNet, sent: multiprocessing.SimpleQueue[int]) -> None:
    sent.put(zlib.crc32(engine(inputs(net, 8, 8, 2)).data))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_forked_process_computes_with_threads_of_its_own() -> None:
    net = random_net("plain", scale=4, channels=8, pairs=1)
    engine = OpenVinoEngine(net, threads=2)
    expected = zlib.crc32(engine(inputs(net, 8, 8, 2)).data)
    context = multiprocessing.get_context("fork")
    sent = context.SimpleQueue()
    child = context.Process(target=_crc_in_a_child, args=(engine, net, sent))
    child.start()
    child.join(60)
    if child.is_alive():
        child.kill()
    assert child.exitcode == 0
    assert sent.get() == expected
