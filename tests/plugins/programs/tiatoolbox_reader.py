"""A container read by the reader that histocodec has for TIAToolbox, made by itself and by `WSIReader.open`."""

import hashlib
import sys

from tiatoolbox.wsicore.wsireader import WSIReader

from histocodec.plugins import tiatoolbox

reader = tiatoolbox.HistocodecWSIReader(sys.argv[1])
assert WSIReader.open(reader) is reader
tiatoolbox.register()
tiatoolbox.register()
opened, other = WSIReader.open(sys.argv[1]), WSIReader.open(sys.argv[2])
print(
    type(opened).__name__, type(other).__name__, tuple(map(int, opened.info.slide_dimensions)), opened.info.mpp.tolist()
)
for each in (reader, opened):
    print(hashlib.sha256(each.read_rect((100, 200), (150, 120)).tobytes()).hexdigest())
print(opened.info.raw["histocodec.notice"])
