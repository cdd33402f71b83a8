"""Patches of a slide, cut in worker processes that are started in each way."""

import hashlib
import multiprocessing
import sys

import openslide


def patch(work):
    path, x, y = work
    slide = openslide.open_slide(path)
    assert isinstance(slide, openslide.OpenSlide)
    return hashlib.sha256(slide.read_region((x, y), 0, (256, 256)).convert("RGB").tobytes()).hexdigest()


if __name__ == "__main__":
    works = [(sys.argv[1], x, y) for y in (100, 356) for x in (0, 256, 512)]
    for method in multiprocessing.get_all_start_methods():
        with multiprocessing.get_context(method).Pool(2) as pool:
            print(pool.map(patch, works))
