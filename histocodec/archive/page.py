"""Writes what became of an archive as one HTML page for people: sums, histograms, the worst slides, what failed."""

from __future__ import annotations

import base64
import io
from array import array
from collections.abc import Iterator
from html import escape

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image as PILImage

from ..comparison.template import PAGE, STYLE
from ..decoder import Decoder
from ..errors import HistocodecError
from ..format.descriptions import NOTICE
from ..geometry import Grid, Image
from ..source import open_source
from ..version import __version__
from .catalogue import Catalogue, Row
from .staging import at_hand
from .summary import Summary, summary

_WORST = 6
"""Slides that are shown as pictures."""
_LISTED = 200
"""Slides that failed, or have a problem, that a page lists."""
_BINS = 40
_QUALITY = 88
"""JPEG quality of pictures."""
_HISTOGRAMS = (
    ("psnr_mean_db", "mean PSNR, dB"),
    ("psnr_lowest_db", "lowest PSNR, dB"),
    ("ratio", "ratio to the source"),
    ("seconds", "seconds a slide"),
)


def page(catalogue: Catalogue) -> bytes:
    """Return the page in UTF-8: pictures within it, no scripts, nothing loaded from elsewhere.

    The worst slides are those with the lowest block that was measured; it is shown beside the source's, where that is
    at hand.
    """
    total = summary(catalogue)
    parts = [
        "<header><p class=eyebrow>histocodec archive</p><h1>What became of the slides</h1>",
        f"<p class=names><bdi>{escape(str(catalogue.folder))}</bdi></p></header>",
        _cards(total),
        _table("The archive", _sums(total)),
        _histograms(catalogue),
        _worst(catalogue),
        _failures(catalogue, "What failed", "state = 'failed'", lambda row: f"{row['error_class']}: {row['error']}"),
        _failures(
            catalogue,
            "Where verification found fault",
            "verify_problem NOT NULL",
            lambda row: str(row["verify_problem"]),
        ),
        f"<footer>histocodec {escape(__version__)}. {escape(NOTICE[:1].upper() + NOTICE[1:])}.</footer>",
    ]
    return PAGE.format(title="Archive", style=STYLE, body="\n".join(parts)).encode("utf-8", "replace")


def _cards(total: Summary) -> str:
    ratio = total.done_source_bytes / total.output_bytes if total.output_bytes else 0
    cards = (
        (f"{total.states['done']}", f"of {total.slides} slides done"),
        (f"{total.states['failed']}", "failed"),
        (f"{total.output_bytes / 1e9:.4g} GB", f"of {total.done_source_bytes / 1e9:.4g} GB"),
        (f"{ratio:.4g}", "bytes of the sources over bytes of the files"),
        ("-" if total.psnr_mean_db is None else f"{total.psnr_mean_db:.2f} dB", "mean PSNR of tissue"),
    )
    return "<div class=cards>" + "".join(f"<p><b>{value}</b>{escape(name)}</p>" for value, name in cards) + "</div>"


def _sums(total: Summary) -> Iterator[tuple[str, str]]:
    yield "wait, or are being worked on", f"{total.left}"
    for name, size in total.layers.items():
        yield f"bytes: {name}", f"{size}"
    yield "hours of work so far", f"{total.seconds / 3600:.2f}"
    yield "hours of CPUs so far", f"{total.cpu_seconds / 3600:.2f}"
    if total.projected_bytes is not None:
        yield "bytes when all is done, projected", f"{total.projected_bytes}"
        yield "hours that are left, of one process, projected", f"{total.projected_hours}"
    if total.peak_bytes is not None:
        yield "most memory of a slide, GB", f"{total.peak_bytes / 1e9:.2f}"
    if total.psnr_lowest_db is not None:
        yield "lowest PSNR that was measured, dB", f"{total.psnr_lowest_db:.2f}"
    yield "files that were verified", f"{total.verified}, faults: {total.problems}"


def _table(title: str, rows: Iterator[tuple[str, str]]) -> str:
    cells = "".join(
        f"<tr><th scope=row>{escape(name)}</th><td class=n>{escape(value)}</td></tr>" for name, value in rows
    )
    return f"<h2>{title}</h2><table>{cells}</table>"


def _histograms(catalogue: Catalogue) -> str:
    figure = Figure(figsize=(8.2, 5.0), dpi=160, layout="constrained")
    FigureCanvasAgg(figure)
    found = False
    for axes, (column, name) in zip(figure.subplots(2, 2).flat, _HISTOGRAMS, strict=True):
        values = array(
            "d",
            (
                row[0]
                for row in catalogue.database.execute(
                    f"SELECT {column} FROM slide WHERE state = 'done' AND {column} NOT NULL"
                )
            ),
        )
        axes.set_xlabel(name, fontsize=8)
        axes.set_ylabel("slides", fontsize=8)
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
        if values:
            found = True
            axes.hist(np.frombuffer(values), _BINS, color="#9fb6c9", edgecolor="white", linewidth=0.4)
    if not found:
        return ""
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png")
    return f"<h2>How often</h2><figure>{_image(drawn.getvalue(), 'png', 'Histograms')}</figure>"


def _worst(catalogue: Catalogue) -> str:
    rows = list(catalogue.rows("state = 'done' AND psnr_lowest_db NOT NULL", (), f"psnr_lowest_db, id LIMIT {_WORST}"))
    if not rows:
        return ""
    return "<h2>The worst slides, by their lowest block</h2>" + "".join(_square(catalogue, row) for row in rows)


def _square(catalogue: Catalogue, row: Row) -> str:
    """Return the lowest block of a slide, as it decodes, and as the source has it."""
    head = (
        f"<p><b></b><bdi>{escape(row['output'])}</bdi>: lowest {row['psnr_lowest_db']:.2f} dB, "
        f"mean {row['psnr_mean_db']:.2f} dB</p>"
    )
    pictures: dict[str, Image] = {}
    try:
        with Decoder(catalogue.output(row)) as decoder:
            quality_map = decoder.container.quality_map
            if quality_map is None:
                return f"<div class=square>{head}</div>"
            at = int(np.nanargmin(quality_map.psnr_db))
            line, column = divmod(at, quality_map.psnr_db.shape[1])
            region = Grid(decoder.levels[0], decoder.block_size).covered(column, line)
            pictures[f"decoded, at {region.x}, {region.y}"] = decoder.read(region)
        choices = catalogue.choices(row["settings"])
        with at_hand(row["source"]) as path, open_source(path, mpp=choices.mpp, on_damage=choices.on_damage) as source:
            pictures["source"] = source.read(region)
    except (HistocodecError, OSError, ValueError) as error:
        head += f"<p class=small>{escape(str(error))}</p>"
    shown = "".join(
        f"<span>{escape(name)}{_image(_jpeg(picture), 'jpeg', name)}</span>" for name, picture in pictures.items()
    )
    return f"<div class=square>{head}<div class=pixels>{shown}</div></div>"


def _failures(catalogue: Catalogue, title: str, where: str, reason: object) -> str:
    count = catalogue.database.execute(f"SELECT count(*) FROM slide WHERE {where}").fetchone()[0]
    if not count:
        return ""
    assert callable(reason)
    rows = "".join(
        f"<tr><td><bdi>{escape(row['source'])}</bdi></td><td>{escape(reason(row))}</td></tr>"
        for row in catalogue.rows(where, (), f"id LIMIT {_LISTED}")
    )
    more = f"<p class=small>The first {_LISTED} of {count}.</p>" if count > _LISTED else ""
    return f"<h2>{title}</h2><table class=blocks>{rows}</table>{more}"


def _jpeg(picture: Image) -> bytes:
    coded = io.BytesIO()
    PILImage.fromarray(picture).save(coded, "JPEG", quality=_QUALITY)
    return coded.getvalue()


def _image(data: bytes, kind: str, name: str) -> str:
    return f'<img alt="{escape(name)}" src="data:image/{kind};base64,{base64.b64encode(data).decode()}">'
