"""Training of generators, and of downsamplers with them. Needs torch.

`run_training` makes a package from a configuration; `SlideTuner` and `tune_to_slides` train one on.
"""

from __future__ import annotations

from ..errors import SettingsError

try:
    from .config import TrainConfig, load_config
    from .launch import run_training
    from .tuning.slides import SlideTuner, tune_to_slides
    from .tuning.tune import Tuned, TuneSettings
except ModuleNotFoundError as error:
    if error.name != "torch":
        raise
    reason = "training needs torch, which the extra `train` brings: pip install 'histocodec[train]'"
    raise SettingsError(reason) from error

__all__ = ["SlideTuner", "TrainConfig", "TuneSettings", "Tuned", "load_config", "run_training", "tune_to_slides"]
