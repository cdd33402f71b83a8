"""Launch a training run: from its configuration to a measured package."""

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
from ..generators.bicubic import BicubicGenerator
from ..generators.catalogue import load_downsampler, shipped_packages
from ..generators.networks import Network, ResidualDownsampler
from ..generators.package import Package, PackageCard
from ..generators.predict import reconstruct
from ..generators.torch_runner import NetworkGenerator, build_downsampler, build_generator, package_bytes
from ..geometry import Image
from ..pixels.metrics import psnr
from ..pixels.resampler import Downsampler, Generator
from ..pixels.tile_codecs import TileCodec
from ..runtime.files import atomic_output, check_output
from ..runtime.progress import StageProgress, silent, stage
from ..version import __version__
from .config import TrainConfig, as_tables
from .data.patches import TILE_SUFFIXES, collect_patches, read_image
from .evaluate import MEASURED_RATES, EvaluationTile, base_name, centre, evaluation_tile, score
from .figures import entropy_figure, training_figure
from .metrics_log import Row
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
    progress: TrainingProgress = silent,
) -> Package:
    """Train as `config` says and write the package `output`, atomically.

    A downsampler that is trained as well is written beside it, under its own name.

    data: the folder that the configuration's paths are relative to.
    workers: processes that fill the pool of crops, if the configuration has one.
    folder: keeps what is needed to resume, the log and the figures: config.json, metrics.jsonl, checkpoint.pt,
    entropy.png, training.png. The same call resumes a run that was interrupted.

    Raises SettingsError (the configuration, the weights to start from, a checkpoint of something else, no tissue),
    UnreadableSource, UnsupportedResolution, TrainingDiverged, GeneratorError (the device), OutputError.
    """

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
    bicubic_db = {f"{name} dB": _mean_psnr(bicubic, tiles) for name, tiles in watched.items()}

    def watch(network: Network) -> Row:
        shipping.load_state_dict(network.state_dict())
        generator = NetworkGenerator(_card(config, shipping), shipping, digest="", package=None, device=device)
        return {f"{name} dB": round(_mean_psnr(generator, tiles), 3) for name, tiles in watched.items()}

    def log(row: Row) -> None:
        training_figure(run.log.rows(), folder / "training.png", config.name, bicubic_db)
        progress("training", int(row["step"]), config.schedule.steps, row)

    shipping.load_state_dict(run.train(patches, watch=watch, progress=log).state_dict())
    second = None if run.downsampling is None else downsampler_package(config, run.downsampling.averaged)
    downsampler = fixed if second is None else build_downsampler(second, device)
    package = measured_package(
        config, shipping, measured_tiles, downsampler, device, stage(without_numbers, "measuring")
    )
    if second is not None and beside is not None:
        with atomic_output(beside, overwrite=overwrite) as file:
            file.write(second.data)
    with atomic_output(output, overwrite=overwrite) as file:
        file.write(package.data)
    return package


def measured_package(
    config: TrainConfig,
    network: Network,
    tiles: dict[str, list[Image]],
    downsampler: Downsampler | None = None,
    device: str = "cpu",
    progress: StageProgress = silent,
) -> Package:
    """Measure a trained network on tiles, by folder, and return the package that states the measures.

    It is measured with the half-precision weights as packaged. downsampler: makes its bases; None for the box average.
    """
    card = _card(config, network)
    generator = build_generator(Package(package_bytes(network, card)), device)
    measured = _measured(tiles, generator, _coded_as(config), downsampler, progress)
    return Package(package_bytes(network, dataclasses.replace(card, measured=measured)))


def downsampler_package(config: TrainConfig, network: ResidualDownsampler) -> Package:
    """Return the package of the downsampler that a configuration trains."""
    assert config.downsampler is not None
    card = PackageCard(
        name=config.downsampler.name,
        architecture="residual-downsampler",
        hyperparameters={"scale": network.scale, "features": config.downsampler.features},
        scale=network.scale,
        halo=network.halo,
        licence=config.licence,
        training=as_tables(config),
    )
    return Package(package_bytes(network, card))


def _start(config: TrainConfig, data: Path) -> Weights | None:
    """Read the weights that training starts from; None for random ones. Raises SettingsError."""
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
        for codec, rate in _measured_bases(scale, _coded_as(config))[:2]
        if images
    }


def _mean_psnr(generator: Generator, tiles: list[EvaluationTile]) -> float:
    """Return the mean PSNR over tiles, in dB."""
    return float(np.mean([psnr(tile.full, reconstruct(generator, tile.base)) for tile in tiles]))


def _coded_as(config: TrainConfig) -> TileCodec:
    """Return the codec that a generator is measured with: the one it was trained for, `jp2k` if there were several."""
    codecs = [codec for codec in {base.tile_codec for base in config.bases if base.share} if codec is not None]
    return codecs[0] if len(codecs) == 1 else "jp2k"


def _measured_bases(scale: int, codec: TileCodec) -> list[tuple[TileCodec | None, float]]:
    """Return the bases that a generator is measured on: codec and bits per full pixel of each."""
    return [(None, 0.0), *((codec, rate) for rate in MEASURED_RATES[scale])]


def _measured(
    tiles: dict[str, list[Image]],
    generator: Generator,
    codec: TileCodec,
    downsampler: Downsampler | None,
    progress: StageProgress,
) -> dict[str, object]:
    """Return a `Score` by folder and base, as JSON values."""
    bases = _measured_bases(generator.scale, codec)
    found: dict[str, dict[str, object]] = {}
    for number, (name, images) in enumerate(tiles.items()):
        for k, (kind, rate) in enumerate(bases):
            coded = [evaluation_tile(image, generator.scale, kind, rate, downsampler=downsampler) for image in images]
            found.setdefault(name, {})[base_name(kind, rate)] = dataclasses.asdict(score(generator, coded))
            progress(number * len(bases) + k + 1, len(tiles) * len(bases))
    return dict(found)


def _downsampler_name(config: TrainConfig, scale: int) -> str | None:
    """Return the name of the downsampler that makes the bases; None for the box average."""
    if config.data.downsampler is not None:
        return load_downsampler(config.data.downsampler, scale).name
    return None if config.downsampler is None else config.downsampler.name


def _card(config: TrainConfig, network: Network) -> PackageCard:
    """Return the card of a network, without measures."""
    return PackageCard(
        name=config.name,
        architecture=config.network.architecture,
        hyperparameters=dict(config.network.hyperparameters),
        scale=network.scale,
        halo=network.halo,
        licence=config.licence,
        training=as_tables(config),
        downsampler=_downsampler_name(config, network.scale),
    )
