"""The demonstration: sends a slide through the whole codec, and draws the result."""

from __future__ import annotations

import io
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage
from PIL import ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from ..decoder import BICUBIC, Decoder
from ..encoder import EncodeReport, EncodeSettings, encode
from ..errors import HistocodecError
from ..format.descriptions import NOTICE, Rendition
from ..geometry import Image, Region, Size
from ..pixels.metrics import psnr, ssim
from ..runtime.files import atomic_output, check_output
from ..runtime.progress import Progress, stage
from ..source import Source, open_source
from ..validation import validate
from ..views.export import export_slide
from .synthetic import tissue, write_slide

SYNTHETIC_SIZE = Size(3072, 3072)
SYNTHETIC_SEED = 7
SPOT = 160
"""Full pixels a side of the spot that is shown."""
ZOOM = 4
"""Pixels of the picture a side of one full pixel."""

_AROUND = 13
"""Base pixels a side of the surroundings that a nucleus, 5 to 10 px wide, is compared with."""

_WINDOW = 4096
"""Most base pixels a side that are searched for the spot."""


@dataclass(frozen=True)
class _Panel:
    """One picture of the row, with the text above and below it."""

    title: str
    image: Image
    """(SPOT, SPOT, 3) uint8 RGB."""
    note: str


def run_demo(
    slide: Path | None, output: Path, *, mpp: float | None, overwrite: bool, progress: Progress
) -> dict[str, object]:
    """Encode, validate and decode `slide` (None: a synthetic one) and draw `output`; return what was measured.

    Everything but the picture goes to a temporary folder. Raises HistocodecError.
    """
    check_output(output, overwrite=overwrite, source=slide)
    with tempfile.TemporaryDirectory(prefix="histocodec-demo-") as name:
        folder = Path(name)
        if slide is None:
            slide = folder / "synthetic.tif"
            progress("painting", 0, 1)
            write_slide(slide, tissue(SYNTHETIC_SIZE, SYNTHETIC_SEED))
            progress("painting", 1, 1)
        file, decoded = folder / "slide.hc.tif", folder / "slide.decoded.tif"
        with open_source(slide, mpp=mpp) as source:
            started = time.monotonic()
            report = encode(source, file, settings=EncodeSettings(), progress=progress)
            encode_s = time.monotonic() - started
            problems = validate(file, deep=True, progress=stage(progress, "checking"))
            if problems:
                raise HistocodecError(f"the file just written is not valid: {problems[0]}")
            with Decoder(file) as decoder:
                started = time.monotonic()
                export_slide(decoder, decoded, progress=stage(progress, "decoding"))
                decode_s = time.monotonic() - started
            panels = _panels(source, file)
        facts = _facts(report, encode_s, decode_s, decoded.stat().st_size)
        text, coded = PngInfo(), io.BytesIO()
        text.add_itxt("Description", f"{_caption(report)} Quality: {Rendition(report.manifest).quality_label}.")
        _draw(panels, facts, _caption(report)).save(coded, "PNG", pnginfo=text)
        with atomic_output(output, overwrite=overwrite) as out:
            out.write(coded.getbuffer())
    return {**facts, "picture": str(output)}


def nuclei_rich_spot(base: Image, side: int) -> tuple[int, int]:
    """Return (x, y) of the square of `side` base pixels with the most haematoxylin in small spots, and no glass.

    Haematoxylin absorbs red, eosin hardly does. Nuclei are where red is darker than around; in a fold it is dark all
    over.
    """
    red = base[..., 0].astype(np.float64)
    around = _box_mean(np.pad(red, _AROUND // 2, mode="edge"), _AROUND)
    spots = _box_mean(np.maximum(around - red, 0), side)
    glass = _box_mean((base.min(-1) > 215).astype(np.float64), side)
    y, x = divmod(int(np.argmax(spots - 64 * glass)), spots.shape[1])
    return x, y


def _box_mean(field: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    """Return the mean over every square of `side` pixels that lies within the field."""
    total = np.pad(field, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    square = total[side:, side:] - total[:-side, side:] - total[side:, :-side] + total[:-side, :-side]
    mean: NDArray[np.float64] = square / (side * side)
    return mean


def _panels(source: Source, file: Path) -> list[_Panel]:
    """Return one spot four times: as it is stored, enlarged by bicubic, reconstructed, and the original."""
    with Decoder(file) as decoder, Decoder(file, generator=BICUBIC) as bicubic:
        scale = decoder.manifest.base.scale
        base_size = decoder.levels[1]
        side = min(SPOT // scale, *base_size)
        # The coarsest level that still shows single nuclei is the base; a large slide is searched in its middle.
        window = min(_WINDOW, base_size.width), min(_WINDOW, base_size.height)
        left, top = (base_size.width - window[0]) // 2, (base_size.height - window[1]) // 2
        x, y = nuclei_rich_spot(decoder.read(Region(left, top, *window), 1), side)
        base_region = Region(left + x, top + y, side, side)
        full = base_region.scaled(scale).clipped(source.size)
        assert full is not None
        original = source.read(full)
        images = [
            decoder.read(base_region, 1).repeat(scale, 0).repeat(scale, 1)[: full.height, : full.width],
            bicubic.read(full),
            decoder.read(full),
        ]
        mpp = decoder.manifest.base_mpp
        titles = [
            f"stored base, {mpp:.2g} um/px",
            "bicubic",
            f"reconstructed ({decoder.manifest.prediction.generator.name})",
        ]
        notes = [f"PSNR {psnr(original, i):.2f} dB, SSIM {ssim(original, i):.3f}" for i in images]
        panels = [_Panel(t, i, n) for t, i, n in zip(titles, images, notes, strict=True)]
        return [*panels, _Panel("original", original, f"{source.mpp:.3g} um/px, {full.width} px wide")]


def _facts(report: EncodeReport, encode_s: float, decode_s: float, decoded_bytes: int) -> dict[str, object]:
    """Return what was measured, as it is printed and drawn."""
    size, quality = report.full_size, report.manifest.quality
    facts: dict[str, object] = {
        "slide": f"{size.width} x {size.height} px, {report.source_bytes} bytes",
        "file": f"{report.size_bytes} bytes, valid",
        "ratio to the slide's file": round(report.ratio_to_source, 2),
        "ratio to 24-bit raw": round(report.ratio_to_raw, 1),
        "bits per full pixel": round(report.bits_per_full_pixel, 4),
        "encode s": round(encode_s, 1),
        "decode s": f"{decode_s:.1f}, to a JPEG pyramid of {decoded_bytes} bytes",
    }
    if quality is not None:
        facts |= {
            "measured on": f"{quality.blocks} tissue blocks of {quality.block_size} px",
            "PSNR dB": f"{quality.psnr_db.mean:.2f} reconstructed, {quality.bicubic_psnr_db:.2f} bicubic",
            "SSIM": f"{quality.ssim.mean:.3f} reconstructed",
        }
    return facts


def _caption(report: EncodeReport) -> str:
    """Return the sentence that labels the picture."""
    return f"Level 0 is {Rendition(report.manifest).label}. {NOTICE.capitalize()}."


def _draw(panels: list[_Panel], facts: dict[str, object], caption: str) -> PILImage.Image:
    """Draw the panels in a row, each pixel ZOOM times enlarged; titles above, numbers below."""
    side, gap, margin = SPOT * ZOOM, 16, 32
    heading, body = ImageFont.load_default(26), ImageFont.load_default(20)
    lines = [f"{name}: {value}" for name, value in facts.items()]
    rows = -(-len(lines) // 2)
    width = 2 * margin + len(panels) * side + (len(panels) - 1) * gap
    top = margin + 44
    height = top + side + 48 + rows * 30 + 50 + margin
    sheet = PILImage.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(sheet)
    for number, panel in enumerate(panels):
        x = margin + number * (side + gap)
        shape = (panel.image.shape[1] * ZOOM, panel.image.shape[0] * ZOOM)
        sheet.paste(PILImage.fromarray(panel.image).resize(shape, PILImage.Resampling.NEAREST), (x, top))
        draw.text((x, margin), panel.title, fill="black", font=heading)
        draw.text((x, top + side + 8), panel.note, fill="black", font=body)
    for number, line in enumerate(lines):
        x = margin + (number // rows) * (width // 2)
        draw.text((x, top + side + 48 + (number % rows) * 30), line, fill="#333333", font=body)
    draw.text((margin, height - margin - 30), caption, fill="#a00000", font=body)
    return sheet
