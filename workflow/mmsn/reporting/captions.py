"""What a reader must know of a table, in plain sentences."""

from dataclasses import dataclass
from typing import Final

import pandas as pd

from mmsn.reporting.number_format import count, percent
from mmsn.reporting.published import CITATION, INFERRED_MARK, STRONG_MARK, WEAK_MARK
from mmsn.reporting.recommended import MAIN, SOURCE, TESTS, is_recommended, rates_of
from mmsn.reporting.schemas import Facts

_ALPHA: Final = 0.05
_LABEL_TESTS: Final = {
    "clustered": "DeLong with patients as clusters",
    "delong": "without clusters",
    **{
        f"{test}, {patients}": f"{name} where about {patients} patients have the label"
        for patients in (20, 6)
        for test, name in {"clustered": "DeLong with clusters", "permutation": "permutation of patients"}.items()
    },
    "holm, labels": "any of fourteen labels by DeLong with clusters after Holm",
}
_PROTOCOLS: Final = {
    "linear": "Linear evaluation",
    "finetune": "Fine-tuning",
    "supervised": "Supervised training",
}
_DATASETS: Final = {"mimic-cxr": "MIMIC-CXR", "chexpert": "CheXpert", "nih-14": "NIH-14"}


@dataclass(frozen=True)
class Setting:
    """Which comparison a table shows."""

    protocol: str
    """`linear`, `finetune`, `supervised`: the word in the published results."""
    dataset: str
    """`mimic-cxr`, `chexpert`, `nih-14`: the word in the published results, or another."""
    backbone_name: str
    train_fraction: float = 1.0
    note: str = ""
    """What makes the data special; empty when the values are comparable with the published ones."""

    @property
    def title(self) -> str:
        """Linear evaluation of ViT-S on MIMIC-CXR."""
        protocol = _PROTOCOLS.get(self.protocol, self.protocol)
        title = f"{protocol} of {self.backbone_name} on {self.dataset_name}"
        if self.train_fraction == 1:
            return title
        return f"{title} with {percent(self.train_fraction)} of the training images"

    @property
    def dataset_name(self) -> str:
        """MIMIC-CXR."""
        return dataset_name(self.dataset)


def dataset_name(dataset: str) -> str:
    """MIMIC-CXR for `mimic-cxr`; a name that is not known stays as it is."""
    return _DATASETS.get(dataset, dataset)


def test_set_sentences(facts: Facts) -> list[str]:
    """Size of the test set, and the labels left out of the macro mean with the reasons."""
    used = facts.labels - len(facts.excluded)
    size = (
        f"Macro mean over {used} of {facts.labels} labels in {count(facts.images)} test images "
        f"of {count(facts.patients)} patients{f' (split {facts.split})' if facts.split else ''}."
    )
    as_it_is = [f"The head trained on {dataset_name(facts.head_of)} is used as it is."] if facts.head_of else []
    if not facts.excluded:
        return [size, *as_it_is]
    reasons = ", ".join(f"{label} ({reason})" for label, reason in facts.excluded.items())
    return [size, *as_it_is, f"Left out of the mean: {reasons}."]


def interval_sentence(facts: Facts) -> str:
    """Where the intervals beside the values come from."""
    return (
        f"In brackets: {percent(facts.level)} percentile bootstrap interval from {count(facts.resamples)} "
        "resamples of images, as published."
    )


def comparison_sentences(rows: pd.DataFrame, facts: Facts, reference: str) -> list[str]:
    """How runs are compared with the reference; nothing when none is.

    Args:
        rows: rows of the summary.
        facts: of the test set.
        reference: name of the reference.
    """
    compared = rows[rows["difference"].notna()]
    if compared.empty:
        return []
    sizes = compared.groupby("family")["comparisons"].max()
    names = {"ehr": "of MSN + EHR", "control": "of the controls", "baseline": "of other baselines"}
    families = ", ".join(f"{sizes[key]} {name}" for key, name in names.items() if key in sizes)
    return [
        f"vs {reference}: difference with the {percent(facts.level)} interval of a bootstrap of patients in "
        "which both models see the same resamples.",
        f"p (Holm): p of that bootstrap after Holm's correction for the comparisons with {reference} "
        f"in each group ({families}).",
        f"{STRONG_MARK} p < 0.001, {WEAK_MARK} p < 0.05: better than {reference} by Student's t-test on "
        "bootstrap replicates, the published test. It is anti-conservative (almost any difference passes), "
        "so judge by the interval of the difference and p (Holm).",
        _recommendation(),
    ]


def _recommendation() -> str:
    """Which of the main table's tests hold their level, by the kept simulation."""
    good, bad = (
        ", ".join(f"{TESTS[test].name} {rates_of(test)}" for test in MAIN if is_recommended(test) is wanted)
        for wanted in (True, False)
    )
    found = f"Recommended, because close to it: {good or 'none'}" + (f"; not: {bad}" if bad else "")
    return (
        "How often each test finds a difference between equally good models, at a nominal 5 % (AUROC and AUPRC, "
        f"simulated patients with about seven images, {SOURCE}). {found}."
    )


def label_recommendation() -> str:
    """How far the tests by label hold their level, also where few patients have the label."""
    rates = ", ".join(f"{name} {rates_of(test)}" for test, name in _LABEL_TESTS.items())
    return f"False positives at a nominal 5 % (AUROC, for permutation also AUPRC; {SOURCE}): {rates}."


def check_sentences(rows: pd.DataFrame) -> list[str]:
    """Whether the permutation check says the same as the bootstrap, and which tests gave nothing."""
    compared = rows[rows["p_permutation"].notna() & rows["p_paired"].notna()]
    sentences = []
    if len(compared):
        same = int(((compared["p_permutation"] < _ALPHA) == (compared["p_paired"] < _ALPHA)).sum())
        sentences.append(
            "Permutation check (scores of whole patients change places between the models), before any correction: on "
            f"the same side of {_ALPHA} as the bootstrap in {same} of {len(compared)} comparisons; its p is in the csv "
            "file."
        )
    without = rows[rows["not_tested"].fillna("") != ""]
    if len(without):
        reasons = [f"{_names(own)} ({reason})" for reason, own in without.groupby("not_tested", sort=False)]
        sentences.append(f"Without a p: {'; '.join(reasons)}.")
    return sentences


def published_sentences(rows: pd.DataFrame) -> list[str]:
    """Source of the published values; nothing where there are none."""
    shown = rows[rows["published_value"].notna()]
    if shown.empty:
        return []
    tables = ", ".join(dict.fromkeys(shown["published_table"]))
    sentences = [f"Published: {CITATION}, table {tables}."]
    if not shown["published_label_certain"].astype(bool).all():
        sentences.append(
            f"{INFERRED_MARK} Feature set of the published row inferred from the order of rows in the paper."
        )
    return sentences


def missing_sentences(rows: pd.DataFrame, shown: pd.DataFrame) -> list[str]:
    """Which rows are empty and why, and which seeds are missing from a mean; nothing when none is.

    Args:
        rows: every row.
        shown: those of the table, one a method.
    """
    sentences = []
    empty = shown[shown["missing"] != ""]
    if len(empty):
        reasons = [f"{_names(own)} ({reason})" for reason, own in empty.groupby("missing", sort=False)]
        sentences.append(f"Empty rows: {'; '.join(reasons)}.")
    partly = rows[(rows["missing"] != "") & ~rows["method"].isin(empty["method"])]
    if len(partly):
        sentences.append(f"Some seeds have no predictions and are left out: {_names(partly)}.")
    return sentences


def uncompared_sentences(shown: pd.DataFrame, reference: str) -> list[str]:
    """Which rows have numbers but no difference to the reference; nothing when none has."""
    others = shown[(shown["missing"] == "") & (shown["family"] != "reference") & shown["difference"].isna()]
    if others.empty:
        return []
    return [f"Not compared, because {reference} has no predictions of the same seeds: {_names(others)}."]


def _names(rows: pd.DataFrame) -> str:
    return ", ".join(dict.fromkeys(rows["method_name"]))


def seed_sentences(rows: pd.DataFrame, single_seeds: str = "Single seeds are in the csv file.") -> list[str]:
    """What rows of several seeds show; nothing when every method has one.

    Args:
        rows: with `seeds` and `p_seeds`.
        single_seeds: where they are; empty where they are not kept.
    """
    most = int(rows["seeds"].max())
    if most < 2:
        return []
    sentences = [
        f"Methods with several seeds (up to {most}): mean of the seeds' values; the intervals speak of other "
        f"test images or patients, not of training again. {single_seeds}".rstrip()
    ]
    if rows["p_seeds"].notna().any():
        sentences.append(
            "sd over seeds: standard deviation of the seeds' values. p (seeds): paired t-test over the seeds, which "
            "does speak of training again. False positives at a nominal 5 % where training varies: "
            f"{rates_of('seeds 3')} with three seeds, {rates_of('seeds 5')} with five; the bootstrap of the mean over "
            f"three has {rates_of('patient, mean of seeds')} there."
        )
    else:
        sentences.append(
            "sd over seeds: standard deviation of the seeds' values. A t-test over seeds needs three seeds of a method "
            "and of the one it is compared with."
        )
    return sentences
