"""`view`: a page that shows files, and their Deep Zoom tiles for other pages."""

from __future__ import annotations

import contextlib
from functools import partial
from typing import Annotated, Literal

import typer

from ..format.reader import Container
from ..runtime.parallel import limit_cores
from ..runtime.tiled_image import CacheMemory
from .info import container_info, render
from .options import Device, Models, Workers, location_argument, parsed_bytes, say


def view_command(
    files: Annotated[list[str], location_argument(help="One or more .hc.tif files, or their URLs.")],
    port: Annotated[int, typer.Option(min=0, max=65535, help="Where the page is; 0 takes a free port.")] = 8040,
    host: Annotated[
        str,
        typer.Option(help="The address to listen at; others than loopback show the slides to your network."),
    ] = "127.0.0.1",
    allow_host: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A name by which browsers may reach the page.")
    ] = None,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")] = True,
    tiles: Annotated[Literal["jpeg", "webp"], typer.Option(help="How tiles are sent.")] = "jpeg",
    quality: Annotated[int, typer.Option(min=1, max=100, help="Quality of the tiles as they are sent.")] = 92,
    cors: Annotated[
        list[str] | None,
        typer.Option(metavar="ORIGIN", help="Pages of this origin may read the tiles: https://example.org, or *."),
    ] = None,
    sandbox: Annotated[
        bool | None,
        typer.Option(
            "--sandbox/--no-sandbox",
            help="Decode tiles in child processes that can open and send nothing, and whose crash is an error of the "
            "tile. Default: if --host or --allow-host lets others than this machine ask.",
        ),
    ] = None,
    cache: Annotated[
        str, typer.Option(metavar="BYTES", help="Memory for decoded pixels of all files together, as 2G.")
    ] = "512M",
    models: Models = None,
    device: Device = "cpu",
    workers: Workers = None,
) -> None:
    """Show files in the browser, side by side; or serve their tiles to other pages. Ctrl-C ends it."""
    from ..viewer.app import Served, application
    from ..viewer.server import bound, is_loopback, make_server, open_browser, serves_others, url_of
    from ..viewer.shown import Shown
    from ..viewer.slides import Slides

    limit_cores(workers)
    if sandbox is None:
        sandbox = serves_others(host, allow_host or ())
    with bound(host, port) as taken:
        open_one = partial(
            Shown,
            device=device,
            models=None if models is None else str(models),
            sandbox=sandbox,
            memory=CacheMemory(parsed_bytes(cache)),
        )
        slides = Slides.opened(files, open_one)
        for file in slides.files.values():
            if file.shown is None:
                typer.echo(f"histocodec: {file.error}", err=True)
        app, url = application(Served(slides, tiles, quality, _described)), url_of(taken)

        def ready() -> None:
            for name in slides.files:
                say(f"{url}slide/{name}.dzi")
            say(url)
            if not is_loopback(host):
                typer.echo("histocodec: everyone who reaches this machine can see these slides", err=True)
            if browser:
                open_browser(url)

        server = make_server(app, host, names=allow_host or (), origins=cors or (), ready=ready)
        with contextlib.suppress(KeyboardInterrupt):  # the way in which a viewer ends
            server.run(sockets=[taken])


def _described(container: Container) -> str:
    return render(container_info(container))
