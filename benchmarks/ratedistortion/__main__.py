"""Run the rate-distortion benchmark: `python -m benchmarks.ratedistortion --data ../shared/data`.

Writes `benchmarks/results/ratedistortion.json` (a row for each image, method and ratio reached), and from it the
tables (`.md`) and figures (`.png`) beside it; `--tables` derives those again. `--quick` measures PSNR and SSIM of the
methods that matter on the middles of eight tiles, in some minutes, to see what a generator in training is worth:
`--quick --generator PATH`. What was measured is kept in the folder `--cache`, so that a run that was interrupted goes
on where it stopped, and only what has changed is measured again.
"""

from __future__ import annotations

import os

# One thread a worker: the libraries read these when they are loaded.
os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))
# Workers keep the memory of one image's planes for the next; handing it back costs a sixth of their time.
os.environ.update(dict.fromkeys(("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"), "1073741824"))

import argparse
import sys
import time
from pathlib import Path

from benchmarks.mosaic import default_data

from . import figures, sheet, slide, tables
from .methods import Candidate, default_methods
from .results import RESULTS, environment, read_results, write_results
from .tiles import Cache, Plan, run

CACHE = Path("runs") / "ratedistortion"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ratedistortion", description=__doc__)
    parser.add_argument("--data", type=Path, default=default_data())
    parser.add_argument("--weights", type=Path, help="the folder of ST-LPIPS's weights; default: beside the data")
    parser.add_argument(
        "--generator",
        action="append",
        default=[],
        metavar="NAME_OR_PATH[@DOWNSAMPLER]",
        help="a package to compare with the defaults, in AV1, repeatable; and the downsampler that makes its bases",
    )
    parser.add_argument("--quick", action="store_true", help="eight tiles, few methods and measures, no slides")
    parser.add_argument("--task", choices=("all", "tiles", "slide"), default="all")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--cache", type=Path, default=CACHE)
    parser.add_argument("--out", type=Path, help="default: the committed results; of a quick run, the cache folder")
    parser.add_argument("--tables", action="store_true", help="only derive tables and figures from --out")
    parser.add_argument(
        "--sheet", action="store_true", help="with --tables: the contact sheet as well, which codes anew"
    )
    options = parser.parse_args(arguments)
    out: Path = options.out or (options.cache / "quick.json" if options.quick else RESULTS)
    candidates = tuple(Candidate.parse(text) for text in options.generator)
    plan = Plan(options.data, options.weights or options.data.parent / "weights", candidates, options.quick)
    if not options.tables:
        started = time.monotonic()
        results = read_results(out) if out.is_file() else {}
        if options.task in ("all", "tiles"):
            results["rows"] = run(plan, Cache(options.cache / "tiles.jsonl"), options.workers)
        if options.task in ("all", "slide") and not options.quick:
            results["slide_rows"] = slide.run(plan, options.cache, options.workers)
        results["default"] = default_methods()
        results["environment"] = environment(plan, time.monotonic() - started)
        out.parent.mkdir(parents=True, exist_ok=True)
        write_results(out, results)
    results = read_results(out)
    text = tables.report(results)
    out.with_suffix(".md").write_text(text)
    if not options.quick:
        figures.draw(results, out)
    if options.sheet or not (options.tables or options.quick):
        sheet.draw(results, plan, out.with_name(out.stem + "_sheet.png"))
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
