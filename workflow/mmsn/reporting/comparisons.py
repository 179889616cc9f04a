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
from mmsn.statistics.delong import delong_per_label
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


def compare(run: Scored, reference: Scored, metric: Metric, level: float) -> Comparison:
    """One metric of a run minus the reference's, on the same resamples and of the same seed or seeds."""
    observed = run.value[metric] - reference.value[metric]
    paired = paired_difference(run.of_patients[metric], reference.of_patients[metric], observed, level)
    ours, theirs = ([member.value[metric] for member in side.members] for side in (run, reference))
    return Comparison(
        difference=observed,
        lo=paired.lo,
        hi=paired.hi,
        p=paired.p,
        p_published=student_t_test(run.of_images[metric], reference.of_images[metric]),
        p_seeds=paired_t_test(ours, theirs).p if len(ours) >= FEWEST_SEEDS else float("nan"),
    )


def holm_within(groups: Iterable[object], p: Sequence[float]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Holm's adjustment within each group of comparisons: adjusted p [K] and the group's size [K].

    Args:
        groups: [K] hashable keys.
        p: [K], NaN where nothing was compared.
    """
    values = pd.Series(p, dtype=np.float64)
    grouped = values.groupby(pd.Series(list(groups), index=values.index), sort=False)
    return grouped.transform(holm).to_numpy(), grouped.transform("count").to_numpy(np.int64)


def compare_labels(run: Scored, reference: Scored, test_set: Predictions, level: float) -> pd.DataFrame:
    """AUROC of every label against the reference's, by DeLong's test with patients as clusters.

    Returns:
        One row a label, in order: difference, difference_lo, difference_hi, p_delong.
    """
    names = list(run.labels["label"])
    tested = delong_per_label(test_set.targets, run.scores, reference.scores, names, test_set.patients, level)
    columns = {"difference": "difference", "lo": "difference_lo", "hi": "difference_hi", "p": "p_delong"}
    return tested.rename(columns=columns)[list(columns.values())]
