"""Pictures of a training run: what the entropy filter did, and how the measured quality rose."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from .patches import Patch, Patches

_COLUMNS = 6


def entropy_figure(patches: Patches, threshold_bits: float, path: Path) -> None:
    """The histogram of the patches' entropies, and examples of kept and dropped ones, as a PNG."""
    figure = Figure(figsize=(11, 8.5), layout="constrained")
    parts: Any = figure.subfigures(3, 1, height_ratios=[1.1, 1, 1])
    top, middle, bottom = parts
    axes: Axes = top.subplots()
    kept = [patch.entropy_bits for patch in patches.kept]
    bins = np.linspace(0, 8, 65).tolist()
    axes.hist([kept, patches.dropped_entropy_bits], bins, stacked=True, label=["kept", "dropped"], color=["C0", "C7"])
    axes.axvline(threshold_bits, color="C3", label=f"threshold, {threshold_bits:g} bits")
    axes.set(xlabel="Shannon entropy of the grey histogram, bits", ylabel="patches", xlim=(0, 8))
    axes.legend(loc="upper left")
    axes.set_title(f"{len(kept)} patches kept, {len(patches.dropped_entropy_bits)} dropped")
    ranked = sorted(patches.kept, key=lambda patch: patch.entropy_bits)
    spread = [ranked[i] for i in np.linspace(0, len(ranked) - 1, 2 * _COLUMNS).round().astype(int)]
    _gallery(middle, "kept, from the lowest entropy to the highest", spread)
    _gallery(bottom, "dropped", list(patches.dropped_samples[: 2 * _COLUMNS]))
    _save(figure, path)


def _gallery(figure: Any, title: str, patches: list[Patch]) -> None:
    figure.suptitle(title if patches else f"{title}: none", fontsize=11)
    for number, axes in enumerate(figure.subplots(2, _COLUMNS).flat):
        axes.axis("off")
        if number < len(patches):
            step = max(1, patches[number].image.shape[0] // 256)
            axes.imshow(patches[number].image[::step, ::step])
            axes.set_title(f"{patches[number].entropy_bits:.2f}", fontsize=8, pad=2)


def training_figure(metrics: Path, path: Path, title: str) -> None:
    """The watched gains over bicubic and the losses over the steps of a run's metrics.jsonl, as a PNG."""
    rows = [json.loads(line) for line in metrics.read_text(encoding="utf-8").splitlines()]
    figure = Figure(figsize=(9, 6), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    for name in sorted({key for row in rows for key in row if key.endswith(" dB")}):
        watched = [row for row in rows if name in row]
        above.plot([row["step"] for row in watched], [row[name] for row in watched], ".-", label=name)
    above.set(ylabel="PSNR of the watched tiles, dB", title=title)
    above.grid(alpha=0.3)
    if above.lines:
        above.legend()
    for name in ("pixel", "perceptual", "adversarial", "discriminator"):
        losses = [row for row in rows if name in row]
        if losses:
            below.plot([row["step"] for row in losses], [row[name] for row in losses], label=name)
    below.set(xlabel="step", ylabel="loss, unweighted", yscale="log")
    below.grid(alpha=0.3)
    below.legend()
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    FigureCanvasAgg(figure)
    figure.savefig(path, dpi=110)
