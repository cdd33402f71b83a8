"""degrade(): the base of an image as a decoder sees it, downsampled, and coded in the tiles that an encoder makes."""

from __future__ import annotations

from ..errors import SettingsError
from ..geometry import Image
from .downsample import downsample, shrink
from .resampler import Downsampler
from .tile_codecs import TileCodec
from .tile_coder import TileCoder, code_image, decode_image


def degrade(
    image: Image,
    scale: int,
    codec: TileCodec | None,
    quality: float = 0.0,
    *,
    downsampler: Downsampler | None = None,
) -> Image:
    """Return the base of a full-resolution image as a decoder sees it: downsample, code, decode.

    image: (height, width, 3) uint8 RGB at full resolution. `codec` None leaves the base uncoded.
    downsampler: None for the box average; another one goes through `shrink`, as in the encoder.
    Returns (ceil(height / scale), ceil(width / scale), 3) uint8. Raises SettingsError if the downsampler has another
    scale.
    """
    if downsampler is not None and downsampler.scale != scale:
        raise SettingsError(f"downsampler {downsampler.name} shrinks {downsampler.scale} times, expected {scale}")
    base = downsample(image, scale) if downsampler is None else shrink(image, downsampler)
    if codec is None:
        return base
    coder = TileCoder.fitted(codec, base)
    return decode_image(code_image(base, coder, quality), coder, height=base.shape[0], width=base.shape[1])
