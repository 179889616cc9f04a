"""Chained imputation with random forests: scikit-learn's IterativeImputer on distinct rows.

The result is IterativeImputer's own (fit on the chosen rows, then transform of all rows): same start, same order of
columns, same forests, same stop. It is reached sooner because rows with the same known values are one row with a count,
because columns without an unknown value, which IterativeImputer fits as well, are passed over, and because a tree's
draws, which are the same in every round, are made once. With as many distinct rows as rows it is no slower than the
plain call, so that there is no second way of doing it.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.impute import SimpleImputer

from mmsn.console import logger
from mmsn.ehr.draws import Counts, bootstrap_counts
from mmsn.ehr.forest import Floats, Forest, tree_seeds

TOLERANCE = 1e-3  # IterativeImputer's: largest change in a round, relative to the largest known value

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class DistinctRows:
    """The distinct rows of a matrix `[N, C]` in order of first appearance; unknown (NaN) is a value like any other."""

    values: Floats
    """`[D, C]`."""
    of_row: NDArray[np.intp]
    """`[N]`, the distinct row of each row."""

    @classmethod
    def of(cls, matrix: Floats) -> "DistinctRows":
        """Find them, column by column, by hashing."""
        number = np.zeros(len(matrix), np.intp)
        for column in matrix.T:
            codes, values = pd.factorize(column, use_na_sentinel=False)
            number, _ = pd.factorize(number * len(values) + codes)
        first = np.empty(number.max() + 1, np.intp)
        first[number[::-1]] = np.arange(len(number))[::-1]  # the last one written is the first row
        return cls(matrix[first], number)


def chained_imputation(matrix: Floats, fit_rows: Mask, forest: Forest, max_iter: int) -> Floats:
    """Fill every unknown cell.

    Args:
        matrix: `[N, C]`, NaN where unknown; every column is known in some fit row.
        fit_rows: `[N]`, rows that the start values and the forests are learnt from.
        forest: predicts one column from the others. A regressor starts from means, a classifier from modes.
        max_iter: most rounds over the columns.

    Returns:
        `[N, C]` without NaN.
    """
    rows = DistinctRows.of(matrix)
    unknown = np.isnan(rows.values)
    to_fill = _columns_to_fill(matrix, fit_rows)
    counts = {column: _counts(rows, matrix[:, column], fit_rows, forest) for column in to_fill}
    in_fit = np.bincount(rows.of_row[fit_rows], minlength=len(rows.values)) > 0
    limit = TOLERANCE * np.nanmax(np.abs(rows.values[in_fit]))
    filled = np.where(unknown, _start(matrix[fit_rows], forest), rows.values)
    learnt_from: dict[int, Floats] = {}
    for _ in range(max_iter):
        before = filled.copy()
        for column in to_fill:
            others = np.delete(filled, column, axis=1)
            if column in learnt_from and np.array_equal(learnt_from[column], others):
                continue  # the same forest would say the same again
            learnt_from[column] = others
            known = in_fit & ~unknown[:, column]
            predict = forest.predictor(others[known], filled[known, column], counts[column])
            filled[unknown[:, column], column] = predict(others[unknown[:, column]])
        if np.abs(filled - before)[in_fit].sum(axis=1).max() < limit:
            break
    else:
        logger.info("imputation: still changing after %d rounds", max_iter)
    return filled[rows.of_row]


def _columns_to_fill(matrix: Floats, fit_rows: Mask) -> list[int]:
    """Columns with unknown values, those with the fewest (among the fit rows) first."""
    unknown = np.isnan(matrix)
    order = np.argsort(unknown[fit_rows].mean(axis=0), kind="stable")
    return [int(column) for column in order if unknown[:, column].any()]


def _start(known: Floats, forest: Forest) -> Floats:
    strategy = "mean" if forest.kind == "regressor" else "most_frequent"
    statistics: Floats = SimpleImputer(strategy=strategy).fit(known).statistics_
    return statistics


def _counts(rows: DistinctRows, column: Floats, fit_rows: Mask, forest: Forest) -> Counts:
    """`[trees, distinct rows that have this column and are fitted on]`."""
    drawn_from = rows.of_row[fit_rows & ~np.isnan(column)]
    present = np.bincount(drawn_from, minlength=len(rows.values)) > 0
    compact = np.cumsum(present) - 1
    return bootstrap_counts(compact[drawn_from], int(present.sum()), tree_seeds(forest.seed), forest.threads)
