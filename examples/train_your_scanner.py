"""Train a generator on your own slides: `train_your_scanner.py slides/ ours-x4.safetensors --steps 500`.

It starts from a generator that ships, and sees bases coded in many qualities. An interrupted run goes on when it is
called again. Then: `histocodec encode case.svs --generator ours-x4.safetensors`.
"""

from __future__ import annotations

import argparse
import tomllib
from pathlib import Path

from histocodec.training import run_training
from histocodec.training.config import parse_config

CONFIG = """
name = "ours-x4"
licence = "internal"
network = { architecture = "plain", hyperparameters = { scale = 4, channels = 56, pairs = 3 }, start = "jp2k-x4" }
data = { train = { "." = 1.0 }, patch = 512, entropy_bits = 5.0 }
schedule = { steps = 500, batch = 8, crop = 64, learning_rate = 0.003, save_every = 50 }
bases = [
    { codec = "uncoded", share = 0.2 },
    { codec = "jp2k", share = 0.8, quality = [24.0, 36.0] },
]
"""
"""Every setting, with its unit and default, is in `histocodec/training/config.py`."""


def main(arguments: list[str] | None = None) -> None:
    """Train, and say what came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("slides", type=Path, help="a folder of slides, or of tiles of at least 512 px")
    parser.add_argument("output", type=Path, help="the package to write")
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--device", default="cpu", help="cpu, cuda or mps")
    asked = parser.parse_args(arguments)
    tables = tomllib.loads(CONFIG)
    tables["schedule"]["steps"] = asked.steps
    package = run_training(
        parse_config(tables),
        asked.output,
        data=asked.slides,
        folder=asked.output.with_suffix(".run"),  # checkpoints, log and figures
        device=asked.device,
        progress=lambda stage, done, total, row: print(f"{stage} {done}/{total} {row or ''}"),
    )
    print(f"{asked.output}: {package.digest}")


if __name__ == "__main__":
    main()
