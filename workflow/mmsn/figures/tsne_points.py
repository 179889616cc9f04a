"""Embeddings of single-label training images -> their t-SNE map, and how well the labels separate before it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
import openTSNE
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from mmsn.console import logger
from mmsn.errors import UserError
from mmsn.figures.settings import TsneSettings
from mmsn.figures.small_groups import FEWEST_PATIENTS, patients_of
from mmsn.files import read_table, write_table
from mmsn.labels import LABELS
from mmsn.lineage import Split, check_same_split
from mmsn.reporting.schemas import table_of
from mmsn.reporting.settings import StatisticsSettings
from mmsn.representation.cohort import read_cohort, rows_of, targets_of
from mmsn.representation.embeddings import from_table
from mmsn.representation.intervals import centred_interval
from mmsn.representation.quality import CLUSTER_MEASURES, cluster_quality
from mmsn.representation.sampling import whole_patients
from mmsn.statistics.bootstrap import patient_resamples
from mmsn.statistics.ranking import Floats, Integers

GROUPS: Final = ("most prevalent labels", "second most prevalent labels", "least prevalent labels")
_FACTS: Final = "mmsn.tsne"
_FEWEST_IMAGES: Final = 10  # a map of fewer says nothing
_WORTH_THREADS: Final = 5000  # below, threads wait for each other longer than they work
_LOWEST: Final = {"silhouette": -1.0, "davies_bouldin": 0.0, "calinski_harabasz": 0.0}


def _required(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind, nullable=False)


POINTS: Final = pa.schema(
    [
        _required("dicom_id", pa.string()),
        _required("subject_id", pa.int64()),
        _required("label", pa.string()),
        pa.field("group", pa.int8()),  # place in GROUPS; null: the label is of too few patients to be drawn
        _required("x", pa.float32()),
        _required("y", pa.float32()),
    ]
)
QUALITY: Final = pa.schema(
    [
        _required("group", pa.int8()),
        _required("measure", pa.string()),  # of the embeddings themselves, not of the map
        *(pa.field(name, pa.float64()) for name in ("value", "lo", "hi")),
        _required("images", pa.int64()),
        _required("patients", pa.int64()),
        _required("excluded", pa.string()),
    ]
)


@dataclass(frozen=True)
class TsneFacts:
    """What the caption says of a map."""

    images: int
    patients: int
    perplexity: float
    seed: int
    level: float
    resamples: int
    threads: int
    """The same seed with another number of threads sums in another order, and so leads to another map."""
    version: str
    """Of openTSNE."""

    @property
    def metadata(self) -> dict[str, str]:
        """As metadata of a Parquet file."""
        return {_FACTS: json.dumps(asdict(self))}

    @classmethod
    def of(cls, table: pa.Table, source: str) -> "TsneFacts":
        """Read what `metadata` wrote.

        Raises:
            UserError: `source` is no map of `mmsn figure-data tsne`.
        """
        stored = (table.schema.metadata or {}).get(_FACTS.encode())
        if stored is None:
            raise UserError(f"{source}: no t-SNE map of ours; make it with `mmsn figure-data tsne`")
        return cls(**json.loads(stored))


def run_tsne(
    embeddings: Path,
    images: Path,
    points: Path,
    quality: Path,
    settings: TsneSettings,
    statistics: StatisticsSettings,
    threads: int = 1,
) -> None:
    """Map the single-label training images of one encoder and write points and quality.

    Fewer than ten images make an empty map, so that a small study still runs to its end.

    Raises:
        UserError: a file is missing or of another split.
    """
    if not embeddings.exists():
        raise UserError(f"{embeddings} does not exist; embed that run first")
    embedded = from_table(read_table(embeddings), str(embeddings))
    check_same_split(images, embeddings, embedded.split, "embed it again")
    train = embedded.splits == "train"
    ids, patients = embedded.images[train], embedded.patients[train]
    targets = targets_of(rows_of(read_cohort(images), ids, str(embeddings), images))
    chosen, labels = single_labels(targets, patients, settings.images, statistics.seed)
    if len(chosen) < _FEWEST_IMAGES:
        logger.warning("%d training images with a single label are too few for a map; none is drawn", len(chosen))
        chosen, labels = chosen[:0], labels[:0]
    features, owners = embedded.features[train][chosen], patients[chosen]
    groups = label_groups(labels, owners)
    perplexity = min(settings.perplexity, max(len(chosen) - 1, 3) / 3)
    logger.info("t-SNE of %d images, perplexity %g", len(chosen), perplexity)
    jobs = threads if len(chosen) >= _WORTH_THREADS else 1
    places = tsne(features, perplexity, statistics.seed, jobs)
    names = np.array(LABELS, dtype=object)[labels]
    of_label = pd.Series(labels).map(groups).astype("Int8")
    table = pa.table(
        [ids[chosen], owners, names, pa.array(of_label, pa.int8()), places[:, 0], places[:, 1]], schema=POINTS
    )
    facts = TsneFacts(
        len(chosen),
        len(np.unique(owners)),
        perplexity,
        statistics.seed,
        statistics.level,
        statistics.resamples,
        jobs,
        openTSNE.__version__,
    )
    write_table(points, table, facts.metadata | Split.of_file(images).metadata)
    write_table(quality, group_quality(features, labels, owners, groups, settings, statistics, threads), facts.metadata)


def single_labels(
    targets: Floats, patients: NDArray[np.int64], most: int, seed: int
) -> tuple[NDArray[np.int64], Integers]:
    """Rows of the images with exactly one positive label and no ignored one, at most `most`, and that label's place."""
    single = np.flatnonzero(targets.sum(axis=1) == 1)  # NaN is not 1
    if len(single):
        single = single[whole_patients(patients[single], most, seed)]
    return single, targets[single].argmax(axis=1)


def label_groups(labels: Integers, patients: NDArray[np.int64]) -> Mapping[int, int]:
    """Label -> which of the three groups it is in, by its images: the most, second most and least prevalent.

    Labels of fewer than `FEWEST_PATIENTS` patients are in none. Groups have as many labels each, the first one more
    where that does not come out even: 14 labels make 5, 5 and 4.
    """
    sizes = np.bincount(labels, minlength=len(LABELS))
    enough = [place for place in range(len(LABELS)) if patients_of(patients, labels == place) >= FEWEST_PATIENTS]
    in_order = sorted(enough, key=lambda place: (-sizes[place], place))
    parts = np.array_split(np.array(in_order, dtype=np.int64), len(GROUPS))
    return {int(label): group for group, part in enumerate(parts) for label in part}


def tsne(features: NDArray[np.float32], perplexity: float, seed: int, threads: int) -> NDArray[np.float32]:
    """The map [N, 2] of features [N, D]: Euclidean, from the first two principal components (openTSNE's defaults)."""
    if not len(features):
        return np.empty((0, 2), np.float32)
    model = openTSNE.TSNE(perplexity=perplexity, initialization="pca", random_state=seed, n_jobs=threads)
    return np.asarray(model.fit(features), dtype=np.float32)


def group_quality(
    features: NDArray[np.float32],
    labels: Integers,
    patients: NDArray[np.int64],
    groups: Mapping[int, int],
    settings: TsneSettings,
    statistics: StatisticsSettings,
    threads: int | None,
) -> pa.Table:
    """Silhouette, Davies-Bouldin and Calinski-Harabasz of each group's labels among the embeddings: rows of `QUALITY`.

    Args:
        features: [N, D].
        labels: [N] places in LABELS.
        patients: [N].
        groups: of `label_groups`.
        settings: how many images at most.
        statistics: resamples of patients, level, seed.
        threads: as many as this process may use when None.
    """
    rows: list[dict[str, object]] = []
    for group in range(len(GROUPS)):
        mine = np.flatnonzero(np.isin(labels, [label for label, own in groups.items() if own == group]))
        if len(mine):
            mine = mine[whole_patients(patients[mine], settings.quality_images, statistics.seed)]
        kinds, classes = np.unique(labels[mine], return_inverse=True)
        shared = {"group": group, "images": len(mine), "patients": len(np.unique(patients[mine]))}
        if len(kinds) < 2:
            reason = "fewer than two labels of enough patients"
            rows += [shared | {"measure": name, "excluded": reason} for name in CLUSTER_MEASURES]
            continue
        resamples = patient_resamples(patients[mine], statistics.resamples, statistics.seed)
        for name, (value, replicates) in cluster_quality(features[mine], classes, resamples, threads).items():
            lo, hi = centred_interval(value, replicates, statistics.level, _LOWEST[name])
            rows.append(shared | {"measure": name, "value": value, "lo": lo, "hi": hi, "excluded": ""})
    return table_of(rows, QUALITY)
