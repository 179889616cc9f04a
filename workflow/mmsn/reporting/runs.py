"""Which runs a table compares: their names, their part in the comparison, and the paper's order of rows."""

import json
from pathlib import Path
from typing import Annotated, Final, Literal, TypeAlias, TypeVar

from pydantic import Field, ValidationError

from mmsn.errors import UserError
from mmsn.methods import CONTROLS
from mmsn.reporting.published import published_order
from mmsn.settings import Section

Family: TypeAlias = Literal["baseline", "reference", "ehr", "control"]
FAMILIES: Final[tuple[Family, ...]] = ("baseline", "reference", "ehr", "control")
"""Order of the groups of rows; Holm's correction runs within `ehr`, `control` and `baseline` separately."""
_CONTROLS: Final = (None, *CONTROLS)


class Described(Section):
    """What every description has."""

    id: str
    """Unique, for example `vit-small/msn+ehr.sex/seed0`."""


Description = TypeVar("Description", bound=Described)


class RunDescription(Described):
    """One evaluated model, as the workflow describes it in `--runs`."""

    backbone: str
    """Id of the backbone, for example `vit-small`."""
    backbone_name: str
    """Its name in tables and in the published results, for example `ViT-S`."""
    method: str
    """Id of the pretraining method, for example `msn+ehr.sex`."""
    method_name: str
    """Its name in tables."""
    feature_set: str | None = None
    """Feature set of an MSN+EHR method or of its control."""
    control: Literal["shuffled", "constant"] | None = None
    """Which control the method is, None for the method itself."""
    published: str | None = None
    """The `pretraining` value of the paper's row, None where the paper has none."""
    seed: Annotated[int, Field(ge=0)]
    """Seed of pretraining and evaluation."""
    predictions: Path
    """`predictions.parquet` of the run."""

    def family(self, baseline: str) -> Family:
        """Part that the run plays beside the method `baseline`.

        `msn+g`, the projection without an EHR, is a control although it has no feature set (SPEC 3).
        """
        if self.method == baseline:
            return "reference"
        if self.control is not None or self.method.endswith("+g"):
            return "control"
        return "ehr" if self.feature_set is not None else "baseline"


class HistoryDescription(Described):
    """One pretraining run whose training curves are drawn."""

    name: str
    """Name in the legend."""
    history: Path
    """`history.parquet` of the run."""


def parse_runs(text: str, kind: type[Description]) -> list[Description]:
    """Read `--runs`: a JSON list of descriptions with distinct ids.

    Raises:
        UserError: no JSON, an empty list, an unknown or missing key, an id given twice.
    """
    runs = [_described(item, place, kind) for place, item in enumerate(_json_list(text), start=1)]
    if not runs:
        raise UserError("--runs: the list is empty; give at least one run")
    ids = [run.id for run in runs]
    twice = sorted({name for name in ids if ids.count(name) > 1})
    if twice:
        raise UserError(f"--runs: id {twice[0]!r} is given twice; give each run its own id")
    return runs


def in_paper_order(runs: list[RunDescription], baseline: str) -> list[RunDescription]:
    """Sort runs by `row_rank`, then by seed; what ranks alike keeps its order."""

    def place(run: RunDescription) -> tuple[tuple[int, int, int], int]:
        return row_rank(run.family(baseline), run.published, run.feature_set, run.control), run.seed

    return sorted(runs, key=place)


def row_rank(
    family: Family, published: str | None, feature_set: str | None, control: str | None
) -> tuple[int, int, int]:
    """Place of a row: baselines, the reference, MSN+EHR in the paper's order of feature sets, then controls.

    What the paper has no place for goes where its kind is: random initialisation before the paper's
    baselines, a new feature set after the paper's.
    """
    order = published_order()
    kind = FAMILIES.index(family)
    if feature_set is None:
        return kind, 0, order.get((published or "", ""), -1)
    return kind, _CONTROLS.index(control) + 1, order.get(("MSN+EHR", feature_set), len(order))


def _json_list(text: str) -> list[object]:
    try:
        items = json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(f"--runs: not JSON: {error}; give a JSON list of runs") from None
    if not isinstance(items, list):
        raise UserError("--runs: not a list; give a JSON list of runs")
    return items


def _described(item: object, place: int, kind: type[Description]) -> Description:
    try:
        return kind.model_validate(item)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"]) or "the description"
        raise UserError(f"--runs: run {place}: {key}: {first['msg']}; mend its description") from None
