"""Small slides and pictures of every kind, to begin with."""

from __future__ import annotations

import io
import struct
import tempfile
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import PIL.Image
import tifffile

from histocodec.demo.synthetic import tissue
from histocodec.geometry import Size
from tests.fuzz.tiffs import pages_of, written

_CM: dict[str, Any] = {"resolution": (40000, 40000), "resolutionunit": "CENTIMETER"}


def _picture() -> Any:
    return tissue(Size(100, 70), seed=2)


def _written(**options: Any) -> bytes:
    file, image = io.BytesIO(), _picture()
    levels = options.pop("levels", 1)
    with tifffile.TiffWriter(file, bigtiff=options.pop("bigtiff", False)) as tiff:
        common: dict[str, Any] = {"photometric": "rgb", "metadata": None, "tile": (32, 32), **options}
        for level in range(levels):
            own = {"subfiletype": 1} if level else _CM
            tiff.write(np.ascontiguousarray(image[:: 1 << level, :: 1 << level]), **common, **own)
    return file.getvalue()


def tiffs() -> list[bytes]:
    """Return TIFF of every compression that is read, tiled and in strips."""
    coded = [_written(compression=name) for name in (None, "jpeg", "zlib", "lzw", "packbits", "zstd", "png", "webp")]
    coded += [_written(compression=name) for name in ("jpegxl", "jpeg2000", "lzma")]
    coded += [_written(compression="jpeg", levels=3, bigtiff=True), _written(compression="lzw", predictor=True)]
    strips = [_written(tile=None, rowsperstrip=16, compression=name) for name in (None, "lzw", "zlib", "jpeg")]
    return coded + strips


def svs() -> list[bytes]:
    """Return slides as Aperio lays them out."""
    text = "Aperio Image Library v11\r\n100x70 (32x32) JPEG|AppMag = 40|MPP = 0.25"
    image, found = _picture(), []
    for compression in ("jpeg", "aperio_jp2000_rgb", "jpeg2000"):
        file = io.BytesIO()
        with tifffile.TiffWriter(file) as tiff:
            common: dict[str, Any] = {"photometric": "rgb", "metadata": None}
            tiled: dict[str, Any] = {"tile": (32, 32), "compression": "jpeg" if compression == "jpeg" else "jpeg2000"}
            tiff.write(image, description=text, **tiled, **common)
            tiff.write(np.ascontiguousarray(image[:20, :26]), description="Aperio\r\n100x70 -> 26x20", **common)
            tiff.write(np.ascontiguousarray(image[::2, ::2]), description=text, **tiled, **common)
            tiff.write(
                np.ascontiguousarray(image[:30, :50]), description="Aperio\r\nlabel 50x30", subfiletype=1, **common
            )
            tiff.write(
                np.ascontiguousarray(image[:60, :50]), description="Aperio\r\nmacro 50x60", subfiletype=9, **common
            )
        data = file.getvalue()
        if compression == "aperio_jp2000_rgb":
            pages = pages_of(data)
            for page in pages:
                if page.number(259) == 34712:
                    page.tags[259] = 3, struct.pack("<H", 33005)
            data = written(pages, False)
        found.append(data)
    return found


def ome_tiffs() -> list[bytes]:
    """Return OME-TIFF: levels in SubIFDs, and planes of red, green and blue."""
    image, found = _picture(), []
    stated = {
        "axes": "YXS",
        "PhysicalSizeX": 250.0,
        "PhysicalSizeXUnit": "nm",
        "PhysicalSizeY": 250.0,
        "PhysicalSizeYUnit": "nm",
    }
    file = io.BytesIO()
    with tifffile.TiffWriter(file, ome=True) as tiff:
        common: dict[str, Any] = {"photometric": "rgb", "tile": (32, 32), "compression": "zlib"}
        tiff.write(image, subifds=1, metadata=stated, **common)
        tiff.write(np.ascontiguousarray(image[::2, ::2]), subfiletype=1, **common)
        tiff.write(np.ascontiguousarray(image[:30, :30]), metadata={"Name": "label"}, **common)
    found.append(file.getvalue())
    for names in (None, ["Red", "Green", "Blue"]):
        file = io.BytesIO()
        metadata: dict[str, Any] = {"axes": "CYX"} | ({"Channel": {"Name": names}} if names else {})
        with tifffile.TiffWriter(file, ome=True) as tiff:
            planes = np.moveaxis(image, 2, 0).copy()
            tiff.write(planes, photometric="minisblack", metadata=metadata, tile=(32, 32), compression="zlib")
        found.append(file.getvalue())
    return found


def flat() -> list[bytes]:
    """Return pictures that are no TIFF."""
    image, found = PIL.Image.fromarray(_picture()), []
    ways: list[tuple[str, dict[str, Any]]] = [
        ("PNG", {}),
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("WEBP", {}),
        ("BMP", {}),
        ("GIF", {}),
    ]
    for form, options in ways:
        file = io.BytesIO()
        image.save(file, form, **options)
        found.append(file.getvalue())
    file = io.BytesIO()
    image.quantize(16).save(file, "PNG")
    coded = [bytes(imagecodecs.jpeg2k_encode(_picture(), level=40, codecformat=form)) for form in ("jp2", "j2k")]
    return [*found, file.getvalue(), *coded]


def dicoms() -> list[bytes]:
    """Return DICOM slides of one instance."""
    from tests.source import test_dicom as made

    found = list[bytes]()
    with tempfile.TemporaryDirectory() as folder:
        for syntax, photometric, encode in (
            (made.JPEG, "YBR_FULL_422", made.jpeg(subsampling="422")),
            (made.JPEG_2000, "YBR_ICT", made.jpeg_2000(transform=True)),
            (made.JPEG_2000, "RGB", made.jpeg_2000(transform=False)),
        ):
            path = Path(folder) / str(len(found)) / "a.dcm"
            image = tissue(Size(made.FRAME * 2, made.FRAME), seed=4)
            found.append(made.write_dicom(path, image, syntax, photometric, encode).read_bytes())
    return found
