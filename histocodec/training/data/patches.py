"""The patches that training draws from: cut from tiles and slides, filtered by entropy, held in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from ...errors import MissingResolution, SettingsError, UnreadableSource, UnsupportedResolution
from ...geometry import Image, Region
from ...runtime.progress import Progress, silent
from ...source import open_source
from ..config import DataConfig
from .entropy import entropy_bits

TILE_SUFFIXES = frozenset({".jxl", ".jpg", ".jpeg", ".png"})
"""Whole pictures, read at once; everything else is opened as a slide."""

SLIDE_SUFFIXES = frozenset(
    {".svs", ".tif", ".tiff", ".ndpi", ".mrxs", ".scn", ".bif", ".vms", ".vmu", ".svslide", ".dcm"}
)

_TOLERANCE = 1.3
"""Factor by which a slide's resolution may be off."""

_DROPPED_SHOWN = 24
"""Dropped patches that are kept for the picture."""


@dataclass(frozen=True, slots=True)
class Patch:
    """One patch, and its entropy."""

    image: Image
    """(height, width, 3) uint8 RGB at full resolution."""
    entropy_bits: float
    """Shannon entropy of its grey histogram, 0 to 8."""


@dataclass(frozen=True, slots=True)
class Patches:
    """The patches that are trained on, and what the entropy filter dropped."""

    kept: tuple[Patch, ...]
    """Patches that are drawn from."""
    weights: NDArray[np.float64]
    """Probability of each kept patch in a draw."""
    dropped_entropy_bits: tuple[float, ...]
    """Entropies of the dropped patches."""
    dropped_samples: tuple[Patch, ...]
    """A few of the dropped patches, for the picture."""


def read_image(path: Path) -> Image:
    """Read a whole JPEG XL, JPEG or PNG tile as (height, width, 3) uint8 RGB. Raises UnreadableSource."""
    try:
        image = imagecodecs.imread(path)
    except Exception as error:  # imagecodecs raises one class per library
        raise UnreadableSource(path, f"not a tile that can be read: {error}") from error
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise UnreadableSource(path, f"expected 8-bit RGB, found {image.shape} {image.dtype}")
    return np.ascontiguousarray(image)


def collect_patches(data: DataConfig, root: Path, seed: int, progress: Progress = silent) -> Patches:
    """Read every tile and slide of `data.train`, cut them into patches and apply the entropy filter.

    root: the folder that the paths of `data` are relative to. A path's share is spread over its patches by area.
    Raises UnreadableSource for what cannot be read or holds nothing, MissingResolution or UnsupportedResolution for a
    slide of no stated or of another resolution, SettingsError if no patch of a path is left: it is all glass.
    """
    kept: list[Patch] = []
    weights: list[float] = []
    dropped: list[float] = []
    samples: list[Patch] = []
    for name, share in data.train.items():
        files = _files(root / name) if share else []
        own: list[Patch] = []
        for number, path in enumerate(files):
            taken = 0
            for image in _cut(path, data, np.random.default_rng([seed, number])):
                patch = Patch(image, entropy_bits(image))
                if patch.entropy_bits > data.entropy_bits:
                    own.append(patch)
                    taken += 1
                    if path.suffix.lower() not in TILE_SUFFIXES and taken == data.patches_per_slide:
                        break
                else:
                    dropped.append(patch.entropy_bits)
                    if len(samples) < _DROPPED_SHOWN:
                        samples.append(patch)
            progress(name, number + 1, len(files))
        if share and not own:
            best = max(dropped, default=0.0)
            raise SettingsError(
                f"data.train: no patch of {root / name} is left: the highest entropy that was dropped so far, "
                f"{best:.2f} bits, is not above data.entropy_bits = {data.entropy_bits:g}. Is it all glass?"
            )
        area = sum(patch.image.size for patch in own)
        kept += own
        weights += [share * patch.image.size / area for patch in own]
    total = np.array(weights)
    return Patches(tuple(kept), total / total.sum(), tuple(dropped), tuple(samples))


def _files(path: Path) -> list[Path]:
    """List the tiles and slides at a path, in order of their names. Raises UnreadableSource if there is none."""
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise UnreadableSource(path, "no such file or folder to train on")
    found = [p for p in sorted(path.iterdir()) if p.suffix.lower() in TILE_SUFFIXES | SLIDE_SUFFIXES]
    if not found:
        raise UnreadableSource(path, "no tile (.jxl, .jpg, .png) or slide in this folder")
    return found


def _cut(path: Path, data: DataConfig, rng: np.random.Generator) -> Iterator[Image]:
    """Yield the patches of a file: a tile's in order, a slide's in random order."""
    if path.suffix.lower() in TILE_SUFFIXES:
        image = read_image(path)
        for y in _starts(image.shape[0], data.patch):
            for x in _starts(image.shape[1], data.patch):
                yield image[y : y + data.patch, x : x + data.patch]
        return
    try:
        opened = open_source(path)
    except MissingResolution as error:
        reason = "states no micrometres per pixel; as PNG tiles it would be taken to have data.mpp"
        raise MissingResolution(path, reason) from error
    with opened as source:
        if not data.mpp / _TOLERANCE <= source.mpp <= data.mpp * _TOLERANCE:
            raise UnsupportedResolution(
                path, f"expected about {data.mpp:g} um/px (data.mpp), found {source.mpp:g}: the wrong scale"
            )
        width, height = source.size.width, source.size.height
        corners = [(x, y) for y in _starts(height, data.patch) for x in _starts(width, data.patch)]
        for index in rng.permutation(len(corners)):
            x, y = corners[index]
            yield source.read(Region(x, y, min(data.patch, width), min(data.patch, height)))


def _starts(side: int, patch: int) -> list[int]:
    """Return where patches begin along a side: as many as cover it, evenly spread; 0 alone if it is shorter."""
    count = max(1, -(-side // patch))
    return [round(k * (side - patch) / (count - 1)) for k in range(count)] if count > 1 else [0]
