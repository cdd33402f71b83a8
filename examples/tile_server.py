"""Serve tiles of one container: `tile_server.py case.hc.tif`, then localhost:8000/0/3/5.png (level, column, row).

An example, not a service: it listens on this machine alone, decodes so many tiles at a time, and knows no users.
"""

from __future__ import annotations

import argparse
import io
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from PIL import Image

import histocodec

TILE = 256
"""Pixels a side; a request has no say in it."""
AT_ONCE = threading.BoundedSemaphore(4)
ADDRESS = re.compile(r"/(\d{1,2})/(\d{1,5})/(\d{1,5})\.png")


def server(decoder: histocodec.Decoder, port: int = 0) -> ThreadingHTTPServer:
    """Return a server of the decoder's tiles on this machine; port 0 takes a free one."""

    class Tiles(BaseHTTPRequestHandler):
        timeout = 10  # seconds for a client to send its request

        def do_GET(self) -> None:
            """Answer one tile as a PNG, cut at the slide's edge; 404 for anything else."""
            address = ADDRESS.fullmatch(self.path)
            level, column, row = map(int, address.groups()) if address else (-1, 0, 0)
            wanted = histocodec.Region(column * TILE, row * TILE, TILE, TILE)
            part = wanted.clipped(decoder.levels[level]) if 0 <= level < len(decoder.levels) else None
            if part is None:
                self.send_error(404)
                return
            picture = io.BytesIO()
            try:
                with AT_ONCE:
                    Image.fromarray(decoder.read(part, level)).save(picture, "PNG", compress_level=1)
            except histocodec.HistocodecError as error:  # a damaged tile
                self.send_error(500, explain=str(error))
                return
            self.send_response(200)
            self.send_header("Content-Type", "image/png")
            self.end_headers()
            self.wfile.write(picture.getvalue())

    return ThreadingHTTPServer(("127.0.0.1", port), Tiles)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("file", type=Path)
    asked = parser.parse_args()
    with histocodec.Decoder(asked.file) as opened:
        server(opened, 8000).serve_forever()
