"""The trial of engines: equal bits, differing ones, and engines that fail."""

from __future__ import annotations

import pytest

from histocodec.demo.synthetic import tissue
from histocodec.errors import GeneratorError
from histocodec.generators.engines import choice, trial
from histocodec.generators.engines.choice import ENGINE_VARIABLE
from histocodec.generators.engines.trial import try_engines
from histocodec.geometry import Size
from tests.generators.engines.test_choice import Wrong, failing, instead
from tests.generators.inputs import downsampler_package, generator_package

PICTURE = tissue(Size(512, 512), seed=1)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ENGINE_VARIABLE, raising=False)
    monkeypatch.setattr(trial, "SHAPES", ((12, 9), (16, 16)))
    monkeypatch.setattr(trial, "_TIMED_S", 0.0)


def test_every_engine_is_tried_with_every_network() -> None:
    trials = list(try_engines([generator_package(2), downsampler_package()], PICTURE))
    assert [(t.network, t.engine) for t in trials] == [
        (network, engine) for network in ("tiny", "tiny-down-x4") for engine in ("openvino", "torch", "numpy")
    ]
    for t in trials:
        assert (t.differ, t.error, t.device) == (0, None, "cpu")
        assert t.is_chosen == (t.engine == "openvino")
        assert t.version
        assert t.kernel
        scale_area = 4 if t.network == "tiny" else 1
        pixels = (3 + 1 + 7 + 32) * 12 * 9 + 3 * 16 * 16
        assert t.samples == (0 if t.engine == "numpy" else 3 * scale_area * pixels)


def test_what_differs_is_counted_and_not_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    instead(monkeypatch, openvino=lambda net, device: Wrong(net), torch=failing(GeneratorError("no device")))
    openvino, torch, numpy = try_engines([generator_package(2)], PICTURE)
    assert (openvino.differ, openvino.is_chosen) == (5, False)  # one a call
    assert (torch.error, torch.is_chosen) == ("no device", False)
    assert numpy.is_chosen


def test_an_engine_that_fails_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    instead(monkeypatch, openvino=failing(ImportError("no\nlibrary")))
    found = list(try_engines([generator_package(2)], PICTURE))
    assert found[0].error == "ImportError: no library"
    assert found[1].is_chosen
    assert choice._warned == set() or "openvino" not in choice._warned
