"""Known EHR cells hidden on purpose: to see how well they are imputed, or to study a scarce EHR."""

from collections.abc import Mapping
from typing import Any
from zlib import crc32

import numpy as np

from mmsn.ehr.chained import Mask
from mmsn.ehr.codes import Column, label_codes
from mmsn.ehr.impute import Imputer, plain_guess
from mmsn.ehr.settings import ImputationSettings, Variable


def scarce(
    columns: Mapping[str, Column], variables: Mapping[str, Variable], settings: ImputationSettings
) -> dict[str, Column]:
    """Hide `settings.hide_share` of the known cells of every variable that may be unknown, for good.

    Each variable has its own random numbers, so that the cells hidden in one do not depend on what others there are.
    """
    if settings.hide_share == 0:
        return dict(columns)
    return {
        name: _without(column, _chosen([settings.seed, crc32(name.encode())], column, settings.hide_share))
        if variables[name].missing != "error"
        else column
        for name, column in columns.items()
    }


def hidden_cell_study(imputer: Imputer, columns: Mapping[str, Column], fit_rows: Mask) -> dict[str, dict[str, Any]]:
    """Hide known cells, impute them as the unknown ones are, and compare with the truth.

    The truth takes no part: a hidden cell is unknown to the forests, wherever its row is.

    Returns:
        For each imputed variable
        `hidden_cells`: how many were `hidden`, and `accuracy` with `accuracy_of_mode` (categorical) or
        `mean_absolute_error` with `mean_absolute_error_of_mean` (continuous), the plain guess being the floor;
        `hidden_confusion` (categorical): counts by true value, then by imputed value.
    """
    random = np.random.default_rng(imputer.settings.seed)
    share = imputer.settings.hidden_share
    hidden = {name: _chosen(random, columns[name], share) for name in imputer.wanted(columns, fit_rows)}
    masked = {name: _without(c, hidden[name]) if name in hidden else c for name, c in columns.items()}
    completed = imputer.complete(masked, fit_rows)
    return {
        name: _compared(imputer.variables[name], columns[name][mask], completed[name][mask], masked[name][fit_rows])
        for name, mask in hidden.items()
        if mask.any() and not np.isnan(completed[name]).any()
    }


def _chosen(seed: list[int] | np.random.Generator, column: Column, share: float) -> Mask:
    """`[N]`: known cells, each chosen with probability `share`, whatever its value."""
    return (np.random.default_rng(seed).random(len(column)) < share) & ~np.isnan(column)


def _without(column: Column, hidden: Mask) -> Column:
    return np.where(hidden, np.nan, column)


def _compared(variable: Variable, true: Column, imputed: Column, known: Column) -> dict[str, Any]:
    guess = plain_guess(variable, known)
    if variable.kind == "continuous":
        error, floor = np.abs(true - imputed).mean(), np.abs(true - guess).mean()
        scores = {"mean_absolute_error": error, "mean_absolute_error_of_mean": floor}
        return {"hidden_cells": _rounded(len(true), scores)}
    scores = {"accuracy": np.mean(true == imputed), "accuracy_of_mode": np.mean(true == guess)}
    return {
        "hidden_cells": _rounded(len(true), scores),
        "hidden_confusion": confusion(variable, true, imputed),
    }


def confusion(variable: Variable, true: Column, imputed: Column) -> dict[str, dict[str, int]]:
    """How often each value (outer key) was imputed as each value (inner key), in the configuration's order."""
    code = {value: label_codes(variable).index(value) for value in variable.values}
    return {
        actual: {guess: int(((true == code[actual]) & (imputed == code[guess])).sum()) for guess in variable.values}
        for actual in variable.values
    }


def _rounded(hidden: int, scores: Mapping[str, Any]) -> dict[str, float]:
    return {"hidden": hidden, **{key: round(float(value), 4) for key, value in scores.items()}}
