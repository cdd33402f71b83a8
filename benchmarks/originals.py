"""Bytes of a slide by tier, with its original kept, beside other ways to lose nothing.

    python -m benchmarks.originals SLIDE ... [--mpp MPP] [--out benchmarks/results]

Each slide is encoded with and without its original, and restored, which has to give the same bytes. Of zstd the whole
file is coded; of JPEG XL and JPEG 2000, lossless, the pixels of the finest level alone, on tiles spread over the slide,
scaled to its area: neither gives the file back. Writes originals.json and originals.md.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import zstandard

from histocodec import EncodeSettings, encode, open_source, restore
from histocodec.geometry import Grid, Image
from histocodec.runtime.sampling import spread_sample
from histocodec.source import Source

TILE, SAMPLE = 512, 48
"""Pixels a side of a tile of pixels, and how many are coded."""
PIXEL_CODECS: dict[str, Callable[[Image], bytes]] = {
    "jpeg_xl_pixels": lambda image: bytes(imagecodecs.jpegxl_encode(image, lossless=True, effort=5)),
    "jpeg_2000_pixels": lambda image: bytes(imagecodecs.jpeg2k_encode(image, level=0, reversible=True)),
}


def measured(path: Path, mpp: float | None) -> dict[str, object]:
    """Return the bytes of a slide in every way, and the CPU seconds that its encodes and its restoring took."""
    with tempfile.TemporaryDirectory() as folder, open_source(path, mpp=mpp) as source:
        plain, kept, again = (Path(folder) / name for name in ("plain.hc.tif", "kept.hc.tif", "again"))
        before = cpu_seconds()
        encode(source, plain)
        without = cpu_seconds()
        report = encode(source, kept, settings=EncodeSettings(keep_original=True))
        with_it = cpu_seconds()
        (written,) = restore(kept, again)
        restored = cpu_seconds()
        if written.read_bytes() != path.read_bytes():
            raise AssertionError(f"{path} does not come back")
        return {
            "slide": path.name,
            "source": source.size_bytes,
            "reconstructed": report.size_bytes - report.original_bytes,
            "original": report.original_bytes,
            "whole": report.size_bytes,
            "zstd_19": len(zstandard.ZstdCompressor(level=19).compress(path.read_bytes())),
            **{name: pixels_bytes(source, code) for name, code in PIXEL_CODECS.items()},
            "cpu_seconds": {
                "encode": round(without - before, 1),
                "encode_keeping": round(with_it - without, 1),
                "restore": round(restored - with_it, 1),
            },
        }


def pixels_bytes(source: Source, code: Callable[[Image], bytes]) -> int:
    """Return the bytes of the finest level's pixels, from a sample of its tiles."""
    grid = Grid(source.size, TILE)
    regions = [grid.covered(*grid.address(index)) for index in spread_sample(range(grid.count), SAMPLE, 0)]
    coded = sum(len(code(np.ascontiguousarray(source.read(region)))) for region in regions)
    return round(coded / sum(region.width * region.height for region in regions) * source.size.area)


def cpu_seconds() -> float:
    """Return the CPU seconds of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def table(rows: list[dict[str, object]]) -> str:
    """Return the results as shares of the source's bytes."""
    ways = {
        "reconstructed": "to send",
        "original": "original",
        "whole": "whole file",
        "zstd_19": "zstd -19",
        "jpeg_xl_pixels": "JPEG XL, pixels",
        "jpeg_2000_pixels": "JPEG 2000, pixels",
    }
    lines = [
        "| slide | bytes | " + " | ".join(ways.values()) + " | CPU, keeping / not |",
        "|---" * (len(ways) + 3) + "|",
    ]
    for row in rows:
        source, seconds = int(str(row["source"])), row["cpu_seconds"]
        assert isinstance(seconds, dict)
        shares = [f"{int(str(row[way])) / source:.3f}" for way in ways]
        cost = seconds["encode_keeping"] / seconds["encode"]
        lines.append(f"| {row['slide']} | {source:,} | {' | '.join(shares)} | {cost:.2f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("slides", nargs="+", type=Path)
    parser.add_argument("--mpp", type=float)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    rows = []
    for path in options.slides:
        rows.append(measured(path, options.mpp))
        print(json.dumps(rows[-1]), flush=True)
    (options.out / "originals.json").write_text(json.dumps(rows, indent=1) + "\n")
    (options.out / "originals.md").write_text(table(rows))


if __name__ == "__main__":
    main()
