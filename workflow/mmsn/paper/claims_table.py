"""The claims as a reader sees them: a table of verdicts, and one of every comparison behind them."""

from collections.abc import Callable, Sequence

from mmsn.paper.claims import Judgement
from mmsn.paper.sources import ALL_IMAGES
from mmsn.paper.verdicts import ALPHA, MARGIN, Evidence
from mmsn.reporting.captions import dataset_name
from mmsn.reporting.layout import Cell, Column, Row, Table
from mmsn.reporting.number_format import p_value, percent, signed_with_interval
from mmsn.statistics.tests import FEWEST_SEEDS


def claims_tables(judgements: Sequence[Judgement], level: float, note: str) -> list[Table]:
    """What this study supports, and the evidence.

    Args:
        judgements: `claims.judge_claims`.
        level: of the intervals.
        note: what makes the data special.
    """
    return [_verdicts(judgements, level, note), _comparisons(judgements, level, note)]


def _verdicts(judgements: Sequence[Judgement], level: float, note: str) -> Table:
    columns: dict[Column, Callable[[Judgement], Cell]] = {
        Column("Claim", numeric=False): lambda one: Cell(one.claim.id, hint=one.claim.statement),
        Column("judged by", numeric=False): lambda one: Cell(_where(one)),
        Column("verdict on the paper's claim", numeric=False): lambda one: Cell(str(one.verdict), bold=True),
        Column("on these data", numeric=False): lambda one: Cell(str(one.here)),
        Column(f"this study ({percent(level)} CI)"): lambda one: _difference(one.evidence[0]),
        Column("sets above the reference"): lambda one: Cell(one.better_sets if one.claim.kind != "comparison" else ""),
        Column("controls beaten"): _controls,
        Column("the paper", numeric=False): lambda one: Cell(one.paper),
    }
    if all(one.here == one.verdict for one in judgements):
        columns.pop(Column("on these data", numeric=False))
    rows = [Row(tuple(cell(one) for cell in columns.values()), one.claim.id) for one in judgements]
    statements = dict.fromkeys(f"'{one.claim.id}': {one.claim.statement}" for one in judgements)
    caption = (
        *statements,
        f"AUROC. This study: mean of the models with EHR minus the reference{_named(judgements)} (of 'single beats "
        "combined': minus the mean of the combined sets), with the interval of a bootstrap of patients, all models on "
        "the same resamples; with few training images, of the means over the random subsets.",
        "Sets above the reference: feature sets that are better than it one by one, by p (Holm) over the sets.",
        "Supported: interval and p (Holm) leave out 0, every control is beaten likewise (the reference + g, shuffled "
        f"EHR, constant EHR), and so is the reference over at least {FEWEST_SEEDS} seeds (p < {ALPHA:g}). Not "
        "supported: better than the reference and not than a control, so that the record itself adds nothing that can "
        "be shown. "
        f"Contradicted: clearly the other way. No gain is supported where the interval ends below +{MARGIN:g}, half of "
        "the largest gain that the paper reports for linear evaluation, and contradicted by a clear gain beyond; "
        "EHR that does worse gives no gain either, and the verdict says so.",
    )
    return Table("What this study supports", tuple(columns), tuple(rows), note, caption)


def _comparisons(judgements: Sequence[Judgement], level: float, note: str) -> Table:
    headers = [Column(name, numeric=False) for name in ("Claim", "judged by", "compared", "minus")]
    headers += [Column(f"difference ({percent(level)} CI)"), Column("p (Holm)"), Column("seeds"), Column("p (seeds)")]
    headers += [Column("why empty", numeric=False)]
    rows = [
        Row(
            (
                Cell(one.claim.id),
                Cell(_where(one)),
                Cell(evidence.compared),
                Cell(evidence.against),
                _difference(evidence),
                Cell(p_value(evidence.p_holm), order=_number(evidence.p_holm)),
                Cell(str(evidence.effect.seeds) if evidence.effect else ""),
                Cell(p_value(evidence.effect.p_seeds) if evidence.effect else ""),
                Cell(evidence.missing, muted=True),
            ),
            f"{one.claim.id} {_where(one)}",
        )
        for one in judgements
        for evidence in one.evidence
        if any(other.effect for other in one.evidence)
    ]
    caption = (
        "Macro AUROC. A control of a feature set is compared with that feature set alone. p (Holm): paired bootstrap "
        "of patients, corrected for the comparisons of one claim in one place. p (seeds): paired t-test over "
        "pretraining seeds, which speaks of training again. Places where nothing was judged are left out here; the csv "
        "file has them with the reason.",
    )
    return Table("The comparisons behind the verdicts", tuple(headers), tuple(rows), note, caption)


def _named(judgements: Sequence[Judgement]) -> str:
    """`, MSN`: what claims of a gain are judged against; nothing where there is none."""
    names = dict.fromkeys(one.evidence[0].against for one in judgements if one.claim.kind != "comparison")
    return f", {' or '.join(names)}" if names else ""


def _where(one: Judgement) -> str:
    protocol = {"linear": "linear", "finetune": "fine-tuning"}[one.block.protocol]
    share = "" if one.block.share == ALL_IMAGES else f", {percent(one.block.share)} of training images"
    return f"{protocol}, {dataset_name(one.block.dataset)}{share}, {one.backbone_name}"


def _difference(evidence: Evidence) -> Cell:
    if evidence.effect is None:
        return Cell(hint=evidence.missing)
    effect = evidence.effect
    return Cell(signed_with_interval(effect.difference, effect.lo, effect.hi), order=effect.difference)


def _controls(one: Judgement) -> Cell:
    controls = one.evidence[1:]
    known = [control for control in controls if control.effect is not None]
    if not controls:
        return Cell("none apply", muted=True)
    if not known:
        return Cell("none judged", muted=True)
    beaten = sum(control.direction > 0 for control in known)
    absent = f", {len(controls) - len(known)} missing" if len(known) < len(controls) else ""
    return Cell(f"{beaten} of {len(known)}{absent}", order=float(beaten))


def _number(value: float) -> float | None:
    return None if value != value else value
