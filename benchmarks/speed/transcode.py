"""Whole slides through whole processes: histocodec, and libvips beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .usage import measured

RATIO = 16
VIPS_QUALITY = 40


def transcode_row(size: int, tool: str, command: Sequence[str] | None, source: Path, output: Path) -> dict[str, Any]:
    """Measure a row of the table: run `command`, which turns `source` into `output`. `command` None: not available."""
    row: dict[str, Any] = {"size_px": size, "tool": tool}
    if command is None:
        return row | dict.fromkeys(
            ("wall_s", "user_s", "system_s", "peak_rss_bytes", "input_bytes", "output_bytes", "ratio")
        )
    output.unlink(missing_ok=True)
    usage = measured(command)
    input_bytes, output_bytes = source.stat().st_size, output.stat().st_size
    sizes = {"input_bytes": input_bytes, "output_bytes": output_bytes, "ratio": round(input_bytes / output_bytes, 3)}
    return row | asdict(usage) | sizes


def vips_name(compression: str) -> str:
    return f"libvips to {compression} Q={VIPS_QUALITY}"


def vips_command(vips: str, compression: str, source: Path, output: Path) -> list[str]:
    layout = ["--tile", "--pyramid", "--tile-width", "256", "--tile-height", "256", "--bigtiff"]
    return [vips, "tiffsave", str(source), str(output), *layout, "--compression", compression, "--Q", str(VIPS_QUALITY)]


def load_into_page_cache(path: Path) -> None:
    """Read a file once, so that the first tool to read it does not pay for the disk."""
    with path.open("rb") as file:
        while file.read(1 << 24):
            pass
