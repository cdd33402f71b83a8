"""The tiles of a grid, saved by histolab."""

import hashlib
import sys
import tempfile
from pathlib import Path

from histolab.slide import Slide
from histolab.tiler import GridTiler
from PIL import Image

with tempfile.TemporaryDirectory() as folder:
    slide = Slide(sys.argv[1], folder)
    print(slide.dimensions, slide.base_mpp, slide.level_dimensions(0), slide.thumbnail.size)
    GridTiler(tile_size=(256, 256), level=0, check_tissue=False, suffix=".png").extract(slide)
    for tile in sorted(Path(folder).rglob("*.png")):
        print(tile.name, hashlib.sha256(Image.open(tile).tobytes()).hexdigest())
