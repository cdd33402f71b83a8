"""Train the shipped `plain-x4` generator: `python -m histocodec.training --data DATA --run RUN --package FILE`.

DATA ($HISTOCODEC_DATA) holds `train/` and `dev/monuseg`. RUN keeps checkpoints and the log: the same command
resumes.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
import time
from pathlib import Path

import torch

from ..model import NetworkGenerator, build_generator, save_package
from ..networks import Plain
from ..package import PackageCard
from .evaluate import EvaluationTile, evaluation_tile, score
from .patches import Tiles, read_image
from .trainer import TrainSettings, train

FOLDERS = {"monuseg": 0.45, "monusac": 0.2, "bcss": 0.15, "gbm40": 0.1, "nuinsseg_half": 0.05, "glomeruli": 0.05}
"""Share of the draws of each folder of train/."""


def dev_sets(data: Path, scale: int) -> dict[str, list[EvaluationTile]]:
    """The fourteen tiles with the base uncoded, and as jp2k at 0.10 bits per full pixel."""
    images = {p.stem: read_image(p) for p in sorted((data / "dev" / "monuseg").glob("*.jxl"))}
    return {
        "uncoded": [evaluation_tile(name, image, scale) for name, image in images.items()],
        "jp2k_0.10bpp": [evaluation_tile(name, image, scale, "jp2k", 0.10) for name, image in images.items()],
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m histocodec.training", description=__doc__)
    given = os.environ.get("HISTOCODEC_DATA")
    parser.add_argument("--data", type=Path, default=given, required=given is None)
    parser.add_argument("--run", type=Path, default=Path("runs/plain-x4"))
    parser.add_argument("--package", type=Path, default=Path("runs/plain-x4/plain-x4.safetensors"))
    for item in dataclasses.fields(TrainSettings):
        parser.add_argument(f"--{item.name.replace('_', '-')}", type=type(item.default), default=item.default)
    arguments = vars(parser.parse_args())
    settings = TrainSettings(**{f.name: arguments[f.name] for f in dataclasses.fields(TrainSettings)})
    data: Path = arguments["data"]

    sets = dev_sets(data, settings.scale)

    def evaluate(network: torch.nn.Module) -> dict[str, float]:
        assert isinstance(network, Plain)
        card = _card(settings, network.halo)
        generator = NetworkGenerator(card, network, digest="", package=None, device="cpu")
        row: dict[str, float] = {}
        for name, tiles in sets.items():
            result = score(generator, tiles)
            row[f"{name}_gain_db"] = round(result.psnr_db - result.bicubic_psnr_db, 3)
        return row

    started = time.monotonic()

    def progress(row: dict[str, float]) -> None:
        print(f"{time.monotonic() - started:7.0f} s", row, file=sys.stderr, flush=True)

    tiles = Tiles.from_folders({data / "train" / name: weight for name, weight in FOLDERS.items()})
    network = train(settings, tiles, arguments["run"], evaluate=evaluate, progress=progress)
    assert isinstance(network, Plain)
    package: Path = arguments["package"]
    card = _card(settings, network.halo)
    # Measured with the half-precision weights as packaged, then stored beside them.
    generator = build_generator(save_package(package, network, card))
    measured = {name: dataclasses.asdict(score(generator, tiles)) for name, tiles in sets.items()}
    saved = save_package(package, network, dataclasses.replace(card, measured={"dev/monuseg": measured}))
    print(saved.digest, package)


def _card(settings: TrainSettings, halo: int) -> PackageCard:
    return PackageCard(
        name="plain-x4",
        architecture="plain",
        hyperparameters={"scale": settings.scale, "channels": settings.channels, "pairs": settings.pairs},
        scale=settings.scale,
        halo=halo,
        licence="CC BY-NC-SA 4.0",
        training={"data": FOLDERS, **dataclasses.asdict(settings)},
    )


if __name__ == "__main__":
    main()
