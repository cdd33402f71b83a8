"""A comparison as pictures: the worst tiles, a map, histograms."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator
from PIL import Image as PILImage
from PIL import ImageDraw

from ..codecs import Image
from ..compare import Comparison, TileScore
from ..decode import Decoder
from ..facts import ErrorSummary, Summary
from ..geometry import Region, Size, TileGrid
from ..labels import NOTICE
from ..metrics import mean_squared_error
from ..source import Source
from .heatmap import SHOWN, heat_map
from .sheet import (
    FAINT,
    INK,
    MARGIN,
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

PANEL = 512
"""Pixels a side that a tile takes in `worst_tiles_picture`."""
AMPLIFIED = 4

_GAP = (WIDTH - 2 * MARGIN - 3 * PANEL) // 2
_DPI = 200


def worst_tiles_picture(source: Source, decoder: Decoder, comparison: Comparison, count: int = SHOWN) -> PILImage.Image:
    """The worst tiles, one below the other: the original, what is decoded, and the difference around mid grey.

    Each at a whole number of pixels per pixel; of a tile of more than PANEL px, the part with the largest error.
    WIDTH px wide, RGB. Raises what `Source.read` and `Decoder.read` raise.
    """
    strips = worst_strips(source, decoder, comparison, count)
    sheet = blank(sum(strip.height for strip in strips))
    top = 0
    for strip in strips:
        sheet.paste(strip, (0, top))
        top += strip.height
    return sheet


def map_picture(decoder: Decoder, comparison: Comparison, count: int = SHOWN) -> PILImage.Image:
    """PSNR of every tile as a colour over the slide in grey, with a scale, and the `count` worst tiles outlined.

    Where nothing was compared, the slide is bare. WIDTH px wide, RGB. Raises what `Decoder.read` raises.
    """
    columns, rows = comparison.grid.shape
    psnr_db = np.full((rows, columns), np.nan)
    for tile in comparison.tiles:
        psnr_db[tile.row, tile.column] = tile.psnr_db
    text = wrapped(
        f"PSNR of {comparison.method}, {comparison.grid.tile} px a side. The colours end at the 2nd and the 98th "
        "percentile. Outlined: the worst tiles, number 1 the very worst. Without colour: not compared.",
        FAINT,
    )
    return heat_map(decoder, comparison.grid, psnr_db, text, count)


def histograms_picture(comparison: Comparison) -> PILImage.Image:
    """How the tiles are spread over PSNR, SSIM, colour error and consistency; mean, percentile and worst as lines.

    WIDTH px wide, RGB.
    """
    tiles = comparison.tiles
    figure = Figure(figsize=(WIDTH / _DPI, 5.4), dpi=_DPI, layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1))
    FigureCanvasAgg(figure)
    axes: Sequence[Axes] = figure.subplots(2, 2).flat
    _histogram(axes[0], "PSNR, dB", [t.psnr_db for t in tiles], comparison.psnr_db)
    _histogram(axes[1], "SSIM", [t.ssim for t in tiles if t.ssim is not None], comparison.ssim)
    _histogram(axes[2], "colour error, ΔE*ab", [t.colour_error for t in tiles], comparison.colour_error)
    _histogram(axes[3], "consistency, dB", [t.consistency_db for t in tiles], comparison.consistency_db)
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=_DPI)
    return PILImage.open(drawn).convert("RGB")


def worst_strips(source: Source, decoder: Decoder, comparison: Comparison, count: int) -> list[PILImage.Image]:
    """A strip with the titles, one for each tile, and one with what is to be said of them."""
    titles = blank(MARGIN + 52)
    for title, x in zip(("original", "decoded", f"difference × {AMPLIFIED}"), _panel_places(), strict=True):
        ImageDraw.Draw(titles).text((x, MARGIN), title, fill=INK, font=font(28, bold=True))
    zoom = max(1, PANEL // comparison.grid.tile)
    strips = [titles]
    for number, tile in enumerate(comparison.ranked()[:count], 1):
        part = _shown_part(source, decoder, comparison.region(tile))
        strips.append(_tile_strip(_panels(source, decoder, part), zoom, number, tile, part))
    footer = _tiles_footer(comparison, zoom)
    strips.append(blank(text_height(footer) + MARGIN))
    write_lines(ImageDraw.Draw(strips[-1]), footer, 0)
    return strips


def _tile_strip(panels: Sequence[Image], zoom: int, number: int, tile: TileScore, part: Region) -> PILImage.Image:
    caption, below = 84, 36
    strip = blank(caption + part.height * zoom + below)
    draw = ImageDraw.Draw(strip)
    draw.line((MARGIN, 0, WIDTH - MARGIN, 0), fill=RULE, width=3)
    badge(draw, (MARGIN + 22, caption // 2), number)
    place = f"x {part.x}, y {part.y}" + ("" if tile.tissue else " (glass)")
    draw.text((MARGIN + 58, caption // 2), place, fill=INK, font=font(24, bold=True), anchor="lm")
    draw.text((WIDTH - MARGIN, caption // 2), _scores(tile), fill=INK, font=font(24), anchor="rm")
    for image, x in zip(panels, _panel_places(), strict=True):
        strip.paste(PILImage.fromarray(image.repeat(zoom, 0).repeat(zoom, 1)), (x, caption))
    return strip


def _shown_part(source: Source, decoder: Decoder, region: Region) -> Region:
    """A region of at most PANEL px a side: all of it, or the part in which the error is largest."""
    pieces = TileGrid(Size(region.width, region.height), PANEL)
    parts = []
    for column, row in (pieces.address(index) for index in range(pieces.count)):
        piece = pieces.covered(column, row)
        parts.append(Region(region.x + piece.x, region.y + piece.y, piece.width, piece.height))
    if len(parts) == 1:
        return region
    return max(parts, key=lambda part: mean_squared_error(source.read(part), decoder.read(part)))


def _panels(source: Source, decoder: Decoder, part: Region) -> tuple[Image, Image, Image]:
    original, decoded = source.read(part), decoder.read(part)
    difference = decoded.astype(np.int16) - original
    return original, decoded, np.clip(128 + AMPLIFIED * difference, 0, 255).astype(np.uint8)


def _panel_places() -> Iterator[int]:
    """The left edge of each panel."""
    return (MARGIN + number * (PANEL + _GAP) for number in range(3))


def _scores(tile: TileScore) -> str:
    ssim = "" if tile.ssim is None else f"SSIM {tile.ssim:.3f}   "
    return (
        f"PSNR {tile.psnr_db:.2f} dB   {ssim}colour error {tile.colour_error:.2f} ΔE   "
        f"consistency {tile.consistency_db:.1f} dB"
    )


def _tiles_footer(comparison: Comparison, zoom: int) -> Lines:
    return [
        *wrapped(
            f"x and y in full-resolution pixels{f', each shown as {zoom} × {zoom}' if zoom > 1 else ''}. Difference: "
            f"decoded minus original, × {AMPLIFIED}, on mid grey.",
            FAINT,
        ),
        *wrapped(f"Decoded: {comparison.label}.", RED),
        *wrapped(f"{NOTICE.capitalize()}.", RED),
    ]


def _histogram(axes: Axes, name: str, values: Sequence[float], summary: Summary | ErrorSummary | None) -> None:
    axes.set_xlabel(name, fontsize=8)
    axes.set_ylabel("tiles", fontsize=8)
    axes.tick_params(labelsize=8, color="#98a2ad", labelcolor="#626d78")
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#98a2ad")
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    if summary is None:
        axes.text(0.5, 0.5, "not measured", transform=axes.transAxes, ha="center", fontsize=8)
        return
    bins = min(40, max(8, round(len(values) ** 0.5)))
    axes.hist(values, bins, color="#9fb6c9", edgecolor="white", linewidth=0.4)
    percentile = "5th" if isinstance(summary, Summary) else "95th"
    names, styles = (
        ("mean", f"{percentile} percentile", "worst"),
        (("#1f2933", "-"), ("#1f2933", "--"), ("#b00024", ":")),
    )
    for what, value, (colour, dashes) in zip(names, three_numbers(summary), styles, strict=True):
        axes.axvline(value, color=colour, linestyle=dashes, linewidth=1.2, label=f"{what} {value:.4g}")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, frameon=False, fontsize=7, columnspacing=1.1)


def three_numbers(summary: Summary | ErrorSummary) -> tuple[float, float, float]:
    percentile = summary.percentile_5 if isinstance(summary, Summary) else summary.percentile_95
    return summary.mean, percentile, summary.worst
