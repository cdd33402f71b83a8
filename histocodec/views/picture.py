"""Writes a region of a level as one picture, labelled as what it is."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image as PILImage
from PIL.PngImagePlugin import PngInfo

from ..decoder import Decoder
from ..errors import RegionError, SettingsError
from ..geometry import Region
from ..runtime.files import atomic_output, check_output
from ..version import software
from .levels import described, parts_of

_MAX_PICTURE_PIXELS = 20_000 * 20_000
"""Most pixels of one picture, which is held in memory."""
_JPEG_QUALITY = 90
"""Quality of a .jpg where none is given."""
_MAX_JPEG_SIDE = 65_500
"""Longest side of a .jpg: libjpeg's own limit, a little under the format's."""


def export_picture(
    decoder: Decoder,
    path: str | Path,
    *,
    quality: int | None = None,
    level: int = 0,
    region: Region | None = None,
    overwrite: bool = False,
) -> None:
    """Write a region of a level as .png or .jpg, atomically; the label is in its metadata.

    quality: of a .jpg, 1 to 100; 90 if None. region: in pixels of level 0; None for all. Raises as `export_slide`;
    RegionError if the picture would be too large.
    """
    path = Path(path)
    check_output(path, overwrite=overwrite, source=decoder.path)
    part = parts_of(decoder, level, region)[0]
    is_png = path.suffix.lower() == ".png"
    if quality is not None and (is_png or not 1 <= quality <= 100):
        raise SettingsError(
            "a PNG is lossless: it takes no quality" if is_png else f"quality {quality} is not 1 to 100"
        )
    pixels, longest = part.region.area, max(part.size)
    if pixels > _MAX_PICTURE_PIXELS or (longest > _MAX_JPEG_SIDE and not is_png):
        raise RegionError(f"{part.region.width} x {part.region.height} px are too many for one picture: write a .tif")
    description = described(decoder, part, "PNG, lossless" if is_png else f"JPEG at quality {quality or _JPEG_QUALITY}")
    icc = decoder.container.icc_profile
    picture = PILImage.fromarray(decoder.read(part.region, level, keep=False))
    dots_per_inch = 25400 / (decoder.mpp * part.downsample)
    coded = io.BytesIO()  # Pillow does not say why it could not write to a disk
    if is_png:
        text = PngInfo()
        text.add_itxt("Description", description)
        text.add_text("Software", software())
        picture.save(coded, "PNG", pnginfo=text, icc_profile=icc, dpi=(dots_per_inch, dots_per_inch))
    else:
        # JFIF's 16-bit density cannot hold a microscope's; the description states the mpp.
        picture.save(coded, "JPEG", quality=quality or _JPEG_QUALITY, icc_profile=icc, comment=description.encode())
    with atomic_output(path, overwrite=overwrite) as out:
        out.write(coded.getbuffer())
