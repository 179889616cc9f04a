"""Every run against the reference: the published test and its marks, the paired one, Holm, DeLong."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mmsn.reporting.predictions import Predictions
from mmsn.reporting.published import STRONG_MARK, WEAK_MARK
from mmsn.reporting.schemas import Metric
from mmsn.reporting.scoring import Scored
from mmsn.statistics.delong import Components, LabelTests, label_components
from mmsn.statistics.tests import FEWEST_SEEDS, holm, paired_difference, paired_t_test, student_t_test

STRONG_P: Final = 0.001
WEAK_P: Final = 0.05


@dataclass(frozen=True)
class Comparison:
    """One run and metric against the reference with the same seed."""

    difference: float
    lo: float
    hi: float
    p: float
    """Paired bootstrap of patients."""
    p_published: float
    p_seeds: float
    """Paired t-test over the seeds of a mean row; NaN below three seeds."""
    p_permutation: float = float("nan")
    """Permutation check: patients' scores change places between the models."""
    lo_seeds: float = float("nan")
    """Of the difference, by the paired t-test over seeds."""
    hi_seeds: float = float("nan")
    not_tested: str = ""
    """Which test has no p although it had its data, and why."""

    @property
    def mark(self) -> str:
        """The paper's mark of an improvement.

        `published_results.csv` does not say what the marks mean. Only improvements carry one, and ∗ for
        p < 0.001 and † for p < 0.05 fits: with standard errors from the widths of the published intervals,
        in the tables that have marks every ∗ but one has z > 4.3, every † but one 2.1 < z < 3.2, and no row
        without a mark z > 1.9. (So the paper's marks follow its intervals; a t-test on 1000 replicates would
        have marked nearly every row.)
        """
        if not self.difference > 0 or not self.p_published < WEAK_P:
            return ""
        return STRONG_MARK if self.p_published < STRONG_P else WEAK_MARK


def compare(
    run: Scored, reference: Scored, metric: Metric, level: float, p_permutation: float = float("nan")
) -> Comparison:
    """One metric of a run minus the reference's, on the same resamples and of the same seed or seeds.

    Args:
        run: judged.
        reference: judged on the same test set.
        metric: of the two.
        level: of the intervals.
        p_permutation: of `Scorer.permutation_p`, handed on.
    """
    observed = run.value[metric] - reference.value[metric]
    paired = paired_difference(run.of_patients[metric], reference.of_patients[metric], observed, level)
    ours, theirs = ([member.value[metric] for member in side.members] for side in (run, reference))
    seeds = paired_t_test(ours, theirs, level) if len(ours) >= FEWEST_SEEDS else None
    p_published = student_t_test(run.of_images[metric], reference.of_images[metric])
    return Comparison(
        difference=observed,
        lo=paired.lo,
        hi=paired.hi,
        p=paired.p,
        p_published=p_published,
        p_seeds=seeds.p if seeds else float("nan"),
        p_permutation=p_permutation,
        lo_seeds=seeds.lo if seeds else float("nan"),
        hi_seeds=seeds.hi if seeds else float("nan"),
        not_tested=_not_tested(p_published, seeds.p if seeds else 1.0),
    )


def _not_tested(p_published: float, p_seeds: float) -> str:
    """Why a t-test gave nothing: its sample does not vary at all."""
    reasons = {"published t-test: no resample changes either value": p_published} | {
        "t-test over seeds: every seed differs by the same": p_seeds
    }
    return "; ".join(reason for reason, p in reasons.items() if np.isnan(p))


def holm_within(groups: Iterable[object], p: Sequence[float]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Holm's adjustment within each group of comparisons: adjusted p [K] and the group's size [K].

    Args:
        groups: [K] hashable keys.
        p: [K], NaN where nothing was compared.
    """
    values = pd.Series(p, dtype=np.float64)
    grouped = values.groupby(pd.Series(list(groups), index=values.index), sort=False)
    return grouped.transform(holm).to_numpy(), grouped.transform("count").to_numpy(np.int64)


class LabelComparisons:
    """Compares the AUROC of every label of two runs, by DeLong's test with patients as clusters, and without."""

    def __init__(self, test_set: Predictions) -> None:
        """Of one test set."""
        models = test_set.targets, test_set.labels
        self._images = len(test_set.images)
        self._by_patient, self._by_image = LabelTests(*models, test_set.patients), LabelTests(*models)

    def components(self, run: Scored) -> Components:
        """What a run's every comparison starts from."""
        return label_components(run.rankings, self._images)

    def compare(self, run: Scored, ours: Components, theirs: Components, level: float) -> pd.DataFrame:
        """Every label of a run against the reference's.

        Args:
            run: judged.
            ours: its `components`.
            theirs: the reference's.
            level: of the intervals.

        Returns:
            One row a label, in order: difference, difference_lo, difference_hi, p_delong (patients as clusters),
            p_delong_images (images as independent), not_tested (empty, or why p_delong is NaN). Labels that are
            excluded have no numbers.
        """
        tested, by_image = (tests.compare(ours, theirs, level) for tests in (self._by_patient, self._by_image))
        columns = {"difference": "difference", "lo": "difference_lo", "hi": "difference_hi", "p": "p_delong"}
        found = tested.rename(columns=columns)[list(columns.values())].assign(p_delong_images=by_image["p"])
        excluded = run.labels["excluded"].to_numpy() != ""
        found.loc[excluded, :] = np.nan
        return found.assign(not_tested=tested["excluded"].mask(excluded, ""))
