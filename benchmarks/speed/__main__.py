"""Time, memory, bytes, latency and fidelity on mosaic slides, beside libvips, OpenSlide and an earlier commit.

    python -m benchmarks.speed --sizes 8192 16384 32768 --scratch scratch/ --out benchmarks/results/speed.json
    python -m benchmarks.speed --table benchmarks/results/speed.json

With `--before CHECKOUT`, a checkout of an earlier commit, the largest mosaic is also decoded by both in turns.
`benchmarks/README.md` defines every number.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import openslide

import histocodec
from histocodec.runtime.parallel import core_count

from ..mosaic import CELL, build_mosaic, tissue_tiles
from .against import Commit, compare, second_core
from .machine import environment
from .report import bars, table
from .tiles import READ_SIDE, fidelity, latency_rows, tissue_positions
from .transcode import RATIO, load_into_page_cache, transcode_row, vips_command, vips_name
from .usage import CommandError

FIDELITY_SIZE = 16384
"""Side of the mosaic on which fidelity is measured, px; the largest if it is not among those asked for."""
COLD_TILES = 25
"""Tiles of 256 px whose reading is compared with an earlier commit's."""
ROUNDS = 2
"""Turns of this commit and the earlier one."""
BLOCK = 512
"""Full pixels a side of a block of the canonical grid, x4."""


def measure(
    sizes: Sequence[int],
    decode_sizes: Sequence[int],
    *,
    seed: int,
    scratch: Path,
    data: Path | None,
    reads: int,
    tiles: int,
    before: Path | None,
    codec: str | None,
    generators: tuple[str, str],
    save: Callable[[dict[str, Any]], None],
) -> dict[str, Any]:
    """Measure everything, smallest mosaic first; `save` is called after each size with what there is.

    before: a checkout to compare with. codec: of the bases; None takes the default, of each commit its own.
    generators: those of the earlier checkout and of this one by that codec.
    """
    vips = shutil.which("vips")
    if vips is None:
        _say("no `vips` on the PATH (Debian: libvips-tools): its rows stay empty")
    results: dict[str, Any] = {
        "environment": environment(vips),
        "settings": {"seed": seed, "ratio": RATIO, "reads": reads, "tiles": tiles, "codec": codec},
        "rows": [],
        "latency": [],
        "fidelity": None,
        "against": None,
        "bars": [],
    }
    fidelity_size = FIDELITY_SIZE if FIDELITY_SIZE in sizes else max(sizes)
    scratch.mkdir(parents=True, exist_ok=True)
    slide = scratch
    for size in sorted(sizes):
        slide = scratch / f"mosaic-{size}-{seed}.tif"
        if not slide.exists():
            _say(f"{size} px: building the mosaic")
            build_mosaic(slide, size, seed=seed, data=data)
        container, decoded = slide.with_suffix(".hc.tif"), slide.with_suffix(".decoded.tif")
        load_into_page_cache(slide)
        rows = results["rows"]
        cli = [sys.executable, "-m", "histocodec"]
        _say(f"{size} px: histocodec and libvips")
        encode = [*cli, "encode", str(slide), "-o", str(container), "--overwrite", *_of_codec(codec)]
        rows.append(transcode_row(size, "histocodec encode", encode, slide, container))
        for compression in ("jp2k", "jpeg"):
            output = slide.with_suffix(f".{compression}.tif")
            command = vips and vips_command(vips, compression, slide, output)
            rows.append(transcode_row(size, vips_name(compression), command or None, slide, output))
            output.unlink(missing_ok=True)
        if size in decode_sizes:
            decode = [*cli, "decode", str(container), str(decoded), "--overwrite"]
            rows.append(transcode_row(size, "histocodec decode", decode, container, decoded))
            decoded.unlink()
        _say(f"{size} px: latency")
        positions = tissue_positions(size, seed, READ_SIDE, reads)
        for reader, opener in (
            ("histocodec.open_slide", lambda path=container: histocodec.open_slide(path)),
            ("openslide.OpenSlide, the source", lambda path=slide: openslide.OpenSlide(path)),
        ):
            results["latency"] += latency_rows(size, reader, opener, positions)
        if size == fidelity_size:
            _say(f"{size} px: fidelity of {tiles} tiles")
            results["fidelity"] = fidelity(size, seed, slide, container, tiles)
        results["bars"] = bars(results)
        save(results)
    if before is not None:
        results["against"] = _against(before, slide, max(sizes), seed, codec, generators)
        results["bars"] = bars(results)
        save(results)
    return results


def _against(
    before: Path, slide: Path, size: int, seed: int, codec: str | None, generators: tuple[str, str]
) -> dict[str, Any]:
    """Compare with an earlier commit on one mosaic."""
    slide = slide.absolute()
    then, now = Commit(before, slide.with_suffix(".before.hc.tif")), Commit(Path.cwd(), slide.with_suffix(".hc.tif"))
    _say(f"{size} px: the earlier commit encodes")
    encode = then.cli(
        "encode", str(slide), "-o", str(then.container), "--overwrite", *_of_codec(codec), "--verify", "none"
    )
    subprocess.run(encode, env=then.environment(), cwd=before, check=True, capture_output=True)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=before, capture_output=True, text=True)
    _say(f"{size} px: both commits in turns")
    rows = compare(
        then,
        now,
        generators=generators,
        workers=core_count(),
        corners=corners_within_blocks(size, seed, COLD_TILES),
        rounds=ROUNDS,
    )
    return {
        "size_px": size,
        "before": commit.stdout.strip(),
        "rounds": ROUNDS,
        "rows": rows,
        "second_core": round(second_core(now, rounds=ROUNDS), 3),
    }


def _of_codec(codec: str | None) -> list[str]:
    return [] if codec is None else ["--codec", codec]


def corners_within_blocks(size: int, seed: int, count: int) -> list[tuple[int, int]]:
    """Return top left corners of tiles of 256 px, aligned to 256, each within a block that lies in tissue alone."""
    tissue = tissue_tiles(size, seed)
    corners: list[tuple[int, int]] = []
    for y in range(0, size - BLOCK + 1, BLOCK):
        for x in range(0, size - BLOCK + 1, BLOCK):
            if tissue[y // CELL : (y + BLOCK - 1) // CELL + 1, x // CELL : (x + BLOCK - 1) // CELL + 1].all():
                corners.append((x + READ_SIDE * (len(corners) % 2), y))
    return corners[:: max(1, len(corners) // count)][:count]


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[8192, 16384, 32768], help="sides of the mosaics, px")
    parser.add_argument("--decode-sizes", type=int, nargs="*", default=None, help="those to decode; default: all")
    parser.add_argument("--scratch", type=Path, default=Path("scratch"), help="mosaics are made here, and reused")
    parser.add_argument("--out", type=Path, default=None, help="where the results go, as JSON")
    parser.add_argument("--data", type=Path, default=None, help="folder that holds dev/*/*.jxl")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--reads", type=int, default=30, help="positions whose latency is measured")
    parser.add_argument("--tiles", type=int, default=48, help="tiles whose fidelity is measured")
    parser.add_argument("--codec", default=None, help="of the bases; default: each commit's own default")
    parser.add_argument("--before", type=Path, default=None, help="a checkout of an earlier commit to compare with")
    parser.add_argument(
        "--generators",
        nargs=2,
        default=("fidelity-x4", "av1-x4"),
        metavar=("BEFORE", "NOW"),
        help="default generators of both commits for the codec",
    )
    parser.add_argument("--table", type=Path, default=None, metavar="JSON", help="print these results as Markdown")
    options = parser.parse_args(arguments)
    if options.table is not None:
        print(table(json.loads(options.table.read_text())), end="")
        return 0

    def save(results: dict[str, Any]) -> None:
        if options.out is not None:
            options.out.parent.mkdir(parents=True, exist_ok=True)
            options.out.write_text(json.dumps(results, indent=1) + "\n")

    try:
        results = measure(
            options.sizes,
            options.sizes if options.decode_sizes is None else options.decode_sizes,
            seed=options.seed,
            scratch=options.scratch,
            data=options.data,
            reads=options.reads,
            tiles=options.tiles,
            before=options.before and options.before.absolute(),
            codec=options.codec,
            generators=tuple(options.generators),
            save=save,
        )
    except (CommandError, OSError, ValueError, subprocess.CalledProcessError, histocodec.HistocodecError) as error:
        _say(str(error))
        return 1
    print(table(results), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
