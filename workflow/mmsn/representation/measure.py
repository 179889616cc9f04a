"""Embeddings of every run -> clusters, rank, k-NN beside the linear head, and what linear probes read from them."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from mmsn.console import progress
from mmsn.errors import UserError
from mmsn.evaluation.settings import LinearSettings
from mmsn.files import read_table
from mmsn.labels import LABELS
from mmsn.lineage import check_same_split
from mmsn.reporting.number_format import count
from mmsn.reporting.predictions import from_table as predictions_from_table
from mmsn.reporting.runs import RunDescription
from mmsn.reporting.settings import StatisticsSettings
from mmsn.representation.clusters import Clusters
from mmsn.representation.cohort import read_cohort, rows_of, targets_of
from mmsn.representation.embeddings import Embedded, from_table
from mmsn.representation.intervals import centred_interval
from mmsn.representation.measure_attributes import AttributeMeasurer, Part
from mmsn.representation.measured import (
    ATTRIBUTES,
    REPRESENTATION,
    Measured,
    MeasuredFacts,
    counted,
    measured_table,
)
from mmsn.representation.neighbours import knn_scores
from mmsn.representation.quality import CLUSTER_MEASURES, cluster_quality, rank_quality
from mmsn.representation.sampling import whole_patients
from mmsn.representation.settings import RepresentationSettings
from mmsn.statistics.bootstrap import bootstrap, patient_resamples, percentile_interval
from mmsn.statistics.metrics import label_metrics
from mmsn.statistics.ranking import Floats, evaluable

_LOWEST: Final = {"silhouette": -1.0, "davies_bouldin": 0.0, "calinski_harabasz": 0.0, "rankme": 1.0}
SPLITS: Final = ("train", "validate", "test")
_ALIKE: Final = "not defined: the embeddings do not differ"


class EmbeddedRun(RunDescription):
    """A run with its embeddings, as the workflow describes it in `--runs`."""

    embeddings: Path
    """Its file of `mmsn represent embed`."""


def measure_embeddings(
    runs: Sequence[EmbeddedRun],
    images: Path,
    settings: RepresentationSettings,
    statistics: StatisticsSettings,
    linear: LinearSettings,
    threads: int | None = None,
) -> pa.Table:
    """Measure every run on the same images and the same resamples of test patients; rows of `measured.SCHEMA`.

    Args:
        runs: with their embeddings and linear predictions.
        images: the cohort's images.parquet.
        settings: of the measures.
        statistics: of the resamples.
        linear: the linear protocol, whose probe reads attributes.
        threads: as many as this process may use when None.

    Raises:
        UserError: a file is missing, or its split or images are others; fewer than two test patients; no label that has
            both classes.
    """
    cohort = read_cohort(images)
    measurer: Measurer | None = None
    found = []
    for run in progress(runs, "embeddings measured"):
        embedded = _read(run, images)
        if measurer is None:
            train, validate, test = (_part(embedded, name, cohort, run, images) for name in SPLITS)
            measurer = Measurer(train, validate, test, settings, statistics, linear, threads)
        measurer.check(embedded, run)
        found.append((run, list(measurer.measure(run, embedded))))
    assert measurer is not None  # `--runs` of no run is refused where it is read
    facts = MeasuredFacts(statistics.resamples, statistics.level, measurer.sentences())
    return measured_table(found, statistics.baseline, facts)


class Measurer:
    """Measures runs on one set of images; resamples and samples are drawn once."""

    def __init__(
        self,
        train: Part,
        validate: Part,
        test: Part,
        settings: RepresentationSettings,
        statistics: StatisticsSettings,
        linear: LinearSettings,
        threads: int | None = None,
    ) -> None:
        """Draw the resamples and choose the images that clusters and rank are taken on.

        Raises:
            UserError: fewer than two test patients, no label with both classes among test images.
        """
        self.train, self.validate, self.test = train, validate, test
        self.settings, self.statistics = settings, statistics
        self._threads = threads
        patients = len(np.unique(test.patients))
        if patients < 2:
            raise UserError(f"{patients} patient in the test set; intervals need at least two: enlarge it")
        self.evaluable = evaluable(test.targets) & evaluable(train.targets)
        if not self.evaluable.any():
            raise UserError(
                f"no label has positive and negative images among the {len(test.ids)} of the test set and the "
                f"{len(train.ids)} of training: enlarge them"
            )
        self.resamples = patient_resamples(test.patients, statistics.resamples, statistics.seed)
        most, seed = settings.quality_images, statistics.seed
        self.ranked = np.flatnonzero(whole_patients(test.patients, most, seed))
        self.clusters = Clusters.of(test.targets, test.patients, LABELS, settings.min_class, most, seed)
        self.attributes = AttributeMeasurer(train, validate, test, settings.min_class, linear, seed, statistics.level)

    def check(self, embedded: Embedded, run: RunDescription) -> None:
        """Raise `UserError` unless a run's images are those of the first run."""
        for name, part in zip(SPLITS, (self.train, self.validate, self.test), strict=True):
            if not np.array_equal(embedded.images[embedded.splits == name], part.ids):
                raise UserError(
                    f"run {run.id}: its embedded {name} images are not those of other runs; embed all again"
                )

    def measure(self, run: EmbeddedRun, embedded: Embedded) -> Iterator[Measured]:
        """Every measure of one run's embeddings."""
        train, validate, test = (embedded.features[embedded.splits == name] for name in SPLITS)
        yield from self._geometry(test)
        knn = knn_scores(train, self.train.targets.astype(np.float32), test, self.settings.neighbours, self._threads)
        yield from self._classifier("k-NN", knn)
        yield from self._classifier("linear head", self._linear_scores(run))
        yield from self.attributes.measure(train, validate, test, self.resamples, self._threads)

    def sentences(self) -> dict[str, list[str]]:
        """What the captions say of the images."""
        images = f"{count(len(self.test.ids))} test images of {count(len(np.unique(self.test.patients)))} patients"
        fitted = (
            f"{count(len(self.train.ids))} training images of {count(len(np.unique(self.train.patients)))} patients"
        )
        absent = [label for label, has in zip(LABELS, self.evaluable, strict=True) if not has]
        means = f"AUROC, AUPRC: macro mean over {int(self.evaluable.sum())} of {len(LABELS)} labels in {images}"
        without = f", without {', '.join(absent)}, which lack a class there or in training" if absent else ""
        return {
            REPRESENTATION: [
                *self.clusters.sentences,
                f"RankMe: effective rank of {count(len(self.ranked))} test images.",
                f"k-NN: share of positives among the {self.settings.neighbours} nearest by cosine of {fitted}.",
                f"{means}{without}.",
            ],
            ATTRIBUTES: [
                "AUROC: the linear protocol's own probe (loss, optimiser, runs, early stop, choice on validation), one "
                "output an attribute, on stored embeddings, so without augmentation. Age in years: ridge regression.",
                f"Fitted on {fitted}, chosen on {count(len(self.validate.ids))} validation images, tested on {images}.",
            ],
        }

    def _geometry(self, test: NDArray[np.float32]) -> Iterator[Measured]:
        chosen = self.clusters.images
        where = counted(self.test.patients[chosen])
        if self.clusters.excluded:
            for name in CLUSTER_MEASURES:
                yield Measured(REPRESENTATION, "clusters", name, *where, excluded=self.clusters.excluded)
        else:
            found = cluster_quality(test[chosen], self.clusters.classes, self.resamples[:, chosen], self._threads)
            for name in CLUSTER_MEASURES:
                yield self._shifted("clusters", name, *found[name], where)
        where = counted(self.test.patients[self.ranked])
        rank = rank_quality(test[self.ranked], self.resamples[:, self.ranked], self._threads)
        yield self._shifted("rank", "rankme", *rank, where)

    def _shifted(self, group: str, measure: str, value: float, replicates: Floats, where: tuple[int, int]) -> Measured:
        """A measure that resampling shifts."""
        if np.isnan(value):
            return Measured(REPRESENTATION, group, measure, *where, excluded=_ALIKE)
        low, high = centred_interval(value, replicates, self.statistics.level, _LOWEST[measure])
        return Measured(REPRESENTATION, group, measure, *where, value, low, high)

    def _classifier(self, group: str, scores: Floats) -> Iterator[Measured]:
        """Macro AUROC and AUPRC of scores [N, 14] for the labels."""
        where = counted(self.test.patients)
        labels = label_metrics(self.test.targets, scores, LABELS)
        replicates = bootstrap(self.test.targets, scores, self.resamples, LABELS, self._threads)
        for metric, values in (
            ("auroc", replicates.macro("auroc", self.evaluable)),
            ("auprc", replicates.macro("auprc", self.evaluable)),
        ):
            value = float(labels[metric][self.evaluable].mean())
            ends = percentile_interval(values, self.statistics.level)
            yield Measured(REPRESENTATION, group, metric, *where, value, *ends)

    def _linear_scores(self, run: EmbeddedRun) -> Floats:
        if not run.predictions.exists():
            raise UserError(f"{run.predictions} does not exist; evaluate run {run.id} first")
        predictions = predictions_from_table(read_table(run.predictions), str(run.predictions))
        if not np.array_equal(predictions.images, self.test.ids) or predictions.labels != LABELS:
            raise UserError(
                f"{run.predictions}: {len(predictions.images)} images that are not the {len(self.test.ids)} embedded "
                f"ones, or other labels; evaluate and embed run {run.id} on the same cohort"
            )
        return predictions.scores


def _read(run: EmbeddedRun, images: Path) -> Embedded:
    if not run.embeddings.exists():
        raise UserError(f"{run.embeddings} does not exist; embed run {run.id} first")
    embedded = from_table(read_table(run.embeddings), str(run.embeddings))
    check_same_split(images, run.embeddings, embedded.split, "embed it again")
    return embedded


def _part(embedded: Embedded, name: str, cohort: pd.DataFrame, run: EmbeddedRun, images: Path) -> Part:
    """One split's images, in the order of the file."""
    mine = embedded.splits == name
    rows = rows_of(cohort, embedded.images[mine], str(run.embeddings), images)
    if len(rows) == 0:
        raise UserError(f"{run.embeddings}: no {name} images; embed again")
    wrong = int((rows["split"] != name).sum())
    if wrong:
        raise UserError(f"{run.embeddings}: {wrong} {name} images are in another split of {images}; embed again")
    return Part(embedded.images[mine], embedded.patients[mine], rows, targets_of(rows))
