"""The sheet on which all pictures are drawn: one width, its colours, its text."""

from __future__ import annotations

import textwrap
from pathlib import Path

import matplotlib
from PIL import Image as PILImage
from PIL import ImageDraw, ImageFont

WIDTH = 1640
"""Width of every picture in pixels: twice its width in a page, so that it is sharp on fine screens and on paper."""
MARGIN = 32
"""Pixels around what is drawn."""
MARK = (208, 0, 40)
"""RGB of the outlines of the worst blocks."""
INK, FAINT, RULE, RED = (31, 41, 51), (98, 109, 120), (214, 220, 226), (176, 0, 36)
"""RGB of text, of text beside the point, of lines, of warnings."""
_LINE_HEIGHT = 34
_WRAPPED = 112
"""Characters in a line of text under a picture; a generator's digest fits."""

Lines = list[tuple[str, tuple[int, int, int]]]
"""Lines of text under a picture, each with its colour."""


def blank(height: int) -> PILImage.Image:
    """Return a white sheet, WIDTH px wide, RGB."""
    return PILImage.new("RGB", (WIDTH, height), "white")


def wrapped(text: str, colour: tuple[int, int, int]) -> Lines:
    """Break a text into lines of one colour."""
    return [(line, colour) for line in textwrap.wrap(text, _WRAPPED)]


def text_height(lines: Lines) -> int:
    """Return the pixels that the lines take."""
    return _LINE_HEIGHT * len(lines)


def write_lines(draw: ImageDraw.ImageDraw, lines: Lines, top: int) -> None:
    """Write lines, the first at `top`."""
    for number, (line, colour) in enumerate(lines):
        draw.text((MARGIN, top + _LINE_HEIGHT * number), line, fill=colour, font=font(22))


def badge(draw: ImageDraw.ImageDraw, centre: tuple[float, float], number: int) -> None:
    """Draw a number in a disc."""
    draw.circle(centre, 20, fill=MARK, outline="white", width=3)
    draw.text(centre, str(number), fill="white", font=font(22, bold=True), anchor="mm")


def font(size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    """Return the font in which matplotlib writes, so that all pictures look alike."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts", "ttf", name), size)
