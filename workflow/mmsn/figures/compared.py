"""The two methods that a figure with room for two sets side by side: the reference and one variant with EHR."""

from collections.abc import Sequence

import pandas as pd

from mmsn.errors import UserError
from mmsn.reporting.runs import RunDescription


def compared_runs(
    runs: Sequence[RunDescription], summary: pd.DataFrame, baseline: str, chosen: str | None
) -> tuple[list[RunDescription], str]:
    """The reference's first seed and that of the variant with EHR, and how the variant was chosen.

    Args:
        runs: of one backbone.
        summary: `statistics/linear/**/summary.parquet`.
        baseline: id of the reference.
        chosen: id of the variant; None: the EHR method with the highest macro AUROC.

    Raises:
        UserError: a method has no run.
    """
    first = {run.method: run for run in sorted(runs, key=lambda run: -run.seed)}
    of_ehr = summary[(summary["family"] == "ehr") & (summary["metric"] == "auroc") & summary["value"].notna()]
    best = of_ehr.groupby("method", sort=False)["value"].mean()
    how = "chosen in the configuration"
    if chosen is None:
        if best.empty:
            return [_run_of(first, baseline)], "no variant with EHR is in the study"
        chosen = str(best.idxmax())
        how = f"of {len(best)} variants with EHR the one with the highest AUROC on these test images, which flatters it"
    return [_run_of(first, baseline), _run_of(first, chosen)], how


def _run_of(runs: dict[str, RunDescription], method: str) -> RunDescription:
    if method not in runs:
        raise UserError(f"no run of {method} among {', '.join(runs)}; mend figures.compared or statistics.baseline")
    return runs[method]
