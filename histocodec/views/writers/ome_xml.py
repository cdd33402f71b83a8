"""The OME-XML header of an OME-TIFF: size of the pixels, objective, and where they come from."""

from __future__ import annotations

from ome_types.model import (
    OME,
    AnnotationRef,
    Channel,
    Image,
    Instrument,
    InstrumentRef,
    Map,
    MapAnnotation,
    Objective,
    ObjectiveSettings,
    Pixels,
    Pixels_DimensionOrder,
    PixelType,
    StructuredAnnotations,
    TiffData,
)

from ...geometry import Size
from ...version import software
from ..levels import Levels

NAMESPACE = "histocodec/provenance"
"""Namespace of the annotation that says where the pixels come from."""


def ome_xml(levels: Levels) -> bytes:
    """Return the header of levels whose finest is the first directory, and what stands beside them the next ones."""
    finest = levels.parts[0]
    power = levels.decoder.manifest.slide.objective_power
    objective, provenance = "Objective:0", "Annotation:0"
    slide = Image(
        id="Image:0",
        name="slide",
        description=levels.statement(finest),
        pixels=_pixels(0, finest.size, levels.mpp(finest)),
        instrument_ref=None if power is None else InstrumentRef(id="Instrument:0"),
        objective_settings=None if power is None else ObjectiveSettings(id=objective),
        annotation_refs=[AnnotationRef(id=provenance)],
    )
    beside = [
        Image(id=f"Image:{number}", name=image.name, pixels=_pixels(number, image.size, None))
        for number, image in enumerate(levels.associated, 1)
    ]
    facts = Map(ms=[Map.M(k=name, value=text) for name, text in levels.provenance.items()])
    ome = OME(
        creator=software(),
        instruments=[]
        if power is None
        else [Instrument(id="Instrument:0", objectives=[Objective(id=objective, nominal_magnification=power)])],
        images=[slide, *beside],
        structured_annotations=StructuredAnnotations(
            map_annotations=[MapAnnotation(id=provenance, namespace=NAMESPACE, value=facts)]
        ),
    )
    return ome.to_xml().encode("ascii", "xmlcharrefreplace")  # what TIFF demands of a description


def _pixels(directory: int, size: Size, mpp: float | None) -> Pixels:
    """Return the Pixels of one RGB image. directory: position in the main chain."""
    return Pixels(
        id=f"Pixels:{directory}",
        dimension_order=Pixels_DimensionOrder.XYCZT,
        type=PixelType.UINT8,
        size_x=size.width,
        size_y=size.height,
        size_z=1,
        size_c=3,
        size_t=1,
        interleaved=True,
        big_endian=False,
        physical_size_x=mpp,
        physical_size_y=mpp,
        channels=[Channel(id=f"Channel:{directory}:0", samples_per_pixel=3)],
        tiff_data_blocks=[TiffData(ifd=directory, plane_count=1)],
    )
