"""The whole-slide task: a file of a stated share of the scanner's bytes, glass, index, pyramid and all."""

from __future__ import annotations

import dataclasses
import math
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import imagecodecs

from benchmarks.mosaic import CELL, build_mosaic, tissue_tiles
from histocodec import Decoder, EncodeSettings, Region, encode, open_source
from histocodec.encoder.settings import BASE_MPP
from histocodec.geometry import Image
from histocodec.pixels.metrics import mean_squared_error, psnr_of_mse
from histocodec.training.data.patches import read_image

from .codecs import TILE_INDEX_BYTES
from .contest import DEFAULT
from .ladder import NEARLY_FULL, highest_fitting
from .measures import MOST_DB
from .methods import CODECS, Coded, Coder, Method, all_methods
from .tiles import Plan, Row

SIZE = 4096
"""Full pixels a side of a mosaic."""
SEED = 1
RATIOS = (8.0, 16.0, 24.0)
"""Target ratios: the source file's bytes over those of the output."""
TILE = 512
"""Full pixels a side of the peers' tiles, and of the tissue tiles that are compared."""
PEERS = ("AVIF s6", "JPEG 2000", "AVIF s6 /2 bicubic", "AVIF s6 /4 Lanczos")
OURS = {
    DEFAULT: EncodeSettings(),
    **{f"histocodec {codec} {base}": EncodeSettings(base=base, codec=codec) for codec in CODECS for base in BASE_MPP},
}
"""Settings by name."""


@dataclass(frozen=True)
class Slide:
    """A mosaic on disk, and its tissue tiles."""

    name: str
    path: Path
    tissue: tuple[Region, ...]
    """Tiles of TILE px that lie in tissue as a whole."""

    @property
    def size_bytes(self) -> int:
        return self.path.stat().st_size


def run(plan: Plan, scratch: Path, workers: int) -> list[Row]:
    """Measure a row for each slide, method and ratio reached. scratch: holds mosaics and outputs."""
    rows: list[Row] = []
    scratch.mkdir(parents=True, exist_ok=True)
    for folder in ("dev", "foreign"):
        slide = mosaic(plan.data, folder, scratch)
        with open_source(slide.path) as source:
            pixels = {region: source.read(region) for region in _grid()}
        originals = [pixels[region] for region in slide.tissue]
        for name, settings in OURS.items():
            for ratio in RATIOS:
                asked = dataclasses.replace(settings, ratio=ratio, verify="none", workers=workers)
                rows.append(ours(slide, name, asked, originals, scratch))
        methods = {method.name: method for method in all_methods(plan.candidates)}
        for peer in PEERS:
            rows += peers(slide, methods[peer], pixels, workers)
    return rows


def mosaic(data: Path, name: str, scratch: Path, size: int = SIZE) -> Slide:
    """Build a mosaic of the tiles below `dev` or `foreign`, unless it is there.

    `benchmarks.mosaic` takes JPEG XL tiles below a folder `dev`; foreign ones are shown to it as such, losslessly.
    """
    path = scratch / f"{name}-{size}.tif"
    if not path.exists():
        with tempfile.TemporaryDirectory(dir=scratch) as folder:
            shown = data if name == "dev" else Path(folder)
            if name != "dev":
                for number, tile in enumerate(sorted([*data.glob(f"{name}/*/*.jxl"), *data.glob(f"{name}/*/*.jpg")])):
                    target = Path(folder) / "dev" / tile.parent.name / f"{number:03}.jxl"
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(imagecodecs.jpegxl_encode(read_image(tile), lossless=True, effort=1))
            build_mosaic(path, size, seed=SEED, data=shown)
    cells = tissue_tiles(size, SEED)
    whole = [
        region
        for region in _grid(size)
        if cells[region.y // CELL : -(-region.bottom // CELL), region.x // CELL : -(-region.right // CELL)].all()
    ]
    return Slide(name, path, tuple(whole))


def _grid(size: int = SIZE) -> list[Region]:
    return [Region(x, y, TILE, TILE) for y in range(0, size, TILE) for x in range(0, size, TILE)]


def ours(slide: Slide, name: str, settings: EncodeSettings, originals: Sequence[Image], scratch: Path) -> Row:
    """Measure a file that `histocodec.encode` writes: pyramid, tissue map, manifest, embedded generator."""
    assert settings.ratio is not None
    path = scratch / "slide.hc.tif"
    started = time.perf_counter()
    with open_source(slide.path) as source:
        report = encode(source, path, settings=settings, overwrite=True)
    encode_s = time.perf_counter() - started
    started = time.perf_counter()
    with Decoder(path) as decoder, ThreadPoolExecutor(settings.workers) as pool:
        made = list(pool.map(decoder.read, slide.tissue))
    decode_s = time.perf_counter() - started
    path.unlink()
    quality = report.manifest.base.quality
    return _row(slide, name, settings.ratio, quality, report.size_bytes, originals, made, encode_s, decode_s)


def peers(slide: Slide, method: Method, pixels: dict[Region, Image], workers: int) -> list[Row]:
    """Measure one quality for the slide, tile by tile; nothing but the tiles and their index is charged."""
    coder = Coder(method.coder.codec, method.coder.scale, tile_overhead=TILE_INDEX_BYTES)
    qualities = coder.codec.qualities
    shrunk = {region: coder.shrunk(image) for region, image in pixels.items()}
    made: dict[int, tuple[dict[Region, Coded], float]] = {}

    def size_of(step: int) -> float:
        started = time.perf_counter()
        with ThreadPoolExecutor(workers) as pool:
            coded = list(pool.map(lambda image: coder.encode(image, qualities[step]), shrunk.values()))
        made[step] = dict(zip(shrunk, coded, strict=True)), time.perf_counter() - started
        return sum(one.total_bytes for one in coded)

    rows, sizes = [], dict[int, float]()
    enough = 1.0 if coder.codec.whole else NEARLY_FULL
    for ratio in RATIOS:
        step = highest_fitting(sizes, len(qualities), size_of, slide.size_bytes / ratio, enough=enough)
        if step is None:
            continue
        coded, encode_s = made[step]
        started = time.perf_counter()
        with ThreadPoolExecutor(workers) as pool:
            images = list(pool.map(_decode(coder, method, coded), slide.tissue))
        decode_s = time.perf_counter() - started
        originals = [pixels[region] for region in slide.tissue]
        rows.append(
            _row(slide, method.name, ratio, qualities[step], int(sizes[step]), originals, images, encode_s, decode_s)
        )
    return rows


def _decode(coder: Coder, method: Method, coded: dict[Region, Coded]) -> Callable[[Region], Image]:
    return lambda region: method.restore(coder.decode(coded[region]))


def _row(
    slide: Slide,
    method: str,
    target: float,
    quality: float,
    size_bytes: int,
    originals: Sequence[Image],
    made: Sequence[Image],
    encode_s: float,
    decode_s: float,
) -> Row:
    errors = [mean_squared_error(a, b) for a, b in zip(originals, made, strict=True)]
    decibels = [min(MOST_DB, psnr_of_mse(error)) for error in errors]
    return {
        "slide": slide.name,
        "method": method,
        "target": target,
        "quality": quality,
        "bytes": size_bytes,
        "source_bytes": slide.size_bytes,
        "ratio": round(slide.size_bytes / size_bytes, 3),
        "bpp": round(8 * size_bytes / SIZE**2, 5),
        "tiles": len(originals),
        "psnr_db": round(math.fsum(decibels) / len(decibels), 4),
        "encode_s": round(encode_s, 2),
        "decode_s": round(decode_s, 2),
    }
