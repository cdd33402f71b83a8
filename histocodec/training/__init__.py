"""Training of generators: `run_training` takes a configuration to a model package. Needs torch."""

from __future__ import annotations

from .config import TrainConfig, load_config
from .run import run_training

__all__ = ["TrainConfig", "load_config", "run_training"]
