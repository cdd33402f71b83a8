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
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from skimage.color import rgb2lab
from skimage.measure import label

from benchmarks import field_pictures
from benchmarks.mosaic import default_data
from benchmarks.nuclei import Mask, NucleiJudge, read_mask, score_nuclei
from histocodec import Decoder, EncodeSettings, encode, open_source
from histocodec.base import downsample
from histocodec.codecs import Image
from histocodec.geometry import Region, Size
from histocodec.metrics import psnr, ssim
from histocodec.package import find_package
from histocodec.synthetic import write_slide
from histocodec.training.patches import TILE_SUFFIXES, read_image
from histocodec.version import __version__

RESULTS = Path(__file__).parent / "results" / "fields.json"
DOCS = Path(__file__).parents[1] / "docs"
SCRATCH = Path(__file__).parents[1] / "runs" / "fields"

COLUMNS = {"foreign/tnbc": 9, "foreign/brecahad": 4, "dev/monuseg": 7}
"""Folders of tiles, and how many of them lie side by side in a row of the slide that is made of them."""
RATIOS = (4, 8, 16, 24)
SETTINGS: dict[str, EncodeSettings] = {
    "default": EncodeSettings(),
    "--base auto": EncodeSettings(base="auto"),
    "--codec avif": EncodeSettings(codec="avif"),
}
MPP = 0.25
"""Micrometres per pixel of the slides: what the tiles state, and for brecahad, which states nothing, the nominal."""
JPEG_QUALITY = 80
"""What the source files are coded with, in 4:2:0: their bytes are what a ratio is counted from."""
DETAIL = 4
"""Detail is what is finer than the mean of DETAIL x DETAIL pixels, 1 um: what a 10x base cannot hold."""
WARM_CELL = 16
WARM_SHARE = 0.01
"""Warm colours are judged on means over cells of WARM_CELL px, the yellowest WARM_SHARE of a slide."""
SMALLEST_NUCLEUS = 30
"""Pixels, as in `benchmarks.nuclei`."""


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


def encoded(slide: Slide, setting: str, ratio: int) -> Path:
    """Encode a slide with one of `SETTINGS` at a ratio, unless the file is there; return its path."""
    name = setting.removeprefix("--").replace(" ", "-")
    path = slide.path.with_name(f"{slide.path.stem}-{name}-{ratio}.hc.tif")
    if not path.exists():
        with open_source(slide.path) as source:
            encode(source, path, settings=replace(SETTINGS[setting], ratio=ratio))
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
    return grey - coarse.repeat(DETAIL, 0).repeat(DETAIL, 1)


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
        for setting in SETTINGS:
            for measurer in measurers:
                for ratio in RATIOS:
                    rows.append(measurer.row(setting, ratio))
                    print(rows[-1], file=sys.stderr, flush=True)
        names = sorted({row["generator"] for row in rows})
        digests = {name: find_package(name).digest for name in names}
        environment = {"histocodec": __version__, "torch": torch.__version__, "numpy": np.__version__}
        environment |= {"python": platform.python_version()}
        RESULTS.write_text(json.dumps({"environment": environment, "digests": digests, "rows": rows}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
