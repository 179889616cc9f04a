"""Names and sizes of image files, as MIMIC-CXR-JPG has them."""

import numpy as np

from mmsn.synthetic.exact import Flags, Integers


def image_paths(subject_id: Integers, study_id: Integers, dicom_id: list[str]) -> list[str]:
    """`files/p1x/p1xxxxxxx/sxxxxxxxx/<dicom_id>.jpg` of each image."""
    return [
        f"files/p{subject // 1_000_000}/p{subject}/s{study}/{dicom}.jpg"
        for subject, study, dicom in zip(subject_id.tolist(), study_id.tolist(), dicom_id, strict=True)
    ]


def dicom_ids(rng: np.random.Generator, count: int) -> list[str]:
    """Distinct names of five groups of eight hexadecimal digits."""
    digits = rng.bytes(20 * count).hex()
    return [
        "-".join(digits[at + group : at + group + 8] for group in range(0, 40, 8)) for at in range(0, 40 * count, 40)
    ]


def pixel_sizes(rng: np.random.Generator, landscape: Flags, side: int) -> tuple[Integers, Integers]:
    """Rows and columns of images whose longest side is `side`: portrait or landscape, of slightly varying shape."""
    ratio = np.array([2544 / 3056, 2022 / 2350, 2536 / 3050])[rng.choice(3, len(landscape), p=(0.6, 0.25, 0.15))]
    short = np.round(side * ratio).astype(np.int64)
    return np.where(landscape, short, side), np.where(landscape, side, short)
