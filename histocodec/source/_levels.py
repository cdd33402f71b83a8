"""Tells by the pixels whether one image of a TIFF is another one, reduced, where nothing in the file says so."""

from __future__ import annotations

import numpy as np
import PIL.Image
import tifffile
from numpy.typing import NDArray

from ..geometry import Region, Size
from ._segments import LONGEST_SEGMENT_PX, Segments

_WINDOWS = 4
"""Number of windows a side, spread over the images."""

_LARGE_PX = 512
"""Longest side of a window in the larger image."""

_SMALL_PX = 64
"""Longest side of a window in the smaller image."""

_LEAST_PX = 4
"""Shortest side of a window in the smaller image that tells anything."""

_FLAT = 2.0
"""Standard deviation in grey levels below which there is nothing to compare."""

_ALIKE = 0.5
"""Least correlation of a level: it has some 0.9, another section of the same glass 0.1."""


def looks_reduced(tiff: tifffile.TiffFile, large: tifffile.TiffPage, small: tifffile.TiffPage) -> bool:
    """Tell whether the pixels of `small`, of the same proportions, follow those of `large`; True where that is open."""
    try:
        return _looks_reduced(Segments(tiff, [large]), Segments(tiff, [small]))
    except Exception:  # damaged, or a compression that tifffile does not know: the proportions have to do
        return True


def _looks_reduced(large: Segments, small: Segments) -> bool:
    """Correlate some windows; as `looks_reduced`, but raises whatever reading raises."""
    steps = large.size.width / small.size.width, large.size.height / small.size.height
    side = min(_SMALL_PX, int(_LARGE_PX / max(steps)), *small.size)
    if side < _LEAST_PX or max(large.cell.area, small.cell.area) > LONGEST_SEGMENT_PX:
        return True
    pairs = []
    for row in range(_WINDOWS):
        for column in range(_WINDOWS):
            x = (small.size.width - side) * (2 * column + 1) // (2 * _WINDOWS)
            y = (small.size.height - side) * (2 * row + 1) // (2 * _WINDOWS)
            left, right = round(x * steps[0]), round((x + side) * steps[0])
            top, bottom = round(y * steps[1]), round((y + side) * steps[1])
            around = Region(left, top, right - left, bottom - top).clipped(large.size)
            assert around is not None
            pairs.append((_grey(large, around, side), _grey(small, Region(x, y, side, side), side)))
    first, second = (np.concatenate([pair[k].ravel() for pair in pairs]) for k in (0, 1))
    if first.std() < _FLAT and second.std() < _FLAT:
        return True
    if first.std() < _FLAT or second.std() < _FLAT:
        return False
    return bool(np.corrcoef(first, second)[0, 1] > _ALIKE)


def _grey(image: Segments, region: Region, side: int) -> NDArray[np.float64]:
    """Return a region averaged down to (side, side), the mean of its colours."""
    pixels = image.read(region, (255,) * image.samples)[..., :3].mean(axis=2)
    reduced = PIL.Image.fromarray(pixels.astype(np.float32)).resize(Size(side, side), PIL.Image.Resampling.BOX)
    return np.asarray(reduced, np.float64)
