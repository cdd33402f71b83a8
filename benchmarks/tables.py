"""Fill the tables of README.md and docs/ from the committed results: `python -m benchmarks.tables`.

A table stands between `<!-- name -->` and `<!-- /name -->`. A test keeps them equal to the results.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from histocodec.generators.catalogue import DEFAULT_NAMES, DEFAULTS, shipped_packages

from . import fidelity, fields, generators
from .bits import table as table_of_bits
from .originals import table as table_of_originals
from .ratedistortion import tables as ratedistortion
from .ratedistortion.contest import DEFAULT
from .ratedistortion.results import RESULTS as RATE_DISTORTION
from .speed.report import table as table_of_speed

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
DOCUMENTS = (
    README,
    *(
        ROOT / "docs" / name
        for name in ("measurements.md", "what-16x-keeps.md", "engines.md", "training.md", "fidelity.md")
    ),
)
SPEED = Path(__file__).parent / "results" / "speed.json"
BITS = Path(__file__).parent / "results" / "bits.json"
ORIGINALS = Path(__file__).parent / "results" / "originals.json"

LABS = {"foreign/tnbc": "tnbc", "foreign/brecahad": "brecahad", "dev/monuseg": "dev"}
"""Folders of tiles by the words for them, in the order in which numbers stand side by side."""

JUDGED = (
    ("Architecture, glands, vessels, stroma", "kept", "kept", "kept", "kept"),
    ("Nuclei: where they are, about how many", "kept", "kept", "kept", "mostly"),
    ("Nuclei: outline and size", "kept", "kept", "softened", "blurred"),
    ("Chromatin, nucleoli", "kept", "softened", "**lost**", "**lost**"),
    ("Mitoses", "seen, not certain", "seen, not certain", "**not to be counted**", "**not to be counted**"),
    ("Fine fibres, granules", "softened", "thinned", "**lost or invented**", "**lost or invented**"),
    ("Warm colours (orange, saffron)", "paler", "paler", "**pinker**", "**pink**"),
)
"""What a person saw on the pictures of docs/what-16x-keeps.md, at the ratios of `fields.SETTINGS`."""


def generator_summary(results: dict[str, Any]) -> str:
    """Return one row a base, one column a folder: PSNR, gain over bicubic, SSIM."""
    rows = [row for row in results["rows"] if row["generator"] in DEFAULTS[row["codec"] or "jp2k"].values()]
    folders = [
        folder for folder in dict.fromkeys(row["folder"] for row in rows) if not folder.endswith(generators.AT_20X)
    ]
    rows = [row for row in rows if row["folder"] in folders]
    counts = {row["folder"]: row["tiles"] for row in rows}
    lines = [
        "| generator, base | " + " | ".join(f"{folder} ({counts[folder]} tiles)" for folder in folders) + " |",
        "|---|" + "---|" * len(folders),
    ]
    groups: dict[str, dict[str, str]] = {}
    for row in rows:
        base = f"{row['codec']} at {row['asked_bpp']:.2f} bpp" if row["codec"] else "uncoded"
        gain = row["psnr_db"] - row["bicubic_psnr_db"]
        cell = f"{row['psnr_db']:.2f} dB (**{gain:+.2f}**), SSIM {row['ssim']:.3f} ({row['bicubic_ssim']:.3f})"
        groups.setdefault(f"{row['generator']}, {base}", {})[row["folder"]] = cell
    for name, cells in groups.items():
        lines.append(f"| {name} | " + " | ".join(cells.get(folder, "-") for folder in folders) + " |")
    return "\n".join([*lines, "", "In brackets: the gain over bicubic in dB, and bicubic's SSIM."])


def kept(results: dict[str, Any]) -> str:
    """Return what is kept at which ratio by the default settings: a judgement a row, then the measures."""
    ratios = fields.SETTINGS[fields.DEFAULT][1]
    lines = [
        "| | " + " | ".join(f"{ratio}x" for ratio in ratios) + " |",
        "|---|" + "---|" * len(ratios),
        "| A slide of 1 GB becomes | " + " | ".join(f"{1000 / ratio:.0f} MB" for ratio in ratios) + " |",
    ]
    lines += [f"| {' | '.join(row)} |" for row in JUDGED]

    def measured(title: str, key: str, form: str) -> str:
        cells = []
        for ratio in ratios:
            found = [_row(results, folder, fields.DEFAULT, ratio) for folder in LABS]
            values = [row[key] for row in found if row is not None and key in row]
            cells.append(" / ".join(form.format(value) for value in values) or "-")
        return f"| {title} | {' | '.join(cells)} |"

    labs = ", ".join(LABS.values())
    original = next(row["nuclei_original_f1"] for row in results["rows"] if "nuclei_original_f1" in row)
    lines += [
        measured(f"PSNR, dB ({labs})", "psnr_db", "{:.1f}"),
        measured(f"SSIM ({labs})", "ssim", "{:.2f}"),
        measured(f"F1 of nuclei (dev; in the originals {original:.2f})", "nuclei_f1", "{:.2f}"),
    ]
    return "\n".join(lines)


def fields_table(results: dict[str, Any]) -> str:
    """Return a row for each slide, setting and ratio."""
    lines = [
        "| slide | settings | asked | reached | bytes | PSNR dB (lowest tile) | SSIM | detail: share, r | warm b* | "
        "nuclei F1, count |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in results["rows"]:
        base = "20x" if row["base_mpp"] < 0.75 else "10x"
        nuclei = "-"
        if "nuclei_f1" in row:
            nuclei = f"{row['nuclei_f1']:.3f}, {row['nuclei_count']}"
        lines.append(
            f"| {row['folder']} ({row['tiles']}) | {row['setting']} ({base}, {row['generator']}) "
            f"| {row['asked_ratio']} | {row['ratio']:.2f} | {row['bytes']:,} "
            f"| {row['psnr_db']:.2f} ({row['lowest_psnr_db']:.2f}) | {row['ssim']:.3f} "
            f"| {row['detail_share']:.2f}, {row['detail_correlation']:.2f} "
            f"| {row['warm_b_original']:.1f} to {row['warm_b']:.1f} | {nuclei} |"
        )
    original = next(row for row in results["rows"] if "nuclei_original_f1" in row)
    sources = ", ".join(f"{facts['psnr_db']:.1f} dB ({LABS[folder]})" for folder, facts in results["sources"].items())
    lines += [
        "",
        f"In dev's originals: F1 {original['nuclei_original_f1']:.3f}, {original['nuclei_original_count']} nuclei.",
        f"The sources, JPEG themselves, differ from the tiles that they were made of by {sources}.",
    ]
    return "\n".join(lines)


def makers(digests: dict[str, str]) -> str:
    """Return the packages that results were made with, each as shipped or as an earlier one."""
    shipped = {name: package.digest for name, package in shipped_packages().items()}
    same = sorted(name for name, digest in digests.items() if shipped.get(name) == digest)
    earlier = sorted(f"`{name}` ({digest[:14]})" for name, digest in digests.items() if shipped.get(name) != digest)
    words = ["Made with " + ", ".join(f"`{name}`" for name in same) + " as shipped"] if same else []
    words += [f"{'with ' if same else 'Made with '}earlier generators, {', '.join(earlier)}"] if earlier else []
    return "; ".join(words) + "."


def _of_defaults(digests: dict[str, str]) -> dict[str, str]:
    names = set(DEFAULT_NAMES)
    return {name: digest for name, digest in digests.items() if name in names}


def _row(results: dict[str, Any], folder: str, setting: str, ratio: int) -> dict[str, Any] | None:
    found = [
        row
        for row in results["rows"]
        if (row["folder"], row["setting"], row["asked_ratio"]) == (folder, setting, ratio)
    ]
    return found[0] if found else None


def quantised(_: dict[str, Any]) -> str:
    """Return a row for each default generator and folder: its PSNR, and what the network in floats was better by."""
    rows = []
    for name in DEFAULT_NAMES:
        for folder, bases in shipped_packages()[name].card.measured.items():
            cells = [f"{score['psnr_db']:.2f} ({-score['lost_db']:+.3f})" for score in bases.values()]
            tiles = next(iter(bases.values()))["tiles"]
            rows.append(f"| {name} | {folder} ({tiles}) | {' | '.join(cells)} |")
    heads = "| generator | tiles | uncoded | coded, 0.10 bpp | coded, 0.15 (x4) or 0.20 bpp (x2) |"
    return "\n".join([heads, "|---|---|---|---|---|", *rows])


TABLES: dict[str, tuple[Path, Callable[[Any], str]]] = {
    "kept": (fields.RESULTS, kept),
    "fields": (fields.RESULTS, fields_table),
    "fields made with": (fields.RESULTS, lambda results: makers(results["digests"])),
    "generators": (generators.RESULTS, generator_summary),
    "generators made with": (generators.RESULTS, lambda results: makers(_of_defaults(results["digests"]))),
    "fidelity": (fidelity.RESULTS, fidelity.summary),
    "fidelity made with": (fidelity.RESULTS, lambda results: makers(results["digests"])),
    "ratedistortion": (RATE_DISTORTION, ratedistortion.summary),
    "contest of the default": (RATE_DISTORTION, lambda results: ratedistortion.summary(results, DEFAULT)),
    "ratedistortion made with": (RATE_DISTORTION, lambda results: makers(results["environment"]["generators"])),
    "quantised": (generators.RESULTS, quantised),
    "speed": (SPEED, lambda results: table_of_speed(results).strip()),
    "bits": (BITS, lambda results: table_of_bits(results).strip()),
    "originals": (ORIGINALS, lambda results: table_of_originals(results).strip()),
}
"""By name: the committed results of a table, and what makes it of them."""


def filled(text: str) -> str:
    """Return a document with every table in it made anew. Raises KeyError for a name that is none of `TABLES`."""

    def made(match: re.Match[str]) -> str:
        path, table = TABLES[match[1]]
        return f"<!-- {match[1]} -->\n{table(json.loads(path.read_text()))}\n<!-- /{match[1]} -->"

    return re.sub(r"<!-- ([a-z ]+) -->.*?<!-- /\1 -->", made, text, flags=re.DOTALL)


if __name__ == "__main__":
    for document in DOCUMENTS:
        document.write_text(filled(document.read_text()))
