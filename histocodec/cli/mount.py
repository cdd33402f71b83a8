"""`mount`: containers as ordinary TIFFs in a folder."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from ..format.entries import Tier
from ..runtime.parallel import limit_cores
from ..views.mount import mount
from ..views.virtual_tiff import open_virtual_tiff
from .options import DecodingGenerator, Device, Models, Workers, path, path_or_url, say

CACHE_BYTES = 512 << 20
"""Memory for decoded pixels of all files together."""
LEAST_CACHE_BYTES = 16 << 20
"""Memory for those of a file, however many there are."""


def mount_command(
    files: Annotated[list[str], typer.Argument(parser=path_or_url, metavar="FILE", help="Files, or their URLs.")],
    folder: Annotated[Path, typer.Argument(parser=path, metavar="DIR", help="An empty folder.")],
    generator: DecodingGenerator = None,
    models: Models = None,
    tier: Annotated[
        Tier | None,
        typer.Option(help="How far to go: reconstructed, bounded, or original. Default: bounded, if the file is."),
    ] = None,
    device: Device = "cpu",
    workers: Workers = None,
) -> None:
    """Show files as uncompressed 40x TIFFs in a folder, decoded where they are read, until Ctrl-C or fusermount3 -u."""
    cache_bytes = max(CACHE_BYTES // len(files), LEAST_CACHE_BYTES)
    limit_cores(workers)
    with ExitStack() as stack:
        opened = [
            stack.enter_context(
                open_virtual_tiff(
                    file,
                    generator=generator,
                    models=models,
                    tier=tier,
                    device=device,
                    cache_bytes=cache_bytes,
                )
            )
            for file in files
        ]

        def tell() -> None:
            for file in opened:
                say(f"{folder / file.name}: {file.decoder.rendition.label}")

        mount(opened, folder, mounted=tell)
