"""Pack what configurations train on into one small archive, for a machine that little can be sent to.

    python -m benchmarks.training_tiles configs/av1-x4.toml configs/av1-x2.toml --data DATA -o tiles.tar

Tiles are coded again, as JPEG XL at `--distance`. Their paths stay, so that the unpacked archive is the DATA of
`histocodec train`. `--every train/atlas20=4` takes every fourth tile of a folder. Of a folder that is measured, the
middles of a few tiles are packed: enough to train; measure the result where all of them are, by the same command with
the checkpoint that came back.
"""

from __future__ import annotations

import argparse
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import imagecodecs

from histocodec.geometry import Image
from histocodec.training import load_config
from histocodec.training.data.patches import TILE_SUFFIXES, read_image
from histocodec.training.evaluate import centre

_EFFORT = 5
_MEASURED_DISTANCE = 0.5


def tiles_of(path: Path) -> list[Path]:
    """List the tile, or the tiles of a folder, in order of their names."""
    if path.is_file():
        return [path]
    return sorted(entry for entry in path.iterdir() if entry.suffix.lower() in TILE_SUFFIXES)


def packed(
    configs: list[Path], data: Path, distance: float, every: dict[str, int], measured: int
) -> Iterator[tuple[Path, Image, float]]:
    """Yield the name, the pixels and the distance of each tile to pack.

    every: takes one of so many tiles of a folder. measured: tiles of each folder that is measured.
    """
    loaded = [load_config(path) for path in configs]
    for name in dict.fromkeys(name for config in loaded for name in config.data.train):
        for path in tiles_of(data / name)[:: every.get(name, 1)]:
            yield path.relative_to(data), read_image(path), distance
    crops = {name: config.data.measure_crop for config in loaded for name in config.data.measure}
    for name, crop in crops.items():
        for path in tiles_of(data / name)[:measured]:
            image = read_image(path)
            yield path.relative_to(data), centre(image, crop) if crop else image, _MEASURED_DISTANCE


def write_pack(output: Path, tiles: Iterator[tuple[Path, Image, float]]) -> tuple[float, int]:
    """Write the archive and return its megapixels and bytes."""
    megapixels = 0.0
    with tarfile.open(output, "w") as archive:
        for name, image, distance in tiles:
            coded = imagecodecs.jpegxl_encode(image, distance=distance, effort=_EFFORT)
            entry = tarfile.TarInfo(name.with_suffix(".jxl").as_posix())
            entry.size = len(coded)
            archive.addfile(entry, io.BytesIO(coded))
            megapixels += image.shape[0] * image.shape[1] / 1e6
    return megapixels, output.stat().st_size


def main() -> None:
    """Pack, and say how much it became."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("configs", nargs="+", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--distance", type=float, default=2.0, help="of JPEG XL")
    parser.add_argument("--every", action="append", default=[], metavar="FOLDER=N", help="take every Nth tile")
    parser.add_argument("--measured", type=int, default=2, help="tiles of each folder that is measured")
    arguments = parser.parse_args()
    every = {name: int(count) for name, _, count in (text.partition("=") for text in arguments.every)}
    tiles = packed(arguments.configs, arguments.data, arguments.distance, every, arguments.measured)
    megapixels, size = write_pack(arguments.output, tiles)
    print(f"{arguments.output}: {megapixels:.1f} Mpx, {size / 2**20:.2f} MiB")


if __name__ == "__main__":
    main()
