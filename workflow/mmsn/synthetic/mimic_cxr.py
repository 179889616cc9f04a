"""The MIMIC-CXR-JPG tables: metadata, the two labellers' tables, a radiologist's, and the official split."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from mmsn.labels import LABELS
from mmsn.synthetic import published
from mmsn.synthetic.labelling import BLANK, Codes, radiologist
from mmsn.synthetic.splits import SPLITS
from mmsn.synthetic.tables import Columns, select, study_date, study_time, words, write_csv
from mmsn.synthetic.world import World

PREFIX = "mimic-cxr-2.0.0"
OTHER_NAMES = {"Lung Opacity": "Airspace Opacity"}
"""What the radiologist's table calls differently."""
VIEW_MEANINGS = {"AP": "antero-posterior", "PA": "postero-anterior", "LATERAL": "lateral", "LL": "left lateral"}


def write_metadata(folder: Path, world: World) -> None:
    """Write `metadata.csv.gz`: one row an image, with views and positions as far as they are recorded."""
    images, studies = world.images, world.hospital.studies
    study = images.study
    recorded = images.recorded_view
    names, codes = np.unique(recorded, return_inverse=True)
    portable = world.hospital.shapes.bedside[study].astype(np.int64)
    procedure = words(["CHEST (PA AND LAT)", "CHEST (PORTABLE AP)"], portable)
    lying = world.recumbent[study].astype(np.int64)
    position = words(["Erect", "Recumbent", ""], np.where(images.position_missing, 2, lying))
    columns: Columns = {
        "dicom_id": world.files.dicom_id,
        "subject_id": world.subject_id,
        "study_id": studies.study_id[study],
        "PerformedProcedureStepDescription": procedure,
        "ViewPosition": words(names, codes.astype(np.int64)),
        "Rows": world.files.rows,
        "Columns": world.files.columns,
        "StudyDate": study_date(studies.time)[study],
        "StudyTime": study_time(studies.time)[study],
        "ProcedureCodeSequence_CodeMeaning": procedure,
        "ViewCodeSequence_CodeMeaning": words(
            [VIEW_MEANINGS.get(str(name), "") for name in names], codes.astype(np.int64)
        ),
        "PatientOrientationCodeSequence_CodeMeaning": position,
    }
    write_csv(folder / f"{PREFIX}-metadata.csv.gz", select(columns, world.file_order))


def write_split(folder: Path, world: World) -> None:
    """Write `split.csv.gz`."""
    study = world.images.study
    patient = world.hospital.studies.patient[study]
    columns: Columns = {
        "dicom_id": world.files.dicom_id,
        "study_id": world.hospital.studies.study_id[study],
        "subject_id": world.subject_id,
        "split": words(list(SPLITS), world.splits.official[patient]),
    }
    write_csv(folder / f"{PREFIX}-split.csv.gz", select(columns, world.file_order))


def write_labels(folder: Path, world: World, labeller: str, codes: Codes) -> None:
    """Write one labeller's table: one row a study that has a report."""
    studies = world.hospital.studies
    subject = world.hospital.patients.subject_id[studies.patient]
    rows = np.flatnonzero(world.reports.labelled)
    rows = rows[np.lexsort((studies.study_id[rows], subject[rows]))]
    columns: Columns = {"subject_id": subject[rows], "study_id": studies.study_id[rows]}
    columns |= label_columns(codes[rows], LABELS)
    write_csv(folder / f"{PREFIX}-{labeller}.csv.gz", columns)


def write_radiologist(folder: Path, world: World, rng: np.random.Generator) -> None:
    """Write the radiologist's table of version 2.1.0, uncompressed and without patients: studies of the test split."""
    studies = world.hospital.studies
    tested = world.splits.official[studies.patient] == SPLITS.index("test")
    read = rng.permutation(np.flatnonzero(tested & world.reports.labelled))[: published.RADIOLOGIST_STUDIES]
    labels = label_columns(radiologist(world.reports.findings)[read], LABELS)
    columns: Columns = {"study_id": studies.study_id[read]}
    columns |= {OTHER_NAMES.get(name, name): values for name, values in labels.items()}
    write_csv(folder / "mimic-cxr-2.1.0-test-set-labeled.csv", columns)


def label_columns(codes: Codes, order: tuple[str, ...]) -> dict[str, pa.Array]:
    """Label columns `1.0`, `0.0`, `-1.0` or blank, in the given order of labels."""
    place = np.zeros(256, np.int64)
    place[[int(BLANK), 0, 1, 255]] = (0, 1, 2, 3)
    return {
        name: words(["", "0.0", "1.0", "-1.0"], place[codes[:, LABELS.index(name)].astype(np.uint8)]) for name in order
    }
