"""The options of an encode, which `encode`, `preview` and `archive` share."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from ..encoder.settings import Effort, Magnification
from ..pixels.tile_codecs import TileCodec
from ..source import OnDamage

Ratio = Annotated[float | None, typer.Option(help="Output bytes: at most the slide's divided by this. [default: 16]")]
Quality = Annotated[float | None, typer.Option(help="Instead of a ratio: quality on the codec's scale.")]
Base = Annotated[
    Literal[Magnification, "auto"] | None,
    typer.Option(
        help="Magnification of the stored base; auto takes 20x where the ratio leaves a 10x base more quality than it "
        "can use. Default: auto with a ratio, else 10x."
    ),
]
Codec = Annotated[
    TileCodec,
    typer.Option(
        help="Codec of the base: av1 is smallest, and other programs see an overview; jp2k and jpeg open in "
        "OpenSlide and QuPath at 10x."
    ),
]
EffortOption = Annotated[
    Effort,
    typer.Option(help="Encoder time that av1 spends on fewer bytes; jp2k and jpeg ignore it."),
]
Downsampling = Annotated[
    str | None,
    typer.Option(
        help="How the base is made: box (the average), a shipped downsampler, or a package's path. "
        "Default: as the generator was trained."
    ),
]
EncodingGenerator = Annotated[
    str | None, typer.Option(help="A shipped generator, bicubic-x2, bicubic-x4, or a package's path.")
]
EmbedGenerator = Annotated[
    bool | None,
    typer.Option(
        "--embed-generator/--no-embed-generator",
        help="Store the generator in the file. Default: if it takes less than 2 % of it.",
    ),
]
StoreAll = Annotated[
    bool, typer.Option("--archive", help="Store all that reading the file takes, the generator of any size.")
]
Verify = Annotated[Literal["sample", "all", "none"], typer.Option(help="Measure the reconstruction against the slide.")]
MinPsnr = Annotated[
    float | None,
    typer.Option(
        help="A floor in dB for every square of 256 px: what falls short is corrected by an enhancement layer. "
        "Without --ratio or --quality the file takes the fewest bytes that this needs."
    ),
]
KeepOriginal = Annotated[
    bool,
    typer.Option(
        "--keep-original",
        help="Keep the slide's own files in it, smaller where they are JPEG: restore gives them back, byte for byte. "
        "--ratio counts the rest.",
    ),
]
Deidentify = Annotated[
    bool, typer.Option("--deidentify", help="Drop label, macro and every property that can carry identity.")
]
WhenDamaged = Annotated[
    OnDamage, typer.Option(help="Where the slide cannot be decoded: give up, or fill in the background and say so.")
]
