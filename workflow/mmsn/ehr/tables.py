"""The imputer and the encoder on whole tables."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mmsn.console import logger
from mmsn.ehr.codes import Column, encode, label_codes, to_codes
from mmsn.ehr.hidden import hidden_cell_study, scarce
from mmsn.ehr.impute import Imputer
from mmsn.ehr.settings import ImputationSettings, Variable
from mmsn.errors import UserError


def impute_table(
    images: pa.Table, variables: Mapping[str, Variable], settings: ImputationSettings, threads: int
) -> tuple[pa.Table, dict[str, Any]]:
    """Complete the variables of images.parquet.

    Returns:
        dicom_id and the variables as raw values, and a report: for each variable `unknown` cells of images.parquet,
        those `hidden_on_purpose` besides (`hide_share`), those `imputed` and those `left_unknown` of both,
        `outside_range`, and `hidden_cells` with `hidden_confusion` (`hidden_cell_study`).

    Raises:
        UserError: when a predictor or a value is not configured, or an unknown value cannot or may not be imputed.
    """
    unknown_predictors = set(settings.predictors) - set(variables)
    if unknown_predictors:
        raise UserError(
            f"imputation.predictors: {sorted(unknown_predictors)[0]!r} is not a variable; known: {', '.join(variables)}"
        )
    raw = to_codes(images, variables)
    columns = scarce(raw, variables, settings)
    fit_rows: NDArray[np.bool_] = np.ones(len(images), dtype=bool)
    if settings.fit_on == "train":
        fit_rows = images["split"].to_numpy(zero_copy_only=False) == "train"
    imputer = Imputer(variables, settings, threads)
    completed = imputer.complete(columns, fit_rows)
    study = hidden_cell_study(imputer, columns, fit_rows)
    report = {
        "model": settings.model,
        "fitted_on": settings.fit_on,
        "predictors": list(settings.predictors),
        "hide_share": settings.hide_share,
        "images": len(images),
        "variables": {n: _counts(v, raw[n], columns[n], completed[n], study.get(n, {})) for n, v in variables.items()},
    }
    for name in variables:
        if variables[name].missing == "impute" and np.isnan(completed[name]).any():
            logger.warning("warning: %s is unknown for every image that could teach it and stays so", name)
    values = {name: _raw(completed[name], variables[name]) for name in variables}
    return pa.table({"dicom_id": images["dicom_id"], **values}), report


def encode_table(values: pa.Table, variables: Mapping[str, Variable]) -> pa.Table:
    """One feature set: dicom_id and its float32 columns, in the order of `variables`.

    Raises:
        UserError: when two variables give a column of the same name, or as `codes.to_codes` and `codes.encode`.
    """
    columns = to_codes(values, variables)
    encoded: dict[str, pa.Array] = {}
    for name, variable in variables.items():
        matrix = encode(columns[name], name, variable)
        for i, column in enumerate(variable.column_names(name)):
            if column in encoded:
                raise UserError(f"variables.{name}: another variable has the column {column!r} too; set columns: [...]")
            encoded[column] = pa.array(matrix[:, i])
    return pa.table({"dicom_id": values["dicom_id"], **encoded})


def _raw(column: Column, variable: Variable) -> pa.Array:
    if variable.kind == "continuous":
        return pa.array(column, pa.float64(), from_pandas=True)
    unknown = np.isnan(column)
    codes = np.where(unknown, 0, column).astype(np.int64)
    return pa.array(np.asarray(label_codes(variable), dtype=object)[codes], pa.string(), mask=unknown)


def _counts(
    variable: Variable, raw: Column, given: Column, completed: Column, study: Mapping[str, Any]
) -> dict[str, Any]:
    outside = 0
    if variable.range is not None:
        outside = int(((raw < variable.range[0]) | (raw > variable.range[1])).sum())
    unknown, all_unknown, left = (int(np.isnan(column).sum()) for column in (raw, given, completed))
    return {
        "missing": variable.missing,
        "unknown": unknown,
        "hidden_on_purpose": all_unknown - unknown,
        "imputed": all_unknown - left,
        "left_unknown": left,
        "outside_range": outside,
        "hidden_cells": {},
        **study,
    }
