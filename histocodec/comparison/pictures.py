"""A comparison as pictures: the worst tiles, a map, histograms."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator
from PIL import Image as PILImage

from ..decoder import Decoder
from ..format.entries import ErrorSummary, Summary
from ..geometry import Image, Region
from ..pixels.floors import worst_square
from ..source import Source
from .compare import ComparedBlock, Comparison, Group
from .heatmap import SHOWN, heat_map
from .sheet import FAINT, WIDTH, wrapped

AMPLIFIED = 4

_DPI = 200


@dataclass(frozen=True, eq=False)
class WorstSquare:
    """The worst square of a tile, pixel for pixel."""

    tile: ComparedBlock
    region: Region
    """Of the slide, in full pixels: what the three images, (height, width, 3) uint8 RGB each, show."""
    original: Image
    decoded: Image

    @property
    def difference(self) -> Image:
        """Decoded minus original, times AMPLIFIED, around mid grey."""
        difference = self.decoded.astype(np.int16) - self.original
        shown: Image = np.clip(128 + AMPLIFIED * difference, 0, 255).astype(np.uint8)
        return shown


def worst_squares(
    source: Source, decoder: Decoder, comparison: Comparison, count: int = SHOWN
) -> Iterator[WorstSquare]:
    """The worst square of each of the worst tiles, worst first. Raises what `Source.read` and `Decoder.read` raise."""
    for tile in comparison.ranked()[:count]:
        whole = comparison.region(tile)
        original, decoded = source.read(whole), decoder.read(whole)
        _, place = worst_square(original, decoded)  # also where a floor is on whole blocks: these would be shrunk
        cut = np.s_[place.y : place.bottom, place.x : place.right]
        region = Region(whole.x + place.x, whole.y + place.y, place.width, place.height)
        yield WorstSquare(tile, region, original[cut], decoded[cut])


def map_picture(decoder: Decoder, comparison: Comparison, count: int = SHOWN) -> PILImage.Image:
    """PSNR of every tile as a colour over the slide in grey, with a scale, and the `count` worst tiles outlined.

    The colours are spread over the tissue. Where nothing was compared, the slide is bare. WIDTH px wide, RGB. Raises
    what `Decoder.read` raises.
    """
    columns, rows = comparison.grid.shape
    psnr_db = np.full((rows, columns), np.nan)
    for tile in comparison.tiles:
        psnr_db[tile.row, tile.column] = tile.psnr_db
    text = wrapped(
        f"PSNR of {comparison.method}, {comparison.grid.tile} px a side. The colours end at the 2nd and the 98th "
        f"percentile of {'tissue' if comparison.first.name == 'tissue' else 'these'}. Outlined: the tiles with the "
        f"lowest squares of {comparison.square} px, number 1 the very lowest. Without colour: not compared.",
        FAINT,
    )
    outlined = [(tile.column, tile.row) for tile in comparison.ranked()[:count]]
    return heat_map(decoder, comparison.grid, psnr_db, text, outlined)


def histograms_picture(comparison: Comparison) -> PILImage.Image:
    """How the tiles that are stated first are spread over PSNR, SSIM, colour error and consistency.

    Mean, percentile and worst are lines.

    WIDTH px wide, RGB.
    """
    group = comparison.first
    tiles = group.tiles
    figure = Figure(figsize=(WIDTH / _DPI, 5.4), dpi=_DPI, layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1))
    FigureCanvasAgg(figure)
    axes: Sequence[Axes] = figure.subplots(2, 2).flat
    measures = [
        ("PSNR, dB", [tile.psnr_db for tile in tiles], group.psnr_db),
        ("SSIM", [tile.ssim for tile in tiles if tile.ssim is not None], group.ssim),
        ("colour error, ΔE*ab", [tile.colour_error for tile in tiles], group.colour_error),
        ("consistency, dB", [tile.consistency_db for tile in tiles], group.consistency_db),
    ]
    for panel, (name, values, summary) in zip(axes, measures, strict=True):
        _histogram(panel, name, values, summary, extreme_name(group, summary))
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=_DPI)
    return PILImage.open(drawn).convert("RGB")


def extreme_name(group: Group, summary: Summary | ErrorSummary | None) -> str:
    """Of the third number of a summary: the worst only where everything was looked at."""
    if group.complete:
        return "worst"
    return f"{'highest' if isinstance(summary, ErrorSummary) else 'lowest'} of {len(group.tiles)}"


def _histogram(
    axes: Axes, name: str, values: Sequence[float], summary: Summary | ErrorSummary | None, extreme: str
) -> None:
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
        ("mean", f"{percentile} percentile", extreme),
        (("#1f2933", "-"), ("#1f2933", "--"), ("#b00024", ":")),
    )
    for what, value, (colour, dashes) in zip(names, three_numbers(summary), styles, strict=True):
        axes.axvline(value, color=colour, linestyle=dashes, linewidth=1.2, label=f"{what} {value:.4g}")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, frameon=False, fontsize=7, columnspacing=1.1)


def three_numbers(summary: Summary | ErrorSummary) -> tuple[float, float, float]:
    percentile = summary.percentile_5 if isinstance(summary, Summary) else summary.percentile_95
    return summary.mean, percentile, summary.worst
