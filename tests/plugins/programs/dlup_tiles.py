"""Regions at two resolutions, read by dlup, which goes to OpenSlide's lower level."""

import hashlib
import sys

import numpy as np
from dlup import SlideImage

with SlideImage.from_file_path(sys.argv[1]) as slide:
    print(slide.size, slide.mpp, type(slide._wsi).__name__)
    for mpp in (0.25, 0.5, 1.0):
        region = slide.read_region((40, 30), slide.get_scaling(mpp), (200, 150))
        print(mpp, hashlib.sha256(np.asarray(region).tobytes()).hexdigest())
