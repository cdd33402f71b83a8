"""What the parts of a manifest cannot say together, each part in its range.

Every rule yields (place, sentence) for what it finds. `formats/container/v1/spec.md`, section 4, is normative.
"""

from __future__ import annotations

from collections.abc import Iterator

from .entries import BaseEntry, Layers, PredictionEntry, QualityEntry, SlideEntry, SourceEntry, level_sizes
from .tags import MAX_ASSOCIATED

Problems = Iterator[tuple[str, str]]
"""(place, sentence) of each."""

BUILTIN = {"builtin:bicubic-x2": ("bicubic-x2", 2, 2), "builtin:bicubic-x4": ("bicubic-x4", 4, 2)}
"""Digest -> name, scale and halo of the generators that the format defines."""

BASE_COLOURS = 12
LAYER_COLOURS = 24
"""Numbers of one colour transform, and of the two of an enhancement layer."""


def slide_problems(slide: SlideEntry) -> Problems:
    """Check the slide's history, and that its damaged places lie within it."""
    width, height = slide.size
    if not slide.lossy_history:
        yield "slide.lossy_history", "the file's own step is missing"
    for place in slide.damaged or ():
        if place[0] + place[2] > width or place[1] + place[3] > height:
            yield "slide.damaged", f"expected a place within {width} x {height} px, found {place}"


def source_problems(slide: SlideEntry, source: SourceEntry | None) -> Problems:
    """Check that the source's files are those that were weighed, and that what identifies them is gone if it must."""
    if source is None:
        return
    total = sum(file.bytes for file in source.files)
    if not source.files or total != slide.source_bytes:
        yield "source.files", f"expected files of {slide.source_bytes} bytes together, found {total}"
    if slide.deidentified and any(file.name is not None or file.modified is not None for file in source.files):
        yield "source.files", "names and dates of files in a file that says to be de-identified"
    names = [file.name.casefold() for file in source.files if file.name is not None]
    folders = {name[:at] for name in names for at, character in enumerate(name) if character == "/"}
    if len(set(names)) != len(names) or folders & set(names):
        yield "source.files", "two files of one name, as some systems see them, or a file and a folder"


def original_problems(source: SourceEntry | None, layers: Layers) -> Problems:
    """Check that the files of an original are known; several have to have names."""
    if layers.original is None:
        return
    tiles = layers.original.tiles
    if tiles is not None:
        is_lossy = tiles.codec in ("jpeg", "jp2k")
        if tiles.predictor and is_lossy:
            yield "layers.original.tiles.predictor", f"expected none with {tiles.codec}"
        if tiles.colour == "ycbcr" and not is_lossy:
            yield "layers.original.tiles.colour", f"expected rgb with {tiles.codec}"
    if source is None:
        yield "layers.original", "an original without the files that it gives back"
    elif len(source.files) > 1 and any(file.name is None for file in source.files):
        yield "layers.original", "several files, and one of them without a name"


def base_problems(slide: SlideEntry, base: BaseEntry) -> Problems:
    """Check the base's levels against the slide's size, its colours and its place against its codec."""
    width, height = slide.size
    expected = level_sizes((-(-width // base.scale), -(-height // base.scale)), base.tile)
    if base.levels != expected:
        yield "base.levels", f"expected {len(expected)} levels from {expected[0].size}, found other sizes"
    colours = len(base.colour or ())
    if colours != (BASE_COLOURS if base.codec == "av1" else 0):
        yield "base.colour", f"expected twelve numbers for av1, else none, found {colours}"
    if (base.subifd is not None) != (base.codec == "av1"):
        yield "base.subifd", "an av1 base lies in a SubIFD, and no other"


def prediction_problems(base: BaseEntry, prediction: PredictionEntry) -> Problems:
    """Check the generator against the base, and against what the format says of its digest."""
    generator = prediction.generator
    if generator.scale != base.scale:
        yield "prediction.generator.scale", f"expected the base's {base.scale}, found {generator.scale}"
    builtin = BUILTIN.get(generator.digest)
    if builtin and (generator.name, generator.scale, generator.halo) != builtin:
        yield "prediction.generator", "expected {}, scale {}, halo {} for {}".format(*builtin, generator.digest)
    if builtin and generator.embedded:
        yield "prediction.generator.embedded", "a built-in generator has no package to embed"


def layer_problems(
    tier: str, slide: SlideEntry, base: BaseEntry, prediction: PredictionEntry, layers: Layers
) -> Problems:
    """Check the layers' sizes, colours and places."""
    columns, rows = _blocks(slide, base, prediction)
    for name, layer in (("tissue_map", layers.tissue_map), ("quality_map", layers.quality_map)):
        if layer and layer.size != (columns, rows):
            yield f"layers.{name}.size", f"expected a pixel a block, {columns} x {rows}"
    enhancement = layers.enhancement
    if tier != layers.tier:
        yield "tier", f'expected "{layers.tier}" with these layers'
    if enhancement is not None:
        if enhancement.size != slide.size:
            yield "layers.enhancement.size", "expected that of the slide, {} x {}".format(*slide.size)
        side = prediction.block * base.scale
        if enhancement.square is not None and side % enhancement.square:
            sentence = f"expected squares that make up a block of {side} px, found {enhancement.square}"
            yield "layers.enhancement.square", sentence
        colours, codec = enhancement.colour, enhancement.codec
        if colours is not None and (len(colours) != LAYER_COLOURS or codec != "av1"):
            yield "layers.enhancement.colour", f"expected 24 numbers and av1, found {len(colours)} and {codec}"
    subifds = [layer.subifd for layer in layers.present] + ([] if base.subifd is None else [base.subifd])
    if len(set(subifds)) != len(subifds):
        yield "layers", "two of base and layers in one SubIFD"


def quality_problems(
    slide: SlideEntry, base: BaseEntry, prediction: PredictionEntry, quality: QualityEntry | None
) -> Problems:
    """Check that the worst block is one of the slide's."""
    columns, rows = _blocks(slide, base, prediction)
    worst = quality.worst_block if quality else None
    if worst and not (worst[0] < columns and worst[1] < rows):
        yield "quality.worst_block", f"expected one of {columns} x {rows} blocks, found {worst}"


def associated_problems(names: tuple[str, ...]) -> Problems:
    """Check that the associated images are few and different, and begin with the thumbnail."""
    if len(set(names)) != len(names) or len(names) > MAX_ASSOCIATED:
        yield "associated", f"expected at most {MAX_ASSOCIATED} different names"
    if names and names[0] != "thumbnail":
        yield "associated", 'the first associated image must be "thumbnail"'


def _blocks(slide: SlideEntry, base: BaseEntry, prediction: PredictionEntry) -> tuple[int, int]:
    """Return the columns and rows of the canonical grid."""
    width, height = (-(-side // base.scale) for side in slide.size)
    return -(-width // prediction.block), -(-height // prediction.block)
