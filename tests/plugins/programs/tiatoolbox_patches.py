"""Patches at two resolutions, and a thumbnail, read by TIAToolbox."""

import hashlib
import sys

from tiatoolbox.wsicore.wsireader import WSIReader

reader = WSIReader.open(sys.argv[1])
print(tuple(map(int, reader.info.slide_dimensions)), reader.info.mpp.tolist())
for resolution in (0.25, 1.0):
    patch = reader.read_rect((100, 200), (150, 120), resolution=resolution, units="mpp")
    print(resolution, hashlib.sha256(patch.tobytes()).hexdigest())
print(reader.slide_thumbnail(2.0, "mpp").shape)
