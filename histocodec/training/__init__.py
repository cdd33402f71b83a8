"""Training of generators, which needs torch.

`run_training` takes a configuration to a model package; `SlideTuner` and `tune_to_slides` take a package further.
"""

from __future__ import annotations

from .config import TrainConfig, load_config
from .launch import run_training
from .tuning.slides import SlideTuner, tune_to_slides
from .tuning.tune import Tuned, TuneSettings

__all__ = ["SlideTuner", "TrainConfig", "TuneSettings", "Tuned", "load_config", "run_training", "tune_to_slides"]
