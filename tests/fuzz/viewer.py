"""The viewer's addresses: requests that no browser sends, given to the application in this process."""

from __future__ import annotations

import asyncio
import io
import json
import random
from typing import Any

import PIL.Image

from histocodec.viewer.app import Served, application
from histocodec.viewer.guard import Guard
from histocodec.viewer.shown import Shown
from histocodec.viewer.slides import Named, Slides
from tests.format.conformance.make_vectors.writing import VECTORS
from tests.fuzz.harness import Wrong
from tests.fuzz.mutation import NUMBERS, TEXTS, Random

_SHOWN = ("jp2k-x4-bounded", "jp2k-x4-original-rgb", "av1-x2-original-set", "jpeg-x4-300x200", "jp2k-x4-520x16")
_HURT = (
    "tile-damaged-zeros",
    "enhancement-damaged-regions-changed",
    "original-damaged-bit-flip",
    "tile-damaged-residual-zeros",
)
_WAYS = ("base", "bicubic", "reconstructed", "bounded", "original", "none", "")
_ALLOWED = {200, 304, 307, 400, 403, 404, 405, 499, 500, 503}
_LARGEST = 1 << 21
"""Bytes of the longest answer: OpenSeadragon, and a tile."""


class Http:
    """Requests, one to four in an input, as JSON."""

    name = "http"

    def __init__(self) -> None:
        named = []
        for name in (*_SHOWN, *_HURT):
            folder = "valid" if name in _SHOWN else "invalid"
            data = (VECTORS / folder / f"{name}.hc.tif").read_bytes()
            try:
                named.append(Named(name, name, Shown(io.BytesIO(data))))
            except Exception as error:  # what cannot be opened is shown as that
                named.append(Named(name, name, None, str(error)))
        self._hurt = {*_HURT}
        self._names = [one.name for one in named]
        served = Served(Slides(named), describe=lambda container: f"text on {container.path}")
        self._app = Guard(application(served), names=("a.example",), origins=("https://b.example",))
        self._loop = asyncio.new_event_loop()

    def seeds(self) -> list[bytes]:
        """Return what a browser asks for."""
        name = self._names[0]
        places = ["/", "/slides.json", "/page/viewer.js", f"/slide/{name}.dzi", f"/slide/{name}/base.dzi"]
        places += [f"/slide/{name}/{way}_files/{level}/0_0.jpeg" for way in _WAYS[:4] for level in (0, 5, 9, 11)]
        places += [f"/slide/{other}_files/9/0_0.webp" for other in self._names]
        places += [f"/slide/{other}/{what}.json" for other in self._names for what in ("quality", "regions")]
        return [json.dumps([_request(place)]).encode() for place in places]

    def changed(self, rng: random.Random, data: bytes, pool: tuple[bytes, ...]) -> bytes:
        """Change one request, or put several together, of which some are given up."""
        try:
            requests = json.loads(data)
            requests += json.loads(rng.choice(pool)) if rng.random() < 0.2 else []
            requests = requests[-4:]
            one = rng.choice(requests)
            self._change(rng, one)
            return json.dumps(requests).encode()
        except (ValueError, KeyError, TypeError, IndexError):
            return json.dumps([_request(rng.choice(TEXTS))]).encode("utf-8", "replace")

    def _change(self, rng: Random, one: dict[str, Any]) -> None:
        path: str = one["path"]
        match rng.randrange(9):
            case 0:
                name, way = rng.choice(self._names), rng.choice(_WAYS)
                level, column, row = (
                    rng.choice((0, 1, 2, 7, 8, 9, 10, 11, 12, rng.choice(NUMBERS), -1)) for _ in range(3)
                )
                form = rng.choice(("jpeg", "webp", "png", "JPEG", "jpg"))
                one["path"] = f"/slide/{name}{'/' if way else ''}{way}_files/{level}/{column}_{row}.{form}"
            case 1:
                one["path"] = rng.choice(("/slide/", "/page/", "/", "//", "/slide/..", "/page/..")) + rng.choice(
                    (
                        "../" * 9 + "etc/passwd",
                        "%2e%2e/",
                        rng.choice(TEXTS),
                        "a" * 70000,
                        "_files/0/0_0.jpeg",
                        "\0",
                        "/",
                    )
                )
            case 2:
                at = rng.randrange(len(path) + 1)
                one["path"] = (
                    path[:at] + rng.choice((*TEXTS, "/", "_", ".", "%00", "0" * 5000)) + path[at + rng.randrange(3) :]
                )
            case 3:
                one["method"] = rng.choice(("GET", "HEAD", "POST", "PUT", "OPTIONS", "TRACE", "get", "", "A" * 9000))
            case 4:
                names = (
                    "host",
                    "if-none-match",
                    "sec-fetch-site",
                    "origin",
                    "range",
                    "content-length",
                    "x-forwarded-for",
                )
                values = (
                    "",
                    "*",
                    "localhost",
                    "[::1]:80",
                    "[::1",
                    "evil.example",
                    "a.example:99999",
                    "127.1",
                    "bytes=0-",
                    "\xff",
                )
                one["headers"].append([rng.choice(names), rng.choice((*values, "a" * 9000))])
            case 5:
                one["headers"] = [pair for pair in one["headers"] if rng.random() < 0.5]
            case 6:
                one["query"] = rng.choice(("", "a=b", "%", "&" * 999, "x=" + "y" * 9999))
            case 7:
                one["gone"] = rng.random() < 0.5
            case _:
                one["body"] = rng.choice(("", "x", "x" * 70000))

    def run(self, data: bytes) -> str:
        """Ask all at once."""
        requests = json.loads(data)
        return self._loop.run_until_complete(self._asked(requests))

    async def _asked(self, requests: list[dict[str, Any]]) -> str:
        answers = await asyncio.wait_for(asyncio.gather(*map(self._one, requests)), 20)
        return " ".join(sorted(answers))

    async def _one(self, request: dict[str, Any]) -> str:
        path = str(request["path"]).encode("utf-8", "replace").decode()
        headers = [(n.encode("latin-1", "replace"), v.encode("latin-1", "replace")) for n, v in request["headers"]]
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": request["method"],
            "scheme": "http",
            "path": path,
            "raw_path": path.encode("utf-8", "replace"),
            "query_string": str(request.get("query", "")).encode("latin-1", "replace"),
            "headers": headers,
            "client": ("127.0.0.1", 5),
            "server": ("127.0.0.1", 80),
            "root_path": "",
        }
        sent, ever, asked = list[Any](), asyncio.Event(), [0]

        async def receive() -> dict[str, Any]:
            asked[0] += 1
            if asked[0] == 1 and not request.get("gone"):
                return {"type": "http.request", "body": str(request.get("body", "")).encode(), "more_body": False}
            if not request.get("gone"):
                await ever.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        await self._app(scope, receive, send)
        ever.set()
        return self._judged(request, path, sent)

    def _judged(self, request: dict[str, Any], path: str, sent: list[Any]) -> str:
        if not sent or sent[0]["type"] != "http.response.start" or sent[-1].get("more_body"):
            raise Wrong("an answer that is not whole")
        status, headers = sent[0]["status"], {n.lower(): v for n, v in sent[0]["headers"]}
        body = b"".join(message.get("body", b"") for message in sent[1:])
        if status not in _ALLOWED or (status == 500 and not any(name in path for name in self._hurt)):
            raise Wrong(f"status {status}")
        if b"content-security-policy" not in headers or headers.get(b"x-content-type-options") != b"nosniff":
            raise Wrong("an answer without its guard")
        if len(body) > _LARGEST or b"root:" in body:
            raise Wrong("an answer that is too long, or of another file")
        kind = headers.get(b"content-type", b"").decode("latin-1")
        if status == 200 and kind.startswith("image/") and "/slide/" in path and body:
            picture = PIL.Image.open(io.BytesIO(body))
            picture.load()
            if max(picture.size) > 258:
                raise Wrong("a tile that is too large")
        if kind.startswith("application/json") and body:
            json.loads(body)
        return f"{request['method'][:4]} {status} {kind[:16]}"


def _request(path: str) -> dict[str, Any]:
    return {"method": "GET", "path": path, "headers": [["host", "localhost"]], "query": "", "gone": False}
