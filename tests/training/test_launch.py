"""Training runs: exact resume, every loss, clear errors with nothing overwritten, packages that the codec takes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

from histocodec.cli import app
from histocodec.demo.synthetic import tissue, write_slide
from histocodec.encoder import EncodeSettings, encode
from histocodec.errors import (
    GeneratorError,
    HistocodecError,
    MissingResolution,
    OutputExists,
    SettingsError,
    TrainingDiverged,
    TrainingPaused,
    UnreadableSource,
    UnsupportedResolution,
)
from histocodec.generators.catalogue import load_generator
from histocodec.generators.package import Package
from histocodec.geometry import Size
from histocodec.source import open_source
from histocodec.training.data.patches import collect_patches
from histocodec.training.launch import run_training
from histocodec.training.metrics_log import Row
from histocodec.training.networks import build_network
from histocodec.training.quantise import floats_of
from histocodec.training.trainer import TrainingRun
from tests.places import REPOSITORY
from tests.training.inputs import config, vgg_weights, write_data, write_tiles

RRDB = {
    "architecture": "rrdb",
    "hyperparameters": {"blocks": 1, "features": 8, "growth": 4, "halo": 4},
    "while_training": {"halo": 0},
}
GAN = {
    "network": RRDB,
    "loss": {
        "pixel": 2.0,
        "perceptual": 1.0,
        "adversarial": 0.1,
        "vgg": "vgg.safetensors",
        "discriminator_features": 4,
    },
}
TINY = """\
name = "tiny-x4"
licence = "CC0-1.0"
network = { architecture = "plain", hyperparameters = { scale = 4, channels = 8, pairs = 1 } }
data = { train = { train = 1.0 }, patch = 400, entropy_bits = 3.0 }
schedule = { steps = 6, batch = 2, crop = 16 }
bases = [{ codec = "uncoded", share = 1.0 }]
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    write_data(root)
    save_file(vgg_weights(16), root / "vgg.safetensors")
    return root


def train(data: Path, folder: Path, stop_at: int | None = None, **changes: Any) -> Path:
    """A run; interrupted, as by Ctrl-C, when step `stop_at` is logged."""

    def progress(stage: str, done: int, total: int, row: Row) -> None:
        if stage == "training" and done == stop_at:
            raise KeyboardInterrupt

    output = folder / "out.safetensors"
    run_training(config(**changes), output, data=data, folder=folder, progress=progress)
    return output


@pytest.mark.parametrize(
    "changes", [{"schedule__expansion": 2}, {"schedule__optimiser": "adam"}, GAN], ids=["muon", "adam", "gan"]
)
def test_a_resumed_run_ends_in_the_same_package(data: Path, tmp_path: Path, changes: dict[str, Any]) -> None:
    once = train(data, tmp_path / "once", **changes)
    with pytest.raises(KeyboardInterrupt):
        train(data, tmp_path / "twice", stop_at=4, **changes)
    assert not (tmp_path / "twice" / "out.safetensors").exists()
    assert train(data, tmp_path / "twice", **changes).read_bytes() == once.read_bytes()
    assert load_generator(once).halo == 4
    rows = [json.loads(line) for line in (tmp_path / "once" / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [2, 4, 6]
    assert "uncoded dB" in rows[1]
    assert ("discriminator" in rows[0]) == ("loss" in changes)


@pytest.mark.figures
def test_a_run_leaves_its_configuration_log_and_figures(data: Path, tmp_path: Path) -> None:
    train(data, tmp_path)
    stated = json.loads((tmp_path / "config.json").read_text())
    assert stated["config"]["schedule"]["steps"] == 6
    assert stated["config"]["augment"]["colour"] == 0.5  # defaults as well
    assert stated["environment"]["torch"] == torch.__version__
    assert stated["patches"] == {"kept": 2 + 1, "dropped": 1}  # the tile of 440 px makes two patches
    for name in ("entropy.png", "training.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_the_package_states_what_was_measured_and_encodes(data: Path, tmp_path: Path, slide_path: Path) -> None:
    output = train(data, tmp_path)
    generator = load_generator(output)
    assert (generator.name, generator.scale, generator.halo) == ("tiny-x4", 4, 4)
    measured = load_measured(output)["dev"]
    assert list(measured) == ["uncoded", "jp2k at 0.10 bpp", "jp2k at 0.15 bpp"]
    assert measured["uncoded"]["tiles"] == 1
    with open_source(slide_path) as source:
        report = encode(source, tmp_path / "slide.hc.tif", generator, EncodeSettings(codec="jp2k", verify="none"))
    assert report.manifest.prediction.generator.name == "tiny-x4"


def load_measured(output: Path) -> dict[str, Any]:
    return Package(output.read_bytes()).card.measured


def test_the_command_trains_resumes_and_refuses_to_replace(data: Path, tmp_path: Path) -> None:
    settings = tmp_path / "tiny.toml"
    settings.write_text(
        'name = "tiny-x2"\nlicence = "CC0-1.0"\n'
        "[network]\narchitecture = 'plain'\nhyperparameters = { scale = 2, channels = 4, pairs = 0 }\n"
        "[data]\ntrain = { train = 1 }\nmeasure = ['dev']\nentropy_bits = 3\n"
        "[schedule]\nsteps = 2\nbatch = 1\ncrop = 16\nlog_every = 1\n"
        "[[bases]]\ncodec = 'av1'\nshare = 1\nquality = [40, 60]\n"
    )
    command = ["train", str(settings), "--data", str(data), "--run", str(tmp_path / "run")]
    first = CliRunner().invoke(app, command)
    assert first.exit_code == 0, first.output
    assert "sha256:" in first.output
    package = tmp_path / "run" / "tiny-x2.safetensors"
    assert load_generator(package).halo == 2
    again = CliRunner().invoke(app, command)
    assert isinstance(again.exception, OutputExists)


def test_training_improves(data: Path, tmp_path: Path) -> None:
    rows: list[Row] = []

    def progress(stage: str, done: int, total: int, row: Row) -> None:
        if row:
            rows.append(row)

    settings = config(schedule__steps=60, schedule__log_every=30, schedule__watch_every=30)
    run_training(settings, tmp_path / "p", data=data, folder=tmp_path, progress=progress)
    assert rows[-1]["uncoded dB"] > rows[0]["uncoded dB"]


def test_weights_to_start_from(data: Path, tmp_path: Path) -> None:
    start = train(data, tmp_path / "a")
    settings = config(network__start=str(start), schedule__steps=1, schedule__learning_rate=1e-9)
    run_training(settings, tmp_path / "b.safetensors", data=data, folder=tmp_path / "b")
    before, after = (floats_of(Package.read(path).net) for path in (start, tmp_path / "b.safetensors"))
    image = torch.rand(1, 3, 40, 40)
    difference = (before(image) - after(image)).square().mean().sqrt()
    assert difference < 0.02  # of noise, which no calibration looks at


Break = Callable[[Path, Path], dict[str, Any]]


def all_glass(data: Path, folder: Path) -> dict[str, Any]:
    return {"data__entropy_bits": 8.0}


def empty_folder(data: Path, folder: Path) -> dict[str, Any]:
    (folder / "empty").mkdir()
    return {"data__train": {str(folder / "empty"): 1.0}}


def nothing_to_measure(data: Path, folder: Path) -> dict[str, Any]:
    return {"data__measure": ["no-such-folder"]}


def other_architecture(data: Path, folder: Path) -> dict[str, Any]:
    network = build_network("rrdb", {"blocks": 1, "features": 4, "growth": 4, "halo": 2})
    save_file(network.state_dict(), folder / "rrdb.safetensors")
    return {"network__start": str(folder / "rrdb.safetensors")}


def other_scale(data: Path, folder: Path) -> dict[str, Any]:
    network = build_network("plain", {"scale": 2, "channels": 8, "pairs": 1})
    save_file(network.state_dict(), folder / "x2.safetensors")
    return {"network__start": str(folder / "x2.safetensors")}


def wrong_resolution(data: Path, folder: Path) -> dict[str, Any]:
    write_slide(folder / "slide.tif", tissue(Size(512, 512), seed=4))
    return {"data__train": {str(folder / "slide.tif"): 1.0}, "data__mpp": 0.5}


def no_such_scale(data: Path, folder: Path) -> dict[str, Any]:
    return {"network__hyperparameters": {"scale": 3, "channels": 8, "pairs": 1}}


def only_while_training(data: Path, folder: Path) -> dict[str, Any]:
    return {"network__while_training": {"channels": 4}}


def no_resolution(data: Path, folder: Path) -> dict[str, Any]:
    tifffile.imwrite(folder / "slide.tif", tissue(Size(512, 512), seed=4), tile=(256, 256), photometric="rgb")
    return {"data__train": {str(folder / "slide.tif"): 1.0}}


def grey_tile(data: Path, folder: Path) -> dict[str, Any]:
    (folder / "grey").mkdir()
    (folder / "grey" / "0.png").write_bytes(imagecodecs.png_encode(np.zeros((300, 300), np.uint8)))
    return {"data__measure": ["dev", str(folder / "grey")]}


def tiny_tile(data: Path, folder: Path) -> dict[str, Any]:
    write_tiles(folder / "tiny", [tissue(Size(64, 64), seed=1)[:40]])
    return {"data__measure": [str(folder / "tiny")]}


def no_vgg(data: Path, folder: Path) -> dict[str, Any]:
    return {"loss": {"perceptual": 1.0, "vgg": "no-such-file"}}


def patches_too_small(data: Path, folder: Path) -> dict[str, Any]:
    return {"schedule__crop": 200}


@pytest.mark.parametrize(
    ("broken", "error", "words"),
    [
        (all_glass, SettingsError, "all glass"),
        (empty_folder, UnreadableSource, "no tile"),
        (nothing_to_measure, UnreadableSource, "no tile"),
        (other_architecture, SettingsError, "another architecture"),
        (other_scale, SettingsError, "another architecture or scale"),
        (wrong_resolution, UnsupportedResolution, "wrong scale"),
        (no_such_scale, SettingsError, "no such network"),
        (only_while_training, SettingsError, "network.while_training"),
        (no_resolution, MissingResolution, "states no micrometres"),
        (grey_tile, UnreadableSource, "expected 8-bit RGB"),
        (tiny_tile, UnreadableSource, "at least 64 px"),
        (no_vgg, SettingsError, "loss.vgg"),
        (patches_too_small, SettingsError, "no patch has"),
    ],
)
def test_what_cannot_be_trained_is_refused(
    data: Path, tmp_path: Path, broken: Break, error: type[HistocodecError], words: str
) -> None:
    with pytest.raises(error, match=words):
        train(data, tmp_path / "run", **broken(data, tmp_path))
    assert not list(tmp_path.glob("run/*.safetensors"))


def test_a_checkpoint_of_something_else_stays_as_it_is(data: Path, tmp_path: Path) -> None:
    train(data, tmp_path)
    (tmp_path / "out.safetensors").unlink()
    before = (tmp_path / "checkpoint.pt").read_bytes()
    with pytest.raises(SettingsError, match=r"another configuration .seed"):
        train(data, tmp_path, seed=2)
    with pytest.raises(SettingsError, match="another configuration"):
        train(data, tmp_path, network=RRDB)
    assert (tmp_path / "checkpoint.pt").read_bytes() == before
    (tmp_path / "checkpoint.pt").write_bytes(before[:500])
    with pytest.raises(SettingsError, match="not a checkpoint"):
        train(data, tmp_path)


@pytest.mark.parametrize("broken", ["weights", "gradient"])
def test_a_run_that_diverges_stops_and_keeps_its_last_checkpoint(data: Path, tmp_path: Path, broken: str) -> None:
    changes: dict[str, Any] = {"schedule__save_every": 2, "schedule__log_every": 1, "schedule__optimiser": "adam"}
    run = TrainingRun(config(**changes), tmp_path)
    patches = collect_patches(config().data, data, 1)

    def progress(row: Row) -> None:
        if row["step"] == 3:
            first = next(run.network.parameters())
            if broken == "gradient":
                first.register_hook(lambda gradient: gradient * float("inf"))  # type: ignore[no-untyped-call]
            else:
                with torch.no_grad():
                    first.fill_(float("nan"))

    with pytest.raises(TrainingDiverged, match="step 3"):
        run.train(patches, watch=lambda network: {}, progress=progress)
    again = TrainingRun(config(**changes), tmp_path)
    assert again.step == 2
    assert all(value.isfinite().all() for value in again.network.state_dict().values())


def test_the_log_of_a_resumed_run_has_each_step_once(data: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(data, tmp_path, stop_at=5, schedule__log_every=1)
    with (tmp_path / "metrics.jsonl").open("a") as log:
        log.write('{"step": 6, "cut o')  # as a kill leaves it
    train(data, tmp_path, schedule__log_every=1)
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert [row["step"] for row in rows if "uncoded dB" in row] == [4, 6]


def test_a_call_that_is_given_seconds_stops_with_a_checkpoint_and_goes_on(data: Path, tmp_path: Path) -> None:
    def call(seconds: float | None) -> Package:
        return run_training(config(), output, data=data, folder=output.parent, seconds=seconds)

    output = tmp_path / "run" / "out.safetensors"
    with pytest.raises(TrainingPaused, match="after step 0 of 6; the same command goes on"):
        call(0)
    run = TrainingRun(config(), output.parent)
    patches = collect_patches(config().data, data, 1)
    over: list[Row] = []

    def progress(row: Row) -> None:
        over.append(row)
        monkey.setattr("histocodec.training.trainer.time.monotonic", lambda: 1e12)

    with pytest.MonkeyPatch.context() as monkey, pytest.raises(TrainingPaused, match="after step 2 of 6"):
        run.train(patches, watch=lambda network: {}, progress=progress, deadline=1e11)
    assert len(over) == 1
    shutil.copytree(output.parent, tmp_path / "elsewhere")  # as files that came back from another machine
    paused, whole = call(None), train(data, tmp_path / "whole")
    assert paused.data == Package(whole.read_bytes()).data
    output = tmp_path / "elsewhere" / "out.safetensors"
    assert call(3600).data == paused.data


def test_steps_are_planned_from_the_time_that_a_run_is_given(data: Path, tmp_path: Path) -> None:
    changes: dict[str, Any] = {"schedule__seconds": 5.0, "schedule__steps": 100_000, "schedule__save_every": 1}
    with pytest.raises(TrainingPaused):
        run_training(config(**changes), tmp_path / "p", data=data, folder=tmp_path, seconds=0)
    assert TrainingRun(config(**changes), tmp_path).planned_steps is None
    package = run_training(config(**changes), tmp_path / "p", data=data, folder=tmp_path)
    run = TrainingRun(config(**changes), tmp_path)
    assert run.planned_steps == run.step == package.card.training["schedule"]["steps"]
    assert 2 < run.step < 100_000


def test_a_paused_run_has_an_exit_code_of_its_own(data: Path, tmp_path: Path) -> None:
    (tmp_path / "tiny.toml").write_text(TINY)
    command = [sys.executable, "-m", "histocodec", "train", "tiny.toml", "--data", str(data), "--seconds", "0"]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert done.returncode == 75, done.stderr
    assert "the same command goes on" in done.stderr
    assert (tmp_path / "runs" / "tiny-x4" / "checkpoint.pt").exists()


def test_a_device_that_is_not_here_is_named(data: Path, tmp_path: Path) -> None:
    with pytest.raises(GeneratorError, match="no device"):
        run_training(config(), tmp_path / "p", data=data, folder=tmp_path, device="nonsense")


def test_without_torch_one_sentence_says_what_is_missing() -> None:
    without = "import sys; sys.modules['torch'] = None; from histocodec.cli import main; main()"
    for arguments, code in ((["train", "--help"], 0), (["train", "x.toml"], 1)):
        done = subprocess.run([sys.executable, "-c", without, *arguments], capture_output=True, text=True)
        assert done.returncode == code, done.stderr
    assert "histocodec[train]" in done.stderr
    assert "Traceback" not in done.stderr
