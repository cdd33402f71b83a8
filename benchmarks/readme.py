"""Fill the README's tables from the committed results: `python -m benchmarks.readme`. A test keeps them equal."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from histocodec.generators.catalogue import DEFAULTS, FOR_AVIF

from . import fidelity, generators, speed
from .ratedistortion import tables as ratedistortion
from .ratedistortion.results import RESULTS as RATE_DISTORTION

README = Path(__file__).parents[1] / "README.md"
SPEED = Path(__file__).parent / "results" / "speed.json"


def generator_summary(results: dict[str, Any]) -> str:
    """One row a base, one column a folder: PSNR, gain over bicubic, SSIM."""
    rows = [
        row
        for row in results["rows"]
        if row["generator"] in (FOR_AVIF if row["codec"] == "avif" else DEFAULTS).values()
    ]
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
    lines += [f"| {name} | " + " | ".join(cells[folder] for folder in folders) + " |" for name, cells in groups.items()]
    return "\n".join([*lines, "", "In brackets: the gain over bicubic in dB, and bicubic's SSIM."])


def filled(text: str) -> str:
    """The README with every table made anew."""
    tables = {
        "generators": generator_summary(json.loads(generators.RESULTS.read_text())),
        "fidelity": fidelity.summary(json.loads(fidelity.RESULTS.read_text())),
        "speed": speed.table(json.loads(SPEED.read_text())).strip(),
    }
    if RATE_DISTORTION.is_file():
        tables["ratedistortion"] = ratedistortion.summary(json.loads(RATE_DISTORTION.read_text()))
    for name, table in tables.items():
        pattern = rf"<!-- {name} -->.*?<!-- /{name} -->"
        text = re.sub(pattern, lambda _, n=name, t=table: f"<!-- {n} -->\n{t}\n<!-- /{n} -->", text, flags=re.DOTALL)  # type: ignore[misc]
    return text


if __name__ == "__main__":
    README.write_text(filled(README.read_text()))
