"""The report's first page: the result in a paragraph, what was run, conformance, controls, limits."""

import html
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from mmsn.paper.claims import Judgement
from mmsn.paper.definitions import MIMIC
from mmsn.paper.record import Record
from mmsn.paper.sources import Measured
from mmsn.paper.verdicts import Evidence
from mmsn.reporting.captions import dataset_name
from mmsn.reporting.flow_table import agreement, flow_frame
from mmsn.reporting.number_format import count, decimal, p_value, percent, signed, signed_with_interval
from mmsn.statistics.tests import FEWEST_SEEDS
from mmsn.study import Study

_MAIN_CLAIM: Final = "EHR helps"


def opening(study: Study, measured: Measured, judgements: Sequence[Judgement], record: Record) -> str:
    """The page as reStructuredText.

    Args:
        study: resolved.
        measured: what its tables are filled from.
        judgements: `claims.judge_claims`.
        record: what was run on what.
    """
    sections = {
        "The result": [_result(study, measured, judgements)],
        "What was run": [*_what_was_run(study, measured, record), _settings(study)],
        "Conformance": list(_conformance(measured)),
        "Results": [_RESULTS],
        "Controls": list(_controls(judgements)),
        "Limits": list(_limits(study, measured, judgements)),
    }
    return "\n\n".join(_section(title, parts) for title, parts in sections.items())


def _section(title: str, parts: Sequence[str]) -> str:
    return f"{title}\n{'-' * len(title)}\n\n" + "\n".join(parts)


def _result(study: Study, measured: Measured, judgements: Sequence[Judgement]) -> str:
    """One paragraph: what was compared on how many, the difference, whether controls are beaten, the verdict."""
    main = [one for one in judgements if one.claim.id == _MAIN_CLAIM]
    sentences = [study.note.strip()] if study.note else []
    sentences += [sentence for one in main for sentence in _sentences(one, study, measured)]
    return _escaped(" ".join(sentences))


def _sentences(one: Judgement, study: Study, measured: Measured) -> Iterator[str]:
    first, place = one.evidence[0], ("linear", MIMIC, one.backbone)
    if first.effect is None:
        yield f"{one.backbone_name}: nothing to compare, {first.missing}."
        return
    facts = measured.judged[place].facts
    yield (
        f"Linear evaluation of {one.backbone_name} on {count(facts.images)} test images of {count(facts.patients)} "
        f"patients of {dataset_name(MIMIC)}, macro AUROC over {facts.labels - len(facts.excluded)} findings: "
        f"{first.compared} {decimal(_reference(first, one, study, measured) + first.effect.difference)}, "
        f"{first.against} {decimal(_reference(first, one, study, measured))}, difference {_difference(first, study)}."
    )
    controls = [control for control in one.evidence[1:] if control.effect]
    beaten = [control for control in controls if control.direction > 0]
    if controls:
        listed = "; ".join(f"{each.against} {_difference(each, study)}" for each in controls)
        yield f"Of {len(controls)} controls {len(beaten) or 'none'} {_are(len(beaten))} beaten: {listed}."
    else:
        yield "No control was judged, so a difference may be the extra layer's and not the record's."
    yield f"That EHR helps: {one.here}."
    if str(one.verdict) != str(one.here):
        yield f"For the paper's claim: {one.verdict}."


def _reference(first: Evidence, one: Judgement, study: Study, measured: Measured) -> float:
    key = ("linear", MIMIC, one.backbone), 1.0, study.statistics.baseline, "auroc"
    return float(measured.values[key]["value"])


def _difference(evidence: Evidence, study: Study) -> str:
    effect = evidence.effect
    if effect is None:
        return evidence.missing
    interval = f"{percent(study.statistics.level)} interval over patients {decimal(effect.lo)} to {decimal(effect.hi)}"
    return f"{signed(effect.difference)} ({interval}, p after Holm {p_value(evidence.p_holm)})"


def _are(number: int) -> str:
    return "is" if number <= 1 else "are"


def _what_was_run(study: Study, measured: Measured, record: Record) -> Iterator[str]:
    backbones = ", ".join(study.backbones[name].title for name in study.runs.backbones)
    yield _item(
        f"Study '{study.name}', preset {study.preset}: {len(study.methods)} pretraining methods; backbones "
        f"{backbones}; seeds {', '.join(map(str, study.runs.seeds))}; "
        f"{count(study.statistics.resamples)} bootstrap resamples."
    )
    for dataset, flow in measured.flows.items():
        if flow.get("split_sha256"):
            yield _item(f"Split of {dataset_name(dataset)}: SHA-256 {flow['split_sha256']}.")
    devices = ", ".join(f"{name} ({models} models)" for name, models in record.devices.items()) or "none"
    yield _item(f"Pretrained on: {devices}; torch {', '.join(record.torch) or 'not used'}.")
    yield _item(f"Digest of the code that pretrained: {', '.join(record.code) or 'none'}.")
    yield _item(f"Tables written on {record.machine}; {_named(record.versions)}.")
    total = sum(record.hours.values())
    stages = ", ".join(f"{stage} {hours:.2f}" for stage, hours in record.hours.items())
    yield _item(f"Hours of the last finished jobs, one after the other: {total:.2f} ({stages or 'nothing recorded'}).")


def _settings(study: Study) -> str:
    """Every resolved value, folded away; where the data lie is nobody's business but the user's."""
    resolved = _without_paths(study.model_dump(exclude={"data", "results"}), study.model_dump(mode="json"))
    text = html.escape(yaml.safe_dump(resolved, sort_keys=False, allow_unicode=True))
    lines = "\n".join(f"   {line}" for line in text.splitlines())
    summary = "<details><summary>Every resolved setting (without the paths of data)</summary><pre>"
    return f"\n.. raw:: html\n\n   {summary}\n{lines}\n   </pre></details>\n"


def _without_paths(typed: Any, written: Any) -> Any:
    """Settings as JSON has them, without those that are paths, or files of weights.

    Args:
        typed: the settings as Python has them, which knows what a path is.
        written: the same for JSON.
    """
    if isinstance(typed, dict):
        kept = {key: value for key, value in typed.items() if not isinstance(value, Path) and key != "weights"}
        return {key: _without_paths(value, written[key]) for key, value in kept.items()}
    if isinstance(typed, (list, tuple)):
        return [_without_paths(one, other) for one, other in zip(typed, written, strict=True)]
    return written


def _conformance(measured: Measured) -> Iterator[str]:
    for dataset, flow in measured.flows.items():
        yield _item(f"{dataset_name(dataset)}: {agreement(flow_frame(flow, dataset))}")
    for origin in dict.fromkeys(str(flow["origin"]) for flow in measured.flows.values() if flow.get("origin")):
        yield _item(origin)
    yield _item("Step by step, with every count that differs: category *Cohort*.", escape=False)


_RESULTS: Final = (
    "The categories beside this page: what each claim of the paper is worth here and the paper's tables filled from "
    "this study come first, then the study's own tables with the right tests. A click on a heading sorts a table. A "
    "method that was not run has an empty cell with the reason."
)


def _controls(judgements: Sequence[Judgement]) -> Iterator[str]:
    """Each comparison with a control, of the main claim."""
    shown = False
    for one in judgements:
        for control in one.evidence[1:] if one.claim.id == _MAIN_CLAIM else ():
            shown = True
            if control.effect is None:
                yield _item(f"{one.backbone_name}: {control.missing}.")
                continue
            effect, word = control.effect, "beaten" if control.direction > 0 else "not beaten"
            difference = signed_with_interval(effect.difference, effect.lo, effect.hi)
            compared = f"{one.backbone_name}: {control.compared} minus {control.against} {difference}"
            yield _item(f"{compared}, p after Holm {p_value(control.p_holm)}: {word}.")
    if not shown:
        yield "No controls."


def _limits(study: Study, measured: Measured, judgements: Sequence[Judgement]) -> Iterator[str]:
    if study.note:
        yield _item(study.note.strip())
    if len(study.runs.seeds) < FEWEST_SEEDS:
        yield _item(
            f"Seeds: {len(study.runs.seeds)} of the {FEWEST_SEEDS} that a test over seeds needs. Intervals speak of "
            "other test patients, not of training again."
        )
    excluded = dict.fromkeys(
        f"{dataset_name(place[1])}: {', '.join(judged.facts.excluded)}"
        for place, judged in measured.judged.items()
        if judged.facts.excluded
    )
    for labels in excluded:
        yield _item(f"Findings without a value, left out of macro means. {labels}.")
    open_claims = [one for one in judgements if one.here.word == "cannot say"]
    yield _item(
        f"Of {len(judgements)} judgements on the paper's claims {len(open_claims)} cannot be made; the table says why."
    )
    yield _item(
        "Marks ∗ and † repeat the published t-test on bootstrap replicates, which nearly every difference passes; "
        "judge by intervals of differences and p (Holm)."
    )
    yield _item("The published feature sets of rows with ‡ are inferred from the order of rows in the paper.")


def _named(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in versions.items())


def _item(text: str, escape: bool = True) -> str:
    return f"- {_escaped(text) if escape else text}"


def _escaped(text: str) -> str:
    """Words that reStructuredText shall show as they are."""
    return re.sub(r"([\\*`|_])", r"\\\1", " ".join(text.split()))
