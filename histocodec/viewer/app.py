"""The server's addresses: the page, what it is told, and the Deep Zoom tiles of every slide."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from typing import cast

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ..errors import FileError, HistocodecError
from ..format.reader import Container
from ..runtime.parallel import core_count
from .deepzoom import Format, parsed_address
from .facts import facts_of, quality_of, regions_of
from .queue import Busy, TileQueue
from .shown import WAYS, Shown, Way
from .slides import Named, Slides

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
"""What the files of the page are, by the ending of their name."""

_DZI = re.compile(r"(?P<name>[^/]+?)(?:/(?P<way>[a-z]+))?\.dzi")
_TILE = re.compile(r"(?P<name>[^/]+?)(?:/(?P<way>[a-z]+))?_files/(?P<address>[^/]+/[^/]+)\.(?P<form>jpeg|webp)")
_TOLD = re.compile(r"(?P<name>[^/]+)/(?P<what>quality|regions)\.json")
_GONE = 499
"""The status of an answer that nobody waits for."""


@dataclass(frozen=True)
class Served:
    """What is served, and how."""

    slides: Slides
    form: Format = "jpeg"
    quality: int = 92
    """Of JPEG or WebP tiles, 1 to 100."""
    describe: Callable[[Container], str] | None = None
    """Makes the long text on a file that the page shows on demand."""


def application(served: Served) -> Starlette:
    """Build the application. It closes the slides when it is shut down."""
    queue = TileQueue(core_count())
    page = _page()

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        queue.close()
        served.slides.close()

    async def of_page(request: Request) -> Response:
        name = request.path_params.get("name", "index.html")
        if name not in page:
            raise HTTPException(404)
        content, kind = page[name]
        return Response(content, media_type=kind, headers={"Cache-Control": "no-cache"})

    async def told(request: Request) -> Response:
        slides = [await run_in_threadpool(_told, served, named) for named in served.slides.files.values()]
        return _json({"slides": slides, "format": served.form})

    async def of_slide(request: Request) -> Response:
        place = request.path_params["place"]
        if match := _TILE.fullmatch(place):
            way, address = match["way"], parsed_address(match["address"])
            return await _tile(request, queue, served, _shown(served, match["name"]), way, address, match["form"])
        if match := _DZI.fullmatch(place):
            shown = _shown(served, match["name"])
            _checked_way(shown, match["way"])
            descriptor = shown.zoom.descriptor(served.form)
            return Response(descriptor, media_type="application/xml", headers={"Cache-Control": "no-cache"})
        if match := _TOLD.fullmatch(place):
            tell = quality_of if match["what"] == "quality" else regions_of
            return _json(await run_in_threadpool(tell, _shown(served, match["name"])))
        raise HTTPException(404)

    return Starlette(
        routes=[
            Route("/", of_page),
            Route("/page/{name:path}", of_page),
            Route("/slides.json", told),
            Route("/slide/{place:path}", of_slide),
        ],
        exception_handlers={HTTPException: _refused, HistocodecError: _failed, Busy: _busy},
        lifespan=lifespan,
    )


async def _tile(
    request: Request,
    queue: TileQueue,
    served: Served,
    shown: Shown,
    way: str | None,
    address: tuple[int, int, int] | None,
    form: str,
) -> Response:
    """Answer a tile; one whose request is gone before its turn is not made."""
    known, kind = _checked_way(shown, way), cast(Format, form)
    region = None if address is None else shown.zoom.tile(*address)
    if address is None or region is None:
        raise HTTPException(404, "There is no such tile.")
    if shown.zoom.downsample(address[0]) >= shown.manifest.base.scale:
        known = "base"  # so coarse, all ways are the same
    tag = f'"{await run_in_threadpool(shown.tag, known, kind, served.quality)}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    began = time.perf_counter()
    make = partial(shown.coded, known, address[0], region, kind, served.quality)
    tile = await _while_wanted(request, queue, (id(shown), known, address, kind), make)
    if tile is None:
        return Response(status_code=_GONE)
    headers["Server-Timing"] = f"tile;dur={1000 * (time.perf_counter() - began):.1f}"
    return Response(tile, media_type=f"image/{form}", headers=headers)


async def _while_wanted(
    request: Request, queue: TileQueue, key: tuple[object, ...], make: Callable[[], bytes]
) -> bytes | None:
    """Return what the queue makes; None as soon as the client has gone away."""

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    made, left = asyncio.ensure_future(queue.get(key, make)), asyncio.ensure_future(gone())
    try:
        await asyncio.wait({made, left}, return_when=asyncio.FIRST_COMPLETED)
        return made.result() if made.done() else None
    finally:
        for task in (made, left):
            task.cancel()


def _told(served: Served, named: Named) -> dict[str, object]:
    """Return what the page is told of a file; of one that cannot be shown, why."""
    about: dict[str, object] = {"name": named.name, "title": named.title}
    if named.shown is None:
        return {**about, "error": named.error}
    try:
        about |= facts_of(named.shown)
        if served.describe is not None:
            about["text"] = served.describe(named.shown.container)
    except (HistocodecError, OSError) as error:
        return {**about, "error": str(error)}
    return about


def _shown(served: Served, name: str) -> Shown:
    """Return a slide by its name. Raises HTTPException for one that was not named, or cannot be shown."""
    named = served.slides.files.get(name)
    if named is None:
        raise HTTPException(404, "There is no such slide.")
    if named.shown is None:
        raise HTTPException(500, named.error)
    return named.shown


def _checked_way(shown: Shown, way: str | None) -> Way:
    if way is None:
        return shown.best
    if way not in WAYS:
        raise HTTPException(404, f"Expected one of {', '.join(WAYS)}, found {way}.")
    if way in shown.missing:
        raise HTTPException(404, shown.missing[way])
    return way


def _json(value: object) -> JSONResponse:
    return JSONResponse(value, headers={"Cache-Control": "no-store"})


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code)


def _failed(request: Request, error: Exception) -> Response:
    """Answer an error of a file: the page shows the sentence in the tile's place."""
    return JSONResponse({"error": str(error)}, 502 if isinstance(error, FileError) else 500)


def _busy(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, 503, headers={"Retry-After": "1"})


def _page() -> dict[str, tuple[bytes, str]]:
    """Return the files of the page with their types, by name: read once, so that no address reaches the disk."""
    folder = files(__package__) / "page"
    found = {}
    for place in (folder, folder / "openseadragon"):
        for file in place.iterdir():
            ending = file.name[file.name.rfind(".") :]
            if file.is_file() and ending in TYPES:
                name = file.name if place is folder else f"openseadragon/{file.name}"
                found[name] = file.read_bytes(), TYPES[ending]
    return found
