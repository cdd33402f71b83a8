"""numpy computes the first few tiles, the chosen engine everything else; the bits are the same."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.typing import NDArray

from histocodec.generators.engines.numpy_engine import NumpyEngine
from histocodec.generators.engines.quick_start import _BY_NUMPY, QuickStart
from histocodec.generators.package import Package
from tests.generators.inputs import downsampler_package, generator_package, inputs

PACKAGE = generator_package(2)


class Other(NumpyEngine):
    """Counts its calls."""

    name = "other"
    calls = 0

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        self.calls += 1
        return super().__call__(images)


class Chooser:
    """Counts how often it chooses."""

    def __init__(self, package: Package = PACKAGE) -> None:
        self.package, self.made, self.lock = package, list[Other](), threading.Lock()

    def __call__(self) -> Other:
        with self.lock:
            self.made.append(Other(self.package.net))
        return self.made[-1]


@pytest.mark.parametrize("package", [PACKAGE, downsampler_package()])
def test_the_first_few_tiles_are_numpys(package: Package) -> None:
    choose = Chooser(package)
    engine = QuickStart(package, choose)
    tile = inputs(package.net, 64, 64, 1) if package.net.enlarges else inputs(package.net, 64, 48, 1)
    expected = NumpyEngine(package.net)(tile)
    for _ in range(_BY_NUMPY):
        assert np.array_equal(engine(tile), expected)
        assert choose.made == []
    assert np.array_equal(engine(tile), expected)
    assert np.array_equal(engine(tile), expected)
    assert [other.calls for other in choose.made] == [2]


@pytest.mark.parametrize(("height", "width", "count"), [(65, 8, 1), (8, 65, 1), (8, 8, 2)])
def test_more_than_a_tile_starts_the_engine_that_is_chosen(height: int, width: int, count: int) -> None:
    choose = Chooser()
    engine = QuickStart(PACKAGE, choose)
    engine(inputs(PACKAGE.net, height, width, count))
    assert [other.calls for other in choose.made] == [1]
    engine(inputs(PACKAGE.net, 8, 8, 1))  # it is there now
    assert [other.calls for other in choose.made] == [2]


def test_to_ask_for_its_name_starts_it() -> None:
    choose = Chooser()
    engine = QuickStart(PACKAGE, choose)
    assert (engine.name, engine.version, engine.kernel()) == ("other", np.__version__, choose.made[0].kernel())
    assert len(choose.made) == 1


def test_many_threads_start_it_once() -> None:
    choose = Chooser()
    engine = QuickStart(PACKAGE, choose)
    tile = inputs(PACKAGE.net, 8, 8, 1)
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(engine, [tile] * 40))
    assert all(np.array_equal(result, results[0]) for result in results)
    assert [other.calls for other in choose.made] == [40 - _BY_NUMPY]
