"""Pictures of a training run: the entropy filter's work, and the measured quality over the steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from .data.patches import Patch, Patches
from .metrics_log import Row

_COLUMNS = 6
"""Patches in a row of examples."""
_LOSSES = ("pixel", "perceptual", "adversarial", "discriminator", "apart", "coarse")
"""Losses that are drawn, where a run has them."""


def entropy_figure(patches: Patches, threshold_bits: float, path: Path) -> None:
    """Draw the histogram of the patches' entropies, with examples of kept and dropped ones, as a PNG."""
    galleries = 1 + bool(patches.dropped_samples)
    figure = Figure(figsize=(11, 3 + 2.9 * galleries), layout="constrained")
    parts: Any = figure.subfigures(1 + galleries, 1)
    axes: Axes = parts[0].subplots()
    kept = [patch.entropy_bits for patch in patches.kept]
    bins = np.linspace(0, 8, 65).tolist()
    axes.hist([kept, patches.dropped_entropy_bits], bins, stacked=True, label=["kept", "dropped"], color=["C0", "C7"])
    axes.axvline(threshold_bits, color="C3", label=f"threshold, {threshold_bits:g} bits")
    axes.set(xlabel="Shannon entropy of the grey histogram, bits", ylabel="patches", xlim=(0, 8))
    axes.legend(loc="upper left")
    axes.set_title(f"{len(kept)} patches kept, {len(patches.dropped_entropy_bits)} dropped")
    ranked = sorted(patches.kept, key=lambda patch: patch.entropy_bits)
    spread = [ranked[i] for i in np.linspace(0, len(ranked) - 1, 2 * _COLUMNS).round().astype(int)]
    _gallery(parts[1], "kept, from the lowest entropy to the highest", spread)
    if patches.dropped_samples:
        _gallery(parts[2], "dropped", list(patches.dropped_samples[: 2 * _COLUMNS]))
    _save(figure, path)


def _gallery(figure: Any, title: str, patches: list[Patch]) -> None:
    figure.suptitle(title, fontsize=11)
    for number, axes in enumerate(figure.subplots(2, _COLUMNS).flat):
        axes.axis("off")
        if number < len(patches):
            step = max(1, patches[number].image.shape[0] // 128)
            axes.imshow(patches[number].image[::step, ::step])
            axes.set_title(f"{patches[number].entropy_bits:.2f}", fontsize=8, pad=2)


def training_figure(rows: Sequence[Row], path: Path, title: str, bicubic_db: Mapping[str, float]) -> None:
    """Draw the PSNR of the watched tiles and the losses over the steps of a run's log, as a PNG.

    bicubic_db: PSNR of bicubic on the watched tiles, by the names that the rows use.
    """
    figure = Figure(figsize=(9, 2.4 * (1 + len(bicubic_db)) + 0.6), layout="constrained")
    panels = figure.subplots(1 + len(bicubic_db), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (name, interpolated) in zip(panels, bicubic_db.items(), strict=False):
        watched = [row for row in rows if name in row]
        axes.plot([row["step"] for row in watched], [row[name] for row in watched], ".-", label="watched tiles")
        axes.axhline(interpolated, color="C7", linestyle="--", label="bicubic")
        axes.set(ylabel=f"PSNR,\n{name}")
        axes.legend(loc="lower right")
    for name in _LOSSES:
        losses = [row for row in rows if name in row]
        if losses:
            panels[-1].plot([row["step"] for row in losses], [row[name] for row in losses], label=name)
    panels[0].set(title=title)
    panels[-1].set(xlabel="step", ylabel="loss, unweighted", yscale="log")
    panels[-1].legend(loc="lower left")
    for axes in panels:
        axes.grid(alpha=0.3)
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    FigureCanvasAgg(figure)
    figure.savefig(path, dpi=110)
