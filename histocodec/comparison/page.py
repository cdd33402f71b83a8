"""Writes a comparison as one HTML page for people: its pictures within it, nothing loaded from elsewhere."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import PurePath

from PIL import Image as PILImage

from ..decoder import Decoder
from ..format.descriptions import NOTICE
from ..format.entries import LossyStep
from ..geometry import Image, Region
from ..pixels.floors import square_side
from ..source import Source
from ..version import __version__
from .compare import ComparedBlock, Comparison
from .heatmap import SHOWN
from .pictures import AMPLIFIED, histograms_picture, map_picture, three_numbers, worst_squares
from .template import PAGE, STYLE

_ROWS = 50
"""Number of blocks in the table."""
# A report is to be sent around. Pictures that are no evidence are coded with loss; the pixels of squares are lossless.
_MAP_QUALITY = 85
"""JPEG quality of the map."""
_HISTOGRAM_COLOURS = 64
"""Number of colours of the histograms."""


_DEFINITIONS = {
    "PSNR, dB": "Peak signal-to-noise ratio at full resolution, over all pixels and channels of a block: "
    "10 log<sub>10</sub>(255² / mean squared error). Higher is better; equal pixels count as 100 dB.",
    "SSIM": "Structural similarity at full resolution (Wang et al. 2004), mean of the three channels. 1 is best.",
    "Colour error, ΔE*ab": "Mean CIE 1976 distance of the colours, both averaged to the resolution that is stored: "
    "what became of the stain, detail left aside. 0 is best; about 1 can just be seen side by side.",
    "Consistency, dB": "PSNR of the decoded block, averaged to the resolution that is stored, against what is stored: "
    "whether the predicted detail agrees with it. The original takes no part. Where a downsampler made the base "
    "(see the file's facts), that is no average itself, and the number says less.",
}
"""Meaning of each measure, as HTML, by the name that heads its row."""


def html_report(source: Source, decoder: Decoder, comparison: Comparison, *, floor_db: float | None = None) -> bytes:
    """Return a comparison as one HTML page in UTF-8: pictures within it, no scripts, nothing loaded from elsewhere.

    The slide's properties are not shown: they can carry a patient's name. floor_db: a PSNR that every block should
    reach; the page then says which do not. Raises SettingsError if that is not finite, and what `Source.read` and
    `Decoder.read` raise.
    """
    histograms = _coded(histograms_picture(comparison).quantize(_HISTOGRAM_COLOURS), "PNG", optimize=True)
    names = f"<bdi>{escape(source.path.name)}</bdi> and <bdi>{escape(PurePath(decoder.path).name)}</bdi>"
    parts = [
        "<header><p class=eyebrow>histocodec compare</p><h1>Original and decoded</h1>",
        f"<p class=names>{names}</p></header>",
        *_statements(comparison, floor_db),
        _cards(source, decoder, comparison),
        _subject(source, decoder, comparison),
        *_summary_tables(comparison),
        _figure("Where: PSNR over the slide", {"A map of the slide": _jpeg(map_picture(decoder, comparison))}),
        _figure(f"How often: {comparison.first.title} by each measure", {"Four histograms": histograms}),
        _worst_squares(source, decoder, comparison),
        _worst_table(comparison),
        _history(decoder.manifest.slide.lossy_history),
        f"<footer>histocodec {escape(__version__)}. {_sentence(comparison.label)} {_sentence(NOTICE)}</footer>",
    ]
    page = PAGE.format(title=escape(f"{PurePath(decoder.path).name} compared"), style=STYLE, body="\n".join(parts))
    return page.encode("utf-8", "replace")  # a file's name need not be text


def _sentence(text: str) -> str:
    """Return a text, which may come from a file, as an escaped sentence."""
    return escape(text[:1].upper() + text[1:]) + "."


def _statements(comparison: Comparison, floor_db: float | None) -> Iterator[str]:
    """Yield the boxes on top: the label, whether a floor holds, notes."""
    label = f"The full resolution is {comparison.label}"
    yield f"<p class='box notice'>{_sentence(label)} <strong>{_sentence(NOTICE)}</strong></p>"
    if floor_db is not None:
        failed, total = len(comparison.below(floor_db)), len(comparison.blocks)
        complete = total == comparison.candidates
        verdict = f"{failed or 'None'} of {total} blocks {'have' if failed > 1 else 'has'}"
        lowest_db = min(block.lowest_db for block in comparison.blocks)
        yield (
            f"<p class='box {'failed' if failed else 'passed'}'><strong>{'Failed' if failed else 'Passed'}.</strong> "
            f"{verdict} a square of {comparison.square} px below the floor of {floor_db:g} dB; the "
            f"{'worst' if complete else 'lowest of these'} has {lowest_db:.2f} dB.</p>"
        )
    for note in comparison.notes:
        yield f"<p class='box failed'><strong>Note.</strong> {_sentence(note)}</p>"


def _cards(source: Source, decoder: Decoder, comparison: Comparison) -> str:
    """Return the five main numbers of the first group."""
    group = comparison.first
    of, ssim = f" of {group.name}", "–" if group.ssim is None else f"{group.ssim.mean:.3f}"
    which = "worst block" if group.complete else f"lowest of {len(group.blocks)} blocks"
    cards = [
        (f"{source.size_bytes / decoder.container.size_bytes:.1f} ×", "smaller than the slide's file"),
        (f"{group.psnr_db.mean:.2f} dB", f"mean PSNR{of}"),
        (f"{group.psnr_db.worst:.2f} dB", f"PSNR of the {which}{of}"),
        (ssim, f"mean SSIM{of}"),
        (f"{group.colour_error.mean:.2f} ΔE", f"mean colour error{of}"),
    ]
    return "<div class=cards>" + "".join(f"<p><b>{value}</b>{name}</p>" for value, name in cards) + "</div>"


def _summary_tables(comparison: Comparison) -> Iterator[str]:
    """Yield a table of summaries for each group; the first one explains the measures."""
    for group in comparison.groups:
        summaries = (group.psnr_db, group.ssim, group.colour_error, group.consistency_db)
        rows = []
        for (name, meaning), summary, digits in zip(_DEFINITIONS.items(), summaries, (2, 3, 2, 2), strict=True):
            values = ["–"] * 3 if summary is None else [f"{value:.{digits}f}" for value in three_numbers(summary)]
            told = f"<td class=meaning>{meaning}</td>" if group is comparison.groups[0] else ""
            rows.append(f"<tr><th scope=row>{name}</th>{_cells(values)}{told}</tr>")
        extreme = "Worst" if group.complete else f"Lowest of {len(group.blocks)}"
        heads = f"<th></th><th class=n>Mean</th><th class=n>5th percentile</th><th class=n>{extreme}</th>"
        heads += "<th>What it is</th>" if told else ""
        yield (
            f"<section><h2>Measured on {escape(group.title)}</h2><table><thead><tr>{heads}</tr></thead>"
            f"<tbody>{''.join(rows)}</tbody></table><p class=small>Over the blocks. Of the colour error it is the "
            "95th percentile and the highest, since there more is worse. "
            f"The {'worst' if group.complete else 'lowest'} square of {comparison.square} px has "
            f"{group.lowest_db:.2f} dB PSNR.</p></section>"
        )


def _figure(title: str, pictures: dict[str, _Coded]) -> str:
    """Return a titled figure. pictures: keyed by their alt text."""
    images = "".join(_image(picture, alternative) for alternative, picture in pictures.items())
    return f"<section><h2>{escape(title)}</h2><figure>{images}</figure></section>"


@dataclass(frozen=True, slots=True)
class _Coded:
    """A picture as a page holds it."""

    size: tuple[int, int]
    """(width, height) in pixels."""
    kind: str
    """Media subtype: what follows `image/`."""
    data: bytes


def _coded(picture: PILImage.Image, kind: str, **options: object) -> _Coded:
    """Code a picture. kind, options: as Pillow's `save` takes them."""
    coded = io.BytesIO()
    picture.save(coded, kind, **options)
    return _Coded(picture.size, kind.lower(), coded.getvalue())


def _jpeg(picture: PILImage.Image) -> _Coded:
    """Code a picture that is no evidence, with loss."""
    return _coded(picture, "JPEG", quality=_MAP_QUALITY, optimize=True)


def _pixels(image: Image) -> _Coded:
    """Code pixels without loss."""
    return _coded(PILImage.fromarray(image), "WEBP", lossless=True, quality=100, method=4)


def _image(picture: _Coded, alternative: str) -> str:
    """Return the `img` element of a picture with its alt text."""
    size = f"width={picture.size[0]} height={picture.size[1]}"
    data = base64.b64encode(picture.data).decode()
    return f"<img {size} alt='{alternative}' src='data:image/{picture.kind};base64,{data}'>"


def _worst_squares(source: Source, decoder: Decoder, comparison: Comparison) -> str:
    """Return the section of the worst squares, one pixel of the slide a pixel of the page."""
    parts = []
    for number, square in enumerate(worst_squares(source, decoder, comparison, SHOWN), 1):
        block, region = square.block, square.region
        shown = {"original": square.original, "decoded": square.decoded, "difference": square.difference}
        images = "".join(
            f"<div><span>{name}{f' × {AMPLIFIED}' if name == 'difference' else ''}</span>"
            f"{_image(_pixels(image), f'Square {number}: {name}')}</div>"
            for name, image in shown.items()
        )
        kind = "" if block.tissue else " (glass)"
        parts.append(
            f"<div class=square><p><b>{number}</b> x {region.x}, y {region.y}, {region.width} × {region.height} px"
            f"{kind}: {block.lowest_db:.2f} dB; its block {block.psnr_db:.2f} dB</p>"
            f"<div class=pixels>{images}</div></div>"
        )
    side = square_side(comparison.grid.side)
    return (
        f"<section><h2>The lowest squares, pixel for pixel</h2>{''.join(parts)}<p class=small>Of each of the first "
        f"blocks below the lowest square of {side} px, one pixel of the slide a pixel here, without loss; x and y in "
        f"full-resolution pixels. Difference: decoded minus original, × {AMPLIFIED}, on mid grey. Decoded: "
        f"{escape(comparison.label)}.</p></section>"
    )


def _worst_table(comparison: Comparison) -> str:
    """Return the section that lists the blocks with the lowest squares."""
    ranked = comparison.ranked()[:_ROWS]
    rows = "".join(_worst_row(number, block, comparison.region(block)) for number, block in enumerate(ranked, 1))
    heads = (
        "#",
        "x",
        "y",
        "Size, px",
        "Kind",
        "Lowest square, dB",
        "PSNR, dB",
        "SSIM",
        "Colour, ΔE",
        "Consistency, dB",
    )
    head = "".join(f"<th{'' if name == 'Kind' else ' class=n'}>{name}</th>" for name in heads)
    return (
        f"<section><h2>The {len(ranked)} blocks with the lowest squares</h2><table class=blocks><thead><tr>{head}</tr>"
        f"</thead><tbody>{rows}</tbody></table><p class=small>x and y: the block's top left corner in full-resolution "
        f"pixels. Lowest square: PSNR of the worst {comparison.square} px of a block, by which they are ordered. "
        "To look at one: <code>histocodec decode FILE spot.png --region x,y,width,height</code></p></section>"
    )


def _worst_row(number: int, block: ComparedBlock, region: Region) -> str:
    """Return one block as a row of that table."""
    ssim = "–" if block.ssim is None else f"{block.ssim:.3f}"
    place = (number, region.x, region.y, f"{region.width} × {region.height}")
    scores = (
        f"{block.lowest_db:.2f}",
        f"{block.psnr_db:.2f}",
        ssim,
        f"{block.colour_error:.2f}",
        f"{block.consistency_db:.2f}",
    )
    kind = f"<td>{'tissue' if block.tissue else 'glass'}</td>"
    return f"<tr>{_cells(place)}{kind}{_cells(scores)}</tr>"


def _cells(values: Iterable[object]) -> str:
    """Return table cells of numbers."""
    return "".join(f"<td class=n>{value}</td>" for value in values)


def _subject(source: Source, decoder: Decoder, comparison: Comparison) -> str:
    """Return the section that says which files were compared, and how."""
    manifest, size = decoder.manifest, comparison.grid.size
    base = manifest.base
    rows = {
        "Slide": f"{source.path.name}, {_bytes(source.size_bytes)}",
        "File": f"{PurePath(decoder.path).name}, {_bytes(decoder.container.size_bytes)}",
        "Size": f"{size.width} × {size.height} px at {decoder.mpp:.4g} µm/px",
        "Scanner's format": source.vendor,
        "Stored": f"1/{base.scale} of the resolution, {manifest.base_mpp:.4g} µm/px, "
        f"as {base.codec} of quality {base.quality:g}",
        "Compared": f"{comparison.method}, of {comparison.grid.side} px a side",
        "When it was made": decoder.rendition.quality_label,
        "Written by": manifest.software,
    }
    listed = "".join(f"<dt>{name}</dt><dd><bdi>{escape(value)}</bdi></dd>" for name, value in rows.items())
    return f"<section><h2>What was compared</h2><dl>{listed}</dl></section>"


def _bytes(count: int) -> str:
    """Render a number of bytes for people."""
    return f"{count / 1e6:.2f} MB" if count >= 1e5 else f"{count} bytes"


def _history(steps: Sequence[LossyStep]) -> str:
    """Return the section that lists every lossy step."""
    items = "".join(
        f"<li><bdi>{escape(step.method)}</bdi>{f', {step.ratio:.1f} : 1' if step.ratio else ''}: "
        f"<bdi>{escape(step.derivation)}</bdi></li>"
        for step in steps
    )
    return f"<section><h2>Lossy history, oldest first</h2><ol>{items}</ol></section>"
