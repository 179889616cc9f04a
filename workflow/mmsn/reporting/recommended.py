"""Which tests the tables recommend: those whose measured rate of false positives is close to the nominal one."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

MODELS, RARE, TRAINING, FAMILY = "models", "rare", "training", "family"
"""What a test asks: are two trained models equal; the same of a rare label; are two methods equal on average over
trainings; is any of many comparisons a false positive."""
COLUMNS: Final = ("test", "metric", "rate", "error", "studies")
MEASURED: Final = Path(__file__).with_name("false_positives.csv")
"""Written by `benchmarks/null_simulation.py --keep`."""
SOURCE: Final = "benchmarks/results/null-simulation_2026-11-23.txt"
"""What that benchmark printed, with its command."""
LOWEST, HIGHEST = 0.03, 0.07
"""At a nominal 5 %, a test within these is recommended."""


@dataclass(frozen=True)
class Test:
    """A test of the tables, and what it asks."""

    name: str
    question: str


TESTS: Final[Mapping[str, Test]] = {
    "published": Test("Student t-test on image-level bootstrap replicates (published)", MODELS),
    "published, patients": Test("Student t-test on patient-level bootstrap replicates", MODELS),
    "image": Test("paired bootstrap, images", MODELS),
    "delong": Test("DeLong, images independent", MODELS),
    "patient": Test("paired bootstrap, patients", MODELS),
    "clustered": Test("DeLong, patients as clusters (Obuchowski)", MODELS),
    "permutation": Test("permutation of patients", MODELS),
    **{
        f"{test}, {patients}": Test(f"label of about {patients} patients: {name}", RARE)
        for patients in (6, 20)
        for test, name in {
            "patient": "paired bootstrap, patients",
            "clustered": "DeLong, patients as clusters",
            "permutation": "permutation of patients",
        }.items()
    },
    "seeds 3": Test("paired t-test over 3 seeds", TRAINING),
    "seeds 5": Test("paired t-test over 5 seeds", TRAINING),
    "patient, mean of seeds": Test("paired bootstrap, patients, of the mean over 3 seeds (training varies)", TRAINING),
    "holm, methods": Test("any of 13 methods: paired bootstrap, patients, after Holm", FAMILY),
    "holm, labels": Test("any of 14 labels: DeLong, patients as clusters, after Holm", FAMILY),
}
MAIN: Final = ("published", "image", "patient", "clustered", "permutation", "delong")
"""Tests that the tables of one seed carry."""


@cache
def measured() -> Mapping[tuple[str, str], float]:
    """Rate of false positives by test and metric, as last kept."""
    with MEASURED.open(newline="", encoding="utf-8") as opened:
        return {(row["test"], row["metric"]): float(row["rate"]) for row in csv.DictReader(opened)}


def is_recommended(test: str) -> bool:
    """Whether a test's measured rates, of every metric that it judges, lie within `LOWEST` and `HIGHEST`."""
    rates = [rate for (name, _), rate in measured().items() if name == test]
    return bool(rates) and all(LOWEST <= rate <= HIGHEST for rate in rates)


def rates_of(test: str) -> str:
    """`5.1 %` of AUROC, and where measured of AUPRC: `5.1 and 4.8 %`."""
    rates = [f"{100 * rate:.1f}" for (name, _), rate in measured().items() if name == test]
    return f"{' and '.join(rates)}\N{NO-BREAK SPACE}%"
