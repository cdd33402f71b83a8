"""PSNR and SSIM of the shipped generators on `dev` and `foreign` tiles: `python -m benchmarks.generators`.

Writes `benchmarks/results/generators.json`; `--table JSON` prints it as Markdown, `--cards` writes the model cards that
stand beside the packages.
"""

from __future__ import annotations

import argparse
import json
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.mosaic import default_data
from histocodec.codecs import TileCodec
from histocodec.generators import load_generator
from histocodec.package import MODELS_FOLDER, Package, shipped_packages
from histocodec.training.evaluate import evaluation_tile, score
from histocodec.training.patches import read_image

RESULTS = Path(__file__).parent / "results" / "generators.json"
FOLDERS = ("dev/monuseg", "foreign/tnbc", "foreign/brecahad")
BASES: tuple[tuple[TileCodec | None, float], ...] = (
    (None, 0.0),
    ("jp2k", 0.10),
    ("jp2k", 0.15),
    ("avif", 0.10),
    ("avif", 0.15),
    ("jpeg", 0.15),
)
"""Base codec and bits per full pixel: each tile takes the highest quality that fits."""


def measure(data: Path, names: Sequence[str]) -> dict[str, Any]:
    """One row for each generator, folder and base, as `training.evaluate.Score` defines it."""
    rows = []
    for folder in FOLDERS:
        paths = sorted(p for p in (data / folder).iterdir() if p.suffix in {".jxl", ".jpg", ".png"})
        images = {path.stem: read_image(path) for path in paths}
        for codec, rate in BASES:
            tiles: dict[int, Any] = {}
            for name in names:
                generator = load_generator(name)
                if generator.scale not in tiles:
                    tiles[generator.scale] = [
                        evaluation_tile(stem, image, generator.scale, codec, rate) for stem, image in images.items()
                    ]
                row = {"generator": name, "folder": folder, "codec": codec, "asked_bpp": rate}
                row |= asdict(score(generator, tiles[generator.scale]))
                rows.append(row)
                print(row, file=sys.stderr, flush=True)
    digests = {name: load_generator(name).digest for name in names}
    return {"digests": digests, "rows": rows}


def table(results: dict[str, Any]) -> str:
    """The rows as a Markdown table."""
    lines = [
        "| generator | tiles | base | bpp of the base | PSNR dB | bicubic | gain | SSIM | bicubic |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in results["rows"]:
        base = row["codec"] or "uncoded"
        rate = f"{row['bits_per_full_pixel']:.3f}" if row["codec"] else "-"
        gain = row["psnr_db"] - row["bicubic_psnr_db"]
        lines.append(
            f"| {row['generator']} | {row['folder']} ({row['tiles']}) | {base} | {rate} | {row['psnr_db']:.2f} "
            f"| {row['bicubic_psnr_db']:.2f} | **{gain:+.2f}** | {row['ssim']:.3f} | {row['bicubic_ssim']:.3f} |"
        )
    return "\n".join(lines)


def model_card(name: str, package: Package, results: dict[str, Any]) -> str:
    """The card of a shipped package, from what it states and what was measured."""
    card = package.card
    training = dict(card.training)
    shares = training.pop("data", {})
    own = {**results, "rows": [row for row in results["rows"] if row["generator"] == name]}
    folders = ", ".join(f"{folder} ({share:.0%})" for folder, share in shares.items())
    settings = ", ".join(f"{key} {value}" for key, value in training.items())
    paragraph = textwrap.fill(
        f"**Training.** Share of the draws by folder of the training data: {folders}. Every base went through the "
        f"codec's own `degrade()`. Settings: {settings}. Rerun: `python -m histocodec.training --data DATA`.",
        width=120,
        break_on_hyphens=False,
    )
    return f"""# {name}

| | |
|---|---|
| digest | `{package.digest}` |
| file | {len(package.data)} bytes, safetensors, half precision |
| architecture | `{card.architecture}` {card.hyperparameters}, x{card.scale}, halo {card.halo} base pixels |
| licence | {card.licence}: parts of the training data are for non-commercial use only |

**What it is for.** Predicting 40x detail of H&E slides from a 10x base that was box-averaged, and coded as jp2k, avif
or jpeg, or not at all. It is trained with L1 alone: it gives the middle of what is plausible, sharper than
interpolation and softer than the truth.

**What it is not for.** Primary diagnosis. Counting or grading what is smaller than two base pixels (2 um). Stains other
than H&E, fluorescence, cytology, other magnifications: nothing of that was measured.

{paragraph}

Data: MoNuSeg and MoNuSAC (CC BY-NC-SA 4.0), BCSS (CC0), TCGA glioblastoma tiles (open access), NuInsSeg and AIDPATH
(CC BY 4.0). The tiles themselves are not shipped.

**Measured** (`python -m benchmarks.generators`). PSNR over RGB; SSIM with an 11 x 11 Gaussian window of sigma 1.5, mean
of the RGB channels; means over tiles. Bicubic enlarges the same decoded base. `dev` shares a source, though no patient,
with the training data; `foreign` are other labs' scanners, never trained on: expect the latter.

{table(own)}
"""


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark, or print what an earlier run measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.generators", description=__doc__)
    parser.add_argument("--data", type=Path, default=default_data())
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--table", type=Path, metavar="JSON", help="print these results as Markdown")
    parser.add_argument("--cards", action="store_true", help="write the model cards from the results in --out")
    options = parser.parse_args(arguments)
    if options.table:
        print(table(json.loads(options.table.read_text())))
        return 0
    if not options.cards:
        results = measure(options.data, list(shipped_packages()))
        options.out.parent.mkdir(exist_ok=True)
        options.out.write_text(json.dumps(results, indent=1) + "\n")
    results = json.loads(options.out.read_text())
    for name, package in shipped_packages().items():
        (MODELS_FOLDER / f"{name}.md").write_text(model_card(name, package, results))
    print(table(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
