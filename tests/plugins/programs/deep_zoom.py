"""A deep zoom of a slide, tile by tile."""

import hashlib
import sys

from openslide import OpenSlide
from openslide.deepzoom import DeepZoomGenerator

with OpenSlide(sys.argv[1]) as slide:
    zoom = DeepZoomGenerator(slide, tile_size=254, overlap=1)
    level = zoom.level_count - 1
    print(zoom.level_dimensions[level], slide.properties["openslide.mpp-x"])
    for column in range(zoom.level_tiles[level][0]):
        print(hashlib.sha256(zoom.get_tile(level, (column, 1)).tobytes()).hexdigest())
