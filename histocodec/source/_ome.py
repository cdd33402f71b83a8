"""Reads OME-XML headers: the images of a file, and the few statements of each that a Source needs."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from xml.etree import ElementTree

from ..format.associated import NAMES
from ..geometry import Size
from ._resolution import Spacing

_ROLES = {**{name: name for name in NAMES}, "overview": "macro"}
"""Associated image by a word in its name."""

_MOST_CHANNELS = 100
"""Most channels of an image that are looked at."""
_RGB_NAMES = (("red", "r"), ("green", "g"), ("blue", "b"))
_RGB_COLOURS = (-16776961, 16711935, 65535)
"""Red, green and blue as OME writes them: RGBA as a signed number of 32 bits. -1, white, is its default."""

_MICROMETRES = {
    "µm": 1.0,  # the micro sign; the next one is the Greek letter
    "μm": 1.0,
    "um": 1.0,
    "nm": 1e-3,
    "mm": 1e3,
    "cm": 1e4,
    "m": 1e6,
    "in": 25400.0,
}
"""Micrometres by OME's name of a unit."""


@dataclass(frozen=True, slots=True)
class OmeImage:
    """One Image of an OME-XML header, whose pixels lie in this file."""

    series: int
    """Position among the Images, from 0, as Bio-Formats counts."""
    name: str
    size: Size
    planes: tuple[int, ...]
    """Positions in the main chain of directories: one for each channel, or one for channels that are interleaved."""
    focal_planes: int
    """Number of focal planes and moments; 1 in an ordinary picture."""
    channels_are_rgb: bool
    """True if the channels can be red, green and blue: three, and no statement says otherwise."""
    spacing: Spacing | None
    objective_power: float | None
    """Magnification of the objective, if it is stated."""

    @property
    def role(self) -> str | None:
        """The associated image that the name speaks of; None for a slide."""
        return associated_role(self.name)


def associated_role(name: str) -> str | None:
    """Return the associated image that a name speaks of, of `format.associated.NAMES`; None if it speaks of none."""
    words = re.split(r"[^a-z]+", name.lower())
    return next((role for word, role in _ROLES.items() if word in words), None)


def read_ome(xml: str | None) -> tuple[OmeImage, ...]:
    """Read the images of an OME-XML header (OME schema 2016-06 and its predecessors), those that can be made out."""
    try:
        root = ElementTree.fromstring(xml or "")
    except ElementTree.ParseError:
        return ()
    images = []
    for series, image in enumerate(root.iterfind("{*}Image")):
        pixels = image.find("{*}Pixels")
        if pixels is None:
            continue
        try:
            size = Size(int(pixels.attrib["SizeX"]), int(pixels.attrib["SizeY"]))
            channels = int(pixels.get("SizeC", "1"))
            focal_planes = int(pixels.get("SizeZ", "1")) * int(pixels.get("SizeT", "1"))
            samples = [int(channel.get("SamplesPerPixel", "1")) for channel in pixels.iterfind("{*}Channel")]
            count = min(len(samples) if sum(samples) == channels else channels, _MOST_CHANNELS)
            planes = _planes(pixels, count, root.get("UUID")) if focal_planes == 1 else _planes(pixels, 1, None)
        except (KeyError, ValueError):
            continue
        images.append(
            OmeImage(
                series,
                image.get("Name", ""),
                size,
                planes,
                focal_planes,
                channels == 3 and _can_be_rgb(pixels),
                _ome_spacing(pixels),
                _ome_objective_power(root, image),
            )
        )
    return tuple(image for image in images if image.planes)


def _planes(pixels: ElementTree.Element, count: int, uuid: str | None) -> tuple[int, ...]:
    """Return the directories of the first `count` channels; none if one is not stated, or lies in another file."""
    found: dict[int, int] = {}
    for data in pixels.iterfind("{*}TiffData"):
        place = data.findtext("{*}UUID")
        if uuid is not None and place is not None and place.strip() != uuid:
            continue
        channel, directory = int(data.get("FirstC", "0")), int(data.get("IFD", "0"))
        held = int(data.get("PlaneCount", "1" if "IFD" in data.attrib else str(count)))
        found |= {channel + k: directory + k for k in range(min(held, count))}
    planes = tuple(found[channel] for channel in range(count) if channel in found)
    return planes if len(planes) == count else ()


def _can_be_rgb(pixels: ElementTree.Element) -> bool:
    """Tell whether no channel has a name, colour or fluorophore that red, green and blue in this order cannot have."""
    for position, channel in enumerate(pixels.iterfind("{*}Channel")):
        if channel.get("Fluor") or channel.get("EmissionWavelength"):
            return False
        if channel.get("SamplesPerPixel", "1") != "1":
            continue
        name = channel.get("Name", "").strip().lower()
        if name and name not in _RGB_NAMES[position] and not re.fullmatch(r"(channel|c)?[ :_]*[\d: ]+", name):
            return False
        if int(channel.get("Color", "-1")) not in (-1, _RGB_COLOURS[position]):
            return False
    return True


def _ome_spacing(pixels: ElementTree.Element) -> Spacing | None:
    """Return the physical size of a pixel; None if it is not stated."""

    def side(axis: str) -> float:
        unit = _MICROMETRES[pixels.get(f"PhysicalSize{axis}Unit", "µm")]
        return unit * float(pixels.attrib[f"PhysicalSize{axis}"])

    try:
        return side("X"), side("Y")
    except (KeyError, ValueError):
        return None


def _ome_objective_power(root: ElementTree.Element, image: ElementTree.Element) -> float | None:
    """Return the magnification of the objective that an image refers to; None if it is not stated."""
    settings = image.find("{*}ObjectiveSettings")
    for objective in root.iterfind("{*}Instrument/{*}Objective"):
        if settings is not None and objective.get("ID") == settings.get("ID"):
            return as_positive(objective.get("NominalMagnification"))
    return None


def as_positive(text: str | None) -> float | None:
    """Parse a finite number > 0; None if the text is anything else."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) and value > 0 else None
