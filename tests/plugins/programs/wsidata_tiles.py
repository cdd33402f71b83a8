"""Regions of a slide, read by wsidata."""

import hashlib
import sys

from wsidata import open_wsi

slide = open_wsi(sys.argv[1], store=None)
print(slide.properties.shape, slide.properties.mpp)
for level in range(2):
    print(level, hashlib.sha256(slide.reader.get_region(100, 200, 150, 120, level=level).tobytes()).hexdigest())
print(slide.reader.get_thumbnail(200).shape)
