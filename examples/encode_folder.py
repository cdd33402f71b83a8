"""Encode every slide of a folder: `encode_folder.py slides/ archive/ --ratio 16`.

What is there already is left alone, so an interrupted run goes on where it was. A slide that cannot be encoded is named
on stderr, and does not stop the others. One line of CSV a slide goes to archive/report.csv.
"""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path

import histocodec

SLIDES = (".svs", ".ndpi", ".mrxs", ".scn", ".bif", ".tif", ".tiff")


def main(arguments: list[str] | None = None) -> int:
    """Encode what is missing; return 1 if a slide failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("slides", type=Path)
    parser.add_argument("archive", type=Path)
    parser.add_argument("--ratio", type=float, default=16.0, help="source bytes over output bytes, at least")
    asked = parser.parse_args(arguments)
    asked.archive.mkdir(parents=True, exist_ok=True)
    settings, failed = histocodec.EncodeSettings(ratio=asked.ratio), 0
    with (asked.archive / "report.csv").open("a", newline="") as file:
        report = csv.writer(file)
        for slide in sorted(path for path in asked.slides.iterdir() if path.suffix.lower() in SLIDES):
            target = asked.archive / f"{slide.name}.hc.tif"
            if target.exists():
                continue
            try:
                with histocodec.open_source(slide) as source:
                    done = histocodec.encode(source, target, settings=settings)
            except histocodec.HistocodecError as error:
                failed += 1
                print(f"failed: {error}", file=sys.stderr)
                continue
            psnr_db = round(done.psnr_db.mean, 2) if done.psnr_db else ""  # none without tissue
            report.writerow([slide.name, done.source_bytes, done.size_bytes, psnr_db, "; ".join(done.notes)])
            file.flush()
            print(f"{target}: {done.ratio_to_source:.1f} times smaller")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
