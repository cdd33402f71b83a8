"""From trained networks to packages: made whole numbers, and measured as such."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from ..generators.catalogue import load_downsampler, load_generator
from ..generators.network_resampler import build_downsampler
from ..generators.package import Package, PackageCard, package_of
from ..generators.predict import reconstruct
from ..generators.rrdb import rrdb_package
from ..geometry import Image
from ..pixels.metrics import psnr
from ..pixels.resampler import Downsampler, Generator
from ..pixels.tile_codecs import TileCodec
from ..runtime.progress import StageProgress, silent
from .calibration import calibration_pairs
from .config import BaseConfig, TrainConfig, as_tables
from .data.downsampling import downsampled_by
from .data.pairs import CropShape
from .data.patches import Patches
from .evaluate import MEASURED_RATES, EvaluationTile, base_name, evaluation_tile, score
from .networks import FloatGenerator, Network, PlainNet, ResidualDownsampler
from .quantise import quantise


class Packages(NamedTuple):
    """What a run ends in."""

    generator: Package
    downsampler: Package | None
    """The downsampler that was trained as well."""


def packages_of(
    config: TrainConfig,
    network: Network,
    shrinking: ResidualDownsampler | None,
    patches: Patches,
    tiles: Mapping[str, Sequence[Image]],
    device: str = "cpu",
    progress: StageProgress = silent,
) -> Packages:
    """Make the packages of a configuration's networks, and measure the generator on tiles, by folder.

    A generator that is no `RRDBNet` becomes one in whole numbers, and so does the downsampler, if there is one. What
    that loses, in dB, is stated for every base that is measured. patches: those that were trained on; they calibrate.
    """
    second = None
    downsampler = None if config.data.downsampler is None else load_downsampler(config.data.downsampler, network.scale)
    if shrinking is not None:
        second = downsampler_package(config, shrinking, patches)
        downsampler = build_downsampler(second, device)
    card = card_of(config, network)
    if isinstance(network, PlainNet):
        shape = CropShape(network.scale, config.schedule.crop, network.halo)
        pairs = calibration_pairs(config, patches, shape, downsampled_by(downsampler))
        net = quantise(network, np.stack([pair.base for pair in pairs]), seed=config.seed)
        generator = load_generator(package_of(net, card), device=device)
    else:
        generator = load_generator(rrdb_package(network, card), device=device)
    in_floats = FloatGenerator(card.name, network, device) if isinstance(network, PlainNet) else None
    measured = _measured(config, tiles, generator, in_floats, downsampler, progress)
    card = dataclasses.replace(card, measured=measured)
    package = package_of(net, card) if isinstance(network, PlainNet) else rrdb_package(network, card)
    return Packages(package, second)


def downsampler_package(config: TrainConfig, network: ResidualDownsampler, patches: Patches) -> Package:
    """Make the package of the downsampler that a configuration trains, in whole numbers; `patches` calibrate."""
    assert config.downsampler is not None
    card = PackageCard(
        name=config.downsampler.name,
        architecture="residual-downsampler",
        hyperparameters={"scale": network.scale, "features": config.downsampler.features},
        scale=network.scale,
        halo=network.halo,
        licence=config.licence,
        generation=config.generation,
        training=as_tables(config),
    )
    shape = CropShape(network.scale, config.schedule.crop, network.halo, around=network.halo)
    originals = msgspec.structs.replace(config, bases=[BaseConfig(codec="uncoded", share=1.0)])
    pairs = calibration_pairs(originals, patches, shape, downsampled_by(None))
    return package_of(quantise(network, np.stack([pair.full for pair in pairs]), seed=config.seed), card)


def card_of(config: TrainConfig, network: Network) -> PackageCard:
    """Return the card of a configuration's generator, without measures."""
    return PackageCard(
        name=config.name,
        architecture=config.network.architecture,
        hyperparameters=dict(config.network.hyperparameters),
        scale=network.scale,
        halo=network.halo,
        licence=config.licence,
        generation=config.generation,
        training=as_tables(config),
        downsampler=_downsampler_name(config, network.scale),
    )


def coded_as(config: TrainConfig) -> TileCodec:
    """Return the codec that a generator is measured with: the one it was trained for, `jp2k` if there were several."""
    codecs = [codec for codec in {base.tile_codec for base in config.bases if base.share} if codec is not None]
    return codecs[0] if len(codecs) == 1 else "jp2k"


def measured_bases(scale: int, codec: TileCodec) -> list[tuple[TileCodec | None, float]]:
    """Return the bases that a generator is measured on: codec and bits per full pixel of each."""
    return [(None, 0.0), *((codec, rate) for rate in MEASURED_RATES[scale])]


def mean_psnr(generator: Generator, tiles: Sequence[EvaluationTile]) -> float:
    """Return the mean PSNR over tiles, in dB."""
    return float(np.mean([psnr(tile.full, reconstruct(generator, tile.base)) for tile in tiles]))


def _measured(
    config: TrainConfig,
    tiles: Mapping[str, Sequence[Image]],
    generator: Generator,
    in_floats: Generator | None,
    downsampler: Downsampler | None,
    progress: StageProgress,
) -> dict[str, object]:
    """Return a `Score` by folder and base, as JSON values, with the dB that `in_floats` is better by (`lost_db`)."""
    bases = measured_bases(generator.scale, coded_as(config))
    found: dict[str, dict[str, object]] = {}
    for number, (name, images) in enumerate(tiles.items()):
        for k, (kind, rate) in enumerate(bases):
            coded = [evaluation_tile(image, generator.scale, kind, rate, downsampler=downsampler) for image in images]
            row: dict[str, object] = dataclasses.asdict(whole := score(generator, coded))
            if in_floats is not None:
                row["lost_db"] = round(mean_psnr(in_floats, coded) - whole.psnr_db, 4)
            found.setdefault(name, {})[base_name(kind, rate)] = row
            progress(number * len(bases) + k + 1, len(tiles) * len(bases))
    return dict(found)


def _downsampler_name(config: TrainConfig, scale: int) -> str | None:
    """Return the name of the downsampler that makes the bases; None for the box average."""
    if config.data.downsampler is not None:
        return load_downsampler(config.data.downsampler, scale).name
    return None if config.downsampler is None else config.downsampler.name
