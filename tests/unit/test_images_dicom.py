"""A DICOM radiograph looks in the store as a viewer shows it, or says why it cannot."""

import contextlib
import io
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    RLELossless,
)

from mmsn.images.decode import decode
from mmsn.images.dicom import grey_image
from mmsn.images.reading import Unreadable
from mmsn.images.settings import ImageSettings

SIDE = 32
DEEP = np.linspace(100, 3900, 48 * 40).round().astype(np.uint16).reshape(48, 40)  # dark above, bright below
SHALLOW = (DEEP >> 4).astype(np.uint8)


def dicom(
    pixels: np.ndarray, syntax: UID = ExplicitVRLittleEndian, encoded: bytes | None = None, **elements: object
) -> bytes:
    """A file of one grey frame with 12 bits stored, or 8; `elements` replace or join the others."""
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = syntax
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = "1.2.3"
    data.Rows, data.Columns = pixels.shape[:2]
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.PixelRepresentation = int(pixels.dtype.kind == "i")
    data.BitsAllocated = 8 * pixels.dtype.itemsize
    data.BitsStored = 12 if data.BitsAllocated == 16 else data.BitsAllocated
    data.HighBit = data.BitsStored - 1
    big = syntax == ExplicitVRBigEndian
    data.PixelData = pixels.astype(pixels.dtype.newbyteorder(">" if big else "<")).tobytes()
    for keyword, value in elements.items():
        setattr(data, keyword, value)
    if syntax == RLELossless:
        data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data.compress(RLELossless, generate_instance_uid=False)
    elif encoded is not None:
        data.PixelData = encapsulate([encoded])
        data["PixelData"].is_undefined_length = True
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, data, enforce_file_format=True)
    return stream.getvalue()


def lut(first: int, bits: int, entries: list[int]) -> Dataset:
    item = Dataset()
    item.LUTDescriptor = [len(entries), first, bits]
    item.add_new("LUTData", "US", entries)
    return item


def shown(data: bytes) -> np.ndarray:
    return np.asarray(grey_image(data)).astype(int)


def spread(values: np.ndarray, black: float, white: float) -> np.ndarray:
    return np.round((values.astype(float) - black) * 255 / (white - black)).clip(0, 255).astype(int)


def encoded_by_pillow(pixels: np.ndarray, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind, **options)
    return stream.getvalue()


def test_without_a_window_the_smallest_value_is_black_and_the_largest_white():
    np.testing.assert_array_equal(shown(dicom(DEEP)), spread(DEEP, 100, 3900))


def test_a_window_decides_what_is_black_and_white():
    file = dicom(DEEP, WindowCenter=2000.5, WindowWidth=1001)  # 1500..2500: PS3.3 C.11.2.1.2.1
    np.testing.assert_allclose(shown(file), spread(DEEP, 1500, 2500), atol=1)


def test_the_first_of_several_windows_is_the_one():
    several = dicom(DEEP, WindowCenter=[2000.5, 1], WindowWidth=[1001, 2])
    np.testing.assert_array_equal(shown(several), shown(dicom(DEEP, WindowCenter=2000.5, WindowWidth=1001)))


def test_an_empty_window_is_none():
    np.testing.assert_array_equal(shown(dicom(DEEP, WindowCenter=None, WindowWidth=None)), shown(dicom(DEEP)))


@pytest.mark.parametrize("function", ["LINEAR_EXACT", "SIGMOID"])
def test_other_window_functions_rise_from_black_to_white(function):
    grey = shown(dicom(DEEP, WindowCenter=2000, WindowWidth=800, VOILUTFunction=function)).ravel()
    assert (np.diff(grey) >= 0).all()
    assert (grey[0], grey[-1]) == (0, 255)
    assert grey[np.abs(DEEP.ravel() - 2000.0).argmin()] == pytest.approx(127.5, abs=1)


def test_rescaling_comes_before_the_window():
    file = dicom(DEEP, RescaleSlope=2, RescaleIntercept=-1000, WindowCenter=3000.5, WindowWidth=2001)
    np.testing.assert_allclose(shown(file), spread(DEEP, 1500, 2500), atol=1)


def test_a_falling_rescaling_turns_dark_into_bright():
    window = {"WindowCenter": -1999.5, "WindowWidth": 1001}
    file = dicom(DEEP, RescaleSlope=-1, RescaleIntercept=0, **window)
    np.testing.assert_allclose(shown(file), spread(-DEEP.astype(float), -2500, -1500), atol=1)


def test_an_even_film_is_black():
    assert (shown(dicom(np.full((40, 40), 700, np.uint16))) == 0).all()


def test_negative_values_are_values():
    signed = DEEP.astype(np.int16) - 2000
    np.testing.assert_array_equal(shown(dicom(signed)), spread(DEEP, 100, 3900))


@pytest.mark.parametrize("window", [{}, {"WindowCenter": 2000.5, "WindowWidth": 1001}])
def test_monochrome1_is_inverted(window):
    inverted = dicom(DEEP, PhotometricInterpretation="MONOCHROME1", **window)
    np.testing.assert_array_equal(shown(inverted), 255 - shown(dicom(DEEP, **window)))


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_a_voi_lut_goes_before_a_window_at_any_depth(bits):
    entries = [round((2**bits - 1) * (n / 4095) ** 2) for n in range(4096)]
    file = dicom(DEEP, VOILUTSequence=[lut(0, bits, entries)], WindowCenter=1, WindowWidth=2)
    np.testing.assert_allclose(shown(file), 255 * (DEEP / 4095) ** 2, atol=1)


def test_values_beyond_a_voi_lut_take_its_ends():
    file = dicom(DEEP, VOILUTSequence=[lut(1000, 10, list(range(1024)))])
    np.testing.assert_allclose(shown(file), spread(DEEP, 1000, 2023), atol=1)


def test_a_modality_lut_is_applied_first():
    falling = lut(0, 16, list(range(4095, -1, -1)))
    np.testing.assert_allclose(shown(dicom(DEEP, ModalityLUTSequence=[falling])), 255 - shown(dicom(DEEP)), atol=1)


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless])
def test_encodings_without_loss_give_the_same_picture(syntax):
    np.testing.assert_array_equal(shown(dicom(DEEP, syntax)), shown(dicom(DEEP)))


def test_jpeg_2000_inside_gives_the_same_picture():
    file = dicom(DEEP, JPEG2000Lossless, encoded_by_pillow(DEEP, "JPEG2000", no_jp2=True), BitsStored=16, HighBit=15)
    np.testing.assert_array_equal(shown(file), shown(dicom(DEEP)))


def test_jpeg_inside_gives_nearly_the_same_picture():
    file = dicom(SHALLOW, JPEGBaseline8Bit, encoded_by_pillow(SHALLOW, "JPEG", quality=95))
    assert np.abs(shown(file) - shown(dicom(SHALLOW))).mean() < 2


def test_colour_becomes_luma():
    colour = np.stack([SHALLOW] * 3, axis=-1)
    file = dicom(colour, SamplesPerPixel=3, PhotometricInterpretation="RGB", PlanarConfiguration=0)
    np.testing.assert_array_equal(shown(file), SHALLOW)


def test_a_row_of_the_store_is_the_resized_picture():
    file = dicom(DEEP, PhotometricInterpretation="MONOCHROME1")
    resized = Image.fromarray(shown(file).astype(np.uint8)).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(decode(file, ImageSettings(side=SIDE)), np.asarray(resized))


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        (dicom(DEEP)[:-500], "truncated"),
        (dicom(DEEP)[:200], "DICOM without pixels"),
        (dicom(DEEP, NumberOfFrames=2, Rows=24), "DICOM of several frames"),
        (dicom(DEEP, PhotometricInterpretation="PALETTE COLOR"), "DICOM with a colour palette"),
        (dicom(DEEP, Rows=65000, Columns=65000), "too many pixels"),
        (dicom(DEEP, WindowCenter=1, WindowWidth=0), "broken data"),
        (dicom(DEEP[:4, :4]), "too small"),
    ],
)
def test_what_is_no_radiograph_says_why(file, reason):
    with pytest.raises(Unreadable, match=reason):
        decode(file, ImageSettings(side=SIDE))


@pytest.mark.parametrize(
    ("syntax", "package"), [(JPEGLosslessSV1, "python-gdcm"), (UID("1.2.840.10008.1.2.4.203"), "pylibjpeg")]
)
def test_a_compression_without_a_plugin_names_the_package_to_install(syntax, package):
    from pydicom.pixels.decoders.base import get_decoder

    if get_decoder(syntax).is_available:
        pytest.skip(f"SKIPPED: a plugin that decodes {syntax.name} is installed")
    with pytest.raises(Unreadable, match=f"DICOM as .*: install {package}"):
        grey_image(dicom(DEEP, syntax, encoded=b"\xff\xd8\xff\xd9"))


def test_a_jpeg_of_12_bits_names_the_package_to_install():
    file = Path(str(get_testdata_file("JPGExtended.dcm", download=False))).read_bytes()
    with pytest.raises(Unreadable, match=r"DICOM as JPEG Extended.*install pylibjpeg"):
        grey_image(file)


@pytest.mark.filterwarnings("ignore:::pydicom")
@settings(max_examples=150, deadline=None)
@given(data=st.data(), syntax=st.sampled_from([ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless]))
def test_no_corruption_escapes_as_anything_but_unreadable(data, syntax):
    content = bytearray(dicom(DEEP, syntax, WindowCenter=2000, WindowWidth=1000))
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(132, 700))] = data.draw(st.integers(0, 255))
    cut = bytes(content[: data.draw(st.integers(140, len(content)))])
    with contextlib.suppress(Unreadable):
        assert decode(cut, ImageSettings(side=SIDE)).shape == (SIDE, SIDE)
