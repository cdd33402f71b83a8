"""`models`: the packages that ship, listed, and exported to lie beside an archive."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..generators.catalogue import shipped_packages
from ..generators.export import export_packages, of_all, of_defaults, of_file, of_names
from ..runtime.progress import stage
from .info import package_info, package_summary
from .options import Json, Log, Models, Verbose, path_argument, path_option, print_facts, say
from .running import running

models_app = typer.Typer()


@models_app.callback(invoke_without_command=True)
def models_command(context: typer.Context, as_json: Json = False) -> None:
    """List the generators that ship, with licence and measured quality; or export them."""
    if context.invoked_subcommand is not None:
        return
    packages = shipped_packages()
    if not packages:
        typer.echo("No learned generator ships with this version.", err=True)
    if packages or as_json:
        facts = package_info if as_json else package_summary
        print_facts({name: facts(package) for name, package in packages.items()}, as_json)


@models_app.command("export")
def export_command(
    folder: Annotated[Path, path_argument(help="A folder, such as `models` beside the files of an archive.")],
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Shipped packages. Default: all that encode takes unless told otherwise."),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Everything that ships.")] = False,
    files: Annotated[
        list[Path] | None,
        path_option("--for", help="The generator that a .hc.tif file needs, unless it lies within; may be repeated."),
    ] = None,
    models: Models = None,
    verbose: Verbose = False,
    log: Log = None,
) -> None:
    """Write packages and their model cards into a folder, where decoders find them; nothing is replaced."""
    if bool(names) + everything + bool(files) > 1:
        raise typer.BadParameter("give names, --all or --for, one of them")
    with running(verbose, log, None) as progress:
        if files:
            chosen = [found for file in files if (found := of_file(file, models)) is not None]
        else:
            chosen = of_all() if everything else of_names(names) if names else of_defaults()
        written = export_packages(folder, chosen, progress=stage(progress, "exporting"))
    for path, is_new in written.items():
        say(f"{path}: {path.stat().st_size} bytes" if is_new else f"{path}: was there")
    if not written:
        say("nothing to export: each file holds what it needs")
