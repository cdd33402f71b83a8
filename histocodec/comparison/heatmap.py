"""Draws PSNR over a slide as colours: of a comparison, or of a file's own quality map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from PIL import Image as PILImage
from PIL import ImageDraw

from ..decoder import Decoder
from ..errors import SettingsError
from ..format.descriptions import NOTICE, Rendition, floors_label
from ..geometry import Grid, Image, Region, Size
from .sheet import (
    FAINT,
    INK,
    MARGIN,
    MARK,
    RED,
    RULE,
    WIDTH,
    Lines,
    badge,
    blank,
    font,
    text_height,
    wrapped,
    write_lines,
)

SHOWN = 6
"""Number of blocks that are outlined."""
_MAP_BOX = Size(1390, 1300)
"""Largest size of the slide in the picture, in pixels."""
_BAR_GAP = 36
"""Pixels between the slide and the colour bar."""
_BAR = 28
"""Width of the colour bar in pixels."""
_BAR_TEXT = 122
"""Pixels on the right of the colour bar, for its numbers."""
_THUMBNAIL = 800
"""Least pixels on the longer side of the level that the ground of the map is made of."""
_PALE = 0.6
"""Share of the slide's darkness that the ground has."""
_HEAT_SHARE = 0.6
"""Share of the colour in what is drawn; the rest is the ground."""
_HEAT_PERCENTILES = (2, 98)
"""Percentiles of PSNR at which the colours end."""
_LEAST_RANGE_DB = 0.1
"""Least range of the colours; a smaller one is widened."""


def heat_map(
    decoder: Decoder, grid: Grid, psnr_db: NDArray[np.float64], text: Lines, outlined: Sequence[tuple[int, int]]
) -> PILImage.Image:
    """Draw the PSNR of every block as a colour over the slide in grey, with a scale; outline and number some blocks.

    grid: over the full resolution. psnr_db: (rows, columns) of it, NaN where nothing is known: there the slide is bare.
    The scale is that of the tissue, since glass has 20 dB more; beyond its ends the colours stay the same. text: below
    the picture. outlined: (column, row) of blocks, number 1 first. WIDTH px wide, RGB. Raises SettingsError if nothing
    is known anywhere, and what `Decoder.read` raises.
    """
    known = ~np.isnan(psnr_db)
    if not known.any():
        raise SettingsError(f"{decoder.path}: nothing was measured that could be drawn")
    of_tissue = known & (decoder.container.tissue_map > 0)
    scale, ground = _HeatScale.over(psnr_db[of_tissue if of_tissue.any() else known]), _Ground.of(grid.size)
    bar_height = max(ground.shape.height, 300)
    sheet = blank(2 * MARGIN + bar_height + 24 + text_height(text))
    sheet.paste(PILImage.fromarray(_heated(decoder, grid, psnr_db, ground, scale)), (ground.left, MARGIN))
    draw = ImageDraw.Draw(sheet)
    right, bottom = ground.left + ground.shape.width, MARGIN + ground.shape.height
    draw.rectangle((ground.left - 1, MARGIN - 1, right, bottom), outline=RULE)
    for number, (column, row) in reversed([*enumerate(outlined, 1)]):
        _outline(draw, ground.place(grid.covered(column, row)), number)
    _colour_bar(sheet, right + _BAR_GAP, bar_height, scale)
    write_lines(draw, text, sheet.height - MARGIN - text_height(text))
    return sheet


def quality_picture(decoder: Decoder) -> PILImage.Image:
    """Draw a file's quality map as `heat_map` does: it holds for the prediction, without the enhancement layer.

    Raises SettingsError if the file has no quality map.
    """
    container, manifest = decoder.container, decoder.manifest
    quality_map, facts = container.quality_map, manifest.quality
    if quality_map is None or facts is None:
        raise SettingsError(f"{decoder.path} has no quality map: nothing was measured when it was made")
    psnr_db = quality_map.psnr_db
    grid = Grid(decoder.levels[0], decoder.block_size)
    outlined = _worst(psnr_db)[:SHOWN]
    worst = [
        f"{number}: {psnr_db[row, column]:.2f} dB at {column * grid.side}, {row * grid.side}"
        for number, (column, row) in enumerate(outlined, 1)
    ]
    within = facts.psnr_half_width_db
    known = "" if not within else f", of all tissue within {within:.2f} dB with 95 % confidence"
    text = [
        *wrapped(
            f"PSNR of {'all ' if facts.complete else ''}{facts.blocks} blocks of tissue, {facts.block_size} px a side, "
            f"measured when the file was made: mean {facts.psnr_db.mean:.2f} dB{known}; 5th percentile "
            f"{facts.psnr_db.percentile_5:.2f}, {'worst' if facts.complete else 'lowest of these'} "
            f"{facts.psnr_db.worst:.2f} dB. The colours end at the 2nd and the 98th percentile. Bare: not measured.",
            FAINT,
        ),
        *wrapped(f"The lowest, by their corner in full-resolution pixels: {'; '.join(worst)}.", FAINT),
        *wrapped(f"Level 0 is {Rendition(manifest).label}. {NOTICE.capitalize()}.", RED),
    ]
    layer = manifest.layers.enhancement
    if layer is not None:
        corrected = f"Drawn without the enhancement layer, which corrects {layer.tiles} blocks; with it "
        promised = "".join(f"; {floor}" for floor in floors_label(layer))
        text += wrapped(f"{corrected}{Rendition(manifest).quality_label}{promised}.", RED)
    return heat_map(decoder, grid, psnr_db, text, outlined)


def _worst(psnr_db: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Return (column, row) of every measured block, the lowest first; of equal ones the upper left."""
    places = np.argwhere(~np.isnan(psnr_db))
    order = np.argsort(psnr_db[places[:, 0], places[:, 1]], kind="stable")
    return [(int(column), int(row)) for row, column in places[order]]


@dataclass(frozen=True, slots=True)
class _Ground:
    """The slide's place in the map: centred, together with the colour bar."""

    left: int
    """Pixels of the map on its left."""
    shape: Size
    """Pixels of the map that it takes."""
    factor: float
    """Pixels of the map per full pixel."""

    @classmethod
    def of(cls, size: Size) -> _Ground:
        """Place a slide of so many full pixels."""
        factor = min(_MAP_BOX.width / size.width, _MAP_BOX.height / size.height)
        shape = Size(max(1, round(size.width * factor)), max(1, round(size.height * factor)))
        return cls((WIDTH - shape.width - _BAR_GAP - _BAR - _BAR_TEXT) // 2, shape, factor)

    def place(self, region: Region) -> tuple[int, int, int, int]:
        """Return left, top, right and bottom of a region of the slide in the picture, half open."""
        x, y, right, bottom = (round(v * self.factor) for v in (region.x, region.y, region.right, region.bottom))
        return self.left + x, MARGIN + y, self.left + right, MARGIN + bottom


@dataclass(frozen=True, slots=True)
class _HeatScale:
    """The colours of PSNR, from `low` to `high` dB."""

    low: float
    high: float

    @classmethod
    def over(cls, psnr_db: NDArray[np.float64]) -> _HeatScale:
        """Spread the colours over so many values in dB."""
        low, high = (float(np.percentile(psnr_db, percentile)) for percentile in _HEAT_PERCENTILES)
        return cls(low, high) if high - low >= _LEAST_RANGE_DB else cls(low - 0.5, high + 0.5)

    def colours(self, psnr_db: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the colours of PSNRs: (n,) dB -> (n, 3) RGB, 0..255."""
        shares = np.clip((psnr_db - self.low) / (self.high - self.low), 0, 1)
        colours: NDArray[np.float64] = matplotlib.colormaps["YlGnBu_r"](shares)[:, :3] * 255
        return colours


def _heated(decoder: Decoder, grid: Grid, psnr_db: NDArray[np.float64], ground: _Ground, scale: _HeatScale) -> Image:
    """Return the slide in grey, with the colour of each block over it: (height, width, 3) uint8 RGB."""
    across, down = (
        ((np.arange(side) + 0.5) * full_side / side // grid.side).astype(int)
        for side, full_side in zip(ground.shape, grid.size, strict=True)
    )
    heat = psnr_db[down[:, None], across]
    compared = ~np.isnan(heat)
    pixels = _pale_slide(decoder, ground.shape).astype(np.float64)
    pixels[compared] += _HEAT_SHARE * (scale.colours(heat[compared]) - pixels[compared])
    return pixels.round().astype(np.uint8)


def _pale_slide(decoder: Decoder, shape: Size) -> Image:
    """Return the slide in pale grey, (height, width, 3) uint8, from the coarsest stored level that is large enough."""
    stored = range(1, len(decoder.levels))
    level = next((n for n in reversed(stored) if max(decoder.levels[n]) >= _THUMBNAIL), stored[0])
    image = PILImage.fromarray(decoder.read(Region(0, 0, *decoder.levels[level]), level))
    grey = np.asarray(image.convert("L").resize(shape, PILImage.Resampling.LANCZOS))
    pale = (255 - _PALE * (255.0 - grey)).round().astype(np.uint8)
    return np.repeat(pale[..., None], 3, axis=2)


def _colour_bar(sheet: PILImage.Image, left: int, height: int, scale: _HeatScale) -> None:
    """Draw the colour bar with its numbers."""
    colours = scale.colours(np.linspace(scale.high, scale.low, height))
    bar = (255 + _HEAT_SHARE * (colours - 255)).round().astype(np.uint8)
    sheet.paste(PILImage.fromarray(bar[:, None].repeat(_BAR, 1)), (left, MARGIN))
    draw = ImageDraw.Draw(sheet)
    for value in MaxNLocator(6).tick_values(scale.low, scale.high):
        if scale.low <= value <= scale.high:
            y = MARGIN + (scale.high - value) / (scale.high - scale.low) * (height - 1)
            draw.line((left + _BAR, y, left + _BAR + 8, y), fill=FAINT, width=2)
            draw.text((left + _BAR + 16, y), f"{value:.4g} dB", fill=INK, font=font(22), anchor="lm")


def _outline(draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int], number: int) -> None:
    """Outline a block. The line runs around it, not over it: in a large slide a block has few pixels."""
    left, top, right, bottom = box
    draw.rectangle((left - 6, top - 6, right + 5, bottom + 5), outline="white", width=2)
    draw.rectangle((left - 4, top - 4, right + 3, bottom + 3), outline=MARK, width=4)
    badge(draw, (left - 8, top - 8), number)
