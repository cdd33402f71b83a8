"""`train` and `tune`: learned generators, made."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from ..encoder import EncodeSettings
from ..encoder.base_choice import base_scale
from ..encoder.settings import Magnification
from ..generators.catalogue import default_generator, load_generator
from ..pixels.tile_codecs import TileCodec
from ..runtime.files import atomic_output, check_output
from ..runtime.parallel import core_count
from ..source import open_source
from .info import package_summary, tuned_info
from .options import (
    Device,
    Json,
    Log,
    Mpp,
    Overwrite,
    Seed,
    Verbose,
    Workers,
    path_argument,
    path_option,
    print_facts,
)
from .running import running


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
    seconds: Annotated[
        float | None,
        typer.Option(min=0, help="Stop after so long with a checkpoint, exit code 75; the same command goes on."),
    ] = None,
    overwrite: Overwrite = False,
    verbose: Verbose = False,
    log: Log = None,
) -> None:
    """Train a generator; the package that comes out is for `encode --generator`."""
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
            seconds=seconds,
            progress=say,
        )
    facts = {"output": str(target), **package_summary(package), "digest": package.digest}
    if settings.downsampler is not None:
        beside = target.with_name(f"{settings.downsampler.name}.safetensors")
        facts["downsampler"] = f"{beside}, for encode --downsampling"
    print_facts(facts, as_json=False)


def tune_command(
    slides: Annotated[list[Path], path_argument(help="Slides of one scanner.")],
    output: Annotated[Path, path_option("-o", "--output", help="The package, .safetensors.")],
    seconds: Annotated[float, typer.Option(help="Time for the training itself; the slides are encoded before.")] = 600,
    steps: Annotated[
        int | None, typer.Option(help="Exactly so many steps, to repeat a run whose package states them.")
    ] = None,
    seed: Seed = 0,
    name: Annotated[str | None, typer.Option(help="Name of the generator. Default: the start's name, -tuned.")] = None,
    ratio: Annotated[float, typer.Option(help="Ratio of the files that it is meant for, as in encode.")] = 16.0,
    base: Annotated[Magnification, typer.Option(help="Magnification of the stored base.")] = "10x",
    codec: Annotated[TileCodec, typer.Option(help="Codec of the base.")] = EncodeSettings.codec,
    downsampling: Annotated[str | None, typer.Option(help="How the bases are made, as in encode.")] = None,
    generator: Annotated[
        str | None, typer.Option(help="What to start from: a shipped generator or a package's path.")
    ] = None,
    mpp: Mpp = None,
    device: Device = "cpu",
    overwrite: Overwrite = False,
    workers: Workers = None,
    verbose: Verbose = False,
    log: Log = None,
    as_json: Json = False,
) -> None:
    """Tune a generator to a scanner, once; what comes out is for `encode --generator`."""
    from ..training.tuning.slides import tune_to_slides  # imports torch, which most commands do without
    from ..training.tuning.tune import TuneSettings

    settings = TuneSettings(seconds=seconds, steps=steps, seed=seed)
    encoding = EncodeSettings(base=base, codec=codec, downsampling=downsampling, ratio=ratio, verify="none", seed=seed)
    check_output(output, overwrite=overwrite)
    with ExitStack() as stack:
        progress = stack.enter_context(running(verbose, log, workers))
        sources = [stack.enter_context(open_source(slide, mpp=mpp)) for slide in slides]
        chosen = (
            default_generator(base_scale(sources[0], base), codec)
            if generator is None
            else load_generator(generator, device=device)
        )
        tuned = tune_to_slides(sources, chosen, settings, encoding, name=name, device=device, progress=progress)
    with atomic_output(output, overwrite=overwrite) as file:
        file.write(tuned.package.data)
    print_facts(tuned_info(tuned.package, output), as_json)
