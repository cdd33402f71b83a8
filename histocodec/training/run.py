"""A training run from its configuration to a measured model package."""

from __future__ import annotations

import dataclasses
import json
import platform
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors

from ..errors import SettingsError, UnreadableSource
from ..generator import BicubicGenerator, Generator
from ..metrics import psnr
from ..model import NetworkGenerator, build_generator, package_bytes
from ..networks import Network, build_network
from ..output import atomic_output, check_output
from ..package import Package, PackageCard, shipped_packages
from ..version import __version__
from .config import TrainConfig, as_tables
from .evaluate import MEASURED_BASES, EvaluationTile, base_name, centre, evaluation_tile, reconstruct, score
from .figures import entropy_figure, training_figure
from .patches import TILE_SUFFIXES, collect_patches, read_image
from .trainer import Row, Run, Weights

Progress = Callable[[str, int, int, Row], None]
"""Stage, what is done of it, how much there is, and the numbers of the moment."""


def run_training(
    config: TrainConfig,
    output: Path,
    *,
    data: Path,
    folder: Path,
    device: str = "cpu",
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Package:
    """Train as `config` says and write the model package `output`, atomically.

    data: the folder that the configuration's paths are relative to.
    folder: keeps what is needed to resume, the log and the figures: config.json, metrics.jsonl, checkpoint.pt,
    entropy.png, training.png. The same call resumes a run that was interrupted.

    Raises SettingsError (the configuration, the weights to start from, a checkpoint of something else, no tissue),
    UnreadableSource, UnsupportedResolution, TrainingDiverged, GeneratorError (the device), OutputError.
    """
    say = progress or (lambda stage, done, total, row: None)
    folder.mkdir(parents=True, exist_ok=True)
    check_output(output, overwrite=overwrite)
    vgg = None if config.loss.vgg is None else data / config.loss.vgg
    for name in config.data.measure:
        _tile_paths(data / name)
    run = Run(config, folder, start=_start(config, data), vgg=vgg, device=device)
    patches = collect_patches(config.data, data, config.seed, lambda name, done, total: say(name, done, total, {}))
    _describe(config, folder, device, len(patches.kept), len(patches.dropped_entropy_bits))
    entropy_figure(patches, config.data.entropy_bits, folder / "entropy.png")
    watched = _watched(config, data, run.network.scale)

    bicubic = BicubicGenerator(run.network.scale)
    bicubic_db = {f"{name} dB": _mean_psnr(bicubic, tiles) for name, tiles in watched.items()}

    def watch(network: Network) -> Row:
        generator = NetworkGenerator(_card(config, network), network, digest="", package=None, device=device)
        return {f"{name} dB": round(_mean_psnr(generator, tiles), 3) for name, tiles in watched.items()}

    def log(row: Row) -> None:
        training_figure(folder / "metrics.jsonl", folder / "training.png", config.name, bicubic_db)
        say("training", int(row["step"]), config.schedule.steps, row)

    trained = run.train(patches, watch=watch, progress=log)
    network = build_network(config.network.architecture, config.network.hyperparameters)
    network.load_state_dict(trained.state_dict())
    card = _card(config, network)
    # Measured with the half-precision weights as packaged, then stored beside them.
    generator = build_generator(Package(package_bytes(network, card)), device)
    measured = _measured(config, data, generator, lambda done, total: say("measuring", done, total, {}))
    package = Package(package_bytes(network, dataclasses.replace(card, measured=measured)))
    with atomic_output(output, overwrite=overwrite) as file:
        file.write(package.data)
    return package


def _start(config: TrainConfig, data: Path) -> Weights | None:
    """The weights that training starts from."""
    name = config.network.start
    if name is None:
        return None
    shipped = shipped_packages().get(name)
    path = data / name
    try:
        tensors = load_tensors(path.read_bytes() if shipped is None else shipped.data)
    except (OSError, SafetensorError) as error:
        raise SettingsError(f"network.start: {path}: neither a shipped generator nor safetensors: {error}") from error
    return {key: value.float() for key, value in tensors.items()}


def _describe(config: TrainConfig, folder: Path, device: str, kept: int, dropped: int) -> None:
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


def _tile_paths(folder: Path) -> list[Path]:
    """The tiles of a folder that is measured. Raises UnreadableSource if there is none."""
    paths = sorted(p for p in folder.glob("*") if p.suffix.lower() in TILE_SUFFIXES)
    if not paths:
        raise UnreadableSource(folder, "no tile (.jxl, .jpg, .png) to measure on")
    return paths


def _watched(config: TrainConfig, data: Path, scale: int) -> dict[str, list[EvaluationTile]]:
    """The middles of the first folder's tiles, with the first two kinds of base."""
    if not config.data.measure:
        return {}
    images = [centre(read_image(p), config.schedule.watch_crop) for p in _tile_paths(data / config.data.measure[0])]
    return {
        base_name(codec, rate): [evaluation_tile("", image, scale, codec, rate) for image in images]
        for codec, rate in MEASURED_BASES[scale][:2]
    }


def _mean_psnr(generator: Generator, tiles: list[EvaluationTile]) -> float:
    return float(np.mean([psnr(tile.full, reconstruct(generator, tile.base)) for tile in tiles]))


def _measured(
    config: TrainConfig, data: Path, generator: Generator, progress: Callable[[int, int], None]
) -> dict[str, object]:
    """`Score` by folder and base."""
    bases, folders = MEASURED_BASES[generator.scale], config.data.measure
    found: dict[str, dict[str, object]] = {}
    for number, name in enumerate(folders):
        images = {path.stem: read_image(path) for path in _tile_paths(data / name)}
        if config.data.measure_crop:
            images = {stem: centre(image, config.data.measure_crop) for stem, image in images.items()}
        for k, (codec, rate) in enumerate(bases):
            tiles = [evaluation_tile(stem, image, generator.scale, codec, rate) for stem, image in images.items()]
            found.setdefault(name, {})[base_name(codec, rate)] = dataclasses.asdict(score(generator, tiles))
            progress(number * len(bases) + k + 1, len(folders) * len(bases))
    return dict(found)


def _card(config: TrainConfig, network: Network) -> PackageCard:
    return PackageCard(
        name=config.name,
        architecture=config.network.architecture,
        hyperparameters=dict(config.network.hyperparameters),
        scale=network.scale,
        halo=network.halo,
        licence=config.licence,
        training=as_tables(config),
    )
