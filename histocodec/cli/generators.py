"""`demo`, `train` and `models`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..demo.run import run_demo
from ..generators.catalogue import shipped_packages
from ..runtime.parallel import core_count
from .info import package_info, package_summary
from .options import Device, Json, Log, Mpp, Overwrite, Verbose, Workers, app, path_argument, path_option, print_facts
from .running import running


@app.command("demo")
def demo_command(
    slide: Annotated[Path | None, path_argument(help="A slide. Default: a synthetic one is made.")] = None,
    output: Annotated[Path, path_option("-o", "--output", help="The picture.")] = Path("demo.png"),
    mpp: Mpp = None,
    overwrite: Overwrite = False,
    workers: Workers = None,
    verbose: Verbose = False,
    log: Log = None,
) -> None:
    """Encode, validate and decode a slide, and draw what came out."""
    if output.suffix.lower() != ".png":
        raise typer.BadParameter(f"the picture's name must end in .png, found {output}")
    with running(verbose, log, workers) as progress:
        facts = run_demo(slide, output, mpp=mpp, overwrite=overwrite, progress=progress)
    print_facts(facts, as_json=False)


@app.command("train")
def train_command(
    config: Annotated[Path, path_argument(help="A TOML file: configs/ has those of the generators that ship.")],
    data: Annotated[
        Path,
        path_option(envvar="HISTOCODEC_DATA", help="The folder that the configuration's paths are relative to."),
    ] = Path(),
    output: Annotated[Path | None, path_option("-o", "--output", help="Default: RUN/NAME.safetensors.")] = None,
    run: Annotated[
        Path | None, path_option(help="Keeps checkpoints, log and figures; resumes. [default: runs/NAME]")
    ] = None,
    device: Device = "cpu",
    workers: Annotated[
        int | None,
        typer.Option(
            min=1, help="Processes that make crops, where the configuration has a pool of them. [default: the cores]"
        ),
    ] = None,
    overwrite: Overwrite = False,
    verbose: Verbose = False,
    log: Log = None,
) -> None:
    """Train a generator; the model package that comes out is for `encode --generator`."""
    from ..training import load_config, run_training  # imports torch, which most commands do without

    settings = load_config(config)
    folder = run or Path("runs") / settings.name
    target = output or folder / f"{settings.name}.safetensors"
    with running(verbose, log, None, lost=f"the same command goes on from the last checkpoint in {folder}") as progress:

        def say(stage: str, done: int, total: int, row: dict[str, float]) -> None:
            progress(stage, done, total)
            if row:
                numbers = "  ".join(f"{key} {value:.5g}" for key, value in row.items())
                typer.echo(numbers, err=True)

        package = run_training(
            settings,
            target,
            data=data,
            folder=folder,
            device=device,
            workers=workers or core_count(),
            overwrite=overwrite,
            progress=say,
        )
    facts = {"output": str(target), **package_summary(package), "digest": package.digest}
    if settings.downsampler is not None:
        beside = target.with_name(f"{settings.downsampler.name}.safetensors")
        facts["downsampler"] = f"{beside}, for encode --downsampling"
    print_facts(facts, as_json=False)


@app.command("models")
def models_command(as_json: Json = False) -> None:
    """List the generators that ship, with their measured quality."""
    packages = shipped_packages()
    if not packages:
        typer.echo("No learned generator ships with this version.", err=True)
    if packages or as_json:
        facts = package_info if as_json else package_summary
        print_facts({name: facts(package) for name, package in packages.items()}, as_json)
