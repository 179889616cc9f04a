"""A file becomes a grey square, whatever its format, or says why it cannot."""

import contextlib
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mmsn.images.decode import decode as decode_bytes
from mmsn.images.reading import Unreadable, read
from mmsn.images.settings import ImageSettings

SIDE = 64
SETTINGS = ImageSettings(side=SIDE)
SHARED = Path(__file__).parents[3] / "shared" / "data"


def film(height: int = 200, width: int = 160) -> np.ndarray:
    """Smooth shading with a bright marker in the upper left corner, as technicians place it."""
    y, x = np.mgrid[0:height, 0:width]
    shading = 90 + 60 * np.sin(x / 25) * np.cos(y / 40)
    shading[: height // 5, : width // 5] = 240
    return shading.astype(np.uint8)


def saved(tmp_path: Path, image: Image.Image, name: str = "film.png", **options: object) -> Path:
    path = tmp_path / name
    image.save(path, **options)
    return path


def decode(path: Path, settings: ImageSettings) -> np.ndarray:
    return decode_bytes(read(path), settings)


def encoded(kind: str) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(film()).save(stream, kind)
    return stream.getvalue()


def difference(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a.astype(int) - b.astype(int)).mean())


def test_a_row_is_what_torchvision_resizes_a_grey_film_to(tmp_path):
    path = saved(tmp_path, Image.fromarray(film()))
    expected = np.asarray(Image.fromarray(film()).resize((SIDE, SIDE), Image.Resampling.BILINEAR))
    row = decode(path, SETTINGS)
    assert row.dtype == np.uint8
    np.testing.assert_array_equal(row, expected)


def test_draft_decoding_of_a_large_jpeg_stays_within_half_a_grey_level(tmp_path):
    path = saved(tmp_path, Image.fromarray(film(1600, 1300)), "film.jpg", quality=95)
    full = decode(path, SETTINGS.model_copy(update={"jpeg_draft": False}))
    assert difference(decode(path, SETTINGS), full) < 0.5


def test_squared_distorts_and_kept_cuts_the_longer_side(tmp_path):
    path = saved(tmp_path, Image.fromarray(film(240, 160)))
    whole = Image.fromarray(film(240, 160))
    kept = decode(path, ImageSettings(side=SIDE, aspect="kept"))
    middle = np.asarray(whole.crop((0, 40, 160, 200)).resize((SIDE, SIDE), Image.Resampling.BILINEAR))
    assert difference(kept, middle) < 0.5
    assert decode(path, SETTINGS)[:10, :10].mean() > 235  # the marker is still in view
    assert kept[:10, :10].mean() < 235


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_honoured(tmp_path, orientation):
    upright = Image.fromarray(film())
    undo = {
        2: 0,
        3: 3,
        4: 1,
        5: 5,
        6: 2,
        7: 6,
        8: 4,
    }  # the transpose after which the viewer's one gives `upright`
    stored = upright.transpose(Image.Transpose(undo[orientation])) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path, stored, "film.jpg", quality=95, exif=exif)
    assert difference(decode(path, SETTINGS), decode(saved(tmp_path, upright), SETTINGS)) < 1


@pytest.mark.parametrize("mode", ["1", "P", "LA", "RGB", "RGBA", "CMYK", "YCbCr", "I"])
def test_every_pixel_type_becomes_luma(tmp_path, mode):
    name = {"CMYK": "film.tif", "I": "film.tif", "YCbCr": "film.jpg"}.get(mode, "film.png")
    path = saved(tmp_path, Image.fromarray(film()).convert(mode), name)
    tolerance = 20 if mode == "1" else 1.5  # one bit is dithered
    assert difference(decode(path, SETTINGS), decode(saved(tmp_path, Image.fromarray(film())), SETTINGS)) < tolerance


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("progressive", [False, True])
def test_every_kind_of_large_jpeg_is_decoded_small(tmp_path, mode, progressive):
    large = Image.fromarray(film(800, 640))
    path = saved(tmp_path, large.convert(mode), "film.jpg", quality=95, progressive=progressive)
    grey = np.asarray(large.resize((SIDE, SIDE), Image.Resampling.BILINEAR))
    assert difference(decode(path, SETTINGS), grey) < 1.5


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
@pytest.mark.parametrize("name", ["film.png", "film.tif"])
def test_deep_pixels_are_scaled_by_their_bit_depth(tmp_path, bits, name):
    deep = np.round(film() * ((2**bits - 1) / 255)).astype(np.uint16)
    path = saved(tmp_path, Image.fromarray(deep), name)
    grey = decode(saved(tmp_path, Image.fromarray(film()), "grey.png"), SETTINGS)
    np.testing.assert_allclose(decode(path, SETTINGS).astype(int), grey, atol=1)


def test_the_name_of_a_file_does_not_matter(tmp_path):
    path = tmp_path / "film.jpg"
    path.write_bytes(encoded("PNG"))
    assert decode(path, SETTINGS).shape == (SIDE, SIDE)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty file"),
        (b"<html>404 Not Found</html>", "not an image"),
        (b"dicom_id,subject_id\n", "not an image"),
        (encoded("JPEG")[:-40], "truncated"),
        (encoded("JPEG")[: len(encoded("JPEG")) // 2], "truncated"),
        (encoded("PNG")[:-40], "truncated"),
    ],
)
def test_a_broken_file_says_why(tmp_path, content, reason):
    path = tmp_path / "p10000032.jpg"
    path.write_bytes(content)
    with pytest.raises(Unreadable) as caught:
        decode(path, SETTINGS)
    assert caught.value.reason == reason


def test_missing_files_folders_and_thumbnails_say_why(tmp_path):
    thumbnail = saved(tmp_path, Image.fromarray(film(15, 12)))
    number = saved(tmp_path, Image.fromarray(film().astype(np.float32)), "film.tif")
    for path, reason in [
        (tmp_path / "absent.jpg", "missing file"),
        (tmp_path, "a folder, not a file"),
        (thumbnail, "too small"),
        (number, "floating-point pixels"),
    ]:
        with pytest.raises(Unreadable, match=reason):
            decode(path, SETTINGS)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data", "ignore:Tag data larger", "ignore:Metadata Warning")
@settings(max_examples=100, deadline=None)
@given(kind=st.sampled_from(["JPEG", "PNG", "TIFF", "GIF"]), data=st.data())
def test_no_corruption_escapes_as_anything_but_unreadable(tmp_path_factory, kind, data):
    content = bytearray(encoded(kind))
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "corrupt"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    with contextlib.suppress(Unreadable):
        assert decode(path, SETTINGS).shape == (SIDE, SIDE)


@pytest.mark.shared
def test_original_nih_radiographs_decode_like_the_full_rgb_way():
    folder = SHARED / "nih-14" / "images"
    if not folder.is_dir():
        pytest.skip(f"SKIPPED: ../shared/data is not there: {folder}")
    for path in sorted(folder.glob("*.png"))[:5]:
        with Image.open(path) as image:
            reference = image.convert("RGB").resize((256, 256), Image.Resampling.BILINEAR).convert("L")
        assert difference(decode(path, ImageSettings()), np.asarray(reference)) < 0.1
