"""Unknown EHR values filled by chained random forests: scikit-learn's IterativeImputer, reached sooner (SPEC 2)."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mmsn.ehr.chained import Mask, chained_imputation
from mmsn.ehr.codes import Column, label_codes
from mmsn.ehr.forest import Forest, Kind
from mmsn.ehr.settings import ImputationSettings, Variable
from mmsn.errors import UserError


@dataclass(frozen=True)
class Imputer:
    """Everything that decides how a matrix of variables is completed."""

    variables: Mapping[str, Variable]
    settings: ImputationSettings
    threads: int

    def complete(self, columns: Mapping[str, Column], fit_rows: Mask) -> dict[str, Column]:
        """Fill unknown values.

        Args:
            columns: label codes and numbers, `[N]` each, NaN where unknown.
            fit_rows: `[N]`, rows the forest may learn from.

        Returns:
            The same columns without NaN, but for masked variables and those of which no fit row knows the value.

        Raises:
            UserError: when a value is unknown that may not be imputed, or there is no row to learn from.
        """
        wanted = self.wanted(columns, fit_rows)
        if not wanted:
            return dict(columns)
        used = list(dict.fromkeys([*wanted, *self._known_predictors(columns, fit_rows)]))
        if len(used) == 1:
            return {**columns, used[0]: self._plain(used[0], columns[used[0]], fit_rows)}
        matrix = np.stack([columns[name] for name in used], axis=1)
        filled = self._chained(matrix, used, fit_rows)
        return {**columns, **{name: filled[:, used.index(name)] for name in wanted}}

    def wanted(self, columns: Mapping[str, Column], fit_rows: Mask) -> list[str]:
        """Variables to impute: some value is unknown and not to be masked, and some fit row knows the value.

        Raises:
            UserError: as `complete`.
        """
        return [name for name, values in columns.items() if self._needs_imputing(name, values, fit_rows)]

    def _needs_imputing(self, name: str, values: Column, fit_rows: Mask) -> bool:
        unknown, missing = np.isnan(values), self.variables[name].missing
        if missing == "mask" or not unknown.any():
            return False
        if missing == "error":
            raise UserError(
                f"variables.{name}: {int(unknown.sum())} of {len(values)} values are unknown and missing is error; "
                "set missing: impute or mask, or give the missing values"
            )
        if not fit_rows.any():
            raise UserError(
                f"imputation.fit_on: {self.settings.fit_on}, but no image is in the train split and {name} has unknown "
                "values; set fit_on: all, or check cohort.split"
            )
        return not unknown[fit_rows].all()

    def _known_predictors(self, columns: Mapping[str, Column], fit_rows: Mask) -> list[str]:
        return [name for name in self.settings.predictors if not np.isnan(columns[name][fit_rows]).all()]

    def _plain(self, name: str, values: Column, fit_rows: Mask) -> Column:
        """One variable alone has nothing to learn from: its mode or mean."""
        return np.where(np.isnan(values), plain_guess(self.variables[name], values[fit_rows]), values)

    def _chained(self, matrix: Column, names: list[str], fit_rows: Mask) -> Column:
        categorical = np.array([self.variables[name].kind == "categorical" for name in names])
        if self.settings.model == "regressor":
            return self._rounded(self._iterated("regressor", matrix, fit_rows), names)
        # Categories first, with numbers known or at their mean; then the numbers, from complete categories.
        means = np.nanmean(matrix[fit_rows], axis=0)
        numbers_filled = np.where(np.isnan(matrix) & ~categorical, means, matrix)
        if np.isnan(numbers_filled).any():
            numbers_filled = self._iterated("classifier", numbers_filled, fit_rows)
        still_unknown = np.where(np.isnan(matrix) & ~categorical, np.nan, numbers_filled)
        if not np.isnan(still_unknown).any():
            return still_unknown
        return self._iterated("regressor", still_unknown, fit_rows)

    def _iterated(self, kind: Kind, matrix: Column, fit_rows: Mask) -> Column:
        return chained_imputation(
            matrix, fit_rows, Forest(kind, self.settings.seed, self.threads), self.settings.max_iter
        )

    def _rounded(self, filled: Column, names: list[str]) -> Column:
        """Label codes are whole numbers again, as released; numbers stay as they are."""
        columns = []
        for index, name in enumerate(names):
            column, variable = filled[:, index], self.variables[name]
            is_code = variable.kind == "categorical"
            last = len(label_codes(variable)) - 1
            columns.append(column.round().clip(0, last) if is_code else column)
        return np.stack(columns, axis=1)


def plain_guess(variable: Variable, values: Column) -> float:
    """The mode (categorical) or mean (continuous) of the known values: what anybody would guess."""
    known = values[~np.isnan(values)]
    if variable.kind == "continuous":
        return float(known.mean())
    unique, counts = np.unique(known, return_counts=True)
    return float(unique[counts.argmax()])
