"""Unknown EHR values filled by scikit-learn's IterativeImputer around a random forest (SPEC 2)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.experimental import enable_iterative_imputer  # noqa: F401  (makes the next import possible)
from sklearn.impute import IterativeImputer

from mmsn.console import logger
from mmsn.ehr.codes import Column, label_codes
from mmsn.ehr.settings import ImputationSettings, Variable
from mmsn.errors import UserError


@dataclass(frozen=True)
class Imputer:
    """Everything that decides how a matrix of variables is completed."""

    variables: Mapping[str, Variable]
    settings: ImputationSettings
    threads: int

    def complete(self, columns: dict[str, Column], fit_rows: NDArray[np.bool_]) -> dict[str, Column]:
        """Fill unknown values.

        Args:
            columns: label codes and numbers, `[N]` each, NaN where unknown.
            fit_rows: `[N]`, rows the forest may learn from.

        Returns:
            The same columns without NaN, but for variables of which no value is known.
        """
        wanted = [name for name in columns if self._needs_imputing(name, columns[name], fit_rows)]
        if not wanted:
            return dict(columns)
        used = list(dict.fromkeys([*wanted, *self._complete_predictors(columns)]))
        if len(used) == 1:
            return {**columns, used[0]: self._plain(used[0], columns[used[0]], fit_rows)}
        matrix = np.stack([columns[name] for name in used], axis=1)
        filled = self._chained(matrix, used, fit_rows)
        return {**columns, **{name: filled[:, used.index(name)] for name in wanted}}

    def hidden_cell_study(self, columns: dict[str, Column], fit_rows: NDArray[np.bool_]) -> dict[str, Any]:
        """Hide known cells on purpose, impute and compare: how well each variable is imputed, beside the plain guess.

        Returns:
            For each imputed variable `hidden` (cells), and `accuracy` with `accuracy_of_mode` (categorical) or
            `mean_absolute_error` with `mean_absolute_error_of_mean` (continuous).
        """
        random = np.random.default_rng(self.settings.seed)
        wanted = [name for name in columns if self._needs_imputing(name, columns[name], fit_rows)]
        hidden = {n: random.random(len(columns[n])) < self.settings.hidden_share for n in wanted}
        hidden = {name: mask & ~np.isnan(columns[name]) for name, mask in hidden.items()}
        masked = {n: np.where(hidden[n], np.nan, c) if n in hidden else c for n, c in columns.items()}
        completed = self.complete(masked, fit_rows)
        return {
            name: self._compared(name, columns[name][mask], completed[name][mask], masked[name][fit_rows])
            for name, mask in hidden.items()
            if mask.any() and not np.isnan(completed[name]).any()
        }

    def _needs_imputing(self, name: str, values: Column, fit_rows: NDArray[np.bool_]) -> bool:
        unknown = np.isnan(values)
        if not unknown.any():
            return False
        if not self.variables[name].impute:
            raise UserError(
                f"variables.{name}: {int(unknown.sum())} of {len(values)} values are unknown and impute is false; "
                "set impute: true or give the missing values"
            )
        if unknown[fit_rows].all():
            logger.warning("warning: %s is unknown for every image and stays so", name)
            return False
        return True

    def _complete_predictors(self, columns: dict[str, Column]) -> list[str]:
        return [name for name in self.settings.predictors if not np.isnan(columns[name]).all()]

    def _plain(self, name: str, values: Column, fit_rows: NDArray[np.bool_]) -> Column:
        """One variable alone has nothing to learn from: its mode or mean."""
        return np.where(np.isnan(values), _plain_guess(self.variables[name], values[fit_rows]), values)

    def _chained(self, matrix: Column, names: list[str], fit_rows: NDArray[np.bool_]) -> Column:
        categorical = np.array([self.variables[name].kind == "categorical" for name in names])
        if self.settings.model == "regressor":
            filled = self._iterated(RandomForestRegressor, matrix, fit_rows, "mean")
            return self._rounded(filled, names)
        # Categories first, with numbers known or at their mean; then the numbers, from complete categories.
        means = np.nanmean(matrix[fit_rows], axis=0)
        numbers_filled = np.where(np.isnan(matrix) & ~categorical, means, matrix)
        if np.isnan(numbers_filled).any():
            numbers_filled = self._iterated(RandomForestClassifier, numbers_filled, fit_rows, "most_frequent")
        still_unknown = np.where(np.isnan(matrix) & ~categorical, np.nan, numbers_filled)
        if not np.isnan(still_unknown).any():
            return still_unknown
        return self._iterated(RandomForestRegressor, still_unknown, fit_rows, "mean")

    def _iterated(self, forest: type, matrix: Column, fit_rows: NDArray[np.bool_], initial: str) -> Column:
        seed = self.settings.seed
        imputer = IterativeImputer(
            estimator=forest(random_state=seed, n_jobs=self.threads),
            max_iter=self.settings.max_iter,
            random_state=seed,
            initial_strategy=initial,
        )
        imputer.fit(matrix[fit_rows])
        completed: Column = imputer.transform(matrix)
        return completed

    def _rounded(self, filled: Column, names: list[str]) -> Column:
        """Label codes are whole numbers again, as released; numbers stay as they are."""
        columns = []
        for index, name in enumerate(names):
            column, variable = filled[:, index], self.variables[name]
            is_code = variable.kind == "categorical"
            last = len(label_codes(variable)) - 1
            columns.append(column.round().clip(0, last) if is_code else column)
        return np.stack(columns, axis=1)

    def _compared(self, name: str, true: Column, imputed: Column, known: Column) -> dict[str, float]:
        guess = _plain_guess(self.variables[name], known)
        if self.variables[name].kind == "categorical":
            scores = {"accuracy": np.mean(true == imputed), "accuracy_of_mode": np.mean(true == guess)}
        else:
            scores = {
                "mean_absolute_error": np.abs(true - imputed).mean(),
                "mean_absolute_error_of_mean": np.abs(true - guess).mean(),
            }
        return {"hidden": len(true), **{key: round(float(value), 4) for key, value in scores.items()}}


def _plain_guess(variable: Variable, values: Column) -> float:
    known = values[~np.isnan(values)]
    if variable.kind == "continuous":
        return float(known.mean())
    unique, counts = np.unique(known, return_counts=True)
    return float(unique[counts.argmax()])
