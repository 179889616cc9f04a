"""What a reader must know of a table, in plain sentences."""

from dataclasses import dataclass
from typing import Final

import pandas as pd

from mmsn.reporting.number_format import count, percent
from mmsn.reporting.published import CITATION, INFERRED_MARK, STRONG_MARK, WEAK_MARK
from mmsn.reporting.schemas import Facts

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
    if not facts.excluded:
        return [size]
    reasons = ", ".join(f"{label} ({reason})" for label, reason in facts.excluded.items())
    return [size, f"Left out of the mean: {reasons}."]


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
    ]


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


def seed_sentences(rows: pd.DataFrame) -> list[str]:
    """What rows of several seeds show; nothing when every method has one."""
    most = int(rows["seeds"].max())
    if most < 2:
        return []
    sentences = [
        f"Methods with several seeds (up to {most}): mean of the seeds' values; the intervals speak of other "
        "test images or patients, not of training again. Single seeds are in the csv file."
    ]
    if rows["p_seeds"].notna().any():
        sentences.append("p (seeds): paired t-test over the seeds, which does speak of training again.")
    return sentences
