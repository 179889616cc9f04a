"""What this study says of each claim of the paper: the comparisons, the right tests, controls included."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, Final

import numpy as np
import pandas as pd

from mmsn.methods import CONTROLS, Method, method_from_id
from mmsn.paper.contrasts import Model, effect, models, models_of_subsets, same_seeds
from mmsn.paper.definitions import MIMIC, SINGLE, Block
from mmsn.paper.paper_says import paper_says
from mmsn.paper.reasons import NOT_JUDGED, why_empty
from mmsn.paper.sources import ALL_IMAGES, Judged, Measured
from mmsn.paper.verdicts import ALPHA, Evidence, Kind, Verdict, judge, of_the_paper
from mmsn.reporting.results_table import one_row_a_method
from mmsn.statistics.tests import holm
from mmsn.study import Study
from mmsn.titles import title

METRIC: Final = "auroc"


@dataclass(frozen=True)
class Claim:
    """One claim of the paper, and where its evidence is."""

    id: str
    statement: str
    kind: Kind
    blocks: tuple[Block, ...]


CLAIMS: Final = (
    Claim("EHR helps", "With EHR, MSN pretraining gives better linear evaluation.", "gain", (Block("linear", MIMIC),)),
    Claim(
        "single beats combined",
        "Feature sets of one variable do better than combinations.",
        "comparison",
        (Block("linear", MIMIC),),
    ),
    Claim(
        "transfers",
        "The gain holds on CheXpert and NIH-14.",
        "gain",
        (Block("linear", "chexpert"), Block("linear", "nih-14")),
    ),
    Claim(
        "no gain in fine-tuning",
        "After fine-tuning, EHR gives no gain.",
        "no gain",
        (
            Block("finetune", MIMIC),
            *(Block("finetune", MIMIC, share) for share in (0.01, 0.05, 0.1)),
            Block("finetune", "chexpert"),
            Block("finetune", "nih-14"),
        ),
    ),
)


@dataclass(frozen=True)
class Judgement:
    """One claim in one place: what was compared, and what that says."""

    claim: Claim
    block: Block
    backbone: str
    """Id."""
    backbone_name: str
    paper: str
    """What the paper reports there."""
    better_sets: str
    """How many feature sets are each better than the reference by p (Holm): `2 of 13`; empty where none was judged."""
    evidence: tuple[Evidence, ...]
    """Against the reference first, then controls."""
    here: Verdict
    """On these data."""
    verdict: Verdict
    """For the paper's claim."""

    def rows(self) -> Iterator[dict[str, Any]]:
        """One a comparison, unrounded."""
        for one in self.evidence:
            measured = vars(one.effect) if one.effect else {}
            yield {
                "claim": self.claim.id,
                "statement": self.claim.statement,
                "backbone": self.backbone_name,
                "protocol": self.block.protocol,
                "dataset": self.block.dataset,
                "train_fraction": self.block.share,
                "paper": self.paper,
                "compared": one.compared,
                "against": one.against,
                "metric": METRIC,
                **{name: measured.get(name) for name in ("difference", "lo", "hi", "p")},
                "p_holm": one.p_holm if one.effect else None,
                **{name: measured.get(name) for name in ("seeds", "p_seeds", "lo_seeds", "hi_seeds")},
                "better_sets": self.better_sets,
                "missing": one.missing,
                "on_these_data": str(self.here),
                "verdict": str(self.verdict),
            }


def judge_claims(study: Study, measured: Measured) -> list[Judgement]:
    """Every claim in every place of the paper, for every backbone of the study."""
    return [
        _judged(claim, block, backbone, study, measured)
        for claim in CLAIMS
        for block in claim.blocks
        for backbone in study.runs.backbones
    ]


def other_data(study: Study, measured: Measured) -> str:
    """Why the data are not the paper's; empty where they are, as far as the study says."""
    if measured.flows.get(MIMIC, {}).get("synthetic"):
        return "the data are synthetic"
    if "synthetic" in study.note.lower():
        return "the data are synthetic"
    return "the data are not the paper's" if study.note else ""


def with_note(study: Study, measured: Measured) -> Study:
    """The study with a note where its data are not the paper's and it does not say so itself."""
    reason = other_data(study, measured)
    return study if study.note or not reason else study.model_copy(update={"note": f"{reason.capitalize()}."})


def _judged(claim: Claim, block: Block, backbone: str, study: Study, measured: Measured) -> Judgement:
    found = _models(block, backbone, measured)
    corrected = _with_holm(_evidence(claim, block, backbone, study, found))
    here = judge(claim.kind, corrected[0], corrected[1:])
    name = study.backbones[backbone].title
    verdict = of_the_paper(here, other_data(study, measured))
    says = paper_says(claim.kind, block, name)
    better = _better_sets(measured.judged.get((block.judged_by, block.dataset, backbone)), block, study)
    return Judgement(claim, block, backbone, name, says, better, tuple(corrected), here, verdict)


def _better_sets(judged: Judged | None, block: Block, study: Study) -> str:
    if judged is None or block.share != ALL_IMAGES:
        return ""
    shown = one_row_a_method(judged.rows).query("metric == @METRIC and family == 'ehr'")
    kind = f"{method_from_id(study.statistics.baseline).family}+ehr"  # not DINO's and MAE's beside MSN
    own = np.array([method_from_id(str(method)).kind == kind for method in shown["method"]], dtype=np.bool_)
    compared = shown[own & shown["p_holm"].notna().to_numpy()]
    better = (compared["difference"] > 0) & (compared["p_holm"] < ALPHA)
    return f"{int(better.sum())} of {len(compared)}" if len(compared) else ""


def _models(block: Block, backbone: str, measured: Measured) -> dict[str, Model]:
    place = block.judged_by, block.dataset, backbone
    if block.share == ALL_IMAGES:
        return models(measured.judged[place], METRIC) if place in measured.judged else {}
    return models_of_subsets(measured.subsets.get(place, ()), block.share, METRIC)


def _evidence(claim: Claim, block: Block, backbone: str, study: Study, found: Mapping[str, Model]) -> list[Evidence]:
    """Against the reference, or the other group, first; then against controls."""

    def against(name: str, pairs: Sequence[tuple[Method, Method]], needed: Sequence[Method]) -> Evidence:
        absent = next((method for method in needed if method.id not in found), None)
        reason = f"{title(absent)} missing: {why_empty(study, backbone, absent, block)}" if absent else NOT_JUDGED
        return _compared(name, pairs, found, reason, study.statistics.level)

    reference = method_from_id(study.statistics.baseline)
    with_ehr = [Method(f"{reference.family}+ehr", name) for name in study.feature_sets]
    present = [method for method in with_ehr if method.id in found]
    if claim.kind == "comparison":
        single, combined = (
            [one for one in with_ehr if (one.feature_set in SINGLE) == wanted] for wanted in (True, False)
        )
        pairs = list(product((one for one in single if one in present), (one for one in combined if one in present)))
        return [against("combined sets", pairs, combined if set(single) & set(present) else single)]
    planned = [method for method in with_ehr if method in study.methods] or with_ehr
    plain = Method(f"{reference.family}+g")
    evidence = [
        against(title(reference), [(one, reference) for one in present], [reference, *planned]),
        against(title(plain), [(one, plain) for one in present], [plain, *planned]),
    ]
    for control in CONTROLS:
        pairs = [(one, replace(one, control=control)) for one in planned]
        there = [pair for pair in pairs if pair[0] in present and pair[1].id in found]
        named = [other for _, other in pairs if other in study.methods]
        evidence.append(against(f"{control} EHR", there, named or [other for _, other in pairs[:1]]))
    return evidence


def _compared(
    name: str, pairs: Sequence[tuple[Method, Method]], found: Mapping[str, Model], missing: str, level: float
) -> Evidence:
    """The first of each pair against the second."""
    known = [(one, other) for one, other in pairs if one.id in found and other.id in found]
    ours, theirs = (list(dict.fromkeys(side)) for side in ([one for one, _ in known], [other for _, other in known]))
    if not known:
        return Evidence(name, None, missing=missing)
    sides = [[found[one.id] for one in side] for side in (ours, theirs)]
    if not same_seeds([*sides[0], *sides[1]]):
        return Evidence(name, None, missing=f"{name}: not of the same seeds")
    shown = title(theirs[0]) if len(theirs) == 1 else f"{name} (mean of {len(theirs)})"
    return Evidence(shown, effect(sides[0], sides[1], level), compared=_mean_of(ours))


def _with_holm(evidence: Sequence[Evidence]) -> list[Evidence]:
    """Corrected for the comparisons of one claim in one place."""
    p = holm([one.effect.p if one.effect else float("nan") for one in evidence])
    return [replace(one, p_holm=float(adjusted)) for one, adjusted in zip(evidence, p, strict=True)]


def _mean_of(methods: Sequence[Method]) -> str:
    if len(methods) == 1:
        return title(methods[0])
    return f"{title(Method(methods[0].family))} + EHR (mean of {len(methods)} sets)"


def claims_frame(judgements: Iterable[Judgement]) -> pd.DataFrame:
    """One row a comparison."""
    return pd.DataFrame([row for judgement in judgements for row in judgement.rows()])
