"""One run's predictions -> its metrics, and their replicates in the resamples that every run shares."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mmsn.reporting.predictions import Predictions
from mmsn.reporting.runs import RunDescription
from mmsn.reporting.schemas import METRICS, Metric
from mmsn.reporting.settings import StatisticsSettings
from mmsn.statistics.bootstrap import (
    Replicates,
    bootstrap_ranked,
    image_draws,
    patient_draws,
    percentile_interval,
)
from mmsn.statistics.metrics import label_metrics
from mmsn.statistics.permutation import Swaps, patient_swaps, permutation_p, permuted_rankings
from mmsn.statistics.ranking import Ranking, checked, evaluable, rank_all

CONSTANT: Final = "constant score"


@dataclass(frozen=True)
class Scored:
    """The metrics of one run, or of the mean of a method's seeds."""

    run: RunDescription
    rankings: tuple[Ranking, ...]
    """Of each label; of the mean: none."""
    labels: pd.DataFrame
    """A row a label: label, positives, negatives, positive_patients, auroc and auprc with intervals,
    excluded, remark."""
    value: dict[Metric, float]
    """Macro mean over the evaluable labels."""
    of_images: dict[Metric, NDArray[np.float64]]
    """[R] macro means in the image-level resamples."""
    of_patients: dict[Metric, NDArray[np.float64]]
    """[R] macro means in the patient-level resamples."""
    members: tuple["Scored", ...] = ()
    """The runs averaged in a mean over seeds."""

    @property
    def seeds(self) -> tuple[int, ...]:
        """The run's seed, or those averaged."""
        return tuple(member.run.seed for member in self.members) or (self.run.seed,)


class Scorer:
    """Scores runs on one test set; its resamples are drawn once, so that all comparisons are paired."""

    def __init__(self, test_set: Predictions, settings: StatisticsSettings, threads: int | None = None) -> None:
        """Draw the resamples.

        Args:
            test_set: any run's predictions; only their targets and patients are used.
            settings: number and seed of the resamples, level of the intervals.
            threads: as many as this process may use when left out.
        """
        self.targets = test_set.targets
        self.names = test_set.labels
        self.untrained = dict(test_set.untrained)
        taught = np.array([name not in self.untrained for name in self.names], dtype=np.bool_)
        self.evaluable = evaluable(test_set.targets) & taught
        self.level = settings.level
        self._threads = threads
        self._image_weights = image_draws(len(test_set.images), settings.resamples, settings.seed)
        self._patient_weights = patient_draws(test_set.patients, settings.resamples, settings.seed)
        self._patients, self._settings = test_set.patients, settings
        self._permuted: dict[tuple[str, str], Replicates] = {}

    def score(self, run: RunDescription, scores: NDArray[np.float64]) -> Scored:
        """Metrics, intervals and replicates of one run's scores [N, L]."""
        targets, scores = checked(self.targets, scores, self.names)
        rankings = rank_all(targets, scores)
        labels = self._judged(label_metrics(targets, scores, self.names, rankings), rankings)
        of_images, of_patients = (
            bootstrap_ranked(rankings, weights, self._threads)
            for weights in (self._image_weights, self._patient_weights)
        )
        return Scored(
            run=run,
            rankings=rankings,
            labels=labels.assign(
                **self._label_intervals(of_images, ""), **self._label_intervals(of_patients, "_patient")
            ),
            value={metric: float(labels[metric][self.evaluable].mean()) for metric in METRICS},
            of_images={metric: of_images.macro(metric, self.evaluable) for metric in METRICS},
            of_patients={metric: of_patients.macro(metric, self.evaluable) for metric in METRICS},
        )

    def permutation_p(self, run: Scored, reference: Scored) -> dict[Metric, float]:
        """Two-sided p of the macro difference between two runs whose patients' scores change places.

        Of means over the same seeds the scores of a patient change places in all seeds at once.
        """
        pairs = list(zip(run.members or (run,), reference.members or (reference,), strict=True))
        found = [self._permuted_pair(ours, theirs) for ours, theirs in pairs]
        observed = {metric: run.value[metric] - reference.value[metric] for metric in METRICS}
        return {
            metric: permutation_p(
                np.mean([one.macro(metric, self.evaluable) for one in found], axis=0),
                observed[metric],
                self._swaps.exact,
            )
            for metric in METRICS
        }

    def permutation_p_labels(self, run: Scored, reference: Scored) -> NDArray[np.float64]:
        """The same for the AUROC of each label of two single runs: [L], NaN where a label is excluded."""
        permuted = self._permuted_pair(run, reference).auroc
        observed = (run.labels["auroc"] - reference.labels["auroc"]).to_numpy()
        return np.array(
            [
                permutation_p(permuted[:, place], difference, self._swaps.exact) if np.isfinite(difference) else np.nan
                for place, difference in enumerate(observed)
            ]
        )

    @cached_property
    def _swaps(self) -> Swaps:
        return patient_swaps(self._patients, self._settings.resamples, self._settings.seed)

    def _permuted_pair(self, run: Scored, reference: Scored) -> Replicates:
        """Differences [R, L] of two single runs, kept for their labels and for the mean over seeds."""
        key = run.run.id, reference.run.id
        if key not in self._permuted:
            self._permuted[key] = permuted_rankings(run.rankings, reference.rankings, self._swaps, self._threads)
        return self._permuted[key]

    def _judged(self, labels: pd.DataFrame, rankings: Sequence[Ranking]) -> pd.DataFrame:
        """Labels that could not be taught excluded like those that cannot be judged; `remark` names constant scores."""
        for place, name in enumerate(self.names):
            if name in self.untrained and not labels.loc[place, "excluded"]:
                labels.loc[place, "excluded"] = f"{self.untrained[name]} to train on"
                labels.loc[place, list(METRICS)] = np.nan
        constant = [ranking.order.size > 0 and not ranking.last[:-1].any() for ranking in rankings]
        remarks = np.where(np.array(constant) & (labels["excluded"] == ""), CONSTANT, "")
        return labels.assign(remark=remarks, positive_patients=self._positive_patients)

    @cached_property
    def _positive_patients(self) -> list[int]:
        return [np.unique(self._patients[column == 1]).size for column in self.targets.T]

    def _label_intervals(self, replicates: Replicates, suffix: str) -> dict[str, list[float]]:
        columns: dict[str, list[float]] = {}
        for metric, values in (("auroc", replicates.auroc), ("auprc", replicates.auprc)):
            judged = np.where(self.evaluable, values, np.nan)
            intervals = [percentile_interval(label, self.level) for label in judged.T]
            columns[f"{metric}_lo{suffix}"] = [lo for lo, _ in intervals]
            columns[f"{metric}_hi{suffix}"] = [hi for _, hi in intervals]
        return columns


def mean_over_seeds(runs: Sequence[Scored]) -> Scored:
    """Mean of the metrics of one method's seeds, in the full sample and resample by resample.

    Its intervals speak of other test images or patients for these trained models; what training again would
    change is the spread of the seeds' own rows.
    """
    first = runs[0]
    return Scored(
        run=first.run.model_copy(update={"id": f"{first.run.backbone}/{first.run.method}/mean"}),
        rankings=(),
        labels=first.labels.iloc[:0],
        value={metric: float(np.mean([run.value[metric] for run in runs])) for metric in METRICS},
        of_images={metric: np.mean([run.of_images[metric] for run in runs], axis=0) for metric in METRICS},
        of_patients={metric: np.mean([run.of_patients[metric] for run in runs], axis=0) for metric in METRICS},
        members=tuple(runs),
    )
