"""A DICOM file -> the grey levels that a viewer would show.

Stored values pass the modality LUT or rescaling, then the first VOI LUT or window; without either the image's own
smallest and largest value become black and white, as in the making of MIMIC-CXR-JPG (which also equalised the
histogram; we do not). MONOCHROME1, where small values are bright, is inverted last.

Every step maps single levels, so all are computed once on the levels that occur and looked up for the pixels.
"""

import io
import logging
import struct
import warnings
import zlib
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from mmsn.images.depth import eight_bit
from mmsn.images.reading import Unreadable

if TYPE_CHECKING:  # pydicom takes long to import, and a set of JPEGs never needs it
    from pydicom.dataset import Dataset

Levels = npt.NDArray[np.float64]

_MAGIC = slice(128, 132)
_FAR = 1e9  # beyond any window
_GREY = ("MONOCHROME1", "MONOCHROME2")
_COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
_WHAT_A_DECODER_RAISES = (
    *(ArithmeticError, AssertionError, AttributeError, BufferError, EOFError, LookupError, OSError),
    *(RuntimeError, SyntaxError, TypeError, ValueError, struct.error, zlib.error),
)


def is_dicom(data: bytes) -> bool:
    """Whether a file is DICOM by content: `DICM` after a preamble of 128 bytes."""
    return data[_MAGIC] == b"DICM"


def grey_image(data: bytes) -> Image.Image:
    """Decode a DICOM file of one frame to an 8-bit grey image, at full size.

    Uncompressed, deflated, RLE, 8-bit JPEG and JPEG 2000 pixels always work; other compressions need the plugin of
    pydicom that the reason names.

    Raises:
        Unreadable: no or several frames, a compression without a plugin, broken or truncated data.
    """
    from pydicom.errors import BytesLengthException, InvalidDicomError

    _quieten()
    try:
        return _decoded(data)
    except (*_WHAT_A_DECODER_RAISES, BytesLengthException, InvalidDicomError) as error:
        told = str(error).lower()
        short = "less than expected" in told or "end of file" in told or isinstance(error, EOFError)
        raise Unreadable("truncated" if short else "broken data") from None


def _decoded(data: bytes) -> Image.Image:
    from pydicom import dcmread
    from pydicom.pixels.utils import pixel_array

    dataset = dcmread(io.BytesIO(data))
    _refuse_what_is_no_film(dataset)
    _refuse_without_plugin(dataset)
    pixels = pixel_array(dataset)
    if dataset.PhotometricInterpretation in _COLOUR:
        return Image.fromarray(eight_bit(pixels)).convert("L")
    return Image.fromarray(_shown(pixels, dataset))


def _refuse_what_is_no_film(dataset: "Dataset") -> None:
    if "FloatPixelData" in dataset or "DoubleFloatPixelData" in dataset:
        raise Unreadable("floating-point pixels")
    if "PixelData" not in dataset:
        raise Unreadable("DICOM without pixels")
    if int(dataset.get("NumberOfFrames") or 1) > 1:
        raise Unreadable("DICOM of several frames")
    if dataset.PhotometricInterpretation not in (*_GREY, *_COLOUR):
        raise Unreadable("DICOM with a colour palette or an unknown colour space")
    if dataset.Rows * dataset.Columns > 2 * (Image.MAX_IMAGE_PIXELS or np.inf):
        raise Unreadable("too many pixels")


def _refuse_without_plugin(dataset: "Dataset") -> None:
    """Name the package that decodes this compression, where none is installed that does."""
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.uid import JPEGExtended12Bit

    syntax = dataset.file_meta.TransferSyntaxUID
    decoder = get_decoder(syntax)
    plugins, package = set(decoder.available_plugins), "python-gdcm"
    if syntax == JPEGExtended12Bit and dataset.BitsStored > 8:
        plugins, package = plugins & {"pylibjpeg"}, "pylibjpeg[all]"  # the others have no 12-bit JPEG
    elif not any(missing.startswith("gdcm") for missing in decoder.missing_dependencies):
        package = "pylibjpeg[all]"
    if syntax.is_compressed and not plugins:
        raise Unreadable(f"DICOM as {syntax.name}: install {package}")


def _shown(pixels: npt.NDArray[np.integer], dataset: "Dataset") -> npt.NDArray[np.uint8]:
    """Grey levels of stored values, both of any shape."""
    low, high = int(pixels.min()), int(pixels.max())
    if high - low > 0xFFFF:
        raise Unreadable("more than 16 bits a pixel")
    table = _windowed(np.arange(low, high + 1), dataset)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        table = 255 - table
    return table[pixels.astype(np.int64) - low]


def _windowed(stored: npt.NDArray[np.int64], dataset: "Dataset") -> npt.NDArray[np.uint8]:
    from pydicom.pixels.processing import apply_modality_lut, apply_windowing

    levels = apply_modality_lut(stored, dataset)
    if dataset.get("VOILUTSequence"):
        return eight_bit(_looked_up(levels, dataset.VOILUTSequence[0], big_endian=_is_big_endian(dataset)))
    if _has_value(dataset, "WindowCenter") and _has_value(dataset, "WindowWidth"):
        with np.errstate(over="ignore"):  # of the exponential in a sigmoid window
            black, white = apply_windowing(np.array([-_FAR, _FAR]), dataset)
            return _stretched(apply_windowing(levels, dataset), black, white)
    return _stretched(levels, levels.min(), levels.max())


def _looked_up(levels: npt.NDArray[Any], item: "Dataset", big_endian: bool) -> npt.NDArray[np.int64]:
    """Pass levels through a VOI LUT (pydicom 3.0's `apply_voi` wraps around where a LUT has 8-bit entries)."""
    entries, first, _ = item.LUTDescriptor
    data = item.LUTData
    if isinstance(data, bytes):
        width = "u1" if len(data) < 2 * (entries or 65536) else ">u2" if big_endian else "<u2"
        data = np.frombuffer(data, width)
    lut = np.asarray(data, np.int64)[: entries or 65536]
    return lut[np.clip(np.round(levels).astype(np.int64) - first, 0, len(lut) - 1)]


def _stretched(levels: npt.NDArray[Any], black: float, white: float) -> npt.NDArray[np.uint8]:
    span = (white - black) or 1.0  # negative where the rescaling falls
    return np.round((levels - black) * (255 / span)).clip(0, 255).astype(np.uint8)


def _has_value(dataset: "Dataset", keyword: str) -> bool:
    return dataset.get(keyword) not in (None, "")


def _is_big_endian(dataset: "Dataset") -> bool:
    return not dataset.file_meta.TransferSyntaxUID.is_little_endian


@cache
def _quieten() -> None:
    """Broken values are found by decoding; pydicom's remarks on them would quote patients' data in the log."""
    import pydicom

    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", module="pydicom")
