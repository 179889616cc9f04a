"""How many EHR values were imputed and how well: known cells hidden on purpose, beside the plain guess."""

from typing import Any, Final

from mmsn.errors import UserError
from mmsn.reporting.layout import Cell, Column, Row, Table
from mmsn.reporting.number_format import count

_HEADERS: Final = (
    Column("Variable", numeric=False),
    Column("unknown"),
    Column("hidden on purpose"),
    Column("imputed"),
    Column("left unknown"),
    Column("hidden on trial"),
    Column("right, or mean error"),
    Column("by the mode, or mean"),
)


def imputation_tables(report: dict[str, Any], source: str, note: str = "") -> list[Table]:
    """Lay out `imputation.json`: one row a variable, then for each category a table of true against imputed values.

    Args:
        report: the file's content.
        source: its name, for complaints.
        note: what makes the data special.

    Raises:
        UserError: the file has no variables.
    """
    variables = report.get("variables")
    if not variables:
        raise UserError(f"{source}: no key 'variables'; impute again")
    helped = f", helped by {', '.join(report['predictors'])}" if report["predictors"] else ""
    caption = (
        f"Model: {report['model']}, fitted on {report['fitted_on']} rows of {count(report['images'])} images{helped}.",
        *_scarcity(report["hide_share"]),
        "Left unknown: masked (0 in all columns of the variable), or known for no image.",
        "Hidden on trial: known values hidden on purpose and imputed again; right is the share imputed correctly, "
        "for numbers the mean absolute error. The last column is what the commonest value (or the mean) reaches.",
    )
    rows = tuple(_row(name, values) for name, values in variables.items())
    tables = [Table("Imputation of the EHR", _HEADERS, rows, note, caption)]
    confusions = {name: values.get("hidden_confusion") for name, values in variables.items()}
    return tables + [_confusion_table(name, counts) for name, counts in confusions.items() if counts]


def _scarcity(share: float) -> tuple[str, ...]:
    if share == 0:
        return ()
    return (
        f"A scarcer EHR: {share:.0%} of the known values were hidden on purpose and treated like unknown ones"
        " (imputation.hide_share).",
    )


def _row(name: str, values: dict[str, Any]) -> Row:
    trial = values["hidden_cells"]
    reached = trial.get("accuracy", trial.get("mean_absolute_error"))
    floor = trial.get("accuracy_of_mode", trial.get("mean_absolute_error_of_mean"))
    counted = ("unknown", "hidden_on_purpose", "imputed", "left_unknown")
    cells = [Cell(name), *(Cell(count(values[what])) for what in counted)]
    scores = [Cell("" if score is None else f"{score:.3f}") for score in (reached, floor)]
    return Row((*cells, Cell(count(trial.get("hidden"))), *scores), group="variables")


def _confusion_table(name: str, counts: dict[str, dict[str, int]]) -> Table:
    imputed = list(dict.fromkeys(value for row in counts.values() for value in row))
    headers = (Column("True", numeric=False), *(Column(value, group="imputed as") for value in imputed))
    rows = tuple(
        Row((Cell(true), *(Cell(count(row.get(value, 0)), bold=value == true) for value in imputed)), group="values")
        for true, row in counts.items()
    )
    return Table(f"Hidden values of {name}: true against imputed", headers, rows, "", ())
