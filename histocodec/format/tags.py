"""Tags, compressions, limits and problem codes, on which the container's writer and its reader must agree."""

from __future__ import annotations

import enum

from ..pixels.tile_codecs import TileCodec


class Tag(enum.IntEnum):
    """Tags of a TIFF directory, by the names that TIFF 6.0 gives them; from 65301 on private ones of this format."""

    NewSubfileType = 254
    ImageWidth = 256
    ImageLength = 257
    BitsPerSample = 258
    Compression = 259
    PhotometricInterpretation = 262
    ImageDescription = 270
    StripOffsets = 273
    SamplesPerPixel = 277
    StripByteCounts = 279
    XResolution = 282
    YResolution = 283
    PlanarConfiguration = 284
    ResolutionUnit = 296
    TileWidth = 322
    TileLength = 323
    TileOffsets = 324
    TileByteCounts = 325
    SubIFDs = 330
    InterColorProfile = 34675
    Manifest = 65301
    Generator = 65302
    Checksums = 65303
    TileModes = 65304
    Regions = 65305
    PredictionChecksums = 65306
    BaseChecksums = 65307
    OriginalSegments = 65308
    OriginalData = 65309


LATER_TAGS = range(65310, 65320)
"""Tags that a later revision of the format may use, and that readers pass over."""

RGB, YCBCR = 2, 6
"""Values of PhotometricInterpretation."""
CENTIMETRE = 3
"""Value of ResolutionUnit."""

COMPRESSION: dict[TileCodec, int] = {"jp2k": 33005, "av1": 65310, "jpeg": 7}
"""TIFF compression of the base tiles. 33005: JPEG 2000 as Aperio writes it; TIFF has no number for AV1."""
COMPRESSION_ZSTD = 50000
COMPRESSION_JPEG_XL = 50002
COMPRESSION_MIXED = 65311
"""Of an original's tiles that are stored in several ways: its segments say which, and other readers pass it over."""
COMPRESSION_JPEG = COMPRESSION["jpeg"]

MAX_SIDE = 1 << 22
"""Pixels a side that a slide may have: four times what any scanner makes, and small enough for every sum in int64."""
MAX_JSON_BYTES = 16 << 20
MAX_HALO = 64
MAX_COLOUR = 1 << 26
MAX_SUBIFDS = 16
MAX_ASSOCIATED = 16
MAX_PACKAGE_BYTES = 256 << 20
MAX_PROFILE_BYTES = 64 << 20
MAX_TILE_BYTES = 16 << 20
MAX_REGIONS_BYTES = 64 << 20
MAX_DESCRIPTION_BYTES = 1 << 16
MAX_ASSOCIATED_PIXELS = 1 << 26
MAX_ASSOCIATED_SIDE = 65535
MAX_ASSOCIATED_BYTES = 64 << 20
MAX_SEGMENTS = 1 << 24
MAX_SEGMENT_BYTES = 16 << 20
"""Bytes of the source that one segment stands for, and that it may take."""
MAX_SHARED = 255
"""Headers that segments share, and as many recipes."""
MAX_SHARED_BYTES = 65535
MAX_FILE_NAME = 1000
MAX_TILE_SIDE = 1 << 12
"""Pixels a side of a tile of the source that can be read out of the original."""

PROBLEM_CODES: dict[str, str] = {
    "not-bigtiff": "not a little-endian BigTIFF, or its directories cannot be followed",
    "no-manifest": "the first directory has no manifest",
    "manifest-damaged": "the manifest cannot be decompressed, or its checksum is wrong",
    "manifest-invalid": "a field of the manifest is missing, of another type, or contradicts another",
    "later-version": "the file is of a later version, or requires a feature unknown to the reader",
    "directory-mismatch": "a TIFF directory contradicts the manifest",
    "tile-missing": "a base tile is absent",
    "tile-outside-file": "a tile or strip lies outside the file: the file was cut, or its index is damaged",
    "checksums-damaged": "the checksums of pieces or of the decoded base are missing, or not those that were written",
    "tile-checksum": "a stored tile is not the one that was written",
    "tile-damaged": "a stored tile cannot be decoded to its size",
    "base-mismatch": "this decoder gets other pixels from tiles of the base than the encoder did",
    "tissue-map-damaged": "the tissue map is missing, is not the one that was written, or cannot be decoded",
    "associated-damaged": "an associated image is not the one that was written, or cannot be decoded",
    "quality-map-damaged": "the quality map is missing, is not the one that was written, or cannot be decoded",
    "enhancement-damaged": "the enhancement layer's directory contradicts the manifest, or its own checksums",
    "original-damaged": "the original is not the one that was written, or does not give the source's files back",
    "icc-profile-damaged": "the ICC profile is not the one that was written",
    "generator-damaged": "the generator is not the one that the manifest names, or cannot be built from its package",
    "prediction-mismatch": "a residual corrects other pixels than this decoder predicts, or such as no file defines",
    "generator-unknown": "the generator is not embedded, and not at hand",
}
