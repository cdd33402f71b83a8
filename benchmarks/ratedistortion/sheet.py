"""The contact sheet: what the numbers look like, at equal bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from histocodec.geometry import Image
from histocodec.pixels.metrics import psnr
from histocodec.training.evaluate import centre

from .contest import GROUPS, OURS, Table, best
from .methods import Method, all_methods
from .tables import read_table
from .tiles import Encodes, Plan, Subject

RATIO = 16.0
CROP = 96
"""Full pixels a side of the crop that is shown, each as 4 x 4."""
TILES = {
    "dev/monuseg": ("TCGA-2Z-A9J9-01A-01-TS1", "TCGA-EJ-A46H-01A-03-TSC"),
    "foreign/tnbc": ("01_1",),
    "foreign/brecahad": ("10011",),
}


def draw(results: dict[str, Any], plan: Plan, path: Path) -> None:
    """Draw a row for each tile of `TILES`; the best settings are those of the tile's group at `RATIO`."""
    table = read_table(results)
    methods = {method.name: method for method in all_methods(plan.candidates)}
    paths = {(source, p.stem): p for source, p in plan.images()}
    subjects = [
        Subject.read(source, paths[source, name], plan.side)
        for source, names in TILES.items()
        for name in names
        if (source, name) in paths
    ]
    drawn = Figure(figsize=(5 * 2.6, 2.95 * len(subjects)), layout="constrained")
    for row, subject in zip(drawn.subplots(len(subjects), 5, squeeze=False), subjects, strict=True):
        shown = [("original", subject.full)]
        shown += [made(subject, methods[name]) for name in columns(table, subject.source)]
        place = _busiest(subject.full)
        for axes, (title, image) in zip(row, shown, strict=False):
            axes.imshow(np.kron(image[place], np.ones((4, 4, 1), np.uint8)), interpolation="nearest")
            axes.set_title(title, fontsize=8)
        for axes in row:
            axes.axis("off")
    FigureCanvasAgg(drawn)
    drawn.savefig(path, dpi=100, pil_kwargs={"optimize": True})


def columns(table: Table, source: str) -> list[str]:
    """Choose histocodec's best setting and the best by hand at `RATIO`, by mean PSNR of the group; add two codecs."""
    sources = next(sources for sources in GROUPS.values() if source in sources)
    images = table.images(sources)
    ours = [m for m in table.methods if m.startswith(OURS)]
    by_hand = [m for m in table.methods if " /" in m]
    found = [best(table, names, sources, "psnr_db", RATIO, images)[0] for names in (ours, by_hand)]
    return [name for name in (*found, "AVIF s6", "JPEG 2000") if name is not None]


def made(subject: Subject, method: Method) -> tuple[str, Image]:
    """Return a caption, and the image coded to `RATIO`; at its lowest quality if it cannot be coded so small."""
    encodes = Encodes(method.coder, subject.full)
    height, width = subject.full.shape[:2]
    steps = encodes.steps([subject.scanner_bytes / RATIO])
    coded, _ = encodes.coded(steps[0] if steps else 0)
    image = method.restore(method.coder.decode(coded))[:height, :width]
    ratio = subject.scanner_bytes / coded.total_bytes
    note = "" if steps else ", its smallest"
    return f"{method.name}\n{psnr(subject.full, image):.2f} dB at {ratio:.1f}x{note}", image


def _busiest(image: Image) -> tuple[slice, slice]:
    """Return the crop of an image's middle whose luma varies most: glass and fat say nothing."""
    middle = centre(image, 512).astype(np.float32).mean(-1)
    top, left = (max(0, (side - 512) // 2) for side in image.shape[:2])
    spots = [(y, x) for y in range(0, middle.shape[0] - CROP, 48) for x in range(0, middle.shape[1] - CROP, 48)]
    y, x = max(spots, key=lambda spot: float(middle[spot[0] : spot[0] + CROP, spot[1] : spot[1] + CROP].std()))
    return slice(top + y, top + y + CROP), slice(left + x, left + x + CROP)
