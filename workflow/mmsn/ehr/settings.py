"""What the feature tables depend on."""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from mmsn.settings import Section

Missing = Literal["impute", "mask", "error"]
_TABLE = re.compile(r"[a-z][a-z0-9_]*/[a-z][a-z0-9_]*")


class Variable(Section):
    """One EHR variable: a SQL statement of the same name gives its raw value, these lines its encoding."""

    kind: Literal["categorical", "continuous"]
    """`categorical` becomes one column a value (one-hot), `continuous` one column."""
    values: tuple[str, ...] = ()
    """Categorical: the values in column order."""
    columns: tuple[str, ...] = ()
    """Categorical: the columns' names where they differ from the values."""
    range: tuple[float, float] | None = None
    """Continuous: min-max bounds, low to 0 and high to 1; values outside are kept, not clipped, and counted."""
    missing: Missing = "impute"
    """What becomes of an unknown value. `impute`: filled by the random forest. `mask`: stays unknown and is encoded as
    0 in all columns of the variable; a continuous one, where 0 is also its lowest value, gets one more column,
    `<name>_known`, 1 where the value is known and 0 where not. `error`: stops the run."""
    tables: tuple[str, ...] = ()
    """MIMIC-IV tables that the statement reads besides those that the cohort is made of, as folder and name without an
    ending: `hosp/labevents` is `hosp.labevents` to the statement. Read as a stream, so of any size."""
    sql: Path | None = None
    """The SQL statement, where it is not `<name>.sql` beside the built-in ones."""

    @model_validator(mode="after")
    def _encoding_is_complete(self) -> "Variable":
        if self.kind == "categorical" and len(self.values) < 2:
            raise ValueError("a categorical variable needs at least two values")
        if self.kind == "continuous" and (self.range is None or self.range[0] >= self.range[1]):
            raise ValueError("a continuous variable needs range: [low, high] with low < high")
        if self.columns and len(self.columns) != len(self.values):
            raise ValueError(f"{len(self.columns)} columns for {len(self.values)} values")
        for table in self.tables:
            if not _TABLE.fullmatch(table):
                raise ValueError(f"tables: {table!r} must be folder/name without an ending, such as hosp/labevents")
        return self

    def column_names(self, name: str) -> tuple[str, ...]:
        """Names of the encoded columns, in order."""
        if self.kind == "categorical":
            return self.columns or self.values
        return (name, f"{name}_known") if self.missing == "mask" else (name,)


class ImputationSettings(Section):
    """How unknown values are filled: as by scikit-learn's IterativeImputer around a random forest (SPEC 2)."""

    model: Literal["regressor", "classifier"]
    """`regressor`: as released, a RandomForestRegressor on label codes, rounded, so that a mean between AP and PA
    becomes LATERAL. `classifier`: a RandomForestClassifier for categorical variables."""
    fit_on: Literal["all", "train"]
    """Rows the forest is fitted on."""
    predictors: tuple[str, ...] = ()
    """Further variables that help to impute, beside those with unknown values; the released code has none."""
    max_iter: int = 10
    """Rounds of chained imputation."""
    seed: int = 24
    """random_state of the imputer and its forest."""
    hidden_share: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Share of known cells hidden on purpose, imputed and compared, so that the accuracy is known."""
    hide_share: Annotated[float, Field(ge=0, lt=1)] = 0
    """Share of known cells that are hidden at random before all else, in every variable whose unknown values are
    imputed or masked, and then treated like those: a study of a scarcer EHR. Says nothing about how well cells are
    imputed; hidden_share does."""
