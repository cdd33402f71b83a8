"""Each measure over the ratio, development and foreign tiles side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from .contest import GROUPS, OURS, RATIOS, Table
from .measures import LOWER_IS_BETTER, TITLES
from .tables import made_with, mean_at, read_table

_OURS_STYLES = {"av1 10x": ("#d55e00", "-"), "av1 20x": ("#e69f00", "-"), "jp2k 10x": ("#d55e00", "--")}
"""Okabe and Ito's colours, which the colour-blind can tell apart; histocodec is warm, the others cold or grey."""
_PEER_STYLES = {
    "AVIF s6 /2 bicubic": ("#0072b2", "-"),
    "AVIF s6 /4 Lanczos": ("#56b4e9", "-"),
    "AVIF s6": ("#009e73", "-"),
    "JPEG XL": ("#cc79a7", "-"),
    "JPEG 2000": ("#777777", "-"),
}
_LABELS = {"AVIF s6 /2 bicubic": "AVIF of the half, bicubic", "AVIF s6 /4 Lanczos": "AVIF of the quarter, Lanczos"}
FIGURES = {"": ("psnr_db", "ssim"), "_more": ("ms_ssim", "stlpips", "ciede2000", "nuclei_f1")}
"""Figures by the suffix of their file's name."""


def draw(results: dict[str, Any], out: Path) -> list[Path]:
    """Write the figures beside `out`; return their paths."""
    table = read_table(results)
    paths = []
    for suffix, measures in FIGURES.items() if table.methods else ():
        drawn = Figure(figsize=(10.5, 3.6 * len(measures)), layout="constrained")
        for row, measure in zip(drawn.subplots(len(measures), 2, squeeze=False), measures, strict=True):
            for axes, group in zip(row, GROUPS, strict=True):
                _panel(axes, table, group, measure)
        handles: dict[str, Any] = {}
        for axes in drawn.axes:
            for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
                handles.setdefault(label, handle)
        drawn.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=4, frameon=False, fontsize=9)
        drawn.text(0.995, 0.002, made_with(results), ha="right", va="bottom", fontsize=6, color="#777777")
        path = out.with_name(f"{out.stem}{suffix}.png")
        FigureCanvasAgg(drawn)
        drawn.savefig(path, dpi=100)
        paths.append(path)
    return paths


def curves(table: Table) -> dict[str, tuple[str, str]]:
    """Choose the methods that are drawn, at most eight, with colour and line."""
    found = {}
    for beginning, style in _OURS_STYLES.items():
        for method in table.methods:
            if method.startswith(OURS + beginning):
                found[method] = style  # of several the last one: the default effort, or the candidate
                for other in [m for m in found if m != method and m.startswith(OURS + beginning)]:
                    del found[other]
    return found | {method: style for method, style in _PEER_STYLES.items() if method in table.methods}


def _label(method: str) -> str:
    """Return a method's name; histocodec's without that of the generator."""
    return " ".join(method.split()[:3]) + " base" if method.startswith(OURS) else _LABELS.get(method, method)


def _panel(axes: Any, table: Table, group: str, measure: str) -> None:
    for method, (colour, line) in curves(table).items():
        points = [(r, mean_at(table, method, GROUPS[group], measure, r)) for r in RATIOS]
        known = [(ratio, value) for ratio, value in points if value is not None]
        if known:
            ours = method.startswith(OURS)
            width, marker = (2.2, "o") if ours else (1.4, None)
            axes.plot(
                *zip(*known, strict=True), line, color=colour, lw=width, marker=marker, ms=4, label=_label(method)
            )
    axes.set_xscale("log")
    axes.set_xlim(RATIOS[0] * 0.95, RATIOS[-1] * 1.06)
    axes.xaxis.set_major_locator(FixedLocator(RATIOS))
    axes.xaxis.set_major_formatter(FixedFormatter([f"{tick:g}x" for tick in RATIOS]))
    axes.xaxis.set_minor_locator(NullLocator())
    if measure in LOWER_IS_BETTER:
        axes.invert_yaxis()
    if not axes.lines:
        axes.text(0.5, 0.5, "no masks", transform=axes.transAxes, ha="center", color="#777777")
        axes.set_yticks([])
    axes.grid(color="#dddddd", lw=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    better = "lower is better" if measure in LOWER_IS_BETTER else "higher is better"
    axes.set_title(f"{TITLES[measure]}, {group}", fontsize=11, loc="left")
    axes.set_ylabel(f"{TITLES[measure]} ({better})", fontsize=9)
    axes.set_xlabel("times smaller than JPEG quality 75", fontsize=9)
