"""Time, memory, bytes, latency and fidelity on mosaic slides, beside libvips and OpenSlide.

    python -m benchmarks.speed --sizes 8192 16384 32768 --scratch scratch/ --out benchmarks/results/speed.json
    python -m benchmarks.speed --table benchmarks/results/speed.json

`benchmarks/README.md` defines every number.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import importlib.metadata
import json
import operator
import platform
import re
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import openslide
import psutil

import histocodec
from histocodec.geometry import Image
from histocodec.pixels.metrics import psnr
from histocodec.runtime.parallel import core_count

from .mosaic import CELL, build_mosaic, tissue_tiles

RATIO = 16
VIPS_QUALITY = 40
READ_SIDE = 256
"""Side of a tile whose latency is measured, px."""
FIDELITY_SIDE = 512
"""Side of a tile whose fidelity is measured, px."""
FIDELITY_SIZE = 16384
"""Side of the mosaic on which fidelity is measured, px; the largest if it is not among those asked for."""

# Measured from a process of its own, which holds no memory: Linux counts what the parent held at the moment of the
# fork into a child's ru_maxrss.
_LAUNCHER = """
import json, os, sys, time
start = time.perf_counter()
child = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, 2, 1)])
_, status, used = os.wait4(child, 0)
wall = time.perf_counter() - start
unit = 1 if sys.platform == "darwin" else 1024
print(json.dumps([os.waitstatus_to_exitcode(status), wall, used.ru_utime, used.ru_stime, used.ru_maxrss * unit]))
"""


_RELATIONS: dict[str, Callable[[float, float], bool]] = {
    "at most": operator.le,
    "at least": operator.ge,
    "above": operator.gt,
}


class CommandError(RuntimeError):
    """A measured command failed."""


@dataclass(frozen=True, slots=True)
class Usage:
    """The time and memory of one command, from start to exit, its children included."""

    wall_s: float
    user_s: float
    system_s: float
    peak_rss_bytes: int


def measured(command: Sequence[str]) -> Usage:
    """Run a command to its end. Raises CommandError, with the end of its stderr, if it fails."""
    launcher = subprocess.Popen(
        [sys.executable, "-S", "-E", "-c", _LAUNCHER, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    )
    done = threading.Event()
    sampled = [0]

    def sample() -> None:
        with contextlib.suppress(psutil.NoSuchProcess):
            root = psutil.Process(launcher.pid)
            while not done.wait(0.1):
                total = 0
                for process in root.children(recursive=True):
                    with contextlib.suppress(psutil.NoSuchProcess):
                        total += process.memory_info().rss
                sampled[0] = max(sampled[0], total)

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        out, err = launcher.communicate()
    finally:
        done.set()
        sampler.join()
    if launcher.returncode != 0:
        raise CommandError(f"could not start {command[0]}: {err.strip().rpartition(chr(10))[2]}")
    code, wall_s, user_s, system_s, largest = json.loads(out.splitlines()[-1])
    if code != 0:
        raise CommandError(f"{command[0]} exited with {code}: {err.strip()[-500:]}")
    return Usage(round(wall_s, 3), round(user_s, 3), round(system_s, 3), max(int(largest), sampled[0]))


def transcode_row(size: int, tool: str, command: Sequence[str] | None, source: Path, output: Path) -> dict[str, Any]:
    """Measure a row of the table: run `command`, which turns `source` into `output`. `command` None: not available."""
    row: dict[str, Any] = {"size_px": size, "tool": tool}
    if command is None:
        return row | dict.fromkeys(
            ("wall_s", "user_s", "system_s", "peak_rss_bytes", "input_bytes", "output_bytes", "ratio")
        )
    output.unlink(missing_ok=True)
    _say(f"{size} px: {tool}")
    usage = measured(command)
    input_bytes, output_bytes = source.stat().st_size, output.stat().st_size
    sizes = {"input_bytes": input_bytes, "output_bytes": output_bytes, "ratio": round(input_bytes / output_bytes, 3)}
    return row | asdict(usage) | sizes


def tissue_positions(size: int, seed: int, side: int, count: int) -> list[tuple[int, int]]:
    """Draw top left corners of `count` squares of `side` px, each within a tissue cell of the mosaic of `size` px."""
    tissue = tissue_tiles(size, seed)
    # The last cells of a row or column may be cut off by the edge of the mosaic.
    whole = size // CELL
    cells = np.argwhere(tissue[:whole, :whole])
    if len(cells) == 0:
        raise ValueError(f"a mosaic of {size} px holds no whole cell of tissue")
    rng = np.random.default_rng((seed, side))
    corners = cells[rng.integers(len(cells), size=count)] * CELL + rng.integers(0, CELL - side + 1, (count, 2))
    return [(int(x), int(y)) for y, x in corners]


class _Slide(Protocol):
    def read_region(self, location: tuple[int, int], level: int, size: tuple[int, int]) -> object: ...
    def close(self) -> None: ...


def latency_rows(
    size: int, reader: str, open_slide: Callable[[], _Slide], positions: Iterable[tuple[int, int]]
) -> list[dict[str, Any]]:
    """Open a slide anew for each position and read the same tile of level 0 twice. Milliseconds."""
    _say(f"{size} px: latency through {reader}")
    taken: dict[str, list[float]] = {"open": [], "cold": [], "warm": []}
    positions = list(positions)
    for x, y in (positions[0], *positions):  # the first is run twice: code and libraries are loaded once per process
        start = time.perf_counter()
        slide = open_slide()
        opened = time.perf_counter()
        slide.read_region((x, y), 0, (READ_SIDE, READ_SIDE))
        cold = time.perf_counter()
        slide.read_region((x, y), 0, (READ_SIDE, READ_SIDE))
        warm = time.perf_counter()
        slide.close()
        for state, seconds in (("open", opened - start), ("cold", cold - opened), ("warm", warm - cold)):
            taken[state].append(1e3 * seconds)
    return [
        {
            "size_px": size,
            "reader": reader,
            "state": state,
            "reads": len(values) - 1,
            "p50_ms": round(float(np.percentile(values[1:], 50)), 3),
            "p95_ms": round(float(np.percentile(values[1:], 95)), 3),
        }
        for state, values in taken.items()
    ]


def fidelity(size: int, seed: int, slide: Path, container: Path, count: int) -> dict[str, Any]:
    """Return the PSNR of tissue tiles over the source's pixels: as the file decodes, and by bicubic from its base."""
    _say(f"{size} px: fidelity of {count} tiles")
    rows = []
    with (
        openslide.OpenSlide(slide) as source,
        histocodec.Decoder(container) as decoder,
        histocodec.Decoder(container, generator="bicubic") as bicubic,
    ):
        generator = decoder.generator.name
        for x, y in tissue_positions(size, seed, FIDELITY_SIDE, count):
            region = histocodec.Region(x, y, FIDELITY_SIDE, FIDELITY_SIDE)
            wanted = _pixels(source, region)
            rows.append(
                {
                    "x": x,
                    "y": y,
                    "psnr_db": round(psnr(decoder.read(region), wanted), 3),
                    "bicubic_psnr_db": round(psnr(bicubic.read(region), wanted), 3),
                }
            )
    return {
        "size_px": size,
        "generator": generator,
        "tile_px": FIDELITY_SIDE,
        "tiles": len(rows),
        "mean_psnr_db": round(statistics.fmean(row["psnr_db"] for row in rows), 3),
        "mean_bicubic_psnr_db": round(statistics.fmean(row["bicubic_psnr_db"] for row in rows), 3),
        "fraction_better": round(statistics.fmean(row["psnr_db"] > row["bicubic_psnr_db"] for row in rows), 4),
        "rows": rows,
    }


def _pixels(slide: openslide.AbstractSlide, region: histocodec.Region) -> Image:
    picture = slide.read_region((region.x, region.y), 0, (region.width, region.height))
    return np.asarray(picture.convert("RGB"))


def bars(results: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the project's own bars, each with its value and True if it is met; None where it was not measured."""
    encodes = {row["size_px"]: row for row in results["rows"] if row["tool"] == "histocodec encode"}
    rivals = {row["size_px"]: row["wall_s"] for row in results["rows"] if row["tool"] == _vips_name("jp2k")}
    peaks = {size: row["peak_rss_bytes"] for size, row in encodes.items()}
    pace = [row["wall_s"] / rivals[size] for size, row in encodes.items() if rivals.get(size)]
    tiles = results["fidelity"]

    found: list[dict[str, Any]] = []

    def bar(name: str, value: float | None, relation: str, target: float) -> None:
        met = None if value is None else _RELATIONS[relation](value, target)
        rounded = None if value is None else round(value, 4)
        found.append({"bar": name, "value": rounded, "relation": relation, "target": target, "pass": met})

    bar("peak memory of an encode, GiB", max(peaks.values(), default=0) / 2**30 or None, "at most", 1.5)
    growth = peaks[max(peaks)] / peaks[min(peaks)] if len(peaks) > 1 else None
    bar("peak memory of an encode, largest mosaic over smallest", growth, "at most", 1.3)
    bar("encode time over libvips to JPEG 2000, slowest", max(pace, default=None), "at most", 1.0)
    ratios = [row["ratio"] for row in encodes.values()]
    bar("source bytes over output bytes, least", min(ratios, default=None), "at least", RATIO)
    gain = tiles and tiles["mean_psnr_db"] - tiles["mean_bicubic_psnr_db"]
    bar("mean PSNR of tissue tiles over bicubic, dB", gain, "above", 0.0)
    bar("share of tissue tiles better than bicubic", tiles and tiles["fraction_better"], "at least", 1.0)
    return found


def measure(
    sizes: Sequence[int],
    decode_sizes: Sequence[int],
    *,
    seed: int,
    scratch: Path,
    data: Path | None,
    reads: int,
    tiles: int,
    save: Callable[[dict[str, Any]], None],
) -> dict[str, Any]:
    """Measure everything, smallest mosaic first; `save` is called after each size with what there is."""
    vips = shutil.which("vips")
    if vips is None:
        _say("no `vips` on the PATH (Debian: libvips-tools): its rows stay empty")
    results: dict[str, Any] = {
        "environment": environment(vips),
        "settings": {"seed": seed, "ratio": RATIO, "reads": reads, "tiles": tiles},
        "rows": [],
        "latency": [],
        "fidelity": None,
        "bars": [],
    }
    fidelity_size = FIDELITY_SIZE if FIDELITY_SIZE in sizes else max(sizes)
    scratch.mkdir(parents=True, exist_ok=True)
    for size in sorted(sizes):
        slide = scratch / f"mosaic-{size}-{seed}.tif"
        if not slide.exists():
            _say(f"{size} px: building the mosaic")
            build_mosaic(slide, size, seed=seed, data=data)
        container, decoded = slide.with_suffix(".hc.tif"), slide.with_suffix(".decoded.tif")
        _load_into_page_cache(slide)
        rows = results["rows"]
        cli = [sys.executable, "-m", "histocodec"]
        encode = [*cli, "encode", str(slide), "-o", str(container), "--overwrite"]
        rows.append(transcode_row(size, "histocodec encode", encode, slide, container))
        for compression in ("jp2k", "jpeg"):
            output = slide.with_suffix(f".{compression}.tif")
            command = vips and _vips_command(vips, compression, slide, output)
            rows.append(transcode_row(size, _vips_name(compression), command or None, slide, output))
            output.unlink(missing_ok=True)
        if size in decode_sizes:
            decode = [*cli, "decode", str(container), str(decoded), "--overwrite"]
            rows.append(transcode_row(size, "histocodec decode", decode, container, decoded))
            decoded.unlink()
        positions = tissue_positions(size, seed, READ_SIDE, reads)
        for reader, opener in (
            ("histocodec.open_slide", lambda path=container: histocodec.open_slide(path)),
            ("openslide.OpenSlide, the source", lambda path=slide: openslide.OpenSlide(path)),
        ):
            results["latency"] += latency_rows(size, reader, opener, positions)
        if size == fidelity_size:
            results["fidelity"] = fidelity(size, seed, slide, container, tiles)
        results["bars"] = bars(results)
        save(results)
    return results


def _vips_name(compression: str) -> str:
    return f"libvips to {compression} Q={VIPS_QUALITY}"


def _vips_command(vips: str, compression: str, source: Path, output: Path) -> list[str]:
    layout = ["--tile", "--pyramid", "--tile-width", "256", "--tile-height", "256", "--bigtiff"]
    return [vips, "tiffsave", str(source), str(output), *layout, "--compression", compression, "--Q", str(VIPS_QUALITY)]


def environment(vips: str | None) -> dict[str, Any]:
    """Describe the machine and the software, without names or places."""
    packages = ("imagecodecs", "numpy", "openslide-bin", "openslide-python", "tifffile", "torch")
    return {
        "cpu": _cpu_model(),
        "cores": core_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "histocodec": histocodec.__version__,
        "packages": {name: importlib.metadata.version(name) for name in packages},
        "vips": vips and subprocess.run([vips, "--version"], capture_output=True, text=True, check=True).stdout.strip(),
        "date": datetime.date.today().isoformat(),
    }


def _cpu_model() -> str:
    with contextlib.suppress(OSError):
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
        if found:
            return found.group(1)
    return platform.processor() or "unknown"


def _load_into_page_cache(path: Path) -> None:
    """Read a file once, so that the first tool to read it does not pay for the disk."""
    with path.open("rb") as file:
        while file.read(1 << 24):
            pass


def table(results: dict[str, Any]) -> str:
    """Return the results as Markdown."""
    machine = results["environment"]
    lines = [
        f"{machine['cpu']}, {machine['cores']} cores, Python {machine['python']}, "
        f"{machine['vips'] or 'no libvips'}, {machine['date']}.",
        "",
        "| mosaic | whole process | wall s | CPU s | peak memory MiB | output MB | in / out bytes |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for row in results["rows"]:
        cells = ["-"] * 5
        if row["wall_s"] is not None:
            cells = [
                f"{row['wall_s']:.1f}",
                f"{row['user_s'] + row['system_s']:.1f}",
                f"{row['peak_rss_bytes'] / 2**20:.0f}",
                f"{row['output_bytes'] / 1e6:.2f}",
                f"{row['ratio']:.2f}",
            ]
        lines.append(f"| {row['size_px']} px | {row['tool']} | {' | '.join(cells)} |")
    lines += [
        "",
        f"| mosaic | a {READ_SIDE} px tile through | state | p50 ms | p95 ms |",
        "|---|---|---|---:|---:|",
    ]
    lines += [
        f"| {row['size_px']} px | {row['reader']} | {row['state']} | {row['p50_ms']:.2f} | {row['p95_ms']:.2f} |"
        for row in results["latency"]
    ]
    tiles = results["fidelity"]
    if tiles:
        lines += [
            "",
            f"{tiles['tiles']} tissue tiles of {tiles['tile_px']} px of the {tiles['size_px']} px mosaic: "
            f"{tiles['generator']} {tiles['mean_psnr_db']:.2f} dB, "
            f"bicubic {tiles['mean_bicubic_psnr_db']:.2f} dB from the same base; "
            f"better than bicubic in {tiles['fraction_better']:.1%} of them.",
        ]
    lines += ["", "| bar | value | target | met |", "|---|---:|---:|---|"]
    for bar in results["bars"]:
        value = "-" if bar["value"] is None else f"{bar['value']:.3f}"
        met = {True: "yes", False: "**no**", None: "not measured"}[bar["pass"]]
        lines.append(f"| {bar['bar']} | {value} | {bar['relation']} {bar['target']:g} | {met} |")
    return "\n".join(lines) + "\n"


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
            save=save,
        )
    except (CommandError, OSError, ValueError, histocodec.HistocodecError) as error:
        _say(str(error))
        return 1
    print(table(results), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
