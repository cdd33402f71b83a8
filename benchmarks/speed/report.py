"""The bars that the project sets itself, and the results as Markdown."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from .tiles import READ_SIDE
from .transcode import RATIO, vips_name

_RELATIONS: dict[str, Callable[[float, float], bool]] = {
    "at most": operator.le,
    "at least": operator.ge,
    "above": operator.gt,
}


FIRST_TILE = "process start to first tile"
FASTER = {
    "network, a block, at most VNNI": 4.0,
    "network, a block, at most AVX2": 2.0,
    "decode, at most VNNI": 3.5,
    "decode, at most AVX2": 2.0,
    "cold tile of 256 px": 3.5,
}
"""How many times faster than an earlier commit each thing must be."""


def bars(results: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the project's own bars, each with its value and True if it is met; None where it was not measured."""
    encodes = {row["size_px"]: row for row in results["rows"] if row["tool"] == "histocodec encode"}
    rivals = {row["size_px"]: row["wall_s"] for row in results["rows"] if row["tool"] == vips_name("jp2k")}
    peaks = {size: row["peak_rss_bytes"] for size, row in encodes.items()}
    pace = [row["wall_s"] / rivals[size] for size, row in encodes.items() if rivals.get(size)]
    tiles, against = results["fidelity"], results.get("against")

    found: list[dict[str, Any]] = []

    def bar(name: str, value: float | None, relation: str, target: float) -> None:
        met = None if value is None else _RELATIONS[relation](value, target)
        rounded = None if value is None else round(value, 4)
        found.append({"bar": name, "value": rounded, "relation": relation, "target": target, "pass": met})

    bar("peak memory of an encode, GiB", max(peaks.values(), default=0) / 2**30 or None, "at most", 1.5)
    growth = peaks[max(peaks)] / peaks[min(peaks)] if len(peaks) > 1 else None
    bar("peak memory of an encode, largest mosaic over smallest", growth, "at most", 1.3)
    bar("encode time over libvips to JPEG 2000, slowest", max(pace, default=None), "at most", 1.0)
    ratios = [row["ratio"] for row in encodes.values()]
    bar("source bytes over output bytes, least", min(ratios, default=None), "at least", RATIO)
    gain = tiles and tiles["mean_psnr_db"] - tiles["mean_bicubic_psnr_db"]
    bar("mean PSNR of tissue tiles over bicubic, dB", gain, "above", 0.0)
    bar("share of tissue tiles better than bicubic", tiles and tiles["fraction_better"], "at least", 1.0)
    if against:
        for row in against["rows"]:
            if row["what"] in FASTER:
                target = FASTER[row["what"]]
                bar(f"{row['what']}: times faster than {against['before']}", row["ratio"], "at least", target)
        first = next(row for row in against["rows"] if row["what"] == FIRST_TILE)
        bar("process start to first tile, s", first["now_s"], "at most", 0.5)
        bar("decode on two cores over one, times faster", against["second_core"], "at least", 1.85)
    return found


def table(results: dict[str, Any]) -> str:
    """Return the results as Markdown."""
    machine = results["environment"]
    flags = " ".join(machine.get("isa", ())) or "flags unknown"
    lines = [
        f"{machine['cpu']} ({flags}), {machine['cores']} cores, Python {machine['python']}, "
        f"{machine['vips'] or 'no libvips'}, {machine['date']}.",
        "",
        "| mosaic | whole process | wall s | CPU s | peak memory MiB | output MB | in / out bytes |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for row in results["rows"]:
        cells = ["-"] * 5
        if row["wall_s"] is not None:
            cells = [
                f"{row['wall_s']:.1f}",
                f"{row['user_s'] + row['system_s']:.1f}",
                f"{row['peak_rss_bytes'] / 2**20:.0f}",
                f"{row['output_bytes'] / 1e6:.2f}",
                f"{row['ratio']:.2f}",
            ]
        lines.append(f"| {row['size_px']} px | {row['tool']} | {' | '.join(cells)} |")
    lines += [
        "",
        f"| mosaic | a {READ_SIDE} px tile through | state | p50 ms | p95 ms |",
        "|---|---|---|---:|---:|",
    ]
    lines += [
        f"| {row['size_px']} px | {row['reader']} | {row['state']} | {row['p50_ms']:.2f} | {row['p95_ms']:.2f} |"
        for row in results["latency"]
    ]
    tiles = results["fidelity"]
    if tiles:
        lines += [
            "",
            f"{tiles['tiles']} tissue tiles of {tiles['tile_px']} px of the {tiles['size_px']} px mosaic: "
            f"{tiles['generator']} {tiles['mean_psnr_db']:.2f} dB, "
            f"bicubic {tiles['mean_bicubic_psnr_db']:.2f} dB from the same base; "
            f"better than bicubic in {tiles['fraction_better']:.1%} of them.",
        ]
    against = results.get("against")
    if against is not None:
        title = f"{against['size_px']} px, medians of {against['rounds']} turns"
        lines += [
            "",
            f"| {title} | {against['before']}, s | now, s | ratio |",
            "|---|---:|---:|---:|",
            *(
                f"| {row['what']} | {row['before_s']:.3f} | {row['now_s']:.3f} | {row['ratio']:.2f} |"
                for row in against["rows"]
            ),
        ]
    lines += ["", "| bar | value | target | met |", "|---|---:|---:|---|"]
    for bar in results["bars"]:
        value = "-" if bar["value"] is None else f"{bar['value']:.3f}"
        met = {True: "yes", False: "**no**", None: "not measured"}[bar["pass"]]
        lines.append(f"| {bar['bar']} | {value} | {bar['relation']} {bar['target']:g} | {met} |")
    return "\n".join(lines) + "\n"
