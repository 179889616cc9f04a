"""One image file in, one grey uint8 row of the pixel store out."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from mmsn.errors import UserError
from mmsn.images.settings import ImageSettings

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


class Unreadable(Exception):  # noqa: N818 -- a finding about one file, not a failure of the run
    """This file gives no radiograph; `reason` is short, fixed text without any path or id."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def decode(path: Path, settings: ImageSettings) -> Pixels:
    """Decode one image file to grey levels.

    JPEG, PNG, TIFF and whatever else Pillow knows by content, not by name; EXIF rotation is honoured; colour,
    palette and alpha become luma; more than 8 bits are scaled down (`_eight_bit`).

    Returns:
        uint8 [side, side], resized with an antialiased triangle filter as torchvision's `Resize` does.

    Raises:
        Unreadable: missing, empty, truncated or broken file, no image, too small, unknown pixel type.
        UserError: the file system failed, which says nothing about the image.
    """
    data = _read(path)
    try:
        with Image.open(io.BytesIO(data)) as image:
            return _grey_square(image, settings)
    except UnidentifiedImageError:
        raise Unreadable("not an image") from None
    except Image.DecompressionBombError:
        raise Unreadable("too many pixels") from None
    except _WHAT_A_DECODER_RAISES as error:
        raise Unreadable("truncated" if "truncated" in str(error).lower() else "broken data") from None


def _read(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise Unreadable("missing file") from None
    except IsADirectoryError:
        raise Unreadable("a folder, not a file") from None
    except PermissionError:
        raise Unreadable("no permission to read") from None
    except OSError as error:  # a sick disk or network mount: to quarantine the image would hide it
        raise UserError(
            f"reading an image failed ({error.strerror}): check the data root's disk, then run again"
        ) from error
    if not data:
        raise Unreadable("empty file")
    return data


def _grey_square(image: Image.Image, settings: ImageSettings) -> Pixels:
    if min(image.size) * _SMALLEST_SHARE < settings.side:
        raise Unreadable("too small")
    turn = _UPRIGHT_AFTER.get(image.getexif().get(_ORIENTATION, 1))
    width, height = _draft(image, settings)
    grey = _eight_bit(image) if image.mode in _SIXTEEN_BIT_MODES else _luma(image)
    box = (0, 0, width, height) if settings.aspect == "squared" else _central_square(width, height)
    square = grey.resize((settings.side, settings.side), Image.Resampling.BILINEAR, box=box)
    return np.asarray(square if turn is None else square.transpose(turn), dtype=np.uint8)


def _draft(image: Image.Image, settings: ImageSettings) -> tuple[float, float]:
    """Let a JPEG be decoded at low resolution; the radiograph's size in decoded pixels, halves and all."""
    wanted = _DECODED_SIDES * settings.side
    chosen = image.draft("L", (wanted, wanted)) if settings.jpeg_draft else None
    return image.size if chosen is None else chosen[1][2:]


def _luma(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise Unreadable("floating-point pixels")
    return image if image.mode == "L" else image.convert("L")


def _eight_bit(image: Image.Image) -> Image.Image:
    """Scale down from the smallest of 8, 10, 12, 14, 16 bits that holds the maximum.

    Detector data has 12 bits or so in its 16: from 65535 it would come out black.
    """
    levels = np.asarray(image).astype(np.int64).clip(0, 65535)
    bits = max(8, int(levels.max()).bit_length())
    bits += bits % 2
    return Image.fromarray(np.round(levels * (255 / (2**bits - 1))).astype(np.uint8))


def _central_square(width: float, height: float) -> tuple[float, float, float, float]:
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    return left, top, left + side, top + side
