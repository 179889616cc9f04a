"""The two methods that a figure with room for two sets side by side: the reference, and one beside it."""

from collections.abc import Sequence

import pandas as pd

from mmsn.errors import UserError
from mmsn.figures.choice import variants_with_ehr
from mmsn.methods import method_from_id
from mmsn.reporting.runs import RunDescription


def compared_runs(
    runs: Sequence[RunDescription], summary: pd.DataFrame, baseline: str, chosen: str | None
) -> tuple[list[RunDescription], str]:
    """The reference's first seed and that of one other method, and a sentence on how that was chosen.

    Args:
        runs: of one backbone.
        summary: `statistics/linear/**/summary.parquet`.
        baseline: id of the reference.
        chosen: id of the other method, of any kind; None: the variant of the reference with EHR that has the highest
            macro AUROC.

    Raises:
        UserError: a method has no run.
    """
    first = {run.method: run for run in sorted(runs, key=lambda run: -run.seed)}
    reference = _run_of(first, baseline)
    if chosen is not None:
        other = _run_of(first, chosen)
        return [reference, other], f"Beside {reference.method_name} stands {other.method_name}, as configured."
    best = _auroc_of_variants(summary, baseline)
    if best.empty:
        return [reference], f"{reference.method_name} stands alone: no variant of it with EHR is in the study."
    other = _run_of(first, str(best.idxmax()))
    how = (
        f"the one with the highest AUROC on these test images of its {len(best)} variants with EHR, which flatters it"
        if len(best) > 1
        else "its only variant with EHR"
    )
    return [reference, other], f"Beside {reference.method_name} stands {other.method_name}, {how}."


def _auroc_of_variants(summary: pd.DataFrame, baseline: str) -> pd.Series:
    """Macro AUROC by method, the mean of its seeds, in the order of the file."""
    own = {method.id for method in variants_with_ehr(map(method_from_id, summary["method"].unique()), baseline)}
    rows = summary[summary["method"].isin(own) & (summary["metric"] == "auroc") & summary["value"].notna()]
    return rows.groupby("method", sort=False, observed=True)["value"].mean()


def _run_of(runs: dict[str, RunDescription], method: str) -> RunDescription:
    if method not in runs:
        raise UserError(f"no run of {method} among {', '.join(runs)}; mend figures.compared or statistics.baseline")
    return runs[method]
