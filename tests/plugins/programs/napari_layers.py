"""A container dropped on napari: what layer it makes, and that nothing is decoded before it is looked at."""

import hashlib
import sys

import npe2
import numpy as np
from napari.components import ViewerModel

npe2.PluginManager.instance().discover(include_npe1=False)
(layer,) = ViewerModel().open(sys.argv[1], plugin="histocodec")
print(layer.multiscale, layer.rgb, [level.shape for level in layer.data], layer.scale.tolist(), layer.name)
print([str(unit) for unit in layer.units], layer.metadata["histocodec"]["notice"])
for level in layer.data[:2]:
    part = np.asarray(level[120:220, 130:230])
    print(hashlib.sha256(part.tobytes()).hexdigest(), level.chunksize)
print(npe2.read([sys.argv[2]], stack=False, plugin_name="histocodec") if len(sys.argv) > 2 else "")
