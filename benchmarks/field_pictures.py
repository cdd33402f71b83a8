"""Sheets of tissue for the documentation: panels of exact pixels, whole-numbered zoom, titles and a scale bar."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image as PILImage
from PIL import ImageDraw, ImageFont

from histocodec.geometry import Image

GAP = 8
"""Pixels between panels, and around the sheet."""
TITLE_HEIGHT, NOTE_HEIGHT = 22, 20
INK, FAINT = (31, 41, 51), (98, 109, 120)


@dataclass(frozen=True)
class Panel:
    """One picture of a sheet."""

    image: Image
    """(height, width, 3) uint8 RGB; all panels of a sheet have one size."""
    title: str = ""
    note: str = ""
    """A second line, in grey."""


def sheet(rows: Sequence[Sequence[Panel]], *, zoom: int, um_per_px: float, bar_um: int) -> PILImage.Image:
    """Draw rows of panels, each pixel `zoom` pixels wide, with a scale bar of `bar_um` in the first panel of each row.

    um_per_px: micrometres per pixel of the panels' images. A row takes a line for titles, and one for notes, where one
    of its panels has them.
    """
    height, width = (n * zoom for n in rows[0][0].image.shape[:2])
    columns = max(len(row) for row in rows)
    heights = [_text_height(row) + height + GAP for row in rows]
    drawn = PILImage.new("RGB", (columns * (width + GAP) + GAP, sum(heights) + GAP), "white")
    draw = ImageDraw.Draw(drawn)
    top = GAP
    for row, row_height in zip(rows, heights, strict=True):
        for column, panel in enumerate(row):
            left, y = GAP + column * (width + GAP), top
            if panel.title:
                draw.text((left, y), panel.title, fill=INK, font=_font(15, bold=True))
            y += TITLE_HEIGHT if any(p.title for p in row) else 0
            if panel.note:
                draw.text((left, y), panel.note, fill=FAINT, font=_font(14))
            y += NOTE_HEIGHT if any(p.note for p in row) else 0
            drawn.paste(PILImage.fromarray(panel.image.repeat(zoom, 0).repeat(zoom, 1)), (left, y))
            if column == 0:
                _scale_bar(draw, left + 10, y + height - 12, round(bar_um / um_per_px * zoom), f"{bar_um} \u00b5m")
        top += row_height
    return drawn


def difference(original: Image, made: Image, gain: int) -> Image:
    """Return the error of each channel, times `gain`, around mid-grey: (height, width, 3) uint8."""
    error = made.astype(np.int32) - original
    shown: Image = np.clip(128 + gain * error, 0, 255).astype(np.uint8)
    return shown


def _text_height(row: Sequence[Panel]) -> int:
    return TITLE_HEIGHT * any(panel.title for panel in row) + NOTE_HEIGHT * any(panel.note for panel in row)


def _scale_bar(draw: ImageDraw.ImageDraw, left: int, bottom: int, length: int, text: str) -> None:
    """Draw a white bar with a black outline and its length above."""
    draw.rectangle((left, bottom - 5, left + length - 1, bottom), fill="white", outline="black")
    draw.text(
        (left, bottom - 9),
        text,
        fill="white",
        font=_font(14, bold=True),
        anchor="lb",
        stroke_width=2,
        stroke_fill="black",
    )


def _font(size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts", "ttf", name), size)
