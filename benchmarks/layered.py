"""Base, generator and enhancement layer together against direct codecs: `python -m benchmarks.layered`.

For each tile and setting a grid of base qualities and floors is coded, everything counted; the upper hull of the points
is what an encoder reaches that splits its bytes well, as `encode --min-psnr` does. Writes
`benchmarks/results/layered.json`, and from it `layered.md` and `layered.png`; `--tables` derives those again.
"""

from __future__ import annotations

import os

# One thread a worker: the libraries read these when they are loaded.
os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))

import argparse
import itertools
import json
import multiprocessing
import platform
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchmarks.mosaic import default_data
from benchmarks.ratedistortion import codecs
from benchmarks.ratedistortion.codecs import TILE_INDEX_BYTES, Codec
from benchmarks.ratedistortion.history import history
from benchmarks.ratedistortion.methods import CHECKSUM_BYTES, CODECS, encoder_versions
from histocodec import Size, load_generator
from histocodec.generators.catalogue import SCALES, default_package, downsampler_for
from histocodec.generators.predict import reconstruct
from histocodec.geometry import Grid, Image
from histocodec.pixels.colour import fit_colours
from histocodec.pixels.downsample import shrink
from histocodec.pixels.metrics import mean_squared_error, psnr, psnr_of_mse
from histocodec.pixels.residual import EnhancementCoder, enhance_to, residual
from histocodec.pixels.tile_codecs import TileCodec
from histocodec.pixels.tile_coder import TileCoder, code_image, decode_image
from histocodec.runtime.files import atomic_output
from histocodec.training.data.patches import TILE_SUFFIXES, read_image
from histocodec.training.evaluate import centre
from histocodec.version import __version__

RESULTS = Path(__file__).parent / "results" / "layered.json"
SIDE = 512
"""Full pixels a side of the middle of a tile that is coded: one block of a 10x base, four of a 20x base."""
SOURCES = {"dev/monuseg": 3, "dev/tcga_mitosis": 3, "foreign/tnbc": 7, "foreign/brecahad": 3}
"""Step through the tiles of each source: 3 for every third one."""
GROUPS = {"dev/monuseg": ("dev/monuseg",), "foreign": ("foreign/tnbc", "foreign/brecahad")}
RATES = (0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)
"""Bits per full pixel."""
BLOCK = 128
LAYER_BYTES = 8 + 8 + 4 + 1 + 4
"""Bytes of a tile of the layer beside its codestream: place, length, checksum, mode, prediction checksum."""
FLOORS = (26.0, 28.0, 30.0, 32.0, 34.0, 36.0, 38.0, 40.0)
HIGH_FLOOR = 35.0
"""Floor from which the layer's colours are tried untransformed as well: transformed ones have 8 bits, too."""


@dataclass(frozen=True)
class Setting:
    """One way to make a bounded file."""

    base: TileCodec
    generator: str
    layer: TileCodec
    qualities: tuple[float, ...]

    @property
    def name(self) -> str:
        return f"{self.base} base, {self.generator}, {self.layer} layer"


_DEFAULTS: dict[tuple[TileCodec, int], str] = {
    (codec, scale): default_package(scale, codec).card.name for codec in CODECS for scale in SCALES
}
SETTINGS = (
    Setting("av1", _DEFAULTS["av1", 2], "av1", (15, 40, 65)),
    Setting("av1", _DEFAULTS["av1", 4], "av1", (35, 60)),
    Setting("av1", _DEFAULTS["av1", 2], "jp2k", (15, 30, 45, 60)),
    Setting("jp2k", _DEFAULTS["jp2k", 2], "jp2k", (22, 25, 28, 31)),
    Setting("jp2k", _DEFAULTS["jp2k", 4], "jp2k", (20, 24, 28)),
)
"""With the generators that a slide gets unless told otherwise."""
PEERS: dict[str, tuple[Codec, tuple[float, ...]]] = {
    "AVIF": (codecs.avif(6), tuple(range(15, 96, 8))),
    "JPEG XL": (codecs.jpeg_xl(), (-14.0, -10.0, -7.0, -5.0, -3.5, -2.5, -1.7, -1.2, -0.8)),
    "JPEG": (codecs.jpeg("420"), tuple(range(8, 93, 7))),
    "JPEG 2000": (codecs.jpeg_2000(), tuple(np.arange(22.0, 43.0, 1.5).tolist())),
}

Point = tuple[float, float]
"""Bits per full pixel and PSNR in dB."""
Row = dict[str, Any]
"""Source, image, history and curves of a tile."""


def peer_curve(image: Image, name: str) -> list[Point]:
    codec, qualities = PEERS[name]
    points = []
    for quality in qualities:
        data = codec.encode(image, quality)
        points.append((8 * codec.counted(data) / image[..., 0].size, psnr(image, codec.decode(data, *image.shape[:2]))))
    return sorted(points)


def layered_points(image: Image, setting: Setting) -> Iterator[Point]:
    """Yield the points of each base quality: without the layer, and with it at every floor above that."""
    generator = load_generator(setting.generator)
    scale, pixels = generator.scale, image[..., 0].size
    base = shrink(image, downsampler_for(generator, scale))
    coder = TileCoder.fitted(setting.base, base)
    for quality in setting.qualities:
        tiles = code_image(base, coder, quality)
        base_bytes = sum(map(len, tiles)) + len(tiles) * (TILE_INDEX_BYTES + CHECKSUM_BYTES)
        decoded = decode_image(tiles, coder, height=base.shape[0], width=base.shape[1])
        prediction = reconstruct(generator, decoded, BLOCK)
        without_db = psnr(image, prediction)
        yield 8 * base_bytes / pixels, without_db
        for floor_db in (floor for floor in FLOORS if floor > without_db):
            layer_bytes, psnr_db = _layer(image, prediction, floor_db, setting.layer, BLOCK * scale)
            yield 8 * (base_bytes + layer_bytes) / pixels, psnr_db


def _layer(image: Image, prediction: Image, floor_db: float, codec: TileCodec, side: int) -> tuple[int, float]:
    """Return the bytes of the layer, and the PSNR that it leads to."""
    plain = EnhancementCoder(codec)
    coders = [plain]
    if codec == "av1":
        of_residual, of_native = (fit_colours(part.reshape(-1, 3)) for part in (residual(image, prediction), image))
        coders = [EnhancementCoder(codec, of_residual, of_native), *([plain] if floor_db > HIGH_FLOOR else [])]
    found = []
    for coder in coders:
        total, squares = 0, 0.0
        grid = Grid(Size(image.shape[1], image.shape[0]), side)
        for index in range(grid.count):
            part = grid.covered(*grid.address(index))
            cut = np.s_[part.y : part.bottom, part.x : part.right]
            if psnr(image[cut], prediction[cut]) >= floor_db:
                squares += mean_squared_error(image[cut], prediction[cut])
                continue
            tile = enhance_to(image[cut], prediction[cut], floor_db, coder)
            total += len(tile.data) + LAYER_BYTES
            squares += 255.0**2 / 10 ** (tile.psnr_db / 10)
        found.append((total, psnr_of_mse(squares / grid.count)))
    return min(found)


def hull(points: Sequence[Point]) -> list[Point]:
    """Return the upper hull: the points that no line between two others passes above."""
    kept: list[Point] = []
    for x, y in sorted(points):
        if kept and y <= kept[-1][1]:
            continue
        while len(kept) > 1:
            (x0, y0), (x1, y1) = kept[-2:]
            if (y1 - y0) * (x - x0) > (y - y0) * (x1 - x0):
                break
            kept.pop()
        kept.append((x, y))
    return kept


def at(points: Sequence[Point], rate: float) -> float | None:
    """Return the PSNR at a rate, linear between the points; None beyond them."""
    known = sorted(points)
    for (left, a), (right, b) in itertools.pairwise(known):
        if left <= rate <= right:
            return a + (b - a) * (rate - left) / (right - left) if right > left else max(a, b)
    return None


def measure(source: str, path: Path) -> Row:
    """Measure all curves of one tile."""
    torch.set_num_threads(1)
    image = np.ascontiguousarray(centre(read_image(path), SIDE))
    curves = {name: peer_curve(image, name) for name in PEERS}
    curves |= {setting.name: hull([*layered_points(image, setting)]) for setting in SETTINGS}
    return {"source": source, "image": path.stem, "history": history(source, image), "curves": curves}


def run(data: Path, workers: int) -> list[Row]:
    jobs = [
        (source, path)
        for source, step in SOURCES.items()
        for path in sorted(p for p in (data / source).iterdir() if p.suffix in TILE_SUFFIXES)[::step]
    ]
    rows = []
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        running = [pool.submit(measure, *job) for job in jobs]
        for done, future in enumerate(as_completed(running), 1):
            rows.append(future.result())
            print(f"\r{done} of {len(jobs)}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return sorted(rows, key=lambda row: (row["source"], row["image"]))


def differences(
    rows: Sequence[dict[str, Any]], sources: Sequence[str], rate: float
) -> dict[str, tuple[str, float, int]]:
    """Return by peer our best setting at this rate, its mean PSNR less the peer's, and the tiles where both reach it.

    Means over tiles, then over sources.
    """
    found = {}
    for peer in PEERS:
        best: tuple[str, float, int] | None = None
        for setting in SETTINGS:
            by_source: dict[str, list[float]] = {}
            for row in rows:
                if row["source"] in sources:
                    ours, theirs = at(row["curves"][setting.name], rate), at(row["curves"][peer], rate)
                    if ours is not None and theirs is not None:
                        by_source.setdefault(row["source"], []).append(ours - theirs)
            if by_source:
                gain = float(np.mean([np.mean(values) for values in by_source.values()]))
                if best is None or gain > best[1]:
                    best = setting.name, gain, sum(map(len, by_source.values()))
        if best is not None:
            found[peer] = best
    return found


def byte_excess(row: Row, rate: float) -> float | None:
    """Return the excess of our best setting's bytes over JPEG 2000's at `rate`, for the same PSNR: 0.03 is 3 %."""
    wanted = at(row["curves"]["JPEG 2000"], rate)
    if wanted is None:
        return None
    found = [at([(db, bpp) for bpp, db in row["curves"][setting.name]], wanted) for setting in SETTINGS]
    reached = [bpp for bpp in found if bpp is not None]
    return min(reached) / rate - 1 if reached else None


def tables(results: dict[str, Any]) -> str:
    """Return the committed tables as Markdown."""
    rows = results["rows"]
    lines = ["# Base, generator and enhancement layer against direct codecs", ""]
    counted = f"{len(rows)} tiles, the middle {SIDE} px of each; everything in the file counted."
    made_with = ", ".join(f"{name} {version}" for name, version in results["environment"].items())
    lines.append(f"{counted} `python -m benchmarks.layered`, with {made_with}.")
    for group, sources in GROUPS.items():
        lines += ["", f"## {group}: PSNR of the best setting less the peer's, dB", ""]
        lines += [
            "| bpp | " + " | ".join(PEERS) + " | best setting against AVIF |",
            "|---|" + "---|" * (len(PEERS) + 1),
        ]
        for rate in RATES:
            found = differences(rows, sources, rate)
            cells = [f"{found[p][1]:+.2f} ({found[p][2]})" if p in found else "-" for p in PEERS]
            best = found.get("AVIF") or next(iter(found.values()), None)
            lines.append(f"| {rate:.1f} | " + " | ".join(cells) + f" | {best[0] if best else '-'} |")
    lines += ["", "In brackets: tiles on which both reach the rate.", ""]
    lines += ["## Against JPEG 2000, by the source's history: bytes at equal PSNR", ""]
    histories = sorted({row["history"] for row in rows})
    lines += ["| bpp of JPEG 2000 | " + " | ".join(histories) + " |", "|---|" + "---|" * len(histories)]
    for rate in RATES:
        cells = []
        for kind in histories:
            values = [v for row in rows if row["history"] == kind and (v := byte_excess(row, rate)) is not None]
            cells.append(f"{100 * float(np.mean(values)):+.1f} % ({len(values)})" if values else "-")
        lines.append(f"| {rate:.1f} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, ""])


def figure(results: dict[str, Any], path: Path) -> None:
    """Draw PSNR over rate, a panel a source: peers, and the best of our settings at each rate."""
    rows = results["rows"]
    sources = list(dict.fromkeys(row["source"] for row in rows))
    drawing = Figure(figsize=(4.6 * len(sources), 4.4), layout="constrained")
    FigureCanvasAgg(drawing)
    rates = np.linspace(0.1, 0.9, 33)
    for axes, source in zip(np.atleast_1d(drawing.subplots(1, len(sources))), sources, strict=True):
        own = [row for row in rows if row["source"] == source]
        names = [*PEERS, *(setting.name for setting in SETTINGS)]
        means = {name: _mean_curve([row["curves"][name] for row in own], rates) for name in names}
        ours = _best([means[setting.name] for setting in SETTINGS])
        for name in PEERS:
            axes.plot(rates, means[name] - ours, label=name, linewidth=1.4)
        axes.axhline(0, color="black", linewidth=1.6, label="histocodec, best setting")
        axes.set_title(f"{source}, {len(own)} tiles", fontsize=10)
        axes.set_xlabel("bits per full pixel, everything counted")
        axes.set_ylabel("PSNR less histocodec's, dB")
        axes.set_ylim(-4, 1.5)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    drawing.savefig(path, dpi=110)


def _best(settings: Sequence[Any]) -> Any:
    """Return the best of our settings at each rate, up to where one that was the best ends, at the highest floor.

    Beyond, another would stand in for it: fewer decibels of what was coded, not of what can be.
    """
    best, leading = np.full(len(settings[0]), np.nan), set[int]()
    for at_rate, values in enumerate(np.array(settings).T):
        if any(np.isnan(values[place]) for place in leading):
            break
        if not np.isnan(values).all():
            leading.add(int(np.nanargmax(values)))
            best[at_rate] = np.nanmax(values)
    return best


def _mean_curve(curves: Sequence[Sequence[Point]], rates: np.ndarray[Any, np.dtype[np.float64]]) -> Any:
    """Return the mean over the tiles at each rate that all of them reach; NaN elsewhere."""
    values = [[at(curve, float(rate)) for rate in rates] for curve in curves]
    return np.array(values, np.float64).mean(0)


def _environment() -> dict[str, str]:
    return {"histocodec": __version__, **encoder_versions(), "machine": platform.machine()}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.layered", description=__doc__)
    parser.add_argument("--data", type=Path, default=default_data())
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--tables", action="store_true", help="only derive table and figure from --out")
    options = parser.parse_args(arguments)
    if not options.tables:
        results = {"environment": _environment(), "rows": run(options.data, options.workers)}
        with atomic_output(options.out, overwrite=True) as file:
            file.write((json.dumps(results, indent=1) + "\n").encode())
    results = json.loads(options.out.read_text())
    options.out.with_suffix(".md").write_text(tables(results))
    figure(results, options.out.with_suffix(".png"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
