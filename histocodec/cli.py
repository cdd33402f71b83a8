"""The command line: parse, call, print. Results go to stdout, progress and messages to stderr."""

from __future__ import annotations

import enum
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as ProgressBar

from .adoption import Tuner
from .container import Container
from .decode import Decoder
from .demo import run_demo
from .encode import EncodeSettings, base_scale, encode
from .errors import HistocodecError, SettingsError
from .generators import default_generator, load_generator
from .geometry import Region
from .output import atomic_output, check_output
from .package import shipped_packages
from .report import container_facts, encode_facts, package_facts, package_summary, render, tuned_facts
from .roi import RegionsOfInterest
from .source import open_source
from .tiers import enhance, strip
from .validate import validate
from .version import __version__
from .views.export import export_picture, export_tiff

app = typer.Typer(
    name="histocodec",
    help="Store a histology slide as its 10x base and a learned decoder; reconstruct it on demand.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


class _Interrupted(HistocodecError):
    """Ctrl-C, where typer would say nothing."""


class _Codec(enum.StrEnum):
    jp2k = "jp2k"
    avif = "avif"
    jpeg = "jpeg"


class _Base(enum.StrEnum):
    x10 = "10x"
    x20 = "20x"


class _BaseOrAuto(enum.StrEnum):
    x10 = "10x"
    x20 = "20x"
    auto = "auto"


class _Verify(enum.StrEnum):
    sample = "sample"
    all = "all"
    none = "none"


class _Tier(enum.StrEnum):
    base = "base"
    reconstructed = "reconstructed"
    bounded = "bounded"


class _Compression(enum.StrEnum):
    jpeg = "jpeg"
    deflate = "deflate"
    jp2k = "jp2k"


_Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the output if it exists.")]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_Device = Annotated[str, typer.Option(help="Where the network runs, as torch names it: cpu, cuda, mps.")]
_Seed = Annotated[int, typer.Option(help="Draws the blocks that are looked at.", min=0)]
_Mpp = Annotated[float | None, typer.Option(help="Micrometres per pixel, where the slide does not state them.")]


@app.command("encode")
def encode_command(
    slide: Annotated[Path, typer.Argument(help="Any slide that OpenSlide, tifffile or libvips reads.")],
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Default: SLIDE's name, .hc.tif.")] = None,
    ratio: Annotated[
        float | None, typer.Option(help="Output bytes: at most the slide's divided by this. [default: 16]")
    ] = None,
    quality: Annotated[float | None, typer.Option(help="Instead of a ratio: quality on the codec's scale.")] = None,
    base: Annotated[
        _BaseOrAuto, typer.Option(help="Magnification of the stored base; auto tries both on some tissue.")
    ] = _BaseOrAuto.x10,
    codec: Annotated[
        _Codec, typer.Option(help="Of the base: jp2k opens in OpenSlide and QuPath, avif is smallest, jpeg oldest.")
    ] = _Codec.jp2k,
    generator: Annotated[
        str | None, typer.Option(help="A shipped generator, bicubic-x2, bicubic-x4, or a model package's path.")
    ] = None,
    embed_generator: Annotated[
        bool | None,
        typer.Option(
            "--embed-generator/--no-embed-generator",
            help="Store the generator in the file. Default: if it takes less than 1 % of it.",
        ),
    ] = None,
    tune: Annotated[
        float | None,
        typer.Option(
            help="Train the generator on with this slide's own tissue for so many seconds, and embed it if it "
            "earns its bytes.",
            metavar="SECONDS",
        ),
    ] = None,
    seed: _Seed = 0,
    verify: Annotated[_Verify, typer.Option(help="Measure the reconstruction against the slide.")] = _Verify.sample,
    min_psnr: Annotated[
        float | None,
        typer.Option(
            help="A floor in dB for every tile: what falls short is corrected by an enhancement layer. Without --ratio "
            "or --quality the file takes the fewest bytes that this needs."
        ),
    ] = None,
    roi: Annotated[
        Path | None, typer.Option(help="Regions of interest: GeoJSON in full-resolution pixels, as QuPath exports it.")
    ] = None,
    roi_psnr: Annotated[float | None, typer.Option(help="The floor in dB of every tile that a region touches.")] = None,
    enhancement: Annotated[
        _Codec | None, typer.Option(help="Of the enhancement layer. Default: avif for an avif base, else jp2k.")
    ] = None,
    deidentify: Annotated[
        bool, typer.Option("--deidentify", help="Drop label, macro and every property that can carry identity.")
    ] = False,
    mpp: _Mpp = None,
    device: _Device = "cpu",
    overwrite: _Overwrite = False,
    as_json: _Json = False,
) -> None:
    """Encode a slide."""
    if ratio is not None and quality is not None:
        raise typer.BadParameter("give --ratio or --quality, not both")
    if (roi is None) != (roi_psnr is None):
        raise typer.BadParameter("--roi and --roi-psnr go together")
    free = min_psnr is None and roi is None
    target = output or _default_output(slide)
    tuner = None if tune is None else _slide_tuner(tune, seed, device)
    with open_source(slide, mpp=mpp) as source, _bar() as progress:
        settings = EncodeSettings(
            base=base.value,
            codec=codec.value,
            ratio=16.0 if ratio is None and quality is None and free else ratio,
            quality=quality,
            embed_generator=embed_generator,
            verify=verify.value,
            min_psnr_db=min_psnr,
            regions=None if roi is None else RegionsOfInterest.read(roi, source.size),
            roi_psnr_db=roi_psnr,
            enhancement_codec=enhancement.value if enhancement else None,
            deidentify=deidentify,
            seed=seed,
        )
        chosen = None if generator is None else load_generator(generator, device=device)
        report = encode(source, target, chosen, settings, tuner=tuner, overwrite=overwrite, progress=progress)
    _print(encode_facts(report), as_json)


@app.command("decode")
def decode_command(
    file: Annotated[Path, typer.Argument(help="A .hc.tif file.")],
    output: Annotated[Path, typer.Argument(help="A .tif, or a .png or .jpg picture.")],
    compression: Annotated[
        _Compression | None, typer.Option(help="Of a TIFF's tiles: jpeg [default], jp2k, or lossless deflate.")
    ] = None,
    quality: Annotated[
        float | None, typer.Option(help="jpeg: 1 to 100 [default: 85, 90 for a .jpg]; jp2k: PSNR in dB [default: 40].")
    ] = None,
    level: Annotated[int, typer.Option(help="The finest level to write: 0 is the full resolution.")] = 0,
    region: Annotated[str | None, typer.Option(help="x,y,width,height in full-resolution pixels.")] = None,
    tier: Annotated[
        _Tier | None,
        typer.Option(
            help="Stop early: base (nothing predicted), reconstructed (not enhanced). Default: all there is."
        ),
    ] = None,
    generator: Annotated[
        str | None, typer.Option(help="bicubic to do without the network, or the named generator's package.")
    ] = None,
    device: _Device = "cpu",
    overwrite: _Overwrite = False,
) -> None:
    """Decode to a pyramidal TIFF, or a region to a picture."""
    if tier is _Tier.base:
        level = max(level, 1)
    part = _region(region)
    picture = output.suffix.lower() in (".png", ".jpg", ".jpeg")
    if not picture and output.suffix.lower() not in (".tif", ".tiff"):
        raise typer.BadParameter(f"the output's name must end in .tif, .tiff, .png, .jpg or .jpeg, found {output.name}")
    if picture and compression is not None:
        raise typer.BadParameter("--compression is for a .tif: a .png is lossless, a .jpg is JPEG")
    enhanced = tier in (None, _Tier.bounded)
    with Decoder(file, generator=generator, device=device, enhancement=enhanced) as decoder, _bar() as progress:
        if tier is _Tier.bounded and not decoder.is_enhanced:
            raise SettingsError(f"{file} has no enhancement layer that could be applied: it is not of tier bounded")
        if picture:
            export_picture(
                decoder,
                output,
                quality=None if quality is None else round(quality),
                level=level,
                region=part,
                overwrite=overwrite,
            )
        else:
            export_tiff(
                decoder,
                output,
                compression=compression.value if compression else "jpeg",
                quality=quality,
                level=level,
                region=part,
                overwrite=overwrite,
                progress=lambda done, total: progress("decoding", done, total),
            )
    typer.echo(f"{output}: {output.stat().st_size} bytes")


@app.command("info")
def info_command(file: Annotated[Path, typer.Argument(help="A .hc.tif file.")], as_json: _Json = False) -> None:
    """Say what a file is, what it holds, and what was measured."""
    with Container(file) as container:
        _print(container_facts(container), as_json)


@app.command("validate")
def validate_command(
    file: Annotated[Path, typer.Argument(help="A .hc.tif file.")],
    deep: Annotated[bool, typer.Option("--deep", help="Decode every stored tile.")] = False,
    as_json: _Json = False,
) -> None:
    """List every problem of a file with its code; exit code 1 if there is one."""
    with _bar() as progress:
        problems = validate(file, deep=deep, progress=lambda done, total: progress("checking", done, total))
    if as_json:
        typer.echo(json.dumps([{"code": p.code, "place": p.place, "sentence": p.sentence} for p in problems], indent=1))
    else:
        for problem in problems:
            typer.echo(f"{problem.code}: {problem.place}: {problem.sentence}")
        if not problems:
            typer.echo(f"{file}: valid" if deep else f"{file}: valid (--deep decodes every tile as well)")
    raise typer.Exit(1 if problems else 0)


@app.command("strip")
def strip_command(
    file: Annotated[Path, typer.Argument(help="A .hc.tif file with an enhancement layer.")],
    output: Annotated[Path, typer.Argument(help="The same without.")],
    tier: Annotated[_Tier, typer.Option(help="What is left: reconstructed.")] = _Tier.reconstructed,
    overwrite: _Overwrite = False,
) -> None:
    """Take the enhancement layer off, without decoding: the small file to send."""
    if tier is not _Tier.reconstructed:
        raise typer.BadParameter(
            "--tier: reconstructed is what can be left; decode --tier base writes the base"
        )
    with _bar() as progress:
        size = strip(file, output, overwrite=overwrite, progress=lambda d, n: progress("writing", d, n))
    typer.echo(f"{output}: {size} bytes of {file.stat().st_size}")


@app.command("enhance")
def enhance_command(
    small: Annotated[Path, typer.Argument(help="A file that was stripped.")],
    full: Annotated[Path, typer.Argument(help="The file with the enhancement layer.")],
    output: Annotated[Path, typer.Argument(help="Both together.")],
    overwrite: _Overwrite = False,
) -> None:
    """Put the enhancement layer back, byte for byte."""
    with _bar() as progress:
        size = enhance(small, full, output, overwrite=overwrite, progress=lambda d, n: progress("writing", d, n))
    typer.echo(f"{output}: {size} bytes")


@app.command("regions")
def regions_command(
    file: Annotated[Path, typer.Argument(help="A .hc.tif file that was encoded with --roi.")],
    output: Annotated[Path, typer.Argument(help="The regions of interest, .geojson.")],
    overwrite: _Overwrite = False,
) -> None:
    """Write the regions of interest of a file as GeoJSON."""
    check_output(output, overwrite=overwrite, source=file)
    with Container(file) as container:
        regions = container.regions()
    if regions is None:
        raise SettingsError(f"{file} has no regions of interest")
    with atomic_output(output, overwrite=overwrite) as out:
        out.write(regions.to_geojson())
    typer.echo(f"{output}: {len(regions.features)} regions")


@app.command("demo")
def demo_command(
    slide: Annotated[Path | None, typer.Argument(help="A slide. Default: a synthetic one is made.")] = None,
    output: Annotated[Path, typer.Option("-o", "--output", help="The picture.")] = Path("demo.png"),
    mpp: _Mpp = None,
    overwrite: _Overwrite = False,
) -> None:
    """Encode, validate and decode a slide, and draw what came out."""
    if output.suffix.lower() != ".png":
        raise typer.BadParameter(f"the picture's name must end in .png, found {output.name}")
    with _bar() as progress:
        facts = run_demo(slide, output, mpp=mpp, overwrite=overwrite, progress=progress)
    _print(facts, as_json=False)


@app.command("train")
def train_command(
    config: Annotated[Path, typer.Argument(help="A TOML file: configs/ has those of the generators that ship.")],
    data: Annotated[
        Path, typer.Option(envvar="HISTOCODEC_DATA", help="The folder that the configuration's paths are relative to.")
    ] = Path(),
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Default: RUN/NAME.safetensors.")] = None,
    run: Annotated[
        Path | None, typer.Option(help="Keeps checkpoints, log and figures; resumes. [default: runs/NAME]")
    ] = None,
    device: _Device = "cpu",
    overwrite: _Overwrite = False,
) -> None:
    """Train a generator; the model package that comes out is for `encode --generator`."""
    from .training import load_config, run_training  # imports torch, which most commands do without

    settings = load_config(config)
    folder = run or Path("runs") / settings.name
    target = output or folder / f"{settings.name}.safetensors"
    with _bar(f"the same command goes on from the last checkpoint in {folder}") as progress:

        def say(stage: str, done: int, total: int, row: dict[str, float]) -> None:
            progress(stage, done, total)
            if row:
                numbers = "  ".join(f"{key} {value:.5g}" for key, value in row.items())
                typer.echo(numbers, err=True)

        package = run_training(
            settings, target, data=data, folder=folder, device=device, overwrite=overwrite, progress=say
        )
    _print({"output": str(target), **package_summary(package), "digest": package.digest}, as_json=False)


@app.command("tune")
def tune_command(
    slides: Annotated[list[Path], typer.Argument(help="Slides of one scanner.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The model package, .safetensors.")],
    seconds: Annotated[float, typer.Option(help="Time for the training itself; the slides are encoded before.")] = 600,
    steps: Annotated[
        int | None, typer.Option(help="Exactly so many steps, to repeat a run whose package states them.")
    ] = None,
    seed: _Seed = 0,
    name: Annotated[str | None, typer.Option(help="Of the generator. Default: the start's name, -tuned.")] = None,
    ratio: Annotated[float, typer.Option(help="Of the files that it is meant for, as in encode.")] = 16.0,
    base: Annotated[_Base, typer.Option(help="Magnification of the stored base.")] = _Base.x10,
    codec: Annotated[_Codec, typer.Option(help="Of the base.")] = _Codec.jp2k,
    generator: Annotated[
        str | None, typer.Option(help="What to start from: a shipped generator or a model package's path.")
    ] = None,
    mpp: _Mpp = None,
    device: _Device = "cpu",
    overwrite: _Overwrite = False,
    as_json: _Json = False,
) -> None:
    """Tune a generator to a scanner, once; what comes out is for `encode --generator`."""
    from .training.slides import tune_to_slides  # imports torch, which most commands do without
    from .training.tuning import TuneSettings

    settings = TuneSettings(seconds=seconds, steps=steps, seed=seed)
    encoding = EncodeSettings(base=base.value, codec=codec.value, ratio=ratio, verify="none", seed=seed)
    check_output(output, overwrite=overwrite)
    with ExitStack() as stack:
        progress = stack.enter_context(_bar())
        sources = [stack.enter_context(open_source(slide, mpp=mpp)) for slide in slides]
        chosen = (
            default_generator(base_scale(sources[0], base.value), codec.value)
            if generator is None
            else load_generator(generator, device=device)
        )
        tuned = tune_to_slides(sources, chosen, settings, encoding, name=name, device=device, progress=progress)
    with atomic_output(output, overwrite=overwrite) as file:
        file.write(tuned.package.data)
    _print(tuned_facts(tuned.package, output), as_json)


@app.command("models")
def models_command(as_json: _Json = False) -> None:
    """List the generators that ship, with their measured quality."""
    packages = shipped_packages()
    if not packages:
        typer.echo("No learned generator ships with this version.", err=True)
    if packages or as_json:
        facts = package_facts if as_json else package_summary
        _print({name: facts(package) for name, package in packages.items()}, as_json)


def _slide_tuner(seconds: float, seed: int, device: str) -> Tuner:
    from .training.slides import SlideTuner  # imports torch
    from .training.tuning import TuneSettings

    return SlideTuner(TuneSettings(seconds=seconds, seed=seed), device=device)


def _default_output(slide: Path) -> Path:
    return slide.with_name(slide.name.removesuffix(slide.suffix) + ".hc.tif")


def _region(text: str | None) -> Region | None:
    if text is None:
        return None
    try:
        x, y, width, height = (int(part) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter(f"--region takes x,y,width,height in whole pixels, found {text}") from None
    return Region(x, y, width, height)


def _print(facts: dict[str, object], as_json: bool) -> None:
    typer.echo(json.dumps(facts, indent=1, ensure_ascii=False) if as_json else render(facts))


@contextmanager
def _bar(lost: str = "nothing was written") -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar on stderr for each stage; silent where stderr is not a terminal."""
    columns = TextColumn("{task.description:>10}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with ProgressBar(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as bar:
        tasks: dict[str, object] = {}

        def progress(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage, total=total)
            bar.update(tasks[stage], completed=done, total=total)  # type: ignore[arg-type]

        try:
            yield progress
        except KeyboardInterrupt:
            raise _Interrupted(f"interrupted; {lost}") from None


@app.callback(invoke_without_command=True)
def _version(
    context: typer.Context, version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False
) -> None:
    if version:
        typer.echo(f"histocodec {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command line. Exit codes: 0 done, 1 an error in one line on stderr, 2 a usage error, 130 Ctrl-C."""
    try:
        app()
    except (HistocodecError, OSError) as error:
        typer.echo("histocodec: " + " ".join(str(error).splitlines()), err=True)
        raise SystemExit(130 if isinstance(error, _Interrupted) else 1) from None
    except MemoryError:
        typer.echo("histocodec: out of memory", err=True)
        raise SystemExit(1) from None
