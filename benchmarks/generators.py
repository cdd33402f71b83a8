"""PSNR and SSIM of the shipped generators on whole `dev` and `foreign` tiles: `python -m benchmarks.generators`.

Writes `benchmarks/results/generators.json` and the model cards that stand beside the packages; `--cards` writes the
cards again from the results. Rows of packages that have not changed are kept; delete the file to measure all. Networks
that take minutes a tile (`rrdb`) are left to `benchmarks.fidelity`.
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

from benchmarks import fidelity
from benchmarks.mosaic import default_data
from histocodec import load_generator
from histocodec.generators.catalogue import DEFAULTS, MODELS_FOLDER, downsampler_for, shipped_packages
from histocodec.generators.licences import use_of
from histocodec.generators.package import Package, PackageCard
from histocodec.pixels.downsample import downsample
from histocodec.pixels.tile_codecs import TileCodec
from histocodec.training.data.patches import TILE_SUFFIXES, read_image
from histocodec.training.evaluate import EvaluationTile, evaluation_tile, score

RESULTS = Path(__file__).parent / "results" / "generators.json"
FOLDERS = ("dev/monuseg", "foreign/tnbc", "foreign/brecahad")
AT_20X = " at 20x"
"""Suffix of a folder's name for its tiles averaged 2 x 2 first, as a 20x scanner would give them."""
BASES: dict[int, tuple[tuple[TileCodec | None, float], ...]] = {
    4: ((None, 0.0), ("jp2k", 0.10), ("jp2k", 0.15), ("av1", 0.10), ("av1", 0.15), ("jpeg", 0.15)),
    2: ((None, 0.0), ("jp2k", 0.10), ("jp2k", 0.20), ("av1", 0.10), ("av1", 0.20)),
}
"""Base codec and bits per full pixel, by scale; each tile takes the highest quality that fits."""


def measure(data: Path, names: Sequence[str], known: dict[str, Any]) -> dict[str, Any]:
    """Return a row for each generator, folder and base, as `training.evaluate.Score` defines it.

    known: results of an earlier run; its rows of packages that have not changed since are kept.
    """
    generators = [load_generator(name) for name in names]
    digests = {generator.name: generator.digest for generator in generators}
    same = {name for name, digest in known.get("digests", {}).items() if digests.get(name) == digest}
    kept = {_key(row): row for row in known.get("rows", []) if row["generator"] in same}
    rows = []
    for folder in FOLDERS:
        paths = sorted(p for p in (data / folder).iterdir() if p.suffix in TILE_SUFFIXES)
        images = [read_image(path) for path in paths]
        for scale, bases in BASES.items():
            for suffix in ("", AT_20X) if scale == 2 else ("",):
                seen = [downsample(image, 2) for image in images] if suffix else images
                for codec, rate in bases:
                    tiles: list[EvaluationTile] = []
                    for generator in generators:
                        if DEFAULTS[codec or "jp2k"][scale] != generator.name:
                            continue
                        row: dict[str, Any] = {"generator": generator.name, "folder": folder + suffix, "codec": codec}
                        row["asked_bpp"] = rate
                        if _key(row) not in kept:
                            downsampler = downsampler_for(generator, scale)
                            if downsampler.halo:  # one of its own
                                own = [
                                    evaluation_tile(image, scale, codec, rate, downsampler=downsampler)
                                    for image in seen
                                ]
                            else:
                                own = tiles = tiles or [evaluation_tile(image, scale, codec, rate) for image in seen]
                            row |= asdict(score(generator, own))
                            print(row, file=sys.stderr, flush=True)
                        rows.append(kept.get(_key(row), row))
    return {"digests": digests, "rows": sorted(rows, key=lambda row: names.index(row["generator"]))}


def _key(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["generator"], row["folder"], row["codec"], row["asked_bpp"]


SOURCES = {
    "atlas": "Pathology Atlas (MIT)",
    "bcss": "BCSS (CC0)",
    "nuinsseg": "NuInsSeg (CC BY 4.0)",
    "glomeruli": "AIDPATH (CC BY 4.0)",
    "gatsby": "a tile of the Gatsby repository (Apache-2.0)",
    "oral": "two tiles of an oral cancer set (CC BY 4.0)",
    "monuseg": "MoNuSeg (CC BY-NC-SA 4.0)",
    "monusac": "MoNuSAC (CC BY-NC-SA 4.0)",
    "gbm40": "TCGA glioblastoma tiles (open access)",
}
"""Sources of training data, and their licences, by what the names of their files or folders begin with."""


def fast_packages() -> dict[str, Package]:
    """Return the packages that are measured here, by name."""
    return {name: package for name, package in shipped_packages().items() if package.card.architecture == "plain"}


def table(rows: list[dict[str, Any]]) -> str:
    """Return the rows as a Markdown table."""
    lines = [
        "| generator | tiles | base | bpp of the base | PSNR dB | bicubic | gain | SSIM | bicubic |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        rate = f"{row['bits_per_full_pixel']:.3f}" if row["codec"] else "-"
        gain = row["psnr_db"] - row["bicubic_psnr_db"]
        lines.append(
            f"| {row['generator']} | {row['folder']} ({row['tiles']}) | {row['codec'] or 'uncoded'} | {rate} "
            f"| {row['psnr_db']:.2f} | {row['bicubic_psnr_db']:.2f} | **{gain:+.2f}** "
            f"| {row['ssim']:.3f} | {row['bicubic_ssim']:.3f} |"
        )
    return "\n".join(lines)


def model_card(name: str, package: Package, results: dict[str, Any], wider: dict[str, Any]) -> str:
    """Return the card of a shipped package, from its own statement and the measurements.

    results: of this benchmark. wider: of `benchmarks.fidelity`.
    """
    card = package.card
    magnification = "40x detail of H&E slides from a 10x base"
    if card.scale == 2:
        magnification = "40x detail of H&E slides from a 20x base, and 20x detail from a 10x base,"
    return f"""# {name}

| | |
|---|---|
| digest | `{package.digest}` |
| file | {len(package.data)} bytes, safetensors, {_numbers(package)} |
| architecture | `{card.architecture}` {card.hyperparameters}, x{card.scale}, halo {card.halo} base pixels |
| generation | {card.generation} |
| licence of the weights | {card.licence}: {use_of(card.licence)} |

**What it is for.** {_filled(card.training["purpose"], start=22)}

{_filled("**What it does.** " + _task(card, magnification))}

{_filled("**The same bits everywhere.** " + _promise(package))}

**What it is not for.** Primary diagnosis. Counting or grading what is smaller than two base pixels. Stains other than
H&E, fluorescence, cytology, other magnifications: nothing of that was measured.

{_filled("**Training.** " + _training(card))}

{_filled(_sources(card))}{_ancestry(card)}

**Measured.** PSNR over RGB; SSIM with an 11 x 11 Gaussian window of sigma 1.5, mean of the RGB channels; means over
tiles. Bicubic enlarges the same decoded base. `dev` shares a source with the training data, though, as far as names
tell, no patient; `foreign` are other labs' scanners, never trained on: expect the latter.

{_measured(card, results, wider)}
"""


def _filled(text: str, start: int = 0) -> str:
    lines = textwrap.wrap("x" * start + text, width=120, break_on_hyphens=False)
    return "\n".join(lines)[start:]


def _numbers(package: Package) -> str:
    return "whole numbers: weights of 8 bits" if package.is_exact else "floats in half precision"


def _promise(package: Package) -> str:
    """Return whether every machine computes the same, in words."""
    if package.is_exact:
        return "Its pixels are defined to the bit: it computes in whole numbers, and every engine gives the same ones."
    return (
        "Not from this one. It is a network in floats, outside the promise: two machines may round otherwise, so a "
        "file with it has no blocks that are corrected by differences."
    )


def _task(card: PackageCard, magnification: str) -> str:
    made = f"made by the downsampler {card.downsampler}" if card.downsampler else "box-averaged"
    codecs = dict.fromkeys(base["codec"] for base in card.training["bases"] if base["share"])
    coded = "coded as " + " or ".join(codec for codec in codecs if codec != "uncoded")
    coded += ", or not at all" if "uncoded" in codecs else ""
    return f"Predicts {magnification} that was {made}, and {coded}."


def downsampler_card(package: Package) -> str:
    """Return the card of a shipped downsampler, from its own statement."""
    card = package.card
    return f"""# {card.name}

| | |
|---|---|
| digest | `{package.digest}` |
| file | {len(package.data)} bytes, safetensors, {_numbers(package)} |
| architecture | `{card.architecture}` {card.hyperparameters}, halo {card.halo} base pixels |
| generation | {card.generation} |
| licence of the weights | {card.licence}: {use_of(card.licence)} |

**What it is for.** The encoder's base, 1/{card.scale} of the slide each way, where only a histocodec decoder opens
it. A decoder does not need it.

**What it does.** Adds to the box average what three convolutions make of the full pixels. It was trained together with
a small generator, AV1 between them, for the most decibels at equal bytes; the generators that name it in their cards
are trained on its bases. Colours and contrast stay (means of 4 x 4 base pixels are 44 to 52 dB from the box average's,
by tissue), while single pixels carry more of the fine structure than an average does: a base is 32 to 37 dB from the
box average, and looks a little sharpened.

**What it is not for.** Bases that other readers open, measurements on the base itself, another generator than its own.

{_filled("**Training.** " + _training(card))}

{_filled(_sources(card))}
"""


def _training(card: PackageCard) -> str:
    """Return a paragraph on a package's training, from the configuration in its card."""
    how = f"`histocodec train configs/{card.name}.toml`, which has every setting"
    if card.architecture != "rrdb":
        how += ". Trained in floats, quantised at its end"
    beside = {f"downsampler's {key}": value for key, value in (card.training.get("downsampler") or {}).items()}
    stated = {**card.training["loss"], **beside, **card.training["schedule"]}
    folders = ", ".join(f"{folder} ({share:.0%})" for folder, share in card.training["data"]["train"].items())
    settings = ", ".join(f"{key} {value}" for key, value in stated.items() if value not in (None, False))
    return (
        f"Share of the draws by folder of the training data: {folders}. Every base was coded by "
        f"the codec itself, each patch in one codestream. Made by {how}. Settings: {settings}."
    )


def _sources(card: PackageCard) -> str:
    """Name the sources of a package's training data, each with its licence."""
    folders = [Path(folder).name for folder in card.training["data"]["train"]]
    found = dict.fromkeys(text for folder in folders for source, text in SOURCES.items() if folder.startswith(source))
    return f"Data: {', '.join(found)}. The tiles themselves are not shipped."


def _ancestry(card: PackageCard) -> str:
    if card.architecture != "rrdb":
        return ""
    return """
The weights started from Real-ESRGAN x4plus (BSD-3-Clause). The perceptual loss used VGG16 (CC BY 4.0)."""


def _measured(card: PackageCard, results: dict[str, Any], wider: dict[str, Any]) -> str:
    """Return the tables of a card, each with a line that says whether it is of whole tiles or of their middles."""
    name, crop = card.name, card.training["data"]["measure_crop"]
    own = [row for row in results["rows"] if row["generator"] == name]
    stated = "" if crop else "; `histocodec models` prints the same numbers, as the package states them"
    parts = [f"Whole tiles (`python -m benchmarks.generators`{stated}):\n\n{table(own)}"] if own else []
    if crop:
        parts.append(
            f"The middle {crop} px of tiles, when its training ended: what the package states and `histocodec models` "
            f"prints.\n\n{table(stated_rows(card))}"
        )
    if any(row["method"] == name for row in wider["rows"]):
        parts.append(
            f"Beyond PSNR, on the middle {wider['crop']} px of tiles (`python -m benchmarks.fidelity`; columns as "
            "`benchmarks/README.md`\ndefines them):\n\n" + fidelity.method_table(wider, name)
        )
    return "\n\n".join(parts)


def stated_rows(card: PackageCard) -> list[dict[str, Any]]:
    """Return the measures that a package states, as rows of `table`."""
    return [
        {**score, "generator": card.name, "folder": folder, "codec": None if base == "uncoded" else base.split()[0]}
        for folder, bases in card.measured.items()
        for base, score in bases.items()
    ]


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark, or write the cards from what earlier runs measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.generators", description=__doc__)
    parser.add_argument("--data", type=Path, default=default_data())
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--cards", action="store_true", help="write the model cards from the results in --out")
    options = parser.parse_args(arguments)
    if not options.cards:
        known = json.loads(options.out.read_text()) if options.out.exists() else {}
        results = measure(options.data, list(fast_packages()), known)
        options.out.write_text(json.dumps(results, indent=1) + "\n")
    results = json.loads(options.out.read_text())
    wider = json.loads(fidelity.RESULTS.read_text())
    for name, package in shipped_packages().items():
        (MODELS_FOLDER / f"{name}.md").write_text(model_card(name, package, results, wider))
    for name, package in shipped_packages("downsampler").items():
        (MODELS_FOLDER / "downsamplers" / f"{name}.md").write_text(downsampler_card(package))
    print(table(results["rows"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
