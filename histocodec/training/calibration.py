"""Calibration: inputs as a run makes them, with which its networks become such in whole numbers."""

from __future__ import annotations

from itertools import islice

import numpy as np

from .config import TrainConfig
from .data.downsampling import Downsample
from .data.pairs import CropShape, TrainingPair, training_pairs
from .data.patches import Patches

PAIRS = 64
"""Crops, each of another patch or another augmentation of it."""


def calibration_pairs(
    config: TrainConfig, patches: Patches, shape: CropShape, downsampled: Downsample
) -> list[TrainingPair]:
    """Draw pairs of the training patches, degraded as the configuration degrades them; its seed draws them.

    shape: of the pairs. downsampled: makes the uncoded bases. Raises SettingsError if no patch is large enough.
    """
    pairs = training_pairs(
        patches,
        np.random.default_rng([config.seed, 11]),
        shape=shape,
        bases=config.bases,
        settings=config.augment,
        downsampled=downsampled,
        crops_per_patch=1,
    )
    return list(islice(pairs, PAIRS))
