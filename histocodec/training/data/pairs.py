"""Training pairs: crops of augmented patches, as (decoded base, original).

A patch is shrunk and coded by the same parts as in `pixels.degrade.degrade`, with one difference: `degrade` cuts a base
into an encoder's tiles, of 256 (`jp2k`, `jpeg`) or 512 base pixels (`av1`), while a patch is one codestream, whatever
its size (`code_patch`): by default 256 base pixels at x4 and 512 at x2, more or fewer where the patch was resampled. A
base that is no larger than a tile gives the same bytes either way.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...errors import SettingsError
from ...geometry import Image
from ...pixels.av1 import SPEED
from ...pixels.colour import UNCHANGED, ColourTransform
from ...pixels.downsample import downsample
from ...pixels.tile_codecs import QUALITY_SCALES, TileCodec
from ...pixels.tile_coder import TileCoder
from ..config import AugmentConfig, BaseConfig
from .augment import augment, glass, turned
from .downsampling import Downsample
from .patches import Patches


class TrainingPair(NamedTuple):
    """A crop that a step learns from, and how its base was coded."""

    base: NDArray[np.uint8]
    """(crop + 2 halo, crop + 2 halo, 3): the decoded base."""
    full: NDArray[np.uint8]
    """((crop + 2 around) scale, (crop + 2 around) scale, 3): the original of the crop, and of `around` base pixels on
    every side of it."""
    quality: float
    """Codec quality of the base, on the codec's own scale; 0 for an uncoded one."""
    colour: ColourTransform
    """Colours that the base was coded in."""


class CropShape(NamedTuple):
    """Sizes of a crop and its context, in base pixels but for `scale`."""

    scale: int
    """Full pixels per base pixel, each axis."""
    crop: int
    """Side of the crop."""
    halo: int
    """Context of the base on every side."""
    around: int = 0
    """Context of the original on every side, for a downsampler that is trained as well."""


def training_pairs(
    patches: Patches,
    rng: np.random.Generator,
    *,
    shape: CropShape,
    bases: Sequence[BaseConfig],
    settings: AugmentConfig,
    downsampled: Downsample = downsample,
    crops_per_patch: int = 6,
) -> Iterator[TrainingPair]:
    """Yield pairs without end, `crops_per_patch` of each patch that is drawn.

    The base is coded with its whole patch, so that a crop has the codec's traces of all that lies around it.
    Raises SettingsError if no patch is large enough.
    """
    scale, crop, halo, around = shape
    margin = max(halo, around)
    side = crop + 2 * margin
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
        uncoded = downsampled(full, scale)
        choice = bases[int(rng.choice(len(bases), p=shares / shares.sum()))]
        quality = _drawn_quality(choice, rng)
        base, colour = code_patch(uncoded, choice.tile_codec, quality, choice.speed)
        for _ in range(crops_per_patch):
            y = margin + int(rng.integers(full.shape[0] // scale - side + 1))
            x = margin + int(rng.integers(full.shape[1] // scale - side + 1))
            seen, shown = (
                image[(y - edge) * k : (y + crop + edge) * k, (x - edge) * k : (x + crop + edge) * k]
                for image, edge, k in ((base, halo, 1), (full, around, scale))
            )
            yield TrainingPair(seen, shown, quality, colour)


def code_patch(
    base: Image, codec: TileCodec | None, quality: float, speed: int = SPEED
) -> tuple[Image, ColourTransform]:
    """Code a base as one codestream, decode it, and return it with the colours that it was coded in.

    base: (height, width, 3) uint8 RGB, uncoded; returned as it is where `codec` is None. quality: on the codec's scale.
    speed: libaom's, for `av1`.
    """
    if codec is None:
        return base, UNCHANGED
    coder = TileCoder.fitted(codec, base, speed=speed)
    decoded = coder.decode(coder.encode(base, quality), height=base.shape[0], width=base.shape[1])
    return decoded, coder.colour or UNCHANGED


def _drawn_quality(choice: BaseConfig, rng: np.random.Generator) -> float:
    """Draw a codec quality from a configured range; 0 for an uncoded base."""
    quality: float = rng.uniform(*choice.quality)
    if choice.tile_codec is None:
        return 0.0
    return float(round(quality)) if QUALITY_SCALES[choice.tile_codec].whole else quality
