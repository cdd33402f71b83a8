"""Read one region of a container as a picture: `read_region.py case.hc.tif 20000,16000,512,512 spot.png`.

The region is in pixels of the level. `--level 1` is the stored base: nothing is predicted, and no network is loaded.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image

import histocodec


def main(arguments: list[str] | None = None) -> None:
    """Read, write, and say what the picture is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, help="a .hc.tif file")
    parser.add_argument("region", help="x,y,width,height")
    parser.add_argument("picture", type=Path, help="a .png to write")
    parser.add_argument("--level", type=int, default=0, help="0 is the full resolution [default]")
    asked = parser.parse_args(arguments)
    region = histocodec.Region(*(int(number) for number in asked.region.split(",")))
    with histocodec.Decoder(asked.file) as decoder:
        pixels = decoder.read(region, asked.level)  # (height, width, 3) uint8 RGB
        mpp = decoder.mpp * decoder.downsamples[asked.level]
        made_by = decoder.generator.name if asked.level == 0 else "stored"
    Image.fromarray(pixels).save(asked.picture)
    print(f"{asked.picture}: {region.width} x {region.height} px, {mpp:g} um/px, {made_by}")


if __name__ == "__main__":
    main()
