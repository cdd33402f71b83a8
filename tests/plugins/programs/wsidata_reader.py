"""A container read by the reader that histocodec has for wsidata, here and in a process that it was sent to."""

import hashlib
import multiprocessing
import sys

from wsidata import open_wsi

from histocodec.plugins import wsidata


def read(reader):
    return hashlib.sha256(reader.get_region(100, 200, 150, 120).tobytes()).hexdigest()


if __name__ == "__main__":
    wsidata.register()
    wsidata.register()
    slide, other = open_wsi(sys.argv[1], store=None), open_wsi(sys.argv[2], store=None)
    print(type(slide.reader).__name__, type(other.reader).__name__, slide.properties.shape, slide.properties.mpp)
    print(read(slide.reader))
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print(pool.apply(read, (slide.reader,)))
    print(sorted(slide.associated_images))
