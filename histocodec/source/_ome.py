"""OME-XML headers: the few statements that a Source needs."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from xml.etree import ElementTree

from ..geometry import Size
from ._resolution import Spacing

ASSOCIATED_NAMES = ("label", "macro", "thumbnail")

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


@dataclass(frozen=True, slots=True)
class OmeFacts:
    """What an OME-XML header says of the full-resolution image."""

    spacing: Spacing | None = None
    objective_power: float | None = None
    associated: dict[str, int] = field(default_factory=dict)
    """Position of the label, macro and thumbnail in the main chain of directories."""


def read_ome(xml: str | None, size: Size) -> OmeFacts:
    """The facts about the first image of `size` in an OME-XML header (OME schema 2016-06 and its predecessors)."""
    try:
        root = ElementTree.fromstring(xml or "")
    except ElementTree.ParseError:
        return OmeFacts()
    spacing, power, associated = None, None, {}
    for image in root.iterfind("{*}Image"):
        pixels = image.find("{*}Pixels")
        if pixels is None:
            continue
        is_slide = (pixels.get("SizeX"), pixels.get("SizeY")) == (str(size.width), str(size.height))
        words = re.split(r"[^a-z]+", image.get("Name", "").lower())
        name = next((name for name in ASSOCIATED_NAMES if name in words), None)
        if is_slide and spacing is None:
            spacing = _ome_spacing(pixels)
            power = _ome_objective_power(root, image)
        elif name is not None and not is_slide:
            data = pixels.find("{*}TiffData")
            directory = data.get("IFD", "0") if data is not None else "0"
            if directory.isdecimal():
                associated[name] = int(directory)
    return OmeFacts(spacing, power, associated)


def _ome_spacing(pixels: ElementTree.Element) -> Spacing | None:
    def side(axis: str) -> float:
        unit = _MICROMETRES[pixels.get(f"PhysicalSize{axis}Unit", "µm")]
        return unit * float(pixels.attrib[f"PhysicalSize{axis}"])

    try:
        return side("X"), side("Y")
    except (KeyError, ValueError):
        return None


def _ome_objective_power(root: ElementTree.Element, image: ElementTree.Element) -> float | None:
    settings = image.find("{*}ObjectiveSettings")
    for objective in root.iterfind("{*}Instrument/{*}Objective"):
        if settings is not None and objective.get("ID") == settings.get("ID"):
            return as_positive(objective.get("NominalMagnification"))
    return None


def as_positive(text: str | None) -> float | None:
    """The finite number > 0 that `text` states, or None."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) and value > 0 else None
