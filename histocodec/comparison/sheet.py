"""What the pictures share: a sheet of one width, its colours, its text."""

from __future__ import annotations

import textwrap
from pathlib import Path

import matplotlib
from PIL import Image as PILImage
from PIL import ImageDraw, ImageFont

WIDTH = 1640
"""Pixels of every picture: twice what it takes in a page, so that it is sharp on fine screens and on paper."""
MARGIN = 32
MARK = (208, 0, 40)
"""RGB of the outlines of the worst tiles."""
INK, FAINT, RULE, RED = (31, 41, 51), (98, 109, 120), (214, 220, 226), (176, 0, 36)
_LINE_HEIGHT = 34
_WRAPPED = 112
"""Characters a line of text under a picture: a generator's digest fits."""

Lines = list[tuple[str, tuple[int, int, int]]]
"""Lines of text under a picture, each with its colour."""


def blank(height: int) -> PILImage.Image:
    return PILImage.new("RGB", (WIDTH, height), "white")


def wrapped(text: str, colour: tuple[int, int, int]) -> Lines:
    return [(line, colour) for line in textwrap.wrap(text, _WRAPPED)]


def text_height(lines: Lines) -> int:
    return _LINE_HEIGHT * len(lines)


def write_lines(draw: ImageDraw.ImageDraw, lines: Lines, top: int) -> None:
    for number, (line, colour) in enumerate(lines):
        draw.text((MARGIN, top + _LINE_HEIGHT * number), line, fill=colour, font=font(22))


def badge(draw: ImageDraw.ImageDraw, centre: tuple[float, float], number: int) -> None:
    draw.circle(centre, 20, fill=MARK, outline="white", width=3)
    draw.text(centre, str(number), fill="white", font=font(22, bold=True), anchor="mm")


def font(size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    """The font in which matplotlib writes, so that all pictures look alike."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts", "ttf", name), size)
