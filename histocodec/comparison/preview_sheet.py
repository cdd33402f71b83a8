"""Draws a preview: the field as it is, and as it decodes at each ratio, pixel for pixel."""

from __future__ import annotations

from PIL import Image as PILImage
from PIL import ImageDraw

from ..encoder.preview import Preview, Previewed, Refused
from ..format.descriptions import NOTICE
from ..geometry import Image
from .sheet import FAINT, INK, MARGIN, RED, WIDTH, Lines, blank, font, text_height, wrapped, write_lines

_GAP = 20
_TITLE, _LINE = 40, 31
"""Heights in pixels of a picture's title and of a line below that."""


def preview_sheet(preview: Preview) -> PILImage.Image:
    """Draw the original and every ratio beside it, one pixel for one, WIDTH px wide, RGB; what was measured above each.

    Fields of 512 px stand three in a row.
    """
    place = preview.place
    cells: list[tuple[str, Lines, Image | None]] = [
        ("Original", [(_megabytes(preview.source_bytes), FAINT)], preview.original)
    ]
    cells += [_cell(row) for row in preview.rows]
    column, row_height = max(place.width, 380) + _GAP, _TITLE + 2 * _LINE + place.height + _GAP
    columns = max(1, (WIDTH - 2 * MARGIN + _GAP) // column)
    foot = _foot(preview)
    rows = -(-len(cells) // columns)
    sheet = blank(2 * MARGIN + rows * row_height + text_height(foot))
    draw = ImageDraw.Draw(sheet)
    for number, (title, lines, image) in enumerate(cells):
        x, y = MARGIN + number % columns * column, MARGIN + number // columns * row_height
        draw.text((x, y), title, fill=INK, font=font(26, bold=True))
        for below, (text, colour) in enumerate(lines):
            draw.text((x, y + _TITLE + below * _LINE), text, fill=colour, font=font(20))
        corner = x, y + _TITLE + 2 * _LINE
        if image is not None:
            sheet.paste(PILImage.fromarray(image), corner)
        else:
            draw.rectangle((*corner, corner[0] + place.width - 1, corner[1] + place.height - 1), outline=FAINT)
    write_lines(draw, foot, MARGIN + rows * row_height)
    return sheet


def _cell(row: Previewed | Refused) -> tuple[str, Lines, Image | None]:
    """Return the title of a ratio, what is said of it, and its picture."""
    title = f"{row.ratio:g}x"
    if isinstance(row, Refused):
        return title, [("cannot be met", RED)], None
    about = f"{_megabytes(row.size_bytes)}, about {duration(row.seconds)}"
    if not row.is_full:
        about += f"; {row.base} needs no more"
    return title, [(about, INK), (f"{row.psnr_db:.2f} dB, SSIM {row.ssim:.3f}", INK)], row.field


def _foot(preview: Preview) -> Lines:
    place = preview.place
    sampled = "all of the slide" if preview.sampled_share == 1 else f"{preview.sampled_share:.1%} of the slide"
    return [
        *wrapped(
            f"{preview.path.name}: {place.width} x {place.height} px at {place.x}, {place.y}, pixel for pixel; dB and "
            f"SSIM are of this field. Size and time of the whole slide are estimated from {sampled}, the time for "
            "this machine as busy as it was.",
            FAINT,
        ),
        *wrapped(f"Detail beyond the base's resolution is predicted: {NOTICE}.", RED),
    ]


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.3g} MB" if count < 1e9 else f"{count / 1e6:.0f} MB"


def duration(seconds: float) -> str:
    """Return a time for people, of few digits: seconds, or minutes."""
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
