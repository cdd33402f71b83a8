"""What the DICOM instances of a slide say: geometry, colours, and that they are derived, of what and how.

The modules are those of the VL Whole Slide Microscopy Image IOD (PS3.3, A.32.8). Nothing is said of a patient: a
container knows none.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from PIL import ImageCms
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import (
    JPEG2000,
    UID,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    VLWholeSlideMicroscopyImageStorage,
    generate_uid,
)

from ...format.descriptions import NOTICE
from ...format.writer import AssociatedImage
from ...geometry import Size
from ...version import __version__, software
from ..levels import Compression, Levels, Part

_SYNTAX: dict[Compression, UID] = {"jpeg": JPEGBaseline8Bit, "jp2k": JPEG2000, "lossless": JPEG2000Lossless}
_COLOURS: dict[Compression, str] = {"jpeg": "YBR_FULL_422", "jp2k": "YBR_ICT", "lossless": "YBR_RCT"}
_METHOD: dict[Compression, str] = {"jpeg": "ISO_10918_1", "jp2k": "ISO_15444_1"}
"""Transfer syntax, photometric interpretation and lossy method (PS3.3, C.7.6.1.1.5.1) of a compression."""
_CODE_STRING = re.compile("[A-Z0-9 _]{1,16}")
"""Values of Lossy Image Compression Method; the steps that have none are in the description alone."""
_LONGEST_DESCRIPTION, _LONGEST_COMMENT = 1024, 10240
"""Characters of a Short Text and of a Long Text."""
_ORIENTATION = [0.0, -1.0, 0.0, -1.0, 0.0, 0.0]
"""Directions of rows and columns in the coordinates of the glass: most scanners' (PS3.3, C.8.12.2.1.1)."""
_UNKNOWN = "unknown"
_PATH = "1"
"""Identifier of the one optical path."""
_SLICE_MM = 0.001
"""Thickness that is stated where nobody measured one: attributes demand a number above 0."""


class SlideHeaders:
    """The headers of the instances of one slide: they share study, series, pyramid and coordinates, all of them new."""

    def __init__(self, levels: Levels) -> None:
        self._levels = levels
        self._now = datetime.now(UTC)
        self._study, self._series, self._frame, self._pyramid, self._dimensions, self._specimen = (
            generate_uid(prefix=None) for _ in range(6)
        )
        self._number = 0
        self._profile = levels.icc_profile or ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()

    def of_level(self, number: int, coded_bytes: int) -> FileDataset:
        """Return the header of a level. coded_bytes: those of all its frames."""
        levels, part = self._levels, self._levels.parts[number]
        compression, grid = levels.coding.compression, part.grid
        is_stored = part.downsample >= levels.decoder.manifest.base.scale
        resampled = is_stored or not levels.decoder.is_original
        data = self._instance("VOLUME", "RESAMPLED" if resampled else "NONE", compression)
        self._add_pixels(data, Size(part.side, part.side), grid.count, compression)
        self._add_matrix(data, part.size, levels.mpp(part) / 1000, self._corner(part))
        uncoded = grid.count * part.side**2 * 3
        self._add_derivation(data, levels.statement(part), compression, uncoded / coded_bytes, resampled=resampled)
        data.PyramidUID = self._pyramid
        data.SpecimenLabelInImage, data.BurnedInAnnotation = "NO", "NO"
        return data

    def of_associated(self, image: AssociatedImage, kind: str) -> FileDataset:
        """Return the header of a label or overview, one frame in JPEG. kind: third value of Image Type."""
        data = self._instance(kind, "NONE", "jpeg")
        self._add_pixels(data, image.size, 1, "jpeg")
        # Of these pictures no size is known; the short side of a glass is 25 mm.
        spacing = 25 / image.size.height
        self._add_matrix(data, image.size, spacing, (25.0, image.size.width * spacing))
        ratio = image.size.area * 3 / len(image.jpeg)
        text = f"{image.name} of the slide, as the file that was decoded holds it"
        self._add_derivation(data, text, "jpeg", ratio, resampled=False, history=False)
        is_label = kind == "LABEL"
        data.SpecimenLabelInImage = data.BurnedInAnnotation = "YES"
        if is_label:
            data.LabelText, data.BarcodeValue = None, None
        return data

    def _instance(self, kind: str, resampling: str, compression: Compression) -> FileDataset:
        """Begin an instance with what all of the slide share."""
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = VLWholeSlideMicroscopyImageStorage
        meta.MediaStorageSOPInstanceUID = generate_uid(prefix=None)
        meta.TransferSyntaxUID = _SYNTAX[compression]
        data = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
        slide, self._number = self._levels.decoder.manifest.slide, self._number + 1
        data.SpecificCharacterSet = "ISO_IR 192"
        data.ImageType = ["DERIVED", "PRIMARY", kind, resampling]
        data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
        data.InstanceNumber = self._number
        data.ContentDate, data.ContentTime = self._now.strftime("%Y%m%d"), self._now.strftime("%H%M%S")
        data.AcquisitionDateTime = self._encoded()
        data.TimezoneOffsetFromUTC = "+0000"
        for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyID", "AccessionNumber"):
            setattr(data, keyword, None)
        data.StudyDate = data.StudyTime = data.ReferringPhysicianName = None
        if slide.deidentified:
            data.PatientIdentityRemoved, data.DeidentificationMethod = "YES", "histocodec encode --deidentify"
        data.StudyInstanceUID, data.SeriesInstanceUID, data.SeriesNumber = self._study, self._series, 1
        is_own = self._levels.decoder.is_original
        data.SeriesDescription = f"{'Pixels of the original' if is_own else 'RECONSTRUCTED'}, {NOTICE}"
        data.Modality = "SM"
        data.Manufacturer = data.ManufacturerModelName = "histocodec"
        data.DeviceSerialNumber, data.SoftwareVersions = "none", __version__
        data.ContributingEquipmentSequence = [self._scanner(), self._codec()]
        data.FrameOfReferenceUID, data.PositionReferenceIndicator = self._frame, "SLIDE_CORNER"
        self._add_specimen(data)
        self._add_optics(data)
        frame_type = Dataset()
        frame_type.FrameType = data.ImageType
        groups = Dataset()
        groups.WholeSlideMicroscopyImageFrameTypeSequence = [frame_type]
        path = Dataset()
        path.OpticalPathIdentifier = _PATH
        groups.OpticalPathIdentificationSequence = [path]
        data.SharedFunctionalGroupsSequence = [groups]
        organisation = Dataset()
        organisation.DimensionOrganizationUID = self._dimensions
        data.DimensionOrganizationSequence = [organisation]
        data.DimensionOrganizationType = "TILED_FULL"
        return data

    def _add_specimen(self, data: Dataset) -> None:
        data.ContainerIdentifier = _UNKNOWN
        data.IssuerOfTheContainerIdentifierSequence = []
        data.ContainerTypeCodeSequence = [_code("433466003", "SCT", "Microscope slide")]
        specimen = Dataset()
        specimen.SpecimenIdentifier, specimen.SpecimenUID = _UNKNOWN, self._specimen
        specimen.IssuerOfTheSpecimenIdentifierSequence = []
        specimen.SpecimenPreparationSequence = []
        data.SpecimenDescriptionSequence = [specimen]
        data.AcquisitionContextSequence = []

    def _add_optics(self, data: Dataset) -> None:
        path, power = Dataset(), self._levels.decoder.manifest.slide.objective_power
        path.OpticalPathIdentifier = _PATH
        path.IlluminationTypeCodeSequence = [_code("111744", "DCM", "Brightfield illumination")]
        path.IlluminationColorCodeSequence = [_code("414298005", "SCT", "Full Spectrum")]
        path.ICCProfile = self._profile
        if power is not None:
            path.ObjectiveLensPower = f"{power:g}"
        data.OpticalPathSequence = [path]
        data.NumberOfOpticalPaths = 1

    def _add_pixels(self, data: Dataset, frame: Size, count: int, compression: Compression) -> None:
        data.SamplesPerPixel, data.PhotometricInterpretation = 3, _COLOURS[compression]
        data.PlanarConfiguration, data.NumberOfFrames = 0, count
        data.Rows, data.Columns = frame.height, frame.width
        data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 8, 8, 7, 0

    def _add_matrix(self, data: Dataset, size: Size, spacing_mm: float, corner_mm: tuple[float, float]) -> None:
        """State the size of the image, and where it lies. corner_mm: x and y of its first pixel on the glass."""
        data.ImagedVolumeWidth, data.ImagedVolumeHeight = size.width * spacing_mm, size.height * spacing_mm
        data.ImagedVolumeDepth = _SLICE_MM * 1000  # in micrometres, unlike the others
        data.TotalPixelMatrixColumns, data.TotalPixelMatrixRows = size
        data.TotalPixelMatrixFocalPlanes = 1
        origin = Dataset()
        origin.XOffsetInSlideCoordinateSystem, origin.YOffsetInSlideCoordinateSystem = map(_decimal, corner_mm)
        data.TotalPixelMatrixOriginSequence = [origin]
        data.ImageOrientationSlide = _ORIENTATION
        data.VolumetricProperties, data.FocusMethod, data.ExtendedDepthOfField = "VOLUME", "AUTO", "NO"
        measures = Dataset()
        measures.SliceThickness, measures.PixelSpacing = _decimal(_SLICE_MM), [_decimal(spacing_mm)] * 2
        data.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence = [measures]

    def _add_derivation(
        self, data: Dataset, text: str, compression: Compression, ratio: float, *, resampled: bool, history: bool = True
    ) -> None:
        """State that the pixels are derived, from what, and every lossy step that has a term (PS3.3, C.7.6.1.1.5)."""
        decoder = self._levels.decoder
        known = decoder.manifest.slide.lossy_history[: -1 if decoder.is_original else None] if history else ()
        steps = [(s.method, s.ratio) for s in known if s.ratio and _CODE_STRING.fullmatch(s.method)]
        if compression in _METHOD:
            steps.append((_METHOD[compression], ratio))
        data.LossyImageCompression = "01"
        if steps:
            data.LossyImageCompressionRatio = [f"{found:.2f}" for _, found in steps]
            data.LossyImageCompressionMethod = [method for method, _ in steps]
        data.DerivationDescription = text[:_LONGEST_DESCRIPTION]
        data.ImageComments = text[:_LONGEST_COMMENT]
        codes = [_code("113040", "DCM", "Lossy Compression")]
        if resampled:
            codes.append(_code("113085", "DCM", "Spatial resampling"))
        data.DerivationCodeSequence = codes

    def _corner(self, part: Part) -> tuple[float, float]:
        """Return x and y of a part's first pixel on the glass, of which no place is known: the slide begins at 0."""
        mm, full = self._levels.mpp(part) / 1000, self._levels.decoder.levels[0]
        finest = self._levels.decoder.mpp / 1000
        return full.height * finest - part.region.y * mm, full.width * finest - part.region.x * mm

    def _encoded(self) -> str:
        """Return when the slide was encoded, the earliest moment that is known of it."""
        source = self._levels.decoder.manifest.source
        if source is None:
            return self._now.strftime("%Y%m%d%H%M%S")
        return re.sub("[^0-9]", "", source.encoded)

    def _scanner(self) -> Dataset:
        scanner = Dataset()
        scanner.PurposeOfReferenceCodeSequence = [_code("109101", "DCM", "Acquisition Equipment")]
        scanner.Manufacturer = self._levels.decoder.manifest.slide.vendor[:64] or _UNKNOWN
        return scanner

    def _codec(self) -> Dataset:
        codec = Dataset()
        codec.PurposeOfReferenceCodeSequence = [_code("109103", "DCM", "Modifying Equipment")]
        codec.Manufacturer = "histocodec"
        codec.SoftwareVersions = software()[:64]
        codec.ContributionDateTime = self._now.strftime("%Y%m%d%H%M%S")
        codec.ContributionDescription = self._levels.decoder.rendition.label[:_LONGEST_DESCRIPTION]
        return codec


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
    return code


def _decimal(number: float) -> str:
    """Return a Decimal String, which has 16 characters at most."""
    return f"{number:.10g}"
