"""The choice of an engine: proven, in order, and said once where one is left out."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import warnings
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import save

from histocodec.errors import GeneratorError, InvalidPackage, SettingsError
from histocodec.generators.engines import choice
from histocodec.generators.engines.choice import ENGINE_VARIABLE, Engine, engine_for, engine_names
from histocodec.generators.engines.numpy_engine import NumpyEngine
from histocodec.generators.integer_net import IntegerNet, tensors_of
from histocodec.generators.network_resampler import build_generator
from histocodec.generators.package import METADATA_KEY, Package
from tests.generators.inputs import card_of, generator_package
from tests.places import REPOSITORY

PACKAGE = generator_package()
Build = Callable[[IntegerNet, str], Engine]


@pytest.fixture(autouse=True)
def afresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """No engine is asked for by name, and nobody was warned."""
    monkeypatch.delenv(ENGINE_VARIABLE, raising=False)
    monkeypatch.setattr(choice, "_warned", set())


def instead(monkeypatch: pytest.MonkeyPatch, **builds: Build) -> None:
    monkeypatch.setattr(choice, "_ENGINES", choice._ENGINES | builds)


def failing(error: Exception) -> Build:
    def build(net: IntegerNet, device: str) -> Engine:
        raise error

    return build


class Wrong(NumpyEngine):
    """One sample of the test block is off by one."""

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        out = super().__call__(images)
        out[0, 7, 7, 1] ^= 1
        return out


def test_the_fastest_one_is_taken() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert engine_for(PACKAGE).name == "openvino"


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (failing(ImportError("no libtbb")), "ImportError: no libtbb"),
        (failing(ModuleNotFoundError("No module named 'openvino'")), "ModuleNotFoundError: No module named 'openvino'"),
        (failing(RuntimeError("illegal\n instruction")), "RuntimeError: illegal instruction"),
        (failing(AttributeError("no opset13")), "AttributeError: no opset13"),
        (lambda net, device: Wrong(net), "it computes other pixels than the package states"),
    ],
)
def test_an_engine_that_fails_is_left_out_and_named_once(
    monkeypatch: pytest.MonkeyPatch, build: Build, reason: str
) -> None:
    instead(monkeypatch, openvino=build)
    with pytest.warns(RuntimeWarning, match=f"^engine openvino is left out: {reason}$"):
        assert engine_for(PACKAGE).name == "torch"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert engine_for(generator_package(seed=1)).name == "torch"


def test_torch_may_lack_without_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    instead(monkeypatch, openvino=failing(OSError("no")))
    monkeypatch.setattr(choice, "find_spec", lambda name: None)
    with pytest.warns(RuntimeWarning) as said:
        assert engine_for(PACKAGE).name == "numpy"
    assert [str(one.message) for one in said] == ["engine openvino is left out: OSError: no"]
    with pytest.raises(
        GeneratorError, match=r"on cuda: torch: torch is not installed: pip install 'histocodec\[train\]'"
    ):
        engine_for(PACKAGE, "cuda")


def test_another_device_is_torchs_and_nobody_stands_in(monkeypatch: pytest.MonkeyPatch) -> None:
    assert engine_names("cuda:1") == engine_names("mps") == ["torch"]
    assert engine_names("cpu:0") == engine_names() == ["openvino", "torch", "numpy"]
    with pytest.raises(GeneratorError, match=r"^no device cuda:99 here: "):
        build_generator(PACKAGE, "cuda:99")
    instead(monkeypatch, torch=lambda net, device: Wrong(net))
    with pytest.raises(GeneratorError, match=r"no engine computes tiny on mps: torch: it computes other pixels"):
        engine_for(PACKAGE, "mps")


@pytest.mark.parametrize("name", ["openvino", "torch", "numpy"])
def test_one_engine_can_be_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(ENGINE_VARIABLE, name)
    generator = build_generator(PACKAGE)
    assert generator.engine == name
    assert type(generator._engine).__name__.lower() == f"{name}engine"  # at once
    instead(monkeypatch, **{name: failing(RuntimeError("broken"))})
    with pytest.raises(GeneratorError, match="RuntimeError: broken" if name != "numpy" else "test_block_crc32"):
        engine_for(PACKAGE)


@pytest.mark.parametrize(("name", "device"), [("onnx", "cpu"), ("numpy", "cuda")])
def test_a_name_that_is_none_is_refused_in_a_sentence(monkeypatch: pytest.MonkeyPatch, name: str, device: str) -> None:
    monkeypatch.setenv(ENGINE_VARIABLE, name)
    with pytest.raises(SettingsError, match=f"^HISTOCODEC_ENGINE is one of [^\n]* on {device}, found '{name}'$"):
        build_generator(PACKAGE, device)


def test_a_package_that_lies_is_refused_and_no_engine_is_blamed(monkeypatch: pytest.MonkeyPatch) -> None:
    card = dataclasses.replace(card_of(PACKAGE.net), test_block_crc32=1)
    liar = Package(save(tensors_of(PACKAGE.net), metadata={METADATA_KEY: card.to_json()}))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for refuse in (engine_for, build_generator):
            with pytest.raises(InvalidPackage, match="package tiny: test_block_crc32 is not that of its network"):
                refuse(liar)


WITHOUT_OPENVINO = """
import sys
sys.modules["openvino"] = None
import numpy as np
from histocodec import load_generator
generator = load_generator("jp2k-x4")
assert generator(np.zeros((120, 120, 3), np.uint8)).shape == (416, 416, 3)
print(generator.engine)
"""


def test_without_openvino_there_is_one_warning() -> None:
    run = subprocess.run(
        [sys.executable, "-c", WITHOUT_OPENVINO],
        env={"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout == "torch\n"
    assert run.stderr.count("engine openvino is left out: ModuleNotFoundError") == 1
