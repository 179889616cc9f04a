"""What can be read from embeddings of the patient and the picture: attributes by the linear probe, age in years."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mmsn.evaluation.settings import LinearSettings
from mmsn.representation.attributes import AGE, PROBED, Attribute
from mmsn.representation.linear_probe import Embeddings, Probed, attribute_scores
from mmsn.representation.measured import ATTRIBUTES, Measured, counted
from mmsn.representation.parallel import one_blas_thread
from mmsn.representation.probes import explained_share, mean_error, predicted_ages
from mmsn.statistics.bootstrap import bootstrap, percentile_interval
from mmsn.statistics.metrics import label_metrics
from mmsn.statistics.ranking import Counts, Floats, evaluable


@dataclass(frozen=True)
class Part:
    """Training, validation or test images, the same for every run."""

    ids: NDArray[np.object_]
    patients: NDArray[np.int64]
    rows: pd.DataFrame
    """Of the cohort, in the same order."""
    targets: Floats
    """[N, 14] of 1, 0, NaN (ignored)."""

    @property
    def ages(self) -> Floats:
        """In years, NaN where unknown: [N]."""
        return np.asarray(self.rows[AGE].to_numpy(np.float64, na_value=np.nan))


class AttributeMeasurer:
    """Probes runs for the attributes that enough images of a study have."""

    def __init__(
        self, train: Part, validate: Part, test: Part, fewest: int, linear: LinearSettings, seed: int, level: float
    ) -> None:
        """Choose the attributes.

        Args:
            train: images that probes are fitted on.
            validate: images that choose epoch and run.
            test: images that they are judged on.
            fewest: images of either value that training and test need.
            linear: the linear protocol, which the probe follows.
            seed: of the probe.
            level: of the intervals.
        """
        self.train, self.validate, self.test = train, validate, test
        self._fewest, self._linear, self._seed, self._level = fewest, linear, seed, level
        reasons = {attribute.name: self._why_not(attribute) for attribute in PROBED}
        self.excluded = {name: reason for name, reason in reasons.items() if reason}
        self.probed = [attribute for attribute in PROBED if not reasons[attribute.name]]
        if self.probed and not evaluable(self._attributes(validate)).any():
            nothing = "no attribute has both values among the validation images, which choose the probe"
            self.excluded |= {attribute.name: nothing for attribute in self.probed}
            self.probed = []

    def measure(
        self, train: Embeddings, validate: Embeddings, test: Embeddings, resamples: Counts, threads: int | None
    ) -> Iterator[Measured]:
        """Every measure of one run's embeddings `[N, D]` of the three splits.

        Args:
            train: of the training images.
            validate: of the validation images.
            test: of the test images.
            resamples: [R, N] of test images.
            threads: as many as this process may use when None.
        """
        for name, reason in self.excluded.items():
            yield Measured(ATTRIBUTES, name, "auroc", excluded=reason)
        if self.probed:
            fitted, chosen = (
                Probed(train, self._attributes(self.train)),
                Probed(validate, self._attributes(self.validate)),
            )
            scores, _ = attribute_scores(fitted, chosen, test, self._linear, self._seed)
            yield from self._judged(scores, resamples, threads)
        with one_blas_thread():
            yield from self._age(train, test, resamples)

    def _attributes(self, part: Part) -> Floats:
        """Of the attributes probed for, 1, 0 or NaN: [N, A]."""
        return np.stack([attribute.targets(part.rows) for attribute in self.probed], axis=1)

    def _judged(self, scores: Floats, resamples: Counts, threads: int | None) -> Iterator[Measured]:
        names, truth = [attribute.name for attribute in self.probed], self._attributes(self.test)
        values = label_metrics(truth, scores, names)["auroc"]
        replicates = bootstrap(truth, scores, resamples, names, threads).auroc
        for place, name in enumerate(names):
            ends = percentile_interval(replicates[:, place], self._level)
            where = counted(self.test.patients[~np.isnan(truth[:, place])])
            yield Measured(ATTRIBUTES, name, "auroc", *where, float(values[place]), *ends)

    def _age(self, train: Embeddings, test: Embeddings, resamples: Counts) -> Iterator[Measured]:
        """R2 and mean absolute error of a ridge regression for age: no classifier gives years."""
        measures = {"r2": explained_share, "mae": mean_error}
        reason = self._no_column(AGE) or self._too_few_ages()
        if reason:
            for measure in measures:
                yield Measured(ATTRIBUTES, "Age", measure, excluded=reason)
            return
        truth = self.test.ages
        known = ~np.isnan(truth)
        truth, predicted = truth[known], predicted_ages(train, self.train.ages, test)[known]
        weights = np.vstack([np.ones(len(truth)), resamples[:, known]])
        for measure, compute in measures.items():
            values = compute(truth, predicted, weights)
            ends = percentile_interval(values[1:], self._level)
            yield Measured(ATTRIBUTES, "Age", measure, *counted(self.test.patients[known]), float(values[0]), *ends)

    def _why_not(self, attribute: Attribute) -> str:
        """Why an attribute is not probed for; nothing where it is."""
        return self._no_column(attribute.column) or self._too_few(attribute)

    def _no_column(self, column: str) -> str:
        return "" if column in self.test.rows else f"the study has no variable {column}"

    def _too_few(self, attribute: Attribute) -> str:
        short = []
        for name, part in (("training", self.train), ("test", self.test)):
            values = attribute.targets(part.rows)
            rarer = int(min((values == 1).sum(), (values == 0).sum()))
            short += [f"{name} images of the rarer value: {rarer}"] if rarer < self._fewest else []
        return f"{', '.join(short)}; {self._fewest} are needed" if short else ""

    def _too_few_ages(self) -> str:
        """R2 needs ages that differ, and a fit more images than a class."""
        fitted, truth = (ages[~np.isnan(ages)] for ages in (self.train.ages, self.test.ages))
        fewest = 2 * self._fewest
        if min(len(fitted), len(truth)) < fewest:
            return f"images of known age: {len(fitted)} training, {len(truth)} test; {fewest} are needed"
        return "all test images have one age" if np.ptp(truth) == 0 else ""
