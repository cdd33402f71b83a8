"""Launch a training run: from its configuration to a measured package."""

from __future__ import annotations

import json
import math
import platform
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors

from ..errors import InvalidPackage, SettingsError, UnreadableSource
from ..generators.bicubic import BicubicGenerator
from ..generators.catalogue import load_downsampler, shipped_packages
from ..generators.package import Package
from ..geometry import Image
from ..pixels.resampler import Downsampler
from ..runtime.files import atomic_output, check_output
from ..runtime.progress import silent, stage
from ..version import __version__
from .config import TrainConfig, as_tables
from .data.patches import TILE_SUFFIXES, collect_patches, read_image
from .evaluate import EvaluationTile, base_name, centre, evaluation_tile
from .figures import entropy_figure, training_figure
from .metrics_log import Row
from .networks import FloatGenerator, Network
from .packaging import coded_as, mean_psnr, measured_bases, packages_of
from .quantise import floats_of
from .trainer import TrainingRun, Weights, build_configured

TrainingProgress = Callable[[str, int, int, Row], None]
"""progress(stage, done, total, numbers of the step), as `runtime.progress.Progress` but for the numbers."""

_SMALLEST_TILE = 64
"""Full pixels a side of the smallest tile that is measured."""


def run_training(
    config: TrainConfig,
    output: Path,
    *,
    data: Path,
    folder: Path,
    device: str = "cpu",
    workers: int = 1,
    overwrite: bool = False,
    seconds: float | None = None,
    progress: TrainingProgress = silent,
) -> Package:
    """Train as `config` says and write the package `output`, atomically.

    Training, and what is watched of it, is in floats; in the end the network becomes one in whole numbers, but for an
    `rrdb`, and is measured as that.
    A downsampler that is trained as well is written beside it, under its own name.

    data: the folder that the configuration's paths are relative to.
    workers: processes that fill the pool of crops, if the configuration has one.
    folder: keeps what is needed to resume, the log and the figures: config.json, metrics.jsonl, checkpoint.pt,
    entropy.png, training.png. The same call resumes a run that was interrupted.
    seconds: time for this call, reading the data included; the package, if it comes to that, is made after it.

    Raises SettingsError (the configuration, the weights to start from, a checkpoint of something else, no tissue),
    UnreadableSource, UnsupportedResolution, TrainingDiverged, TrainingPaused (`seconds` are over), GeneratorError (the
    device), OutputError.
    """
    deadline = math.inf if seconds is None else time.monotonic() + seconds

    def without_numbers(name: str, done: int, total: int) -> None:
        progress(name, done, total, {})

    folder.mkdir(parents=True, exist_ok=True)
    check_output(output, overwrite=overwrite)
    beside = None if config.downsampler is None else output.with_name(f"{config.downsampler.name}.safetensors")
    if beside is not None:
        if beside == output:
            raise SettingsError(f"{output} would be both the generator's and the downsampler's package")
        check_output(beside, overwrite=overwrite)
    vgg = None if config.loss.vgg is None else data / config.loss.vgg
    shipping = build_configured(config.network, config.network.hyperparameters)
    fixed = None if config.data.downsampler is None else load_downsampler(config.data.downsampler, shipping.scale)
    measured_tiles = {name: _tiles(config, data / name) for name in config.data.measure}
    run = TrainingRun(config, folder, start=_start(config, data), vgg=vgg, device=device, workers=workers)
    patches = collect_patches(config.data, data, config.seed, without_numbers)
    _describe(config, folder, device, len(patches.kept), len(patches.dropped_entropy_bits))
    entropy_figure(patches, config.data.entropy_bits, folder / "entropy.png")
    watched = _watched(config, measured_tiles, shipping.scale, fixed)
    bicubic = BicubicGenerator(shipping.scale)
    bicubic_db = {f"{name} dB": mean_psnr(bicubic, tiles) for name, tiles in watched.items()}

    def watch(network: Network) -> Row:
        shipping.load_state_dict(network.state_dict())
        generator = FloatGenerator(config.name, shipping, device)
        # In floats, as it trains: to make it whole numbers takes longer than to watch it.
        return {f"{name} dB": round(mean_psnr(generator, tiles), 3) for name, tiles in watched.items()}

    def log(row: Row) -> None:
        training_figure(run.log.rows(), folder / "training.png", config.name, bicubic_db)
        progress("training", int(row["step"]), run.schedule.steps, row)

    trained = run.train(patches, watch=watch, progress=log, deadline=deadline)
    shipping.load_state_dict(trained.state_dict())
    second = None if run.downsampling is None else run.downsampling.averaged
    done = msgspec.structs.replace(config, schedule=run.schedule)  # with the steps that it really had
    packages = packages_of(done, shipping, second, patches, measured_tiles, device, stage(without_numbers, "measuring"))
    if packages.downsampler is not None and beside is not None:
        with atomic_output(beside, overwrite=overwrite) as file:
            file.write(packages.downsampler.data)
    with atomic_output(output, overwrite=overwrite) as file:
        file.write(packages.generator.data)
    return packages.generator


def _start(config: TrainConfig, data: Path) -> Weights | None:
    """Read the weights that training starts from; None for random ones. Raises SettingsError.

    Those of a network in whole numbers become floats again.
    """
    name = config.network.start
    if name is None:
        return None
    shipped = shipped_packages().get(name)
    path = data / name
    try:
        package = Package(path.read_bytes()) if shipped is None else shipped
        tensors = load_tensors(package.data)
        if any(value.dtype == torch.int8 for value in tensors.values()):
            tensors = floats_of(package.net).state_dict()
    except (OSError, SafetensorError, InvalidPackage) as error:
        raise SettingsError(f"network.start: {path}: neither a shipped generator nor safetensors: {error}") from error
    return {key: value.float() for key, value in tensors.items()}


def _describe(config: TrainConfig, folder: Path, device: str, kept: int, dropped: int) -> None:
    """Write `config.json`: the configuration, the environment, and the numbers of patches kept and dropped."""
    environment = {
        "histocodec": __version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "device": device,
        "threads": torch.get_num_threads(),
    }
    facts = {"config": as_tables(config), "environment": environment, "patches": {"kept": kept, "dropped": dropped}}
    (folder / "config.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def _tiles(config: TrainConfig, folder: Path) -> list[Image]:
    """Read the tiles of a folder that is measured. Raises UnreadableSource if there is none, or one too small.

    They are read before training: an error must not wait for its end.
    """
    paths = sorted(p for p in folder.glob("*") if p.suffix.lower() in TILE_SUFFIXES)
    if not paths:
        raise UnreadableSource(folder, "no tile (.jxl, .jpg, .png) to measure on")
    images = []
    for path in paths:
        image = read_image(path)
        if min(image.shape[:2]) < _SMALLEST_TILE:
            raise UnreadableSource(path, f"at least {_SMALLEST_TILE} px a side expected of a tile to measure on")
        images.append(centre(image, config.data.measure_crop) if config.data.measure_crop else image)
    return images


def _watched(
    config: TrainConfig, tiles: dict[str, list[Image]], scale: int, downsampler: Downsampler | None
) -> dict[str, list[EvaluationTile]]:
    """Return the middles of the first folder's tiles by the name of their bases, which are of the first two kinds.

    downsampler: makes the bases; None for the box average, also where a downsampler is being trained.
    """
    images = [centre(image, config.schedule.watch_crop) for image in next(iter(tiles.values()), [])]
    return {
        base_name(codec, rate): [
            evaluation_tile(image, scale, codec, rate, downsampler=downsampler) for image in images
        ]
        for codec, rate in measured_bases(scale, coded_as(config))[:2]
        if images
    }
