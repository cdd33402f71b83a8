"""`preview`: what an encode would give, before it is made."""

from __future__ import annotations

import dataclasses
import io
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from ..encoder import EncodeSettings
from ..encoder.preview import RATIOS, Preview, Refused, preview
from ..runtime.files import atomic_output, check_output
from ..source import open_source
from .encode import generator_for
from .encoding_options import (
    Base,
    Codec,
    Downsampling,
    EffortOption,
    EncodingGenerator,
    WhenDamaged,
)
from .options import (
    Device,
    Json,
    Log,
    Mpp,
    Overwrite,
    Seed,
    Series,
    Verbose,
    Workers,
    parsed_region,
    path_argument,
    path_option,
    print_facts,
)
from .running import running


def preview_command(
    slide: Annotated[Path, path_argument(help="Any slide that OpenSlide, tifffile or libvips reads.")],
    output: Annotated[
        Path | None, path_option("-o", "--output", help="Draw the field at each ratio beside the original, .png.")
    ] = None,
    region: Annotated[
        str | None,
        typer.Option(help="The field, x,y,width,height in full pixels. Default: one of tissue with much detail."),
    ] = None,
    ratio: Annotated[
        list[float] | None, typer.Option(help="A ratio to try; may be repeated. [default: 4, 8, 16, 24]")
    ] = None,
    base: Base = EncodeSettings.base,
    codec: Codec = EncodeSettings.codec,
    effort: EffortOption = EncodeSettings.effort,
    downsampling: Downsampling = None,
    generator: EncodingGenerator = None,
    seed: Seed = 0,
    series: Series = None,
    on_damage: WhenDamaged = "refuse",
    mpp: Mpp = None,
    device: Device = "cpu",
    overwrite: Overwrite = False,
    workers: Workers = None,
    verbose: Verbose = False,
    log: Log = None,
    as_json: Json = False,
) -> None:
    """Estimate what encode gives at several ratios, and show it on one field; nothing is encoded."""
    place = parsed_region(region)
    if output is not None:
        if output.suffix.lower() != ".png":
            raise typer.BadParameter(f"the picture's name must end in .png, found {output}")
        check_output(output, overwrite=overwrite, source=slide)
    with (
        running(verbose, log, workers) as progress,
        open_source(slide, mpp=mpp, series=series, on_damage=on_damage) as source,
        tempfile.TemporaryDirectory(prefix="histocodec-preview-") as folder,
    ):
        settings = EncodeSettings(base=base, codec=codec, effort=effort, downsampling=downsampling, seed=seed)
        chosen = generator_for(source, settings, generator, device)
        found = preview(source, Path(folder), chosen, settings, ratios=ratio or RATIOS, region=place, progress=progress)
        if output is not None:
            from ..comparison.preview_sheet import preview_sheet  # imports matplotlib

            drawn = io.BytesIO()
            preview_sheet(found).save(drawn, "PNG")
            with atomic_output(output, overwrite=overwrite) as out:
                out.write(drawn.getbuffer())
    print_facts(_facts(found, output), as_json)


def _facts(found: Preview, output: Path | None) -> dict[str, object]:
    """Return the facts of a preview, by the keys of `preview --json`."""
    place = found.place
    facts: dict[str, object] = {
        "slide": str(found.path),
        "source_bytes": found.source_bytes,
        "field": [place.x, place.y, place.width, place.height],
        "sampled_share": round(found.sampled_share, 4),
    }
    for row in found.rows:
        name = f"{row.ratio:g}x"
        if isinstance(row, Refused):
            facts[name] = {"refused": row.reason}
            continue
        facts[name] = {
            "size_bytes": row.size_bytes,
            "fills_the_budget": row.is_full,
            "minutes": round(row.seconds / 60, 2),
            "base": row.base,
            "quality": row.quality,
            "field_bytes": row.field_bytes,
            "psnr_db": round(row.psnr_db, 4),
            "ssim": round(row.ssim, 4),
            "tissue": None if row.slide is None else dataclasses.asdict(row.slide),
        }
    if output is not None:
        facts["output"] = str(output)
    return facts
