"""Files that the tests of the viewer show."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from starlette.types import ASGIApp

from histocodec.demo.synthetic import tissue, write_slide
from histocodec.encoder import EncodeSettings, encode
from histocodec.format.reader import Container
from histocodec.format.regions import RegionsOfInterest
from histocodec.generators.bicubic import BicubicGenerator
from histocodec.geometry import Size
from histocodec.pixels.resampler import Generator
from histocodec.source import open_source
from histocodec.viewer.server import bound, make_server, url_of

REGIONS = {
    "type": "FeatureCollection",
    "features": [
        {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [[[600, 100], [900, 100], [700, 400], [600, 100]]]},
            "properties": {"name": "<b>field</b>", "classification": {"name": "Tumor", "color": [200, 0, 0]}},
        },
    ],
}


def encoded(folder: Path, name: str, size: Size, settings: EncodeSettings, generator: Generator | None = None) -> Path:
    """Encode synthetic tissue."""
    slide, out = folder / f"{name}.tif", folder / f"{name}.hc.tif"
    write_slide(slide, tissue(size, seed=7))
    with open_source(slide) as source:
        encode(source, out, generator or BicubicGenerator(4), settings)
    return out


def with_all_tiers(folder: Path, size: Size) -> Path:
    """A file that can be shown in every way, with a region of interest."""
    regions = RegionsOfInterest.from_geojson(json.dumps(REGIONS).encode(), size)
    chosen = EncodeSettings(
        codec="jp2k",
        base="10x",
        ratio=None,
        quality=32,
        regions=regions,
        roi_psnr_db=33,
        keep_original=True,
        verify="all",
    )
    return encoded(folder, "all tiers", size, chosen)


def damaged(file: Path, out: Path) -> Path:
    """Copy a file in JPEG 2000 with a tile of its base damaged: it opens, and then a tile cannot be read."""
    data = bytearray(file.read_bytes())
    with Container(file) as container:
        start = bytes(data).index(container.tile(0, 0))
    data[start + 300] ^= 0xFF
    out.write_bytes(data)
    return out


@contextmanager
def running(app: ASGIApp, **options: Any) -> Iterator[str]:
    """Serve an application from a thread; yield its address."""
    began, ended = threading.Event(), threading.Event()
    with bound("127.0.0.1", 0) as taken:
        url = url_of(taken)
        server = make_server(app, "127.0.0.1", ready=began.set, **options)

        def run() -> None:
            server.run(sockets=[taken])
            ended.set()

        threading.Thread(target=run, daemon=True).start()
        assert began.wait(30)
        try:
            yield url
        finally:
            server.should_exit = True
            assert ended.wait(30)
