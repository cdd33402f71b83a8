"""De-identification: what of a slide's metadata may leave the lab.

An allowlist, since a blocklist fails on the first property that nobody had thought of: what is not known to describe
optics or geometry is dropped.
"""

from __future__ import annotations

import re
import struct

_NUMBER = r"[-+]?[0-9]{1,12}(\.[0-9]{0,20})?([eE][-+]?[0-9]{1,3})?"
_SAFE = {
    re.compile(key): re.compile(value)
    for key, value in {
        r"openslide\.(mpp-[xy]|objective-power|level-count|bounds-(x|y|width|height))": _NUMBER,
        r"openslide\.level\[\d{1,3}\]\.(width|height|downsample|tile-width|tile-height)": _NUMBER,
        r"aperio\.(AppMag|MPP)|hamamatsu\.SourceLens|tiff\.[XY]Resolution": _NUMBER,
        r"openslide\.background-color": r"[0-9A-Fa-f]{6}",
        r"openslide\.vendor": r"[a-z-]{1,16}",
        r"tiff\.ResolutionUnit": r"inch|centimeter|none",
    }.items()
}
"""The properties that are kept, and the form of their values: an allowed key must not smuggle free text."""

_SAFE_METHOD = re.compile(r"ISO_[0-9]{4,5}_[0-9]{1,2}|WEBP")
"""Terms of DICOM (0028,2114), and the one that DICOM lacks."""

_COLOUR_TAGS = frozenset(
    b"wtpt bkpt chad chrm lumi gamt rXYZ gXYZ bXYZ rTRC gTRC bTRC kTRC A2B0 A2B1 A2B2 B2A0 B2A1 B2A2".split()
)
_COLOUR_TYPES = frozenset([b"XYZ ", b"curv", b"para", b"sf32", b"chrm", b"mft1", b"mft2", b"mAB ", b"mBA "])
"""Types of elements that hold numbers."""
_PROFILE_HEADER_BYTES = 128
_PROFILE_TEXT = "colours of the source"


def deidentified_properties(properties: dict[str, str]) -> dict[str, str]:
    """Keep the properties that describe optics and geometry alone."""
    return {
        name: text
        for name, text in properties.items()
        if any(key.fullmatch(name) and value.fullmatch(text) for key, value in _SAFE.items())
    }


def deidentified_method(method: str) -> str:
    """Return the term of a lossy compression, or `unknown` for whatever else a file says in its place."""
    return method if _SAFE_METHOD.fullmatch(method) else "unknown"


def deidentified_profile(profile: bytes) -> bytes | None:
    """Make an ICC profile with the same colours and nothing else; None if the given one cannot be followed.

    Descriptions, the date, the device's maker, model and serial number, and private tags are dropped: scanners write
    their own into profiles. Layout: ICC.1:2022, 7.2 and 7.3.
    """
    try:
        (count,) = struct.unpack_from(">I", profile, _PROFILE_HEADER_BYTES)
        entries = [struct.unpack_from(">4sII", profile, _PROFILE_HEADER_BYTES + 4 + 12 * i) for i in range(count)]
    except struct.error:
        return None
    elements = {tag: profile[offset : offset + size] for tag, offset, size in entries if tag in _COLOUR_TAGS}
    if profile[36:40] != b"acsp" or not elements or any(e[:4] not in _COLOUR_TYPES for e in elements.values()):
        return None
    elements |= _profile_texts(major_version=profile[8])
    header = bytearray(profile[:_PROFILE_HEADER_BYTES])
    header[4:8] = bytes(4)  # preferred colour management
    header[24:36] = struct.pack(">6H", 2000, 1, 1, 0, 0, 0)
    header[48:64] = bytes(16)  # the device's maker, model and attributes
    header[80:128] = bytes(48)  # the profile's creator and identifier
    table, body = struct.pack(">I", len(elements)), b""
    start = len(header) + 4 + 12 * len(elements)
    places: dict[bytes, int] = {}
    for tag, element in elements.items():
        if element not in places:  # the three channels often share one curve
            places[element] = start + len(body)
            body += element + bytes(-len(element) % 4)
        table += struct.pack(">4sII", tag, places[element], len(element))
    struct.pack_into(">I", header, 0, start + len(body))
    return bytes(header) + table + body


def _profile_texts(major_version: int) -> dict[bytes, bytes]:
    """Return the description and copyright that every profile must have, saying nothing."""
    if major_version >= 4:
        text = _PROFILE_TEXT.encode("utf-16-be")
        element = b"mluc" + struct.pack(">III2s2sII", 0, 1, 12, b"en", b"US", len(text), 28) + text
        return {b"desc": element, b"cprt": element}
    ascii_text = _PROFILE_TEXT.encode() + b"\0"
    description = b"desc" + struct.pack(">II", 0, len(ascii_text)) + ascii_text + bytes(78)
    return {b"desc": description, b"cprt": b"text" + bytes(4) + ascii_text}
