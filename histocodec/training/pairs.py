"""Training pairs: patches -> augmented regions -> (base as a decoder sees it, original)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ..base import degrade
from ..codecs import QUALITY_SCALES, Image
from ..errors import SettingsError
from .augment import augment, glass, turned
from .config import AugmentConfig, BaseConfig
from .patches import Patches

Pair = tuple[NDArray[np.uint8], NDArray[np.uint8]]

_CROPS_PER_PATCH = 6


def training_pairs(
    patches: Patches,
    rng: np.random.Generator,
    *,
    scale: int,
    halo: int,
    crop: int,
    bases: Sequence[BaseConfig],
    settings: AugmentConfig,
) -> Iterator[Pair]:
    """Endless (base, original) pairs.

    base: (crop + 2 halo, crop + 2 halo, 3) uint8; original: (crop * scale, crop * scale, 3) uint8, the centre of it.
    The base is coded with its whole patch, so that its codestream is like those that are stored.
    Raises SettingsError if no patch is large enough.
    """
    side = crop + 2 * halo
    need = side * scale
    large = [min(patch.image.shape[:2]) >= need for patch in patches.kept]
    usable = np.flatnonzero(large & (patches.weights > 0))
    if not len(usable):
        raise SettingsError(f"no patch has {need} px a side, which a crop of {crop} base px and its halo need")
    weights = patches.weights[usable] / patches.weights[usable].sum()
    shares = np.array([b.share for b in bases])
    while True:
        if rng.random() < settings.glass:
            full = glass(need + scale, rng)
        else:
            image = turned(patches.kept[usable[int(rng.choice(len(usable), p=weights))]].image, rng)
            full = augment(image, settings, rng)
            if min(full.shape[:2]) < need:  # resampled too small
                full = image
        # A random origin moves the box average and the codec's grid over the patch.
        shift_y, shift_x = (int(v) for v in rng.integers(0, np.minimum(scale, np.array(full.shape[:2]) - need + 1)))
        full = full[shift_y:, shift_x:]
        base = _base(full, scale, bases[int(rng.choice(len(bases), p=shares / shares.sum()))], rng)
        for _ in range(_CROPS_PER_PATCH):
            base_y = int(rng.integers(full.shape[0] // scale - side + 1))
            base_x = int(rng.integers(full.shape[1] // scale - side + 1))
            full_y, full_x = (base_y + halo) * scale, (base_x + halo) * scale
            yield (
                base[base_y : base_y + side, base_x : base_x + side],
                full[full_y : full_y + crop * scale, full_x : full_x + crop * scale],
            )


def _base(full: Image, scale: int, choice: BaseConfig, rng: np.random.Generator) -> Image:
    codec, quality = choice.tile_codec, rng.uniform(*choice.quality)
    whole = codec is not None and QUALITY_SCALES[codec].whole
    return degrade(full, scale, codec, round(quality) if whole else quality)
