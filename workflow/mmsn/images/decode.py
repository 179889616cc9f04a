"""The bytes of one image file in, one grey uint8 row of the pixel store out."""

import io
import struct
import zlib
from importlib.metadata import version

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from mmsn.images.depth import eight_bit
from mmsn.images.dicom import grey_image, is_dicom
from mmsn.images.reading import Unreadable, digest
from mmsn.images.settings import ImageSettings
from mmsn.provenance import code_digest

Pixels = npt.NDArray[np.uint8]

_DECODED_SIDES = 2  # a JPEG is decoded at no less than this many times the wanted side
_SMALLEST_SHARE = 4  # an image whose shorter side is under side / 4 has no detail to enlarge
_ORIENTATION = 0x0112  # EXIF tag
_UPRIGHT_AFTER = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIXTEEN_BIT_MODES = ("I", "I;16", "I;16B", "I;16L", "I;16N")
_WHAT_A_DECODER_RAISES = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, zlib.error)


def decoder_key(settings: ImageSettings) -> str:
    """Digest of everything but a file's bytes that its row depends on: settings, this code, the libraries."""
    used = settings.model_dump_json(include={"side", "aspect", "jpeg_draft"})
    libraries = [f"{name} {version(name)}" for name in ("pillow", "pydicom")]
    return digest("\n".join([used, code_digest("images.decode"), *libraries]).encode())


def decode(data: bytes, settings: ImageSettings) -> Pixels:
    """Decode the bytes of one image file to grey levels.

    DICOM (`dicom.grey_image`), JPEG, PNG, TIFF and whatever else Pillow knows, by content, not by name; EXIF rotation
    is honoured; colour, palette and alpha become luma; more than 8 bits are scaled down (`depth.eight_bit`).

    Returns:
        uint8 [side, side], resized with an antialiased triangle filter as torchvision's `Resize` does.

    Raises:
        Unreadable: truncated or broken data, no image, too small, unknown pixel type.
    """
    if is_dicom(data):
        return _stored_row(grey_image(data), settings)
    try:
        with Image.open(io.BytesIO(data)) as image:
            return _stored_row(image, settings)
    except UnidentifiedImageError:
        raise Unreadable("not an image") from None
    except Image.DecompressionBombError:
        raise Unreadable("too many pixels") from None
    except _WHAT_A_DECODER_RAISES as error:
        raise Unreadable("truncated" if "truncated" in str(error).lower() else "broken data") from None


def _stored_row(image: Image.Image, settings: ImageSettings) -> Pixels:
    if min(image.size) * _SMALLEST_SHARE < settings.side:
        raise Unreadable("too small")
    turn = _UPRIGHT_AFTER.get(image.getexif().get(_ORIENTATION, 1))
    width, height = _draft(image, settings)
    box = (0, 0, width, height) if settings.aspect == "squared" else _central_square(width, height)
    square = _grey(image).resize((settings.side, settings.side), Image.Resampling.BILINEAR, box=box)
    return np.asarray(square if turn is None else square.transpose(turn), dtype=np.uint8)


def _draft(image: Image.Image, settings: ImageSettings) -> tuple[float, float]:
    """Let a JPEG be decoded at low resolution; the radiograph's size in decoded pixels, halves and all.

    At 1/4 size libjpeg computes 4 of a block's 64 pixels, and all that remains is to read the entropy code, which every
    decoder must (`benchmarks/decode.py`). At the wanted side itself, not twice that, the filter's tails are missing.
    """
    wanted = _DECODED_SIDES * settings.side
    chosen = image.draft("L", (wanted, wanted)) if settings.jpeg_draft else None
    return image.size if chosen is None else chosen[1][2:]


def _grey(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise Unreadable("floating-point pixels")
    if image.mode in _SIXTEEN_BIT_MODES:
        return Image.fromarray(eight_bit(np.asarray(image)))
    return image if image.mode == "L" else image.convert("L")


def _central_square(width: float, height: float) -> tuple[float, float, float, float]:
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    return left, top, left + side, top + side
