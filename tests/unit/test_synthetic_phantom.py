"""Every EHR variable and every finding can be seen, where a radiologist would look for it."""

from dataclasses import replace

import numpy as np
import pytest

from mmsn.synthetic.model import FINDINGS
from mmsn.synthetic.phantom import EXTRA_FINDINGS, Look, Seeds, render

HEIGHT, WIDTH = 120, 100
PEOPLE = 6
PA = Look("PA", male=True, age=60)
LATERAL = Look("LL", male=True, age=60)
Box = tuple[float, float, float, float]
"""Left, top, right, bottom, as fractions of the image."""

LUNGS: Box = (0.05, 0.15, 0.95, 0.85)
BASES: Box = (0.05, 0.50, 0.95, 0.95)
HEART: Box = (0.25, 0.45, 0.90, 0.80)
UPPER_MEDIASTINUM: Box = (0.25, 0.10, 0.80, 0.60)
WHERE: dict[str, tuple[Box, int]] = {
    "Atelectasis": (BASES, 1),
    "Cardiomegaly": (HEART, 1),
    "Consolidation": (LUNGS, 1),
    "Edema": (LUNGS, 1),
    "Enlarged Cardiomediastinum": (UPPER_MEDIASTINUM, 1),
    "Fracture": (LUNGS, 1),
    "Lung Lesion": (LUNGS, 1),
    "Lung Opacity": (LUNGS, 1),
    "Pleural Effusion": (BASES, 1),
    "Pleural Other": (LUNGS, 1),
    "Pneumonia": (LUNGS, 1),
    "Pneumothorax": (LUNGS, 0),
    "Support Devices": ((0.05, 0.0, 0.95, 1.0), 1),
    "Emphysema": (LUNGS, -1),
    "Fibrosis": (LUNGS, 1),
    "Hernia": ((0.30, 0.55, 0.80, 0.85), 0),
}
"""Where a finding shows in the frontal view, and whether it is brighter (1) or darker (-1) there."""


def difference(look: Look, other: Look, person: int) -> np.ndarray:
    """Grey levels [H, W] that the second look adds to the first, on the same person with the same exposure."""
    seeds = Seeds((person, 1), (person, 2), (person, 3))
    first, second = (render(each, seeds, HEIGHT, WIDTH).astype(float) for each in (look, other))
    return second - first


def inside(box: Box) -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    left, top, right, bottom = box
    mask[int(top * HEIGHT) : int(bottom * HEIGHT), int(left * WIDTH) : int(right * WIDTH)] = True
    return mask


def with_finding(look: Look, name: str, severity: float = 0.8) -> Look:
    return replace(look, findings={name: severity})


@pytest.mark.parametrize("name", [*FINDINGS, *EXTRA_FINDINGS])
def test_a_finding_shows_in_its_place_in_the_frontal_view(name: str) -> None:
    box, sign = WHERE[name]
    mask = inside(box)
    changes = [difference(PA, with_finding(PA, name), person) for person in range(PEOPLE)]
    for change in changes:
        strongest = np.sort(np.abs(change[mask]))[-30:].mean()
        assert strongest > 12, "visible against the noise"
        assert np.abs(change[mask]).sum() > 0.4 * np.abs(change).sum()
    if sign:
        assert sign * np.mean([change[mask].mean() for change in changes]) > 0


@pytest.mark.parametrize("name", [*FINDINGS, *EXTRA_FINDINGS])
def test_a_finding_shows_in_the_lateral_view(name: str) -> None:
    for person in range(PEOPLE):
        change = np.abs(difference(LATERAL, with_finding(LATERAL, name), person))
        assert np.sort(change, axis=None)[-30:].mean() > 6


@pytest.mark.parametrize("name", FINDINGS)
def test_a_severe_finding_shows_more_than_a_mild_one(name: str) -> None:
    mild, severe = (
        np.mean([np.abs(difference(PA, with_finding(PA, name, severity), person)).mean() for person in range(PEOPLE)])
        for severity in (0.25, 1.0)
    )
    assert severe > 1.15 * mild


@pytest.mark.parametrize(
    ("change", "box", "sign"),
    [
        ({"male": False}, (0.05, 0.45, 0.95, 0.85), 1),  # breasts
        ({"age": 88.0}, (0.40, 0.25, 0.80, 0.50), 1),  # unfolded, calcified aorta
        ({"view": "AP"}, HEART, 1),  # magnified heart
        ({"recumbent": True}, BASES, 1),  # high diaphragm
        ({"icu": True}, (0.0, 0.2, 1.0, 1.0), 1),  # electrodes and wires
        ({"died": True}, (0.15, 0.25, 0.85, 0.60), 1),  # hazy lungs
    ],
)
def test_every_ehr_variable_shows_in_the_frontal_view(change: dict[str, object], box: Box, sign: int) -> None:
    shift = [difference(PA, replace(PA, **change), person)[inside(box)] for person in range(PEOPLE)]
    assert sign * np.mean(shift) > 0.5
    assert min(np.sort(np.abs(each))[-30:].mean() for each in shift) > 8


@pytest.mark.parametrize(
    "change", [{"male": False}, {"age": 88.0}, {"view": "LATERAL"}, {"recumbent": True}, {"icu": True}, {"died": True}]
)
def test_every_ehr_variable_shows_in_the_lateral_view(change: dict[str, object]) -> None:
    for person in range(PEOPLE):
        shift = np.abs(difference(LATERAL, replace(LATERAL, **change), person))
        assert np.sort(shift, axis=None)[-30:].mean() > 10


def test_an_erect_effusion_has_a_level_and_a_lying_one_veils_the_lung() -> None:
    lying = replace(PA, view="AP", recumbent=True)
    top, base = inside((0.05, 0.25, 0.95, 0.45)), inside((0.05, 0.6, 0.95, 0.85))
    for person in range(PEOPLE):
        erect = difference(PA, with_finding(PA, "Pleural Effusion"), person)
        veil = difference(lying, with_finding(lying, "Pleural Effusion"), person)
        assert np.abs(erect[top]).mean() < 0.05 * np.abs(erect[base]).mean()
        assert veil[top].mean() > 0.1 * veil[base].mean()


def test_a_pneumothorax_darkens_the_apex_and_takes_its_markings_away() -> None:
    apices = inside((0.10, 0.10, 0.90, 0.30))
    for person in range(PEOPLE):
        change = difference(PA, with_finding(PA, "Pneumothorax"), person)
        assert np.sort(change[apices])[:100].mean() < -10


def test_a_finding_stays_on_its_side_from_study_to_study() -> None:
    look = with_finding(PA, "Pleural Effusion")
    for person in range(PEOPLE):
        sides = []
        for study in (5, 6):
            seeds = Seeds((person, 1), (person, study), (person, study, 3))
            change = render(look, seeds, HEIGHT, WIDTH).astype(float) - render(PA, seeds, HEIGHT, WIDTH)
            sides.append(change[:, : WIDTH // 2].sum() > change[:, WIDTH // 2 :].sum())
        assert sides[0] == sides[1]


def test_the_same_seeds_give_the_same_pixels_and_others_another_patient() -> None:
    seeds = Seeds((1, 1), (1, 2), (1, 3))
    first = render(PA, seeds, HEIGHT, WIDTH)
    assert first.dtype == np.uint8
    assert np.array_equal(first, render(PA, seeds, HEIGHT, WIDTH))
    other = render(PA, replace(seeds, patient=(2, 1)), HEIGHT, WIDTH)
    assert np.abs(first.astype(float) - other).mean() > 5


@pytest.mark.parametrize("shape", [(32, 27), (27, 32), (64, 64), (200, 166)])
@pytest.mark.parametrize("view", ["AP", "PA", "LATERAL", "LL"])
def test_any_size_and_view_uses_the_grey_scale(shape: tuple[int, int], view: str) -> None:
    everything = dict.fromkeys((*FINDINGS, *EXTRA_FINDINGS), 1.0)
    for look in (replace(PA, view=view), Look(view, False, 17, True, True, True, everything)):
        pixels = render(look, Seeds((0,), (1,), (2,)), *shape)
        assert pixels.shape == shape
        assert np.ptp(pixels) > 100
