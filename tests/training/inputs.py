"""A small training set and configuration for the training tests; nothing of it needs files from elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import torch

from histocodec.demo.synthetic import tissue
from histocodec.geometry import Image, Size
from histocodec.training.config import TrainConfig, parse_config


def write_tiles(folder: Path, images: list[Image]) -> None:
    """PNG tiles 0.png, 1.png ... in a new folder."""
    folder.mkdir(parents=True)
    for number, image in enumerate(images):
        (folder / f"{number}.png").write_bytes(imagecodecs.png_encode(image))


def write_data(root: Path) -> None:
    """`train/` with two tiles of tissue and one of glass, `dev/` with one of tissue."""
    glass = np.full((400, 400, 3), 244, np.uint8)
    write_tiles(root / "train", [tissue(Size(400, 400), seed=1), tissue(Size(440, 400), seed=2), glass])
    write_tiles(root / "dev", [tissue(Size(256, 256), seed=3)])


def vgg_weights(depth: int) -> dict[str, torch.Tensor]:
    """The tensors of VGG16 or VGG19 by torchvision's names, with few channels: the loss takes its widths from them."""
    torch.manual_seed(5)
    weights: dict[str, torch.Tensor] = {}
    before, index = 3, 0
    for width, convolutions in ((4, 2), (6, 2), (6, 3 + (depth == 19)), (8, 3 + (depth == 19)), (8, 3 + (depth == 19))):
        for _ in range(convolutions):
            weights[f"features.{index}.weight"] = torch.randn(width, before, 3, 3) / before**0.5
            weights[f"features.{index}.bias"] = torch.zeros(width)
            before, index = width, index + 2  # an activation follows each
        index += 1  # and a pooling each stage
    return weights


def tables(**changes: Any) -> dict[str, Any]:
    """A configuration that takes seconds, as TOML would give it. `schedule__steps=3` changes a key of a table."""
    found: dict[str, Any] = {
        "name": "tiny-x4",
        "licence": "CC0-1.0",
        "network": {"architecture": "plain", "hyperparameters": {"scale": 4, "channels": 8, "pairs": 1}},
        "data": {"train": {"train": 1.0}, "measure": ["dev"], "patch": 400, "entropy_bits": 3.0},
        "schedule": {
            "steps": 6,
            "batch": 2,
            "crop": 16,
            "save_every": 3,
            "log_every": 2,
            "watch_every": 4,
            "warmup_steps": 2,
        },
        "bases": [{"codec": "uncoded", "share": 0.5}, {"codec": "jp2k", "share": 0.5, "quality": [24.0, 36.0]}],
    }
    for key, value in changes.items():
        table, _, name = key.partition("__")
        if name:
            found.setdefault(table, {})[name] = value
        else:
            found[table] = value
    return found


def config(**changes: Any) -> TrainConfig:
    """`tables`, checked."""
    return parse_config(tables(**changes))


AV1 = [{"codec": "av1", "share": 1.0, "quality": [40.0, 80.0]}]
JOINT: dict[str, Any] = {
    "bases": AV1,
    "downsampler": {"name": "tiny-down", "features": 4, "learning_rate": 0.01},
    "schedule__pool": 64,
    "schedule__crop": 24,  # and a halo of 4 on both sides: two blocks
}
