"""Digests of all that a reader gets out of a golden file: pixels of every level and tier, maps, pictures, files.

`python -m tests.golden.digests` compares every golden file with what was written down of it; `--json CORES NAME ...`
prints the digests of what is predicted, computed on so many cores (0: all).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from histocodec.decoder import BICUBIC, Decoder
from histocodec.format.restoration import restore
from histocodec.geometry import Image, Region
from histocodec.runtime.parallel import limit_cores
from tests.places import REPOSITORY

FOLDER = REPOSITORY / "formats/container/v1/golden"
INDEX = FOLDER / "index.json"
SUFFIX = ".hc.tif"


def sha256(data: bytes | Image) -> str:
    """Of bytes, or of pixels row by row, R, G, B a byte each."""
    return hashlib.sha256(data if isinstance(data, bytes) else data.tobytes()).hexdigest()


def whole(decoder: Decoder, level: int = 0) -> Image:
    """All pixels of a level."""
    return decoder.read(Region(0, 0, *decoder.levels[level]), level)


def stated() -> dict[str, Any]:
    """What was written down of the files, by name; nothing if there are none yet."""
    if not INDEX.is_file():
        return {}
    files: dict[str, Any] = json.loads(INDEX.read_text("utf-8"))["files"]
    return files


def path_of(name: str) -> Path:
    return FOLDER / f"{name}{SUFFIX}"


def predicted(path: Path, device: str = "cpu") -> dict[str, str]:
    """Digests of level 0 in each tier that is made from a prediction."""
    with Decoder(path, device=device, tier="reconstructed") as plain:
        found = {"reconstructed": sha256(whole(plain))}
        if (full := Decoder(plain)).is_enhanced:
            found["bounded"] = sha256(whole(full))
        return found


def digests(path: Path) -> dict[str, str]:
    """Digests of everything, by what it is."""
    return predicted(path) | dict(_others(path))


def _others(path: Path) -> Iterator[tuple[str, str]]:
    """All but what is predicted."""
    with Decoder(path) as decoder:
        container, manifest = decoder.container, decoder.manifest
        for level in range(1, len(decoder.levels)):
            yield f"level {level}", sha256(whole(decoder, level))
        yield "tissue map", sha256(container.tissue_map.tobytes())
        if container.quality_map is not None:
            yield "quality map", sha256(container.quality_map.values.astype("<u2").tobytes())
        for name in manifest.associated:
            yield name, sha256(container.associated_image(name))
        if container.icc_profile is not None:
            yield "colour profile", sha256(container.icc_profile)
        if container.enhancement is not None and container.enhancement.regions is not None:
            yield "regions of interest", sha256(container.enhancement.regions)
        if (package := container.package()) is not None:
            yield "embedded generator", sha256(package)
    with Decoder(path, generator=BICUBIC) as decoder:
        yield "by bicubic", sha256(whole(decoder))
    if manifest.layers.original is not None:
        with Decoder(path, tier="original") as decoder:
            yield "original", sha256(whole(decoder))
        with tempfile.TemporaryDirectory() as folder:
            for file in restore(path, Path(folder) / "restored.tif"):
                yield f"file {file.suffix}", sha256(file.read_bytes())


def main() -> int:
    """Compare, or print as JSON. Return 1 if anything differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=int, metavar="CORES", help="print what is predicted, on so many cores")
    parser.add_argument("names", nargs="*", metavar="NAME")
    given = parser.parse_args()
    if given.json is not None:
        limit_cores(given.json or None)
        print(json.dumps({name: predicted(path_of(name)) for name in given.names or stated()}))
        return 0
    differ = 0
    for name, facts in stated().items():
        found = digests(path_of(name))
        for what in facts["decoded"] | found:
            differ += found.get(what) != facts["decoded"].get(what)
            print("equal " if found.get(what) == facts["decoded"].get(what) else "OTHER ", name, what, sep="  ")
    return min(differ, 1)


if __name__ == "__main__":
    sys.exit(main())
