"""Training pairs: tiles -> augmented crops -> (base as a decoder sees it, original)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from ..base import degrade
from ..codecs import Image, TileCodec
from ..errors import UnreadableSource

Pair = tuple[NDArray[np.uint8], NDArray[np.uint8]]


@dataclass(frozen=True, slots=True)
class CodedBases:
    """How often each base codec is used, and in which range of qualities (uniform)."""

    codec: TileCodec | None
    share: float
    low: float = 0.0
    high: float = 0.0


DEFAULT_BASES = (
    CodedBases(None, 0.25),
    CodedBases("jp2k", 0.45, 24.0, 36.0),
    CodedBases("avif", 0.15, 35, 80),
    CodedBases("jpeg", 0.15, 30, 90),
)


def read_image(path: Path) -> Image:
    """A whole JPEG XL, JPEG or PNG tile as (height, width, 3) uint8 RGB. Raises UnreadableSource."""
    try:
        image = imagecodecs.imread(path)
    except Exception as error:  # imagecodecs raises one class per library
        raise UnreadableSource(path, f"not a tile that can be read: {error}") from error
    if image.ndim != 3 or image.shape[2] < 3 or image.dtype != np.uint8:
        raise UnreadableSource(path, f"expected 8-bit RGB, found {image.shape} {image.dtype}")
    return np.ascontiguousarray(image[..., :3])


@dataclass(frozen=True, slots=True)
class Tiles:
    """Whole training tiles, each with its weight in the draw."""

    images: tuple[Image, ...]
    weights: NDArray[np.float64]

    @classmethod
    def from_folders(cls, folders: dict[Path, float]) -> Tiles:
        """Every tile below each folder; a folder's tiles are drawn in proportion to its weight and their area.

        Raises UnreadableSource if a folder has no tile.
        """
        images: list[Image] = []
        weights: list[float] = []
        for folder, weight in folders.items():
            found = [read_image(p) for p in sorted(folder.iterdir()) if p.suffix in {".jxl", ".jpg", ".png"}]
            if not found:
                raise UnreadableSource(folder, "no training tile (.jxl, .jpg, .png) in this folder")
            area = sum(image.size for image in found)
            images += found
            weights += [weight * image.size / area for image in found]
        share = np.array(weights)
        return cls(tuple(images), share / share.sum())


def augment(image: Image, rng: np.random.Generator) -> Image:
    """One of the eight symmetries of the square, and a light shift of each channel's gain and gamma."""
    image = np.rot90(image, k=int(rng.integers(4)))
    if rng.random() < 0.5:
        image = image[:, ::-1]
    if rng.random() < 0.5:
        levels = np.linspace(0.0, 1.0, 256)
        gain = rng.uniform(0.92, 1.08) * rng.uniform(0.96, 1.04, 3)
        gamma = rng.uniform(0.85, 1.18) * rng.uniform(0.95, 1.05, 3)
        table = np.clip(255.0 * gain * levels[:, None] ** gamma + 0.5, 0, 255).astype(np.uint8)
        image = np.stack([table[image[..., c], c] for c in range(3)], axis=-1)
    return np.ascontiguousarray(image)


def training_pairs(
    tiles: Tiles,
    rng: np.random.Generator,
    *,
    scale: int,
    halo: int,
    crop: int,
    region: int = 1000,
    crops_per_region: int = 6,
    bases: tuple[CodedBases, ...] = DEFAULT_BASES,
) -> Iterator[Pair]:
    """Endless (base, original) pairs.

    base: (crop + 2 halo, crop + 2 halo, 3) uint8; original: (crop * scale, crop * scale, 3) uint8, the centre of it.
    The base is coded as one tile of up to `region` full px, so that its codestream is like those that are stored.
    """
    need = (crop + 2 * halo) * scale
    usable = [i for i, image in enumerate(tiles.images) if min(image.shape[:2]) >= need]
    weights = tiles.weights[usable] / tiles.weights[usable].sum()
    shares = np.array([b.share for b in bases])
    while True:
        image = tiles.images[usable[int(rng.choice(len(usable), p=weights))]]
        side_y, side_x = (min(region, side) for side in image.shape[:2])
        # A random origin moves the box average and the codec's grid over the tile.
        top = int(rng.integers(image.shape[0] - side_y + 1))
        left = int(rng.integers(image.shape[1] - side_x + 1))
        full = augment(image[top : top + side_y, left : left + side_x], rng)
        shift_y, shift_x = (int(v) for v in rng.integers(0, min(scale, 1 + (min(full.shape[:2]) - need) % scale), 2))
        full = full[shift_y:, shift_x:]
        choice = bases[int(rng.choice(len(bases), p=shares / shares.sum()))]
        quality = rng.uniform(choice.low, choice.high)
        base = degrade(full, scale, choice.codec, quality if choice.codec == "jp2k" else round(quality))
        for _ in range(crops_per_region):
            base_y = int(rng.integers(full.shape[0] // scale - crop - 2 * halo + 1))
            base_x = int(rng.integers(full.shape[1] // scale - crop - 2 * halo + 1))
            full_y, full_x = (base_y + halo) * scale, (base_x + halo) * scale
            side = crop + 2 * halo
            yield (
                base[base_y : base_y + side, base_x : base_x + side],
                full[full_y : full_y + crop * scale, full_x : full_x + crop * scale],
            )
