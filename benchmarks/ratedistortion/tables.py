"""The tables, as Markdown, from the rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .contest import DEFAULT, GROUPS, OURS, RATIOS, Difference, Table, best, contest, least_gain, mean, rate_delta
from .measures import DIGITS, TITLES

JP2K = OURS + "jp2k"
REFERENCE = "AVIF s6"


def read_table(results: dict[str, Any]) -> Table:
    """Return the rows of committed results as a table."""
    return Table(results.get("rows", []), results.get("default"))


def report(results: dict[str, Any]) -> str:
    """Return the report: the contest, what the CPU does, rate deltas, means by method, the whole slide."""
    table = read_table(results)
    parts = ["`benchmarks/README.md` defines methods, rates and measures.", "", made_with(results), ""]
    if table.methods:
        for group in GROUPS:
            parts += [f"## The contest, {group}", "", contest_table(table, group), ""]
            parts += [f"## Other measures, {group}", "", measures_table(table, group), ""]
        parts += ["## The worst image, against bicubic from the same base", "", worst_table(table), ""]
        for group in GROUPS:
            parts += [f"## CPU seconds of encoding a full megapixel, {group}", ""]
            parts += [means_table(table, group, "encode_cpu"), ""]
        parts += ["## Bjontegaard delta rates over PSNR", "", rate_table(table), ""]
        for group in GROUPS:
            for measure in TITLES:
                text = means_table(table, group, measure)
                if text:
                    parts += [f"## {TITLES[measure]} by ratio, {group}", "", text, ""]
    if results.get("slide_rows"):
        parts += ["## Whole slides", "", slide_table(results["slide_rows"]), ""]
    return "\n".join(parts)


def made_with(results: dict[str, Any]) -> str:
    """Return a sentence with the versions of the encoders that made the rows."""
    libraries = results.get("environment", {}).get("libraries", {})
    return "Encoders: " + ", ".join(f"{name} {version}" for name, version in libraries.items()) + "."


def summary(results: dict[str, Any], ours: str = OURS) -> str:
    """Return the project's short table: PSNR and that of the best peer, by group and ratio.

    ours: as `contest` takes it; without it our best setting of each row.
    """
    table = read_table(results)
    lines = [
        "| tiles | smaller than JPEG q75 | histocodec | best other | PSNR gain, dB (95 %) |",
        "|---|---|---|---|---|",
    ]
    for group in GROUPS:
        for ratio in RATIOS:
            cell = contest(table, group, ratio, "psnr_db", ours=ours)
            if cell is not None:
                own = f"{cell.our_mean:.2f} dB ({cell.ours.removeprefix(OURS)})"
                peer = f"{cell.peer_mean:.2f} dB ({cell.peer})"
                lines.append(f"| {group} ({cell.images}) | {ratio:g}x | {own} | {peer} | {_interval(cell)} |")
    return "\n".join([*lines, "", made_with(results)])


def contest_table(table: Table, group: str) -> str:
    """Return PSNR and CPU by ratio: of the default command, of every setting, and of the best peer admitted to each.

    CPU: seconds of encoding a full megapixel.
    """
    lines = [
        "| ratio | histocodec | PSNR dB | CPU s | best peer | PSNR dB | CPU s | difference (95 %) |",
        "|---|---|---|---|---|---|---|---|",
    ]
    short: dict[float, tuple[str, ...]] = {}
    for ratio in RATIOS:
        for ours in (DEFAULT, *(m for m in table.methods if m.startswith(OURS))):
            cell = contest(table, group, ratio, "psnr_db", ours=ours)
            if cell is not None:
                short[ratio] = cell.short
                lines.append(
                    f"| {ratio:g}x | {cell.ours.removeprefix(OURS)} | {cell.our_mean:.2f} | {_seconds(cell.our_cpu)} "
                    f"| {cell.peer} | {cell.peer_mean:.2f} | {_seconds(cell.peer_cpu)} | {_interval(cell)} |"
                )
    notes = [f"{ratio:g}x: {', '.join(names)}" for ratio, names in short.items() if names]
    if notes:
        lines += ["", f"Do not reach the ratio on every image, and so do not count: {'; '.join(notes)}."]
    return "\n".join(lines)


def measures_table(table: Table, group: str) -> str:
    """Return the other measures by ratio: of the default command and of our best setting, against the best peer."""
    lines = [
        "| ratio | measure | by default | difference (95 %) | best setting | | best peer | | difference (95 %) |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for ratio in RATIOS:
        for measure in (m for m in TITLES if m != "psnr_db"):
            default, cell = (contest(table, group, ratio, measure, ours=ours) for ours in (DEFAULT, OURS))
            if cell is not None:
                digits = DIGITS[measure]
                lines.append(
                    f"| {ratio:g}x | {TITLES[measure]} | {f'{default.our_mean:.{digits}f}' if default else '-'} "
                    f"| {_interval(default) if default else '-'} "
                    f"| {cell.ours.removeprefix(OURS)} | {cell.our_mean:.{digits}f} "
                    f"| {cell.peer} | {cell.peer_mean:.{digits}f} | {_interval(cell)} |"
                )
    return "\n".join(lines)


def worst_table(table: Table) -> str:
    """Return the least gain in dB over bicubic from the same base, by source and setting; what is behind it in bold."""
    lines = ["| source | histocodec | " + " | ".join(f"{ratio:g}x" for ratio in RATIOS) + " |"]
    lines.append("|---|---|" + "---|" * len(RATIOS))
    for source in dict.fromkeys(source for source, _ in table.images()):
        for method in (DEFAULT, *(m for m in table.methods if m.startswith(OURS))):
            found = [least_gain(table, method, source, ratio) for ratio in RATIOS]
            cells = [_gain(*gain) if gain else "-" for gain in found]
            if any(found):
                lines.append(f"| {source} | {method.removeprefix(OURS)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _gain(value: float, image: str) -> str:
    text = f"{value:+.2f}"
    return f"{text if value >= 0 else f'**{text}**'} ({image})"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


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
    """Return means by method and ratio, where a method reaches the ratio on every image."""
    lines = ["| method | " + " | ".join(f"{ratio:g}x" for ratio in RATIOS) + " |", "|---|" + "---|" * len(RATIOS)]
    for method in table.methods:
        found = [mean_at(table, method, GROUPS[group], measure, ratio) for ratio in RATIOS]
        if any(value is not None for value in found):
            cells = ["-" if value is None else f"{value:.{DIGITS.get(measure, 2)}f}" for value in found]
            lines.append(f"| {method} | " + " | ".join(cells) + " |")
    return "\n".join(lines) if len(lines) > 2 else ""


def mean_at(table: Table, method: str, sources: Sequence[str], measure: str, ratio: float) -> float | None:
    """Return the mean; None unless the ratio is reached on every image."""
    values = table.values(method, sources, measure, ratio)
    return mean(values) if values and len(values) == len(table.images(sources)) else None


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
