"""A comparison as pictures, and as one HTML file that a person reads."""

from __future__ import annotations

import base64
import io
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from PIL import Image as PILImage
from PIL import ImageDraw, ImageFont

from ..codecs import Image
from ..compare import Comparison, ErrorSummary, TileScore
from ..decode import Decoder
from ..geometry import Region, Size, TileGrid
from ..labels import NOTICE, quality_label
from ..manifest import LossyStep, Summary
from ..metrics import mean_squared_error
from ..source import Source
from ..version import __version__

WIDTH = 1640
"""Pixels of every picture: twice what it takes in the page, so that it is sharp on fine screens and on paper."""
MARGIN = 32
PANEL = 512
"""Pixels a side that a tile takes in `worst_tiles_picture`."""
AMPLIFIED = 4
MARK = (208, 0, 40)
"""RGB of the outlines of the worst tiles."""

_GAP = (WIDTH - 2 * MARGIN - 3 * PANEL) // 2
_INK, _FAINT, _LINE, _RED = (31, 41, 51), (98, 109, 120), (214, 220, 226), (176, 0, 36)
_LINE_HEIGHT = 34
_WRAPPED = 112
"""Characters a line of text under a picture: a generator's digest fits."""
_MAP_BOX = Size(1390, 1300)
"""The most that the slide takes in `map_picture`."""
_BAR_GAP, _BAR, _BAR_TEXT = 36, 28, 122
"""Pixels before the colour bar, of it, and after it."""
_THUMBNAIL = 800
"""Pixels of the longer side that a level should have to be the ground of the map."""
_PALE = 0.6
"""How dark the ground is, of how dark the slide is."""
_HEAT_SHARE = 0.6
"""Of the colour in what is drawn; the rest is the ground."""
_HEAT_PERCENTILES = (2, 98)
_LEAST_RANGE_DB = 0.1
_DPI = 200
_SHOWN = 6
"""Tiles that are shown and outlined."""
_ROWS = 50
"""Of the table of tiles."""


def worst_tiles_picture(
    source: Source, decoder: Decoder, comparison: Comparison, count: int = _SHOWN
) -> PILImage.Image:
    """The worst tiles, one below the other: the original, what is decoded, and the difference around mid grey.

    Each at a whole number of pixels per pixel; of a tile of more than PANEL px, the part with the largest error.
    WIDTH px wide, RGB. Raises what `Source.read` and `Decoder.read` raise.
    """
    strips = _worst_strips(source, decoder, comparison, count)
    sheet = _blank(sum(strip.height for strip in strips))
    top = 0
    for strip in strips:
        sheet.paste(strip, (0, top))
        top += strip.height
    return sheet


def map_picture(decoder: Decoder, comparison: Comparison, count: int = _SHOWN) -> PILImage.Image:
    """PSNR of every tile as a colour over the slide in grey, with a scale, and the `count` worst tiles outlined.

    Where nothing was compared, the slide is bare. WIDTH px wide, RGB. Raises what `Decoder.read` raises.
    """
    scale = _HeatScale.over([tile.psnr_db for tile in comparison.tiles])
    ground = _Ground.of(comparison.grid.size)
    footer = _lines(
        f"PSNR of {comparison.method}, {comparison.grid.tile} px a side. The colours end at the 2nd and the 98th "
        "percentile. Outlined: the worst tiles, number 1 the very worst. Without colour: not compared.",
        _FAINT,
    )
    bar_height = max(ground.shape.height, 300)
    sheet = _blank(2 * MARGIN + bar_height + 24 + _text_height(footer))
    sheet.paste(PILImage.fromarray(_heated(decoder, comparison, ground, scale)), (ground.left, MARGIN))
    draw = ImageDraw.Draw(sheet)
    right, bottom = ground.left + ground.shape.width, MARGIN + ground.shape.height
    draw.rectangle((ground.left - 1, MARGIN - 1, right, bottom), outline=_LINE)
    for number, tile in reversed([*enumerate(comparison.ranked()[:count], 1)]):
        _outline(draw, ground.place(comparison.region(tile)), number)
    _colour_bar(sheet, right + _BAR_GAP, bar_height, scale)
    _write(draw, footer, sheet.height - MARGIN - _text_height(footer))
    return sheet


def histograms_picture(comparison: Comparison) -> PILImage.Image:
    """How the tiles are spread over PSNR, SSIM, colour error and consistency; mean, percentile and worst as lines.

    WIDTH px wide, RGB.
    """
    tiles = comparison.tiles
    figure = Figure(figsize=(WIDTH / _DPI, 5.4), dpi=_DPI, layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1))
    FigureCanvasAgg(figure)
    axes: Sequence[Axes] = figure.subplots(2, 2).flat
    _histogram(axes[0], "PSNR, dB", [t.psnr_db for t in tiles], comparison.psnr_db)
    _histogram(axes[1], "SSIM", [t.ssim for t in tiles if t.ssim is not None], comparison.ssim)
    _histogram(axes[2], "colour error, ΔE*ab", [t.colour_error for t in tiles], comparison.colour_error)
    _histogram(axes[3], "consistency, dB", [t.consistency_db for t in tiles], comparison.consistency_db)
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=_DPI)
    return PILImage.open(drawn).convert("RGB")


def html_report(source: Source, decoder: Decoder, comparison: Comparison, *, floor_db: float | None = None) -> bytes:
    """All of a comparison as one HTML file in UTF-8: pictures within it, no scripts, nothing loaded from elsewhere.

    Of the slide's properties it shows none: they can carry a patient's name. floor_db: a PSNR that every tile should
    reach; the report then says which do not. Raises SettingsError if that is not finite, and what `Source.read` and
    `Decoder.read` raise.
    """
    names = f"<bdi>{escape(source.path.name)}</bdi> and <bdi>{escape(decoder.path.name)}</bdi>"
    parts = [
        "<header><p class=eyebrow>histocodec compare</p><h1>Original and decoded</h1>",
        f"<p class=names>{names}</p></header>",
        *_statements(comparison, floor_db),
        _cards(source, decoder, comparison),
        _subject(source, decoder, comparison),
        _summary_table(comparison),
        _figure("Where: PSNR over the slide", {"A map of the slide": map_picture(decoder, comparison)}),
        _figure("How often: tiles by each measure", {"Four histograms": histograms_picture(comparison)}),
        _figure("The worst tiles, pixel for pixel", _worst_pictures(source, decoder, comparison)),
        _worst_table(comparison),
        _history(decoder.manifest.slide.lossy_history),
        f"<footer>histocodec {escape(__version__)}. {_sentence(comparison.label)} {_sentence(NOTICE)}</footer>",
    ]
    page = _PAGE.format(title=escape(f"{decoder.path.name} compared"), style=_STYLE, body="\n".join(parts))
    return page.encode("utf-8", "replace")  # a file's name need not be text


# Pictures


def _blank(height: int) -> PILImage.Image:
    return PILImage.new("RGB", (WIDTH, height), "white")


def _worst_strips(source: Source, decoder: Decoder, comparison: Comparison, count: int) -> list[PILImage.Image]:
    """A strip with the titles, one for each tile, and one with what is to be said of them."""
    titles = _blank(MARGIN + 52)
    for title, x in zip(("original", "decoded", f"difference × {AMPLIFIED}"), _panel_places(), strict=True):
        ImageDraw.Draw(titles).text((x, MARGIN), title, fill=_INK, font=_font(28, bold=True))
    zoom = max(1, PANEL // comparison.grid.tile)
    strips = [titles]
    for number, tile in enumerate(comparison.ranked()[:count], 1):
        part = _shown_part(source, decoder, comparison.region(tile))
        strips.append(_tile_strip(_panels(source, decoder, part), zoom, number, tile, part))
    footer = _tiles_footer(comparison, zoom)
    strips.append(_blank(_text_height(footer) + MARGIN))
    _write(ImageDraw.Draw(strips[-1]), footer, 0)
    return strips


def _tile_strip(panels: Sequence[Image], zoom: int, number: int, tile: TileScore, part: Region) -> PILImage.Image:
    caption, below = 84, 36
    strip = _blank(caption + part.height * zoom + below)
    draw = ImageDraw.Draw(strip)
    draw.line((MARGIN, 0, WIDTH - MARGIN, 0), fill=_LINE, width=3)
    _badge(draw, (MARGIN + 22, caption // 2), number)
    place = f"x {part.x}, y {part.y}" + ("" if tile.tissue else " (glass)")
    draw.text((MARGIN + 58, caption // 2), place, fill=_INK, font=_font(24, bold=True), anchor="lm")
    draw.text((WIDTH - MARGIN, caption // 2), _scores(tile), fill=_INK, font=_font(24), anchor="rm")
    for image, x in zip(panels, _panel_places(), strict=True):
        strip.paste(PILImage.fromarray(image.repeat(zoom, 0).repeat(zoom, 1)), (x, caption))
    return strip


def _shown_part(source: Source, decoder: Decoder, region: Region) -> Region:
    """A region of at most PANEL px a side: all of it, or the part in which the error is largest."""
    pieces = TileGrid(Size(region.width, region.height), PANEL)
    parts = []
    for column, row in (pieces.address(index) for index in range(pieces.count)):
        piece = pieces.covered(column, row)
        parts.append(Region(region.x + piece.x, region.y + piece.y, piece.width, piece.height))
    if len(parts) == 1:
        return region
    return max(parts, key=lambda part: mean_squared_error(source.read(part), decoder.read(part)))


def _panels(source: Source, decoder: Decoder, part: Region) -> tuple[Image, Image, Image]:
    original, decoded = source.read(part), decoder.read(part)
    difference = decoded.astype(np.int16) - original
    return original, decoded, np.clip(128 + AMPLIFIED * difference, 0, 255).astype(np.uint8)


def _panel_places() -> Iterator[int]:
    """The left edge of each panel."""
    return (MARGIN + number * (PANEL + _GAP) for number in range(3))


def _scores(tile: TileScore) -> str:
    ssim = "" if tile.ssim is None else f"SSIM {tile.ssim:.3f}   "
    return (
        f"PSNR {tile.psnr_db:.2f} dB   {ssim}colour error {tile.colour_error:.2f} ΔE   "
        f"consistency {tile.consistency_db:.1f} dB"
    )


_Lines = list[tuple[str, tuple[int, int, int]]]
"""Lines of text under a picture, each with its colour."""


def _lines(text: str, colour: tuple[int, int, int]) -> _Lines:
    return [(line, colour) for line in textwrap.wrap(text, _WRAPPED)]


def _tiles_footer(comparison: Comparison, zoom: int) -> _Lines:
    return [
        *_lines(
            f"x and y in full-resolution pixels{f', each shown as {zoom} × {zoom}' if zoom > 1 else ''}. Difference: "
            f"decoded minus original, × {AMPLIFIED}, on mid grey.",
            _FAINT,
        ),
        *_lines(f"Decoded: {comparison.label}.", _RED),
        *_lines(f"{NOTICE.capitalize()}.", _RED),
    ]


def _text_height(lines: _Lines) -> int:
    return _LINE_HEIGHT * len(lines)


def _write(draw: ImageDraw.ImageDraw, lines: _Lines, top: int) -> None:
    for number, (line, colour) in enumerate(lines):
        draw.text((MARGIN, top + _LINE_HEIGHT * number), line, fill=colour, font=_font(22))


def _badge(draw: ImageDraw.ImageDraw, centre: tuple[float, float], number: int) -> None:
    draw.circle(centre, 20, fill=MARK, outline="white", width=3)
    draw.text(centre, str(number), fill="white", font=_font(22, bold=True), anchor="mm")


def _font(size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    """The font in which matplotlib writes, so that all pictures look alike."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts", "ttf", name), size)


@dataclass(frozen=True, slots=True)
class _Ground:
    """Where the slide lies in the map: centred, together with the colour bar."""

    left: int
    shape: Size
    factor: float
    """Pixels of the map per full pixel."""

    @classmethod
    def of(cls, size: Size) -> _Ground:
        factor = min(_MAP_BOX.width / size.width, _MAP_BOX.height / size.height)
        shape = Size(max(1, round(size.width * factor)), max(1, round(size.height * factor)))
        return cls((WIDTH - shape.width - _BAR_GAP - _BAR - _BAR_TEXT) // 2, shape, factor)

    def place(self, region: Region) -> tuple[int, int, int, int]:
        """Left, top, right and bottom of a region of the slide in the picture, half open."""
        x, y, right, bottom = (round(v * self.factor) for v in (region.x, region.y, region.right, region.bottom))
        return self.left + x, MARGIN + y, self.left + right, MARGIN + bottom


@dataclass(frozen=True, slots=True)
class _HeatScale:
    """Which colour a PSNR has."""

    low: float
    high: float

    @classmethod
    def over(cls, psnr_db: Sequence[float]) -> _HeatScale:
        low, high = (float(np.percentile(psnr_db, percentile)) for percentile in _HEAT_PERCENTILES)
        return cls(low, high) if high - low >= _LEAST_RANGE_DB else cls(low - 0.5, high + 0.5)

    def colours(self, psnr_db: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n,) dB -> (n, 3) RGB, 0..255."""
        shares = np.clip((psnr_db - self.low) / (self.high - self.low), 0, 1)
        colours: NDArray[np.float64] = matplotlib.colormaps["YlGnBu_r"](shares)[:, :3] * 255
        return colours


def _heated(decoder: Decoder, comparison: Comparison, ground: _Ground, scale: _HeatScale) -> Image:
    """The slide in grey, with the colour of each tile over it: (height, width, 3) uint8 RGB."""
    columns, rows = comparison.grid.shape
    psnr_db = np.full((rows, columns), np.nan)
    for tile in comparison.tiles:
        psnr_db[tile.row, tile.column] = tile.psnr_db
    across, down = (
        ((np.arange(side) + 0.5) * full_side / side // comparison.grid.tile).astype(int)
        for side, full_side in zip(ground.shape, comparison.grid.size, strict=True)
    )
    heat = psnr_db[down[:, None], across]
    compared = ~np.isnan(heat)
    pixels = _pale_slide(decoder, ground.shape).astype(np.float64)
    pixels[compared] += _HEAT_SHARE * (scale.colours(heat[compared]) - pixels[compared])
    return pixels.round().astype(np.uint8)


def _pale_slide(decoder: Decoder, shape: Size) -> Image:
    """The slide in pale grey, (height, width, 3) uint8, from the coarsest stored level that is large enough."""
    stored = range(1, len(decoder.levels))
    level = next((n for n in reversed(stored) if max(decoder.levels[n]) >= _THUMBNAIL), stored[0])
    image = PILImage.fromarray(decoder.read(Region(0, 0, *decoder.levels[level]), level))
    grey = np.asarray(image.convert("L").resize(shape, PILImage.Resampling.LANCZOS))
    pale = (255 - _PALE * (255.0 - grey)).round().astype(np.uint8)
    return np.repeat(pale[..., None], 3, axis=2)


def _colour_bar(sheet: PILImage.Image, left: int, height: int, scale: _HeatScale) -> None:
    colours = scale.colours(np.linspace(scale.high, scale.low, height))
    bar = (255 + _HEAT_SHARE * (colours - 255)).round().astype(np.uint8)
    sheet.paste(PILImage.fromarray(bar[:, None].repeat(_BAR, 1)), (left, MARGIN))
    draw = ImageDraw.Draw(sheet)
    for value in MaxNLocator(6).tick_values(scale.low, scale.high):
        if scale.low <= value <= scale.high:
            y = MARGIN + (scale.high - value) / (scale.high - scale.low) * (height - 1)
            draw.line((left + _BAR, y, left + _BAR + 8, y), fill=_FAINT, width=2)
            draw.text((left + _BAR + 16, y), f"{value:.4g} dB", fill=_INK, font=_font(22), anchor="lm")


def _outline(draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int], number: int) -> None:
    """Around a tile, not over it: in a large slide it takes few pixels."""
    left, top, right, bottom = box
    draw.rectangle((left - 6, top - 6, right + 5, bottom + 5), outline="white", width=2)
    draw.rectangle((left - 4, top - 4, right + 3, bottom + 3), outline=MARK, width=4)
    _badge(draw, (left - 8, top - 8), number)


def _histogram(axes: Axes, name: str, values: Sequence[float], summary: Summary | ErrorSummary | None) -> None:
    axes.set_xlabel(name, fontsize=8)
    axes.set_ylabel("tiles", fontsize=8)
    axes.tick_params(labelsize=8, color="#98a2ad", labelcolor="#626d78")
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#98a2ad")
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    if summary is None:
        axes.text(0.5, 0.5, "not measured", transform=axes.transAxes, ha="center", fontsize=8)
        return
    bins = min(40, max(8, round(len(values) ** 0.5)))
    axes.hist(values, bins, color="#9fb6c9", edgecolor="white", linewidth=0.4)
    percentile = "5th" if isinstance(summary, Summary) else "95th"
    names, styles = (
        ("mean", f"{percentile} percentile", "worst"),
        (("#1f2933", "-"), ("#1f2933", "--"), ("#b00024", ":")),
    )
    for what, value, (colour, dashes) in zip(names, _three(summary), styles, strict=True):
        axes.axvline(value, color=colour, linestyle=dashes, linewidth=1.2, label=f"{what} {value:.4g}")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, frameon=False, fontsize=7, columnspacing=1.1)


# The page

_DEFINITIONS = {
    "PSNR, dB": "Peak signal-to-noise ratio at full resolution, over all pixels and channels of a tile: "
    "10 log<sub>10</sub>(255² / mean squared error). Higher is better; equal pixels count as 100 dB.",
    "SSIM": "Structural similarity at full resolution (Wang et al. 2004), mean of the three channels. 1 is best.",
    "Colour error, ΔE*ab": "Mean CIE 1976 distance of the colours, both averaged to the resolution that is stored: "
    "what became of the stain, detail left aside. 0 is best; about 1 can just be seen side by side.",
    "Consistency, dB": "PSNR of the decoded tile, averaged to the resolution that is stored, against what is stored: "
    "whether the predicted detail agrees with it. The original takes no part.",
}


def _sentence(text: str) -> str:
    """Text from a file or of our own as an escaped sentence."""
    return escape(text[:1].upper() + text[1:]) + "."


def _statements(comparison: Comparison, floor_db: float | None) -> Iterator[str]:
    label = f"The full resolution is {comparison.label}"
    yield f"<p class='box notice'>{_sentence(label)} <strong>{_sentence(NOTICE)}</strong></p>"
    if floor_db is not None:
        failed, total = len(comparison.below(floor_db)), len(comparison.tiles)
        verdict = f"{failed or 'None'} of {total} tiles {'are' if failed > 1 else 'is'}"
        yield (
            f"<p class='box {'failed' if failed else 'passed'}'><strong>{'Failed' if failed else 'Passed'}.</strong> "
            f"{verdict} below the floor of {floor_db:g} dB; the worst reaches {comparison.psnr_db.worst:.2f} dB.</p>"
        )
    for note in comparison.notes:
        yield f"<p class='box failed'><strong>Note.</strong> {_sentence(note)}</p>"


def _cards(source: Source, decoder: Decoder, comparison: Comparison) -> str:
    ssim = "–" if comparison.ssim is None else f"{comparison.ssim.mean:.3f}"
    cards = [
        (f"{source.size_bytes / decoder.container.size_bytes:.1f} ×", "smaller than the slide's file"),
        (f"{comparison.psnr_db.mean:.2f} dB", "mean PSNR"),
        (f"{comparison.psnr_db.worst:.2f} dB", "PSNR of the worst tile"),
        (ssim, "mean SSIM"),
        (f"{comparison.colour_error.mean:.2f} ΔE", "mean colour error"),
    ]
    return "<div class=cards>" + "".join(f"<p><b>{value}</b>{name}</p>" for value, name in cards) + "</div>"


def _summary_table(comparison: Comparison) -> str:
    summaries = (comparison.psnr_db, comparison.ssim, comparison.colour_error, comparison.consistency_db)
    rows = []
    for (name, meaning), summary, digits in zip(_DEFINITIONS.items(), summaries, (2, 3, 2, 2), strict=True):
        values = ["–"] * 3 if summary is None else [f"{value:.{digits}f}" for value in _three(summary)]
        rows.append(f"<tr><th scope=row>{name}</th>{_cells(values)}<td class=meaning>{meaning}</td></tr>")
    return (
        f"<section><h2>Measured on {escape(comparison.method)}</h2><table><thead><tr><th></th><th class=n>Mean</th>"
        "<th class=n>5th percentile</th><th class=n>Worst</th><th>What it is</th></tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table><p class=small>Over the tiles. Of the colour error it is the "
        "95th percentile, since there the highest is the worst.</p></section>"
    )


def _three(summary: Summary | ErrorSummary) -> tuple[float, float, float]:
    percentile = summary.percentile_5 if isinstance(summary, Summary) else summary.percentile_95
    return summary.mean, percentile, summary.worst


def _figure(title: str, pictures: dict[str, PILImage.Image]) -> str:
    """pictures: by what they are, for who does not see them."""
    images = "".join(_image(picture, alternative) for alternative, picture in pictures.items())
    return f"<section><h2>{title}</h2><figure>{images}</figure></section>"


def _image(picture: PILImage.Image, alternative: str) -> str:
    coded = io.BytesIO()
    picture.save(coded, "PNG")
    data = base64.b64encode(coded.getbuffer()).decode()
    size = f"width={picture.width} height={picture.height}"
    return f"<img {size} alt='{alternative}' src='data:image/png;base64,{data}'>"


def _worst_pictures(source: Source, decoder: Decoder, comparison: Comparison) -> dict[str, PILImage.Image]:
    """`worst_tiles_picture` in strips, so that a printer can turn the page between them."""
    titles, *tiles, footer = _worst_strips(source, decoder, comparison, _SHOWN)
    named = {f"Tile {number}: original, decoded, difference": tile for number, tile in enumerate(tiles, 1)}
    return {"Titles": titles, **named, "What is shown": footer}


def _worst_table(comparison: Comparison) -> str:
    ranked = comparison.ranked()[:_ROWS]
    rows = "".join(_worst_row(number, tile, comparison.region(tile)) for number, tile in enumerate(ranked, 1))
    heads = ("#", "x", "y", "Size, px", "Kind", "PSNR, dB", "SSIM", "Colour, ΔE", "Consistency, dB")
    head = "".join(f"<th{'' if name == 'Kind' else ' class=n'}>{name}</th>" for name in heads)
    return (
        f"<section><h2>The {len(ranked)} tiles of the lowest PSNR</h2><table class=tiles><thead><tr>{head}</tr></thead>"
        f"<tbody>{rows}</tbody></table><p class=small>x and y: the tile's top left corner in full-resolution pixels. "
        "To look at one: <code>histocodec decode FILE spot.png --region x,y,width,height</code></p></section>"
    )


def _worst_row(number: int, tile: TileScore, region: Region) -> str:
    ssim = "–" if tile.ssim is None else f"{tile.ssim:.3f}"
    place = (number, region.x, region.y, f"{region.width} × {region.height}")
    scores = (f"{tile.psnr_db:.2f}", ssim, f"{tile.colour_error:.2f}", f"{tile.consistency_db:.2f}")
    kind = f"<td>{'tissue' if tile.tissue else 'glass'}</td>"
    return f"<tr>{_cells(place)}{kind}{_cells(scores)}</tr>"


def _cells(values: Iterable[object]) -> str:
    return "".join(f"<td class=n>{value}</td>" for value in values)


def _subject(source: Source, decoder: Decoder, comparison: Comparison) -> str:
    manifest, size = decoder.manifest, comparison.grid.size
    base = manifest.base
    rows = {
        "Slide": f"{source.path.name}, {_bytes(source.size_bytes)}",
        "File": f"{decoder.path.name}, {_bytes(decoder.container.size_bytes)}",
        "Size": f"{size.width} × {size.height} px at {decoder.mpp:.4g} µm/px",
        "Scanner's format": source.vendor,
        "Stored": f"1/{base.scale} of the resolution, {manifest.base_mpp:.4g} µm/px, "
        f"as {base.codec} of quality {base.quality:g}",
        "Compared": f"{comparison.method}, of {comparison.grid.tile} px a side",
        "When it was made": quality_label(manifest, bicubic=decoder.is_bicubic),
        "Written by": manifest.software,
    }
    listed = "".join(f"<dt>{name}</dt><dd><bdi>{escape(value)}</bdi></dd>" for name, value in rows.items())
    return f"<section><h2>What was compared</h2><dl>{listed}</dl></section>"


def _bytes(count: int) -> str:
    return f"{count / 1e6:.2f} MB" if count >= 1e5 else f"{count} bytes"


def _history(steps: Sequence[LossyStep]) -> str:
    items = "".join(
        f"<li><bdi>{escape(step.method)}</bdi>{f', {step.ratio:.1f} : 1' if step.ratio else ''}: "
        f"<bdi>{escape(step.derivation)}</bdi></li>"
        for step in steps
    )
    return f"<section><h2>Lossy history, oldest first</h2><ol>{items}</ol></section>"


_STYLE = """
:root { --ink: #1f2933; --faint: #626d78; --line: #d6dce2; --ground: #f5f7f9; --red: #b00024; --green: #1c6b3c; }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 40px; max-width: 900px; background: white; color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
h1 { margin: 0; font-size: 30px; line-height: 1.2; font-weight: 650; letter-spacing: -.01em; }
h2 { margin: 40px 0 12px; font-size: 18px; font-weight: 650; }
p { margin: 0; }
.eyebrow { color: var(--faint); font-size: 13px; letter-spacing: .04em; }
.names { margin: 6px 0 24px; color: var(--faint); overflow-wrap: anywhere; }
.box { margin: 0 0 10px; padding: 10px 14px; border-left: 4px solid; background: var(--ground);
  overflow-wrap: anywhere; }
.notice, .failed { border-color: var(--red); }
.failed strong, .notice strong { color: var(--red); }
.passed { border-color: var(--green); }
.passed strong { color: var(--green); }
.cards { display: grid; grid-template-columns: repeat(5, 1fr); margin: 24px 0 0; border-top: 1px solid var(--line);
  border-bottom: 1px solid var(--line); }
.cards p { padding: 14px 12px; color: var(--faint); font-size: 13px; line-height: 1.35; }
.cards p + p { border-left: 1px solid var(--line); }
.cards b { display: block; margin-bottom: 2px; color: var(--ink); font-size: 21px; font-weight: 600;
  white-space: nowrap; font-variant-numeric: tabular-nums; }
table { width: 100%; border-collapse: collapse; }
th, td { padding: 7px 10px; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
th { font-weight: 600; }
thead th { color: var(--faint); font-size: 13px; border-bottom: 2px solid var(--line); }
th[scope=row] { white-space: nowrap; }
.n { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
sub { line-height: 0; }
thead .n { white-space: normal; }
.meaning { width: 54%; color: var(--faint); font-size: 13px; }
.tiles { font-size: 13px; }
.tiles td { padding: 4px 10px; }
.small { margin-top: 8px; color: var(--faint); font-size: 13px; }
code { font: 12px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
figure { margin: 0; border: 1px solid var(--line); }
img { display: block; width: 100%; height: auto; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 4px 20px; margin: 0; }
dt { color: var(--faint); }
dd { margin: 0; overflow-wrap: anywhere; }
ol { margin: 0; padding-left: 22px; overflow-wrap: anywhere; }
footer { margin-top: 48px; padding-top: 12px; border-top: 1px solid var(--line); color: var(--faint); font-size: 13px;
  overflow-wrap: anywhere; }
@media (max-width: 700px) { body { padding: 20px; } .cards { grid-template-columns: repeat(2, 1fr); } }
@media print { body { padding: 0; max-width: none; font-size: 10.5pt; } h2 { break-after: avoid; }
  tr, img, .box, .cards { break-inside: avoid; } * { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
@page { margin: 16mm; }
"""

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
{body}
</body>
</html>
"""
