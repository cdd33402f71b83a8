"""What the default settings keep of real tissue, measured and shown: `python -m benchmarks.fields [--data DIR]`.

The tiles of a folder are laid side by side and written as a scanner writes a slide; that slide is encoded as
`histocodec encode SLIDE --ratio R` does, and decoded as `histocodec decode` does. Writes `results/fields.json` (a row
for each slide, setting and ratio) and the pictures of the documentation (`PICTURES`). Slides and files are kept in
`--scratch` and used again: delete them after a change of the codec. `--pictures` draws from them alone.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from skimage.color import rgb2lab
from skimage.measure import label

from benchmarks.field_pictures import Panel, difference, sheet
from benchmarks.mosaic import default_data
from benchmarks.nuclei import Mask, NucleiJudge, read_mask, score_nuclei
from histocodec import Decoder, EncodeSettings, encode, open_source
from histocodec.demo.synthetic import write_slide
from histocodec.generators.catalogue import find_package
from histocodec.geometry import Image, Region, Size
from histocodec.pixels.downsample import downsample
from histocodec.pixels.metrics import psnr, ssim
from histocodec.training.data.patches import TILE_SUFFIXES, read_image
from histocodec.version import __version__

RESULTS = Path(__file__).parent / "results" / "fields.json"
DOCS = Path(__file__).parents[1] / "docs"
SCRATCH = Path(__file__).parents[1] / "runs" / "fields"

COLUMNS = {"foreign/tnbc": 9, "foreign/brecahad": 4, "dev/monuseg": 7}
"""Folders of tiles, and how many of them lie side by side in a row of the slide that is made of them."""
DEFAULT = "default"
COARSE = "--base 10x"
SETTINGS: dict[str, tuple[EncodeSettings, tuple[int, ...]]] = {
    DEFAULT: (EncodeSettings(), (4, 8, 16, 24)),
    COARSE: (EncodeSettings(base="10x"), (4, 8)),
    "--codec jp2k": (EncodeSettings(codec="jp2k"), (16,)),
}
"""By the words on the command line: the settings, and the ratios that are asked for."""
MPP = 0.25
"""Micrometres per pixel of the slides: what the tiles state, and for brecahad, which states nothing, the nominal."""
JPEG_QUALITY = 80
"""What the source files are coded with, in 4:2:0: their bytes are what a ratio is counted from."""
DETAIL = 4
"""Detail is what is finer than the mean of DETAIL x DETAIL pixels, 1 um: what a 10x base cannot hold."""
WARM_CELL = 16
WARM_SHARE = 0.01
"""Warm colours are judged on means over cells of WARM_CELL px, the yellowest WARM_SHARE of a slide."""
GAIN = 2
"""How much differences are amplified in pictures."""
SMALLEST_NUCLEUS = 30
"""Pixels, as in `benchmarks.nuclei`."""


@dataclass(frozen=True)
class Spot:
    """A square of a tile that is shown."""

    folder: str
    tile: str
    x: int
    """Full pixels from the tile's left edge; a multiple of 4."""
    y: int
    """Full pixels from its upper edge; a multiple of 4."""
    what: str
    """What there is to see."""


FIELD = Spot("foreign/tnbc", "04_8", 100, 100, "epithelium and stroma of the breast")
KEPT = (
    Spot("foreign/brecahad", "10013", 60, 180, "tubules, fat, stroma"),
    Spot("dev/monuseg", "TCGA-EJ-A46H-01A-03-TSC", 100, 200, "a gland of the prostate"),
)
LOST = (
    Spot("foreign/brecahad", "10018", 640, 132, "chromatin"),
    Spot("foreign/brecahad", "10018", 252, 700, "a mitosis"),
    Spot("foreign/tnbc", "02_3", 60, 60, "pale nuclei"),
    Spot("foreign/tnbc", "03_4", 200, 200, "fine fibres"),
    Spot("foreign/tnbc", "05_4", 300, 40, "warm colours"),
)
INVENTED = (
    Spot("dev/monuseg", "TCGA-HT-8564-01Z-00-DX1", 440, 420, "neuropil of the brain"),
    Spot("dev/monuseg", "TCGA-FG-A4MU-01B-01-TS1", 560, 100, "nuclei of a glioma"),
    Spot("foreign/tnbc", "05_1", 200, 300, "a tumour of the breast"),
)
FIELD_SIDE, KEPT_SIDE, CLOSE_SIDE = 320, 640, 160
"""Full pixels a side: of the field, of what is shown at half size, of what is shown at twice its size."""


@dataclass(frozen=True)
class Slide:
    """The tiles of one folder side by side."""

    folder: str
    names: tuple[str, ...]
    tile: Size
    """Pixels of every tile."""
    columns: int
    path: Path
    """The file as a scanner would write it."""

    def region(self, name: str) -> Region:
        """Return where the tile of this name lies, in full pixels."""
        row, column = divmod(self.names.index(name), self.columns)
        return Region(column * self.tile.width, row * self.tile.height, self.tile.width, self.tile.height)


def make_slide(data: Path, folder: str, scratch: Path) -> Slide:
    """Lay the tiles of `data`/`folder` side by side and write them as a slide, unless `scratch` holds it."""
    paths = sorted(path for path in (data / folder).iterdir() if path.suffix in TILE_SUFFIXES)
    images = [read_image(path) for path in paths]
    height, width = images[0].shape[:2]
    path = scratch / f"{Path(folder).name}.tif"
    slide = Slide(folder, tuple(p.stem for p in paths), Size(width, height), COLUMNS[folder], path)
    if not path.exists():
        rows = [np.concatenate(images[i : i + slide.columns], 1) for i in range(0, len(images), slide.columns)]
        write_slide(path, np.concatenate(rows, 0), mpp=MPP, jpeg_quality=JPEG_QUALITY)
    return slide


def source_psnr_db(data: Path, slide: Slide) -> float:
    """Return the PSNR of the slide's own JPEG against the tiles that it was made of, mean over tiles."""
    with open_source(slide.path) as source:
        paths = {path.stem: path for path in (data / slide.folder).iterdir()}
        return float(np.mean([psnr(read_image(paths[n]), source.read(slide.region(n))) for n in slide.names]))


def encoded(slide: Slide, setting: str, ratio: int) -> Path:
    """Encode a slide with one of `SETTINGS` at a ratio, unless the file is there; return its path."""
    name = setting.removeprefix("--").replace(" ", "-")
    path = slide.path.with_name(f"{slide.path.stem}-{name}-{ratio}.hc.tif")
    if not path.exists():
        with open_source(slide.path) as source:
            encode(source, path, settings=replace(SETTINGS[setting][0], ratio=ratio))
    return path


class Measurer:
    """Measures the files of one slide: decoded pixels against the slide's own, tile by tile."""

    def __init__(self, slide: Slide, data: Path) -> None:
        self._slide = slide
        with open_source(slide.path) as source:
            self._originals = {name: source.read(slide.region(name)) for name in slide.names}
        folder = data / f"{slide.folder}_nuclei"
        self._masks = {n: read_mask(folder / f"{n}.png") for n in slide.names} if folder.is_dir() else {}
        self._judge = NucleiJudge()

    def row(self, setting: str, ratio: int) -> dict[str, Any]:
        """Return the measures of one file; means are over tiles."""
        slide, originals = self._slide, self._originals
        path = encoded(slide, setting, ratio)
        with Decoder(path) as decoder:
            made = {name: decoder.read(slide.region(name)) for name in slide.names}
            manifest = decoder.manifest
        source_bytes, size_bytes = slide.path.stat().st_size, path.stat().st_size
        psnrs = [psnr(originals[name], made[name]) for name in slide.names]
        row: dict[str, Any] = {"folder": slide.folder, "tiles": len(slide.names)}
        row |= {"setting": setting, "asked_ratio": ratio, "ratio": source_bytes / size_bytes}
        row |= {"source_bytes": source_bytes, "bytes": size_bytes}
        row |= {"base_mpp": manifest.base_mpp, "generator": manifest.prediction.generator.name}
        row |= {"psnr_db": float(np.mean(psnrs)), "lowest_psnr_db": min(psnrs)}
        row |= {"ssim": float(np.mean([ssim(originals[name], made[name]) for name in slide.names]))}
        row |= detail(originals, made) | warmth(originals, made)
        if self._masks:
            row |= self._nuclei(made, "nuclei") | self._nuclei(originals, "nuclei_original")
        return row

    def _nuclei(self, images: Mapping[str, Image], prefix: str) -> dict[str, float]:
        """Return the mean F1 of the nuclei found against the annotators', and how many all tiles have together."""
        found = {name: self._judge.segment(images[name]) for name in self._masks}
        scores = [score_nuclei(found[name], mask).object_f1 for name, mask in self._masks.items()]
        return {f"{prefix}_f1": float(np.mean(scores)), f"{prefix}_count": sum(map(count_nuclei, found.values()))}


def detail(originals: Mapping[str, Image], made: Mapping[str, Image]) -> dict[str, float]:
    """Return how much of the contrast finer than 1 um is there, and how much of that is the original's.

    `detail_share`: root mean square of the detail of the decoded over that of the original. `detail_correlation`:
    Pearson's between the two; its square is the part of the variance that is right. Means over tiles.
    """
    shares, correlations = [], []
    for name, original in originals.items():
        a, b = _detail(original), _detail(made[name])
        shares.append(float(np.sqrt(np.mean(b * b) / np.mean(a * a))))
        correlations.append(float(np.mean(a * b) / np.sqrt(np.mean(a * a) * np.mean(b * b))))
    return {"detail_share": float(np.mean(shares)), "detail_correlation": float(np.mean(correlations))}


def _detail(image: Image) -> NDArray[np.float64]:
    """Return the mean of R, G and B less that of each square of DETAIL px: (height, width) in 8-bit steps."""
    height, width = (n - n % DETAIL for n in image.shape[:2])
    grey: NDArray[np.float64] = image[:height, :width].mean(-1)
    coarse = grey.reshape(height // DETAIL, DETAIL, width // DETAIL, DETAIL).mean((1, 3))
    fine: NDArray[np.float64] = grey - coarse.repeat(DETAIL, 0).repeat(DETAIL, 1)
    return fine


def warmth(originals: Mapping[str, Image], made: Mapping[str, Image]) -> dict[str, float]:
    """Return CIE b* of the slide's yellowest cells, in the original and in the same cells as decoded."""
    before, after = (
        np.concatenate([rgb2lab(downsample(images[name], WARM_CELL))[..., 2].ravel() for name in originals])
        for images in (originals, made)
    )
    warm = before >= np.quantile(before, 1 - WARM_SHARE)
    return {"warm_b_original": float(before[warm].mean()), "warm_b": float(after[warm].mean())}


def count_nuclei(mask: Mask) -> int:
    """Return the number of 4-connected objects of at least SMALLEST_NUCLEUS pixels."""
    return int((np.bincount(label(mask, connectivity=1).ravel())[1:] >= SMALLEST_NUCLEUS).sum())


class Shown:
    """The slides and their files, as sources of panels."""

    def __init__(self, slides: Mapping[str, Slide]) -> None:
        self._slides = slides

    def original(self, spot: Spot, side: int) -> Image:
        """Return the slide's own pixels."""
        slide = self._slides[spot.folder]
        with open_source(slide.path) as source:
            return source.read(self._region(spot, side))

    def decoded(self, spot: Spot, side: int, ratio: int, setting: str = DEFAULT) -> Panel:
        """Return the pixels as some settings give them, with the file's bytes and the PSNR of these pixels."""
        slide = self._slides[spot.folder]
        path = encoded(slide, setting, ratio)
        with Decoder(path) as decoder:
            made = decoder.read(self._region(spot, side))
        size, source_size = path.stat().st_size, slide.path.stat().st_size
        note = f"{size:,} bytes ({source_size / size:.1f}x), {psnr(self.original(spot, side), made):.1f} dB"
        return Panel(made, f"{ratio}x", note)

    def stored(self, spot: Spot, side: int, ratio: int) -> Image:
        """Return the stored base, each of its pixels as large as it is on the slide."""
        with Decoder(encoded(self._slides[spot.folder], DEFAULT, ratio)) as decoder:
            scale = decoder.manifest.base.scale
            full = self._region(spot, side)
            region = Region(full.x // scale, full.y // scale, side // scale, side // scale)
            return decoder.read(region, 1).repeat(scale, 0).repeat(scale, 1)

    def _region(self, spot: Spot, side: int) -> Region:
        tile = self._slides[spot.folder].region(spot.tile)
        return Region(tile.x + spot.x, tile.y + spot.y, side, side)


def draw(slides: Mapping[str, Slide], folder: Path) -> None:
    """Write the pictures of the documentation."""
    shown = Shown(slides)
    slide = slides[FIELD.folder]
    original = Panel(
        shown.original(FIELD, FIELD_SIDE), "original", f"{slide.path.stat().st_size:,} bytes, JPEG as scanned"
    )
    at_4, at_8, at_16, at_24 = (shown.decoded(FIELD, FIELD_SIDE, ratio) for ratio in SETTINGS[DEFAULT][1])
    base = Panel(shown.stored(FIELD, FIELD_SIDE, 16), "16x: the base that is stored", "10x, 1 \u00b5m per pixel")
    at_16 = replace(at_16, title="16x, the default")
    rows = [[original, at_4, at_8], [at_16, at_24, base]]
    sheet(rows, zoom=1, um_per_px=MPP, bar_um=20).save(folder / "field.png", optimize=True)

    half = [[_halved(panel) for panel in _row(shown, spot, KEPT_SIDE, (16, 24))] for spot in KEPT]
    sheet(half, zoom=1, um_per_px=2 * MPP, bar_um=50).save(folder / "kept.png", optimize=True)

    close = [_row(shown, spot, CLOSE_SIDE, (8, 16)) for spot in LOST]
    sheet(close, zoom=2, um_per_px=MPP, bar_um=10).save(folder / "lost.png", optimize=True)

    rows = []
    for spot in INVENTED:
        first, made = _row(shown, spot, CLOSE_SIDE, (16,))
        error = difference(first.image, made.image, GAIN)
        rows.append([first, made, Panel(error, "difference", f"16x less original, {GAIN} times, around grey")])
    sheet(rows, zoom=2, um_per_px=MPP, bar_um=10).save(folder / "invented.png", optimize=True)

    rows = []
    for spot in (INVENTED[0], LOST[0]):
        first, at_4 = _row(shown, spot, CLOSE_SIDE, (4,))
        coarse = shown.decoded(spot, CLOSE_SIDE, 4, COARSE)
        coarse = replace(coarse, title=f"4x {COARSE}", note=f"{psnr(first.image, coarse.image):.1f} dB")
        rows.append([first, coarse, replace(at_4, title="4x")])
    sheet(rows, zoom=2, um_per_px=MPP, bar_um=10).save(folder / "better.png", optimize=True)


def _row(shown: Shown, spot: Spot, side: int, ratios: Sequence[int]) -> list[Panel]:
    first = Panel(shown.original(spot, side), spot.what, "original")
    panels = [shown.decoded(spot, side, ratio) for ratio in ratios]
    return [first, *(replace(panel, note=f"{psnr(first.image, panel.image):.1f} dB") for panel in panels)]


def _halved(panel: Panel) -> Panel:
    return replace(panel, image=downsample(panel.image, 2))


def main() -> int:
    """Measure and draw, or draw alone."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fields", description=__doc__)
    parser.add_argument("--data", type=Path, default=default_data())
    parser.add_argument("--scratch", type=Path, default=SCRATCH)
    parser.add_argument("--pictures", action="store_true", help="draw the pictures alone")
    options = parser.parse_args()
    options.scratch.mkdir(parents=True, exist_ok=True)
    slides = [make_slide(options.data, folder, options.scratch) for folder in COLUMNS]
    if not options.pictures:
        measurers = [Measurer(slide, options.data) for slide in slides]
        rows = []
        for setting, (_, ratios) in SETTINGS.items():
            for measurer in measurers:
                for ratio in ratios:
                    rows.append(measurer.row(setting, ratio))
                    print(rows[-1], file=sys.stderr, flush=True)
        names = sorted({row["generator"] for row in rows})
        digests = {name: find_package(name).digest for name in names}
        sources = {slide.folder: {"psnr_db": source_psnr_db(options.data, slide)} for slide in slides}
        environment = {"histocodec": __version__, "torch": torch.__version__, "numpy": np.__version__}
        environment |= {"python": platform.python_version()}
        results = {"environment": environment, "digests": digests, "sources": sources, "rows": rows}
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    draw({slide.folder: slide for slide in slides}, DOCS)
    return 0


if __name__ == "__main__":
    sys.exit(main())
