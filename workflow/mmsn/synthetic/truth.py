"""What was drawn, written beside the data: `truth.parquet` (one row an image) and `truth.json` (the parameters)."""

from typing import Any

import numpy as np
import pyarrow as pa

from mmsn.labels import LABELS
from mmsn.synthetic import model, published
from mmsn.synthetic.exact import Flags
from mmsn.synthetic.labelling import DISAGREEMENT
from mmsn.synthetic.settings import SynthSettings
from mmsn.synthetic.splits import SPLITS
from mmsn.synthetic.tables import words
from mmsn.synthetic.world import World

FORMAT = 1
"""Raised when the same settings would give other bytes."""


def truth_table(world: World) -> pa.Table:
    """One row an image, in the order of the metadata: ids, true EHR, the EHR as drawn, findings, severities."""
    columns = _names(world) | _recorded(world) | _drawn(world) | _findings(world)
    return pa.table(columns).take(pa.array(world.file_order))


def _names(world: World) -> dict[str, pa.Array]:
    study = world.images.study
    studies = world.hospital.studies
    patient = studies.patient[study]
    return {
        "dicom_id": pa.array(world.files.dicom_id),
        "subject_id": pa.array(world.subject_id),
        "study_id": pa.array(studies.study_id[study]),
        "path": pa.array(world.files.path),
        "study_time": pa.array((studies.time[study] * 1e6).round().astype(np.int64), pa.timestamp("us")),
        "official_split": words(list(SPLITS), world.splits.official[patient]),
        "medfuse_split": words(list(SPLITS), world.splits.medfuse[patient]),
        "labelled": pa.array(world.reports.labelled[study]),
        "in_mimic_iv": pa.array(world.hospital.patients.known[patient]),
        "view_recorded": pa.array(world.images.recorded_view),
        "position_recorded": pa.array(~world.images.position_missing),
    }


def _recorded(world: World) -> dict[str, pa.Array]:
    study = world.images.study
    studies = world.hospital.studies
    return {
        "sex": _word(world.hospital.patients.male[studies.patient[study]], "M", "F"),
        "age": pa.array(studies.age[study].astype(float)),
        "view": pa.array(world.images.view),
        "pos": _word(world.recumbent[study], "Recumbent", "Erect"),
        "mort": _word(studies.died_day[study], "died", "alive"),
        "icu": _word(studies.icu_day[study], "icu", "not_icu"),
        "mort_by_time": _word(studies.died_time[study], "died", "alive"),
        "icu_by_time": _word(studies.icu_time[study], "icu", "not_icu"),
    }


def _drawn(world: World) -> dict[str, pa.Array]:
    study, latent = world.images.study, world.latent
    return {
        "linked": pa.array(latent.linked[latent.ehr.patient[study]]),
        "drawn_sex": _word(latent.ehr.male[study], "M", "F"),
        "drawn_age": pa.array(latent.ehr.age[study]),
        "drawn_view": pa.array(latent.view),
        "drawn_pos": _word(latent.ehr.recumbent[study], "Recumbent", "Erect"),
        "drawn_mort": _word(latent.ehr.died[study], "died", "alive"),
        "drawn_icu": _word(latent.ehr.icu[study], "icu", "not_icu"),
    }


def _findings(world: World) -> dict[str, pa.Array]:
    study, findings = world.images.study, world.reports.findings
    columns: dict[str, pa.Array] = {}
    for name in LABELS:
        present = findings.none if name == "No Finding" else findings.present[:, model.FINDINGS.index(name)]
        columns[name] = pa.array(present[study])
    for number, name in enumerate(model.FINDINGS):
        columns[f"severity {name}"] = pa.array(findings.severity[study, number].astype(np.float32))
    for number, name in enumerate(model.FACTORS):
        columns[f"factor {name}"] = pa.array(findings.factors[study, number].astype(np.float32))
    return columns


def _word(flags: Flags, yes: str, no: str) -> pa.Array:
    return words([no, yes], flags.astype(np.int64))


def parameters(settings: SynthSettings) -> dict[str, Any]:
    """What decides the bytes of a data set."""
    return {"format": FORMAT, **settings.model_dump(mode="json")}


def truth_json(settings: SynthSettings, world: World) -> dict[str, Any]:
    """Parameters, coefficients and prevalences, with the realised counts."""
    findings, wanted, codes = world.reports.findings, world.reports.wanted, world.reports.codes
    studies = len(codes)
    prevalence = {
        name: {
            "present": float(findings.present[:, number].mean()),
            "labelled_1": int(wanted.positive[number]) / studies,
            "labelled_0": int(wanted.denied[number]) / studies,
            "labelled_-1": int(wanted.uncertain[number]) / studies,
        }
        for number, name in enumerate(model.FINDINGS)
    }
    nothing = float((codes[:, LABELS.index("No Finding")] == 1).mean())
    prevalence["No Finding"] = {"present": float(findings.none.mean()), "labelled_1": nothing}
    return {
        "parameters": parameters(settings),
        "counts": _counts(world),
        "prevalence_of_studies": prevalence,
        "rare_floor_per_cent": 0.0 if settings.tables_only else published.RARE_FLOOR,
        "model": {
            "ehr_strength": settings.ehr_strength,
            "linked_patients": float(world.latent.linked.mean()),
            "ehr_terms": model.EHR_TERMS,
            "ehr_coefficients": model.EHR_COEFFICIENTS,
            "factors": model.FACTORS,
            "factor_loadings": model.FACTOR_LOADINGS,
            "persistence": model.PERSISTENCE,
            "residual": "standard normal",
            "labeller_disagreement": DISAGREEMENT,
        },
        "exact": (
            "Scaled to the number of images and reached exactly: recorded views, images without sex, men, missing "
            "positions, images in an admission that ended in death and in an ICU stay (day-level rule), images without "
            "labels, admissions, labels of 1, 0 and -1, and without images the sizes of the splits."
        ),
    }


def _counts(world: World) -> dict[str, Any]:
    hospital, images = world.hospital, world.images
    studies = hospital.studies
    known = hospital.patients.known[studies.patient][images.study]
    names, views = np.unique(images.recorded_view, return_counts=True)
    return {
        "patients_with_images": hospital.patients.imaged,
        "patients": int(hospital.patients.known.sum()),
        "admissions": int(hospital.encounters.admitted.sum()),
        "icu_stays": int(hospital.stays.icu.sum()),
        "studies": len(studies.study_id),
        "images": len(images.study),
        "images_with_sex": int(known.sum()),
        "male_images": int((known & hospital.patients.male[studies.patient][images.study]).sum()),
        "died_images": int((known & studies.died_day[images.study]).sum()),
        "icu_images": int((known & studies.icu_day[images.study]).sum()),
        "position_missing": int((known & images.position_missing).sum()),
        "views": {str(name) or "missing": int(count) for name, count in zip(names, views, strict=True)},
    }
