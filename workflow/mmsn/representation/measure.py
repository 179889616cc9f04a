"""Embeddings of every run -> clusters, rank, k-NN beside the linear head, and what linear probes read from them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from mmsn.console import progress
from mmsn.errors import UserError
from mmsn.files import read_table
from mmsn.labels import LABELS
from mmsn.lineage import check_same_split
from mmsn.reporting.number_format import count
from mmsn.reporting.predictions import from_table as predictions_from_table
from mmsn.reporting.runs import RunDescription
from mmsn.reporting.settings import StatisticsSettings
from mmsn.representation.attributes import AGE, PROBED
from mmsn.representation.clusters import Clusters
from mmsn.representation.cohort import read_cohort, rows_of, targets_of
from mmsn.representation.embeddings import Embedded, from_table
from mmsn.representation.intervals import centred_interval
from mmsn.representation.measured import (
    ATTRIBUTES,
    REPRESENTATION,
    Measured,
    MeasuredFacts,
    counted,
    measured_table,
)
from mmsn.representation.neighbours import knn_scores
from mmsn.representation.parallel import one_blas_thread
from mmsn.representation.probes import explained_share, mean_error, predicted_ages, probe_scores
from mmsn.representation.quality import CLUSTER_MEASURES, cluster_quality, rank_quality
from mmsn.representation.sampling import whole_patients
from mmsn.representation.settings import RepresentationSettings
from mmsn.statistics.bootstrap import bootstrap, patient_resamples, percentile_interval
from mmsn.statistics.metrics import label_metrics
from mmsn.statistics.ranking import Floats, evaluable

_LOWEST: Final = {"silhouette": -1.0, "davies_bouldin": 0.0, "calinski_harabasz": 0.0, "rankme": 1.0}
_ALIKE: Final = "not defined: the embeddings do not differ"


class EmbeddedRun(RunDescription):
    """A run with its embeddings, as the workflow describes it in `--runs`."""

    embeddings: Path
    """Its file of `mmsn represent embed`."""


@dataclass(frozen=True)
class Part:
    """Training or test images, the same for every run."""

    ids: NDArray[np.object_]
    patients: NDArray[np.int64]
    rows: pd.DataFrame
    """Of the cohort, in the same order."""
    targets: Floats
    """[N, 14] of 1, 0, NaN (ignored)."""


def measure_embeddings(
    runs: Sequence[EmbeddedRun],
    images: Path,
    settings: RepresentationSettings,
    statistics: StatisticsSettings,
    threads: int | None = None,
) -> pa.Table:
    """Measure every run on the same images and the same resamples of test patients; rows of `measured.SCHEMA`.

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
            parts = [_part(embedded, name, cohort, run, images) for name in ("train", "test")]
            measurer = Measurer(parts[0], parts[1], settings, statistics, threads)
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
        test: Part,
        settings: RepresentationSettings,
        statistics: StatisticsSettings,
        threads: int | None = None,
    ) -> None:
        """Draw the resamples and choose the images that clusters and rank are taken on.

        Raises:
            UserError: fewer than two test patients, no label with both classes among test images.
        """
        self.train, self.test, self.settings, self.statistics = train, test, settings, statistics
        self._threads = threads
        patients = len(np.unique(test.patients))
        if patients < 2:
            raise UserError(f"{patients} patients in the test set; intervals need at least two: enlarge it")
        self.evaluable = evaluable(test.targets)
        if not self.evaluable.any():
            raise UserError(
                f"no label has positive and negative images among the {len(test.ids)} of the test set: enlarge it"
            )
        self.resamples = patient_resamples(test.patients, statistics.resamples, statistics.seed)
        most, seed = settings.quality_images, statistics.seed
        self.ranked = np.flatnonzero(whole_patients(test.patients, most, seed))
        self.clusters = Clusters.of(test.targets, test.patients, LABELS, settings.min_class, most, seed)

    def check(self, embedded: Embedded, run: RunDescription) -> None:
        """Raise `UserError` unless a run's images are those of the first run."""
        for name, part in (("train", self.train), ("test", self.test)):
            if not np.array_equal(embedded.images[embedded.splits == name], part.ids):
                raise UserError(
                    f"run {run.id}: its embedded {name} images are not those of other runs; embed all again"
                )

    def measure(self, run: EmbeddedRun, embedded: Embedded) -> Iterator[Measured]:
        """Every measure of one run's embeddings."""
        train, test = (embedded.features[embedded.splits == name] for name in ("train", "test"))
        yield from self._geometry(test)
        knn = knn_scores(train, self.train.targets.astype(np.float32), test, self.settings.neighbours, self._threads)
        yield from self._classifier("k-NN", knn)
        yield from self._classifier("linear head", self._linear_scores(run))
        with one_blas_thread():
            yield from self._attributes(train, test)
            yield from self._age(train, test)

    def sentences(self) -> dict[str, list[str]]:
        """What the captions say of the images."""
        images = f"{count(len(self.test.ids))} test images of {count(len(np.unique(self.test.patients)))} patients"
        fitted = (
            f"{count(len(self.train.ids))} training images of {count(len(np.unique(self.train.patients)))} patients"
        )
        absent = [label for label, has in zip(LABELS, self.evaluable, strict=True) if not has]
        means = f"AUROC, AUPRC: macro mean over {int(self.evaluable.sum())} of {len(LABELS)} labels in {images}"
        without = f", without {', '.join(absent)}, which lack a class" if absent else ""
        return {
            REPRESENTATION: [
                *self.clusters.sentences,
                f"RankMe: effective rank of {count(len(self.ranked))} test images.",
                f"k-NN: share of positives among the {self.settings.neighbours} nearest by cosine of {fitted}.",
                f"{means}{without}.",
            ],
            ATTRIBUTES: [f"Probes fitted on {fitted}, tested on {images}."],
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

    def _attributes(self, train: NDArray[np.float32], test: NDArray[np.float32]) -> Iterator[Measured]:
        """AUROC of a linear probe for each attribute that has enough images of both values."""
        probed, truths, scores = [], [], []
        for attribute in PROBED:
            reason = self._why_not(attribute.column)
            if not reason:
                fitted, truth = attribute.targets(self.train.rows), attribute.targets(self.test.rows)
                reason = _too_few(fitted, truth, self.settings.min_class)
            if reason:
                yield Measured(ATTRIBUTES, attribute.name, "auroc", excluded=reason)
                continue
            probed.append(attribute)
            truths.append(truth)
            scores.append(probe_scores(train, fitted, test, attribute.name))
        if not probed:
            return
        truth, score = np.stack(truths, axis=1), np.stack(scores, axis=1)
        names = [attribute.name for attribute in probed]
        values = label_metrics(truth, score, names)["auroc"]
        replicates = bootstrap(truth, score, self.resamples, names, self._threads).auroc
        for place, name in enumerate(names):
            ends = percentile_interval(replicates[:, place], self.statistics.level)
            known = ~np.isnan(truth[:, place])
            where = counted(self.test.patients[known])
            yield Measured(ATTRIBUTES, name, "auroc", *where, float(values[place]), *ends)

    def _age(self, train: NDArray[np.float32], test: NDArray[np.float32]) -> Iterator[Measured]:
        """R2 and mean absolute error of a ridge regression for age."""
        measures = {"r2": explained_share, "mae": mean_error}
        reason = self._why_not(AGE) or self._too_few_ages()
        if reason:
            for measure in measures:
                yield Measured(ATTRIBUTES, "Age", measure, excluded=reason)
            return
        fitted, truth = self._ages(self.train), self._ages(self.test)
        known = ~np.isnan(truth)
        truth, predicted = truth[known], predicted_ages(train, fitted, test)[known]
        weights = np.vstack([np.ones(len(truth)), self.resamples[:, known]])
        for measure, compute in measures.items():
            values = compute(truth, predicted, weights)
            ends = percentile_interval(values[1:], self.statistics.level)
            where = counted(self.test.patients[known])
            yield Measured(ATTRIBUTES, "Age", measure, *where, float(values[0]), *ends)

    def _too_few_ages(self) -> str:
        """R2 needs ages that differ, and a fit more images than a class."""
        fitted, truth = (ages[~np.isnan(ages)] for ages in (self._ages(self.train), self._ages(self.test)))
        fewest = 2 * self.settings.min_class
        if min(len(fitted), len(truth)) < fewest:
            return f"images of known age: {len(fitted)} training, {len(truth)} test; {fewest} are needed"
        return "all test images have one age" if np.ptp(truth) == 0 else ""

    def _ages(self, part: Part) -> Floats:
        return np.asarray(part.rows[AGE].to_numpy(np.float64, na_value=np.nan))

    def _why_not(self, column: str) -> str:
        return "" if column in self.test.rows else f"the study has no variable {column}"


def _too_few(fitted: Floats, truth: Floats, fewest: int) -> str:
    counts = {
        name: int(min((values == 1).sum(), (values == 0).sum()))
        for name, values in (("training", fitted), ("test", truth))
    }
    short = [f"{name} images of the rarer value: {number}" for name, number in counts.items() if number < fewest]
    return f"{', '.join(short)}; {fewest} are needed" if short else ""


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
