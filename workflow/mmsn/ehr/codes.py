"""Raw EHR values as numbers and back: label codes for the imputer, encoded columns for the models."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mmsn.ehr.settings import Variable
from mmsn.errors import UserError

Column = NDArray[np.float64]


def label_codes(variable: Variable) -> tuple[str, ...]:
    """Categories in code order: alphabetical, as scikit-learn's LabelEncoder has them (AP 0, LATERAL 1, LL 2, PA 3)."""
    return tuple(sorted(variable.values))


def to_codes(table: pa.Table, variables: Mapping[str, Variable]) -> dict[str, Column]:
    """Each variable as float64 `[N]`: label codes or the number itself, NaN where unknown.

    Raises:
        UserError: when a column is missing or a categorical value is not in the configuration.
    """
    return {name: _to_codes(table, name, variable) for name, variable in variables.items()}


def _to_codes(table: pa.Table, name: str, variable: Variable) -> Column:
    if name not in table.column_names:
        raise UserError(f"images.parquet: no column {name}; delete it to have the cohort made again")
    column = table[name].combine_chunks()
    if variable.kind == "continuous":
        numbers: Column = pc.cast(column, pa.float64()).to_numpy(zero_copy_only=False)
        return numbers
    codes = pc.index_in(column, pa.array(label_codes(variable), column.type), skip_nulls=True)
    unexpected = pc.and_(pc.is_valid(column), pc.is_null(codes))
    if pc.any(unexpected).as_py():
        value = column.filter(unexpected)[0].as_py()
        count = pc.sum(unexpected).as_py()
        raise UserError(
            f"variables.{name}: {count} images have the value {value!r}, which is not among "
            f"{', '.join(variable.values)}; add it to values, or map it in {name}.sql"
        )
    result: Column = pc.cast(codes, pa.float64()).to_numpy(zero_copy_only=False)
    return result


def encode(values: Column, name: str, variable: Variable) -> NDArray[np.float32]:
    """Codes or numbers `[N]` -> encoded columns `[N, n]` in the configuration's order.

    Categorical: one-hot. Continuous: min-max on the configured range, not clipped. Unknown, which only `missing: mask`
    allows: 0 in every column, of which a continuous variable then has a second one that is 1 where the value is known.

    Raises:
        UserError: when a value is unknown that is not to be masked.
    """
    unknown = np.isnan(values)
    masked = variable.missing == "mask"
    if unknown.any() and not masked:
        raise UserError(
            f"variables.{name}: {unknown.sum()} of {len(values)} values are unknown and none could be imputed; "
            f"set missing: mask, or leave the feature sets with {name} out of runs.methods"
        )
    if variable.kind == "categorical":
        order = [label_codes(variable).index(value) for value in variable.values]
        one_hot: NDArray[np.float32] = (values[:, None] == np.asarray(order)).astype(np.float32)
        return one_hot  # a row of zeros where unknown: no code equals NaN
    low, high = variable.range or (0.0, 1.0)
    scaled = np.where(unknown, 0, (values - low) / (high - low))
    return np.stack([scaled, ~unknown] if masked else [scaled], axis=1).astype(np.float32)
