"""How many images a study has, and from where: frontal and lateral views, position, and what the metadata hides.

Counts of recorded views, hidden views and hidden positions are the published ones, scaled, exactly. What is hidden is
a random sample of the images (missing completely at random).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmsn.synthetic import published
from mmsn.synthetic.exact import Flags, Integers, Numbers, apportion, choose, exact_subset
from mmsn.synthetic.timeline import Contacts

FRONTAL = ("AP", "PA")
VIEW_NAMES = ("AP", "PA", "LATERAL", "LL")


@dataclass(frozen=True)
class Shapes:
    """What each study [S] consists of."""

    bedside: Flags
    """Whether its frontal images are AP (portable), not PA."""
    frontals: Integers
    laterals: Integers

    @property
    def images(self) -> Integers:
        """Images of each study."""
        out: Integers = self.frontals + self.laterals
        return out


@dataclass(frozen=True)
class Images:
    """One row an image, sorted by study; frontal views first."""

    study: Integers
    view: NDArray[np.str_]
    """True view, one of `VIEW_NAMES`."""
    recorded_view: NDArray[np.str_]
    """As the metadata has it: empty when missing, sometimes another projection."""
    position_missing: Flags


def true_views(images: int) -> tuple[Integers, int, int]:
    """True number of images of each of `VIEW_NAMES`, and how many of all hide their view or name another one."""
    other = published.scaled(published.VIEW_OTHER, images)
    missing = published.scaled(published.VIEW_MISSING, images)
    shares = np.array([published.VIEWS[name] for name in VIEW_NAMES], float)
    recorded = apportion(images - other - missing, shares)
    return recorded + apportion(other + missing, shares), missing, other


def draw_shapes(rng: np.random.Generator, contacts: Contacts, images: int) -> Shapes:
    """Compose the studies: bedside studies are one AP image, the others a PA image and one or two laterals.

    The sicker the contact (an admission with many studies), the likelier a bedside study.
    """
    of_study = contacts.of_study
    studies = len(of_study)
    views, _, _ = true_views(images)
    frontal, lateral = int(views[:2].sum()), int(views[2:].sum())
    need = 1.2 * contacts.admitted[of_study] + 0.9 * np.log(contacts.studies[of_study])
    frontals = 1 + rng.multinomial(frontal - studies, np.exp(need) / np.exp(need).sum()).astype(np.int64)
    bedside = exact_subset(need + rng.normal(0, 1.0, studies), frontals, int(views[0]))
    laterals = (~bedside & (rng.uniform(size=studies) < 0.94)).astype(np.int64)
    laterals[choose(rng, laterals > 0, int(laterals.sum()) - lateral)] = 0
    weight = np.where(bedside, 1.5 * np.exp(-1.3 * need), 0.5)
    laterals += rng.multinomial(lateral - int(laterals.sum()), weight / weight.sum())
    return Shapes(bedside, frontals, laterals)


def draw_images(rng: np.random.Generator, shapes: Shapes, known: Flags, images: int) -> Images:
    """List the images and hide views and positions; `known` [S] says whether the patient is in MIMIC-IV."""
    study = np.repeat(np.arange(len(shapes.images)), shapes.images)
    begins = np.cumsum(shapes.images) - shapes.images
    is_lateral = np.arange(images) - begins[study] >= shapes.frontals[study]
    views, missing, other = true_views(images)
    left = np.zeros(images, bool)
    # Mostly one kind of lateral per study: it depends on the room.
    room = rng.uniform(size=len(shapes.images))[study] + 0.2 * rng.uniform(size=images)
    rows = np.flatnonzero(is_lateral)
    left[rows[np.argsort(room[rows], kind="stable")[: int(views[3])]]] = True
    view = np.where(is_lateral, np.where(left, "LL", "LATERAL"), np.where(shapes.bedside[study], "AP", "PA"))
    recorded = _record(rng, view, known[study], shapes.images[study] > 1, missing, other)
    position_missing = _hide_position(rng, known[study])
    return Images(study, view, recorded, position_missing)


def _record(
    rng: np.random.Generator, view: NDArray[np.str_], known: Flags, accompanied: Flags, missing: int, other: int
) -> NDArray[np.str_]:
    """Hide views so that the recorded counts of each view come out exactly.

    Other views, which leave the cohort, go to images that are not their study's only one, where there are enough, so
    that no patient leaves with them.
    """
    recorded = view.astype("<U16")
    shares = np.array([published.VIEWS[name] for name in VIEW_NAMES], float)
    hidden = apportion(missing + other, shares)
    chosen = np.zeros(len(view), bool)
    for name, count in zip(VIEW_NAMES, hidden, strict=True):
        chosen |= choose(rng, view == name, int(count))
    outside = min(published.OTHER_VIEWS_WITHOUT_SEX, other // 2)
    among = chosen & known & accompanied
    strange = choose(rng, among if among.sum() >= other - outside else chosen & known, other - outside)
    strange |= choose(rng, chosen & ~known, other - int(strange.sum()))
    recorded[chosen] = ""
    recorded[strange] = np.resize(np.array(published.OTHER_VIEWS), int(strange.sum()))
    return recorded


def _hide_position(rng: np.random.Generator, known: Flags) -> Flags:
    share = published.POSITION_MISSING / (published.IMAGES - published.IMAGES_WITHOUT_SEX)
    return choose(rng, known, round(share * int(known.sum()))) | choose(rng, ~known, round(share * int((~known).sum())))


def draw_recumbent(rng: np.random.Generator, shapes: Shapes, sickness: Numbers) -> Flags:
    """Studies [S] taken lying: bedside ones of the sickest (`sickness` [S]), hardly ever with a lateral view."""
    score = sickness + rng.normal(0, 0.8, len(sickness)) - 3.0 * (shapes.laterals > 0)
    total = round(published.RECUMBENT_SHARE * int(shapes.images.sum()))
    return exact_subset(np.where(shapes.bedside, score, -np.inf), shapes.images, total)
