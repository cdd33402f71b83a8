"""Draws a comparison: the worst squares, a map, histograms."""

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
"""Factor on the differences that are shown."""

_DPI = 200


@dataclass(frozen=True, eq=False)
class WorstSquare:
    """The worst square of a block, pixel for pixel."""

    block: ComparedBlock
    region: Region
    """The square's place in the slide, in full pixels."""
    original: Image
    """(height, width, 3) uint8 RGB of the slide."""
    decoded: Image
    """(height, width, 3) uint8 RGB of the file."""

    @property
    def difference(self) -> Image:
        """Decoded minus original, times AMPLIFIED, around mid grey."""
        difference = self.decoded.astype(np.int16) - self.original
        shown: Image = np.clip(128 + AMPLIFIED * difference, 0, 255).astype(np.uint8)
        return shown


def worst_squares(
    source: Source, decoder: Decoder, comparison: Comparison, count: int = SHOWN
) -> Iterator[WorstSquare]:
    """Yield the worst square of each of the worst blocks, worst first. Raises as `Source.read` and `Decoder.read`."""
    for block in comparison.ranked()[:count]:
        whole = comparison.region(block)
        original, decoded = source.read(whole), decoder.read(whole)
        _, place = worst_square(original, decoded)  # also where a floor is on whole blocks: these would be shrunk
        cut = np.s_[place.y : place.bottom, place.x : place.right]
        region = Region(whole.x + place.x, whole.y + place.y, place.width, place.height)
        yield WorstSquare(block, region, original[cut], decoded[cut])


def map_picture(decoder: Decoder, comparison: Comparison, count: int = SHOWN) -> PILImage.Image:
    """Draw the PSNR of every block as a colour over the slide in grey, with a scale; outline the `count` worst blocks.

    The colours are spread over the tissue. Where nothing was compared, the slide is bare. WIDTH px wide, RGB. Raises
    what `Decoder.read` raises.
    """
    columns, rows = comparison.grid.shape
    psnr_db = np.full((rows, columns), np.nan)
    for block in comparison.blocks:
        psnr_db[block.row, block.column] = block.psnr_db
    text = wrapped(
        f"PSNR of {comparison.method}, {comparison.grid.side} px a side. The colours end at the 2nd and the 98th "
        f"percentile of {'tissue' if comparison.first.name == 'tissue' else 'these'}. Outlined: the blocks with the "
        f"lowest squares of {comparison.square} px, number 1 the very lowest. Without colour: not compared.",
        FAINT,
    )
    outlined = [(block.column, block.row) for block in comparison.ranked()[:count]]
    return heat_map(decoder, comparison.grid, psnr_db, text, outlined)


def histograms_picture(comparison: Comparison) -> PILImage.Image:
    """Draw histograms of PSNR, SSIM, colour error and consistency over the first group, WIDTH px wide, RGB.

    Lines mark mean, percentile and worst.
    """
    group = comparison.first
    blocks = group.blocks
    figure = Figure(figsize=(WIDTH / _DPI, 5.4), dpi=_DPI, layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1))
    FigureCanvasAgg(figure)
    axes: Sequence[Axes] = figure.subplots(2, 2).flat
    measures = [
        ("PSNR, dB", [block.psnr_db for block in blocks], group.psnr_db),
        ("SSIM", [block.ssim for block in blocks if block.ssim is not None], group.ssim),
        ("colour error, ΔE*ab", [block.colour_error for block in blocks], group.colour_error),
        ("consistency, dB", [block.consistency_db for block in blocks], group.consistency_db),
    ]
    for panel, (name, values, summary) in zip(axes, measures, strict=True):
        _histogram(panel, name, values, summary, extreme_name(group, summary))
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=_DPI)
    return PILImage.open(drawn).convert("RGB")


def extreme_name(group: Group, summary: Summary | ErrorSummary | None) -> str:
    """Return the name of the third number of a summary: "worst" only where every block was compared."""
    if group.complete:
        return "worst"
    return f"{'highest' if isinstance(summary, ErrorSummary) else 'lowest'} of {len(group.blocks)}"


def _histogram(
    axes: Axes, name: str, values: Sequence[float], summary: Summary | ErrorSummary | None, extreme: str
) -> None:
    """Draw one panel; `extreme` names the worst value."""
    axes.set_xlabel(name, fontsize=8)
    axes.set_ylabel("blocks", fontsize=8)
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
    """Return mean, 5th percentile (of errors the 95th) and worst value."""
    percentile = summary.percentile_5 if isinstance(summary, Summary) else summary.percentile_95
    return summary.mean, percentile, summary.worst
