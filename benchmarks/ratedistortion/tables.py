"""The tables, as Markdown, from the rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .contest import GROUPS, MEASURES, OURS, RATIOS, REFERENCE, Difference, Table, best, contest, mean, rate_delta
from .curves import value_at
from .ladder import TARGET_RATIOS
from .measures import DIGITS, SLOW, TITLES

JP2K = OURS + "jp2k"
HISTORIES = ("jpeg2000-born", "jpeg-born", "other")


def report(results: dict[str, Any]) -> str:
    """Return the report: the contest, its rate deltas, means by method, means by history, the whole slide."""
    table = Table(results.get("rows", []))
    parts = ["`benchmarks/README.md` defines methods, rates and measures.", ""]
    if table.methods:
        for group in GROUPS:
            parts += [f"## The contest, {group}", "", contest_table(table, group), ""]
        parts += ["## Bjontegaard delta rates over PSNR", "", rate_table(table), ""]
        for group in GROUPS:
            for measure in TITLES:
                text = means_table(table, group, measure)
                if text:
                    parts += [f"## {TITLES[measure]} by ratio, {group}", "", text, ""]
        parts += ["## PSNR dB by ratio and history of the source", "", history_table(results["rows"]), ""]
    if results.get("slide_rows"):
        parts += ["## Whole slides", "", slide_table(results["slide_rows"]), ""]
    return "\n".join(parts)


def summary(results: dict[str, Any]) -> str:
    """Return the project's short table: PSNR of the best setting and of the best peer, by group and ratio."""
    table = Table(results["rows"])
    lines = [
        "| tiles | smaller than JPEG q75 | histocodec | best other | PSNR gain, dB (95 %) |",
        "|---|---|---|---|---|",
    ]
    for group in GROUPS:
        for ratio in RATIOS:
            cell = contest(table, group, ratio, "psnr_db")
            if cell is not None:
                ours = f"{cell.our_mean:.2f} dB ({cell.ours.removeprefix(OURS)})"
                peer = f"{cell.peer_mean:.2f} dB ({cell.peer})"
                lines.append(f"| {group} ({cell.images}) | {ratio:g}x | {ours} | {peer} | {_interval(cell)} |")
    return "\n".join(lines)


def contest_table(table: Table, group: str) -> str:
    """Return a row for each ratio and measure; a better value of histocodec's in bold."""
    lines = [
        "| ratio | measure | histocodec | | best peer | | difference (95 %) | jp2k base | AVIF s3 peers |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    short: dict[float, tuple[str, ...]] = {}
    for ratio in RATIOS:
        for measure in MEASURES:
            cell = contest(table, group, ratio, measure)
            if cell is None:
                continue
            if measure == "psnr_db":
                short[ratio] = cell.short
            jp2k = contest(table, group, ratio, measure, ours=JP2K)
            slower = contest(table, group, ratio, measure, slower=True)
            digits = DIGITS[measure]
            lines.append(
                f"| {ratio:g}x | {TITLES[measure]} | {cell.ours.removeprefix(OURS)} | {cell.our_mean:.{digits}f} "
                f"| {cell.peer} | {cell.peer_mean:.{digits}f} | {_interval(cell)} "
                f"| {_interval(jp2k) if jp2k else '-'} "
                f"| {f'{_interval(slower)}, {slower.peer}, {slower.images} images' if slower else '-'} |"
            )
    notes = [f"{ratio:g}x: {', '.join(names)}" for ratio, names in short.items() if names]
    if notes:
        lines += ["", f"Do not reach the ratio on every image, and so do not count: {'; '.join(notes)}."]
    return "\n".join(lines)


def _interval(cell: Difference) -> str:
    digits = DIGITS[cell.measure]
    text = f"{cell.value:+.{digits}f}"
    return f"{f'**{text}**' if cell.ahead else text} ({cell.low:+.{digits}f} to {cell.high:+.{digits}f})"


def rate_table(table: Table) -> str:
    """Compare histocodec's settings with AVIF and with the best that can be done by hand."""
    lines = ["| tiles | setting | against | bytes at equal PSNR (95 %) | images |", "|---|---|---|---|---|"]
    by_hand = [m for m in table.methods if " /" in m]
    for group, sources in GROUPS.items():
        hand, _ = best(table, by_hand, sources, "psnr_db", 12.0, table.images(sources))
        for ours in (m for m in table.methods if m.startswith(OURS)):
            for reference in (REFERENCE, hand):
                found = rate_delta(table, group, ours, reference) if reference else None
                if found is not None:
                    span = f"{found.share:+.1%} ({found.low:+.1%} to {found.high:+.1%})"
                    lines.append(f"| {group} | {ours.removeprefix(OURS)} | {reference} | {span} | {found.images} |")
    return "\n".join(lines)


def means_table(table: Table, group: str, measure: str) -> str:
    """Return means by method and ratio, where a method reaches the ratio on every image it was coded on."""
    # No row has a ratio below the first target, so nothing lies on both sides of it.
    ratios = RATIOS if measure in SLOW else TARGET_RATIOS[1:]
    lines = ["| method | " + " | ".join(f"{ratio:g}x" for ratio in ratios) + " |", "|---|" + "---|" * len(ratios)]
    for method in table.methods:
        cells = [_mean_cell(table, method, GROUPS[group], measure, ratio) for ratio in ratios]
        if any(cell != "-" for cell in cells):
            lines.append(f"| {method} | " + " | ".join(cells) + " |")
    return "\n".join(lines) if len(lines) > 2 else ""


def _mean_cell(table: Table, method: str, sources: Sequence[str], measure: str, ratio: float) -> str:
    found = mean_at(table, method, sources, measure, ratio)
    return "-" if found is None else f"{found:.{DIGITS[measure]}f}"


def mean_at(table: Table, method: str, sources: Sequence[str], measure: str, ratio: float) -> float | None:
    """Return the mean; None unless the ratio is reached on every image that the method was coded on.

    Of a thinned method these are fewer images: its mean is left out (None), as it stands beside means of all.
    """
    values = table.values(method, sources, measure, ratio)
    return mean(values) if values and len(values) == len(table.images(sources)) else None


def history_table(rows: Sequence[dict[str, Any]]) -> str:
    """Return unweighted means over images, of the methods and ratios that every image of a history reaches."""
    lines = ["| history (images) | method | 6x | 8x | 12x | 16x | 24x |", "|---|---|---|---|---|---|---|"]
    for name in HISTORIES:
        own = Table(row for row in rows if row["history"] == name)
        images = own.images([row["source"] for row in rows])
        for method in own.methods:
            cells = []
            for ratio in (6.0, 8.0, 12.0, 16.0, 24.0):
                values = [value_at(own.points(method, image, "psnr_db"), ratio) for image in images]
                known = [value for value in values if value is not None]
                complete = len(known) == len(images)
                cells.append(f"{sum(known) / len(known):.2f}" if complete else "-")
            if any(cell != "-" for cell in cells):
                lines.append(f"| {name} ({len(images)}) | {method} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def slide_table(rows: Sequence[dict[str, Any]]) -> str:
    """Return the PSNR of tissue by ratio to the source file."""
    ratios = sorted({row["target"] for row in rows})
    lines = [
        "| slide | method | " + " | ".join(f"{ratio:g}x: dB (reached)" for ratio in ratios) + " |",
        "|---|---|" + "---|" * len(ratios),
    ]
    for slide in dict.fromkeys(row["slide"] for row in rows):
        for method in dict.fromkeys(row["method"] for row in rows if row["slide"] == slide):
            found = {row["target"]: row for row in rows if row["slide"] == slide and row["method"] == method}
            cells = [f"{found[r]['psnr_db']:.2f} ({found[r]['ratio']:.1f})" if r in found else "-" for r in ratios]
            lines.append(f"| {slide} | {method} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
