"""One synthetic world: the hospital, what its radiographs show, how they are labelled, split and filed."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mmsn.synthetic import published
from mmsn.synthetic.exact import Flags, Integers, exact_subset
from mmsn.synthetic.hospital import Hospital, draw_hospital
from mmsn.synthetic.labelling import Codes, Prevalence, draw_labels, prevalence
from mmsn.synthetic.model import Findings, StudyEhr, draw_findings, link
from mmsn.synthetic.names import dicom_ids, image_paths, pixel_sizes
from mmsn.synthetic.settings import SynthSettings
from mmsn.synthetic.splits import DEMO_SHARES, split_by_images, split_by_shares
from mmsn.synthetic.views import Images, draw_images, draw_recumbent

TABLES_SIDE = 3056
"""Longest side that tables without images state: that of most MIMIC-CXR originals."""


@dataclass(frozen=True)
class Latent:
    """What findings and pixels were drawn from."""

    ehr: StudyEhr
    """By study [S]."""
    view: NDArray[np.str_]
    """The view as it is drawn, by image [N]."""
    linked: Flags
    """Patients [P] whose latent EHR is their recorded one."""


@dataclass(frozen=True)
class Reports:
    """What is found, and how it is labelled, by study [S]."""

    wanted: Prevalence
    findings: Findings
    codes: Codes
    """CheXpert's labels."""
    labelled: Flags
    """Whether the study has a label row."""


@dataclass(frozen=True)
class Splits:
    """Split of each patient [P], a number into `splits.SPLITS`."""

    official: Integers
    medfuse: Integers


@dataclass(frozen=True)
class Files:
    """Image files [N]."""

    dicom_id: list[str]
    path: list[str]
    """Relative to the folder of MIMIC-CXR-JPG."""
    rows: Integers
    columns: Integers


@dataclass(frozen=True)
class World:
    """All that was drawn. Studies [S] and images [N] are sorted by patient and time."""

    hospital: Hospital
    images: Images
    recumbent: Flags
    """True position of each study."""
    latent: Latent
    reports: Reports
    splits: Splits
    files: Files

    @cached_property
    def subject_id(self) -> Integers:
        """Patient of each image."""
        return _subject(self.hospital, self.images)

    @cached_property
    def file_order(self) -> Integers:
        """Rows of images in the order of MIMIC's files: subject, study, dicom_id."""
        study = self.hospital.studies.study_id[self.images.study]
        return np.lexsort((np.array(self.files.dicom_id), study, self.subject_id))


def draw_world(settings: SynthSettings) -> World:
    """Draw everything but pixels and the text columns of the tables."""
    count = settings.images or round(settings.patients * published.IMAGES / published.PATIENTS)
    # One stream per part: a change to one part leaves the others as they were.
    streams = [np.random.default_rng((settings.seed, part)) for part in range(6)]
    hospital = draw_hospital(streams[0], settings, count)
    known = hospital.patients.known[hospital.studies.patient]
    images = draw_images(streams[1], hospital.shapes, known, count)
    recumbent = _recumbent(streams[1], hospital)
    latent = _latent(streams[2], settings, hospital, images, recumbent)
    reports = _reports(streams[3], settings, hospital, latent.ehr, count)
    files = _files(streams[4], settings, hospital, images, latent.view)
    splits = _splits(streams[5], settings, hospital, reports)
    return World(hospital, images, recumbent, latent, reports, splits, files)


def _subject(hospital: Hospital, images: Images) -> Integers:
    out: Integers = hospital.patients.subject_id[hospital.studies.patient[images.study]]
    return out


def _recumbent(rng: np.random.Generator, hospital: Hospital) -> Flags:
    studies = hospital.studies
    sickness = 1.5 * studies.icu_time + 0.5 * studies.died_time + 0.01 * studies.age
    return draw_recumbent(rng, hospital.shapes, sickness)


def _latent(
    rng: np.random.Generator, settings: SynthSettings, hospital: Hospital, images: Images, recumbent: Flags
) -> Latent:
    studies = hospital.studies
    recorded = StudyEhr(
        patient=studies.patient,
        age=studies.age.astype(float),
        male=hospital.patients.male[studies.patient],
        icu=studies.icu_time,
        died=studies.died_time,
        ap=hospital.shapes.bedside,
        recumbent=recumbent,
    )
    ehr, linked = link(rng, recorded, settings.patients, settings.ehr_strength)
    lateral = np.isin(images.view, ("LATERAL", "LL"))
    view = np.where(lateral, images.view, np.where(ehr.ap[images.study], "AP", "PA"))
    borrowed = np.flatnonzero(lateral & ~linked[studies.patient[images.study]])
    view[borrowed] = view[rng.permutation(borrowed)]
    return Latent(ehr, view, linked)


def _reports(
    rng: np.random.Generator, settings: SynthSettings, hospital: Hospital, ehr: StudyEhr, count: int
) -> Reports:
    studies = len(ehr.patient)
    wanted = prevalence(studies, 0.0 if settings.tables_only else published.RARE_FLOOR)
    findings = draw_findings(rng, ehr, settings.patients, wanted.present)
    codes = draw_labels(rng, findings, wanted)
    unlabelled = published.scaled(published.IMAGES_WITHOUT_LABELS, count)
    labelled = ~exact_subset(rng.uniform(size=studies), hospital.shapes.images, unlabelled)
    return Reports(wanted, findings, codes, labelled)


def _files(
    rng: np.random.Generator, settings: SynthSettings, hospital: Hospital, images: Images, view: NDArray[np.str_]
) -> Files:
    names = dicom_ids(rng, len(view))
    # Bedside images are often landscape; the shape goes with the view as it is drawn, so it tells no more than that.
    landscape = (view == "AP") & (rng.uniform(size=len(view)) < 0.5)
    rows, columns = pixel_sizes(rng, landscape, TABLES_SIDE if settings.tables_only else settings.side)
    path = image_paths(_subject(hospital, images), hospital.studies.study_id[images.study], names)
    return Files(names, path, rows, columns)


def _splits(rng: np.random.Generator, settings: SynthSettings, hospital: Hospital, reports: Reports) -> Splits:
    """The official split, and MedFuse's lists, which can only name patients of MIMIC-IV."""
    studies, imaged = hospital.studies, hospital.patients.imaged
    known = hospital.patients.known[:imaged]
    if settings.tables_only and settings.split_shares is None:
        images = hospital.shapes.images
        every = np.bincount(studies.patient, images, imaged).astype(np.int64)
        usable = reports.labelled & known[studies.patient]
        labelled = np.bincount(studies.patient, np.where(usable, images, 0), imaged).astype(np.int64)
        scale = int(images.sum()) / published.IMAGES
        official = split_by_images(rng, every, published.SPLIT, scale)
        return Splits(official, split_by_images(rng, labelled, published.MEDFUSE_SPLIT, scale))
    shares = settings.split_shares or DEMO_SHARES
    seen = np.where(reports.labelled[:, None], reports.codes, np.int8(9))
    official, medfuse = (
        split_by_shares(rng, shares, studies.patient, seen, usable) for usable in (np.ones(imaged, bool), known)
    )
    return Splits(official, medfuse)
