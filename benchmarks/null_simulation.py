"""How often each test of the tables calls two equally good models different, at a nominal 5 %.

Patients have about seven images that resemble each other: in their label, in how hard they are for both
models, and in what each model alone gets wrong about the patient. The models differ by chance only, so every
'significant' result is a false positive; a valid test gives 5 %, within the simulation's own standard error.

Four questions, each with its own null hypothesis:
  models    these two trained models are equally good on new patients
  rare      the same for a label that about 6, or 20, of the patients have
  training  two methods are equally good on average over trainings; each seed's model differs from the next
  family    one of many comparisons is a false positive: thirteen methods beside one, or fourteen labels
"""

import argparse
import csv
import math
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmsn.reporting.recommended import COLUMNS, FAMILY, MEASURED, MODELS, RARE, TESTS, TRAINING
from mmsn.statistics.bootstrap import Replicates, bootstrap, image_resamples, patient_resamples
from mmsn.statistics.delong import delong_test
from mmsn.statistics.metrics import auroc, average_precision
from mmsn.statistics.permutation import patient_swaps, permutation_p, permuted_differences
from mmsn.statistics.tests import holm, paired_difference, paired_t_test, student_t_test

LEVEL = 0.05
METRICS = {"auroc": auroc, "auprc": average_precision}
METHODS, LABELS = 13, 14
STUDIES_OF = {MODELS: 1.0, RARE: 1.0, TRAINING: 1.0, FAMILY: 0.3}
"""Share of --studies; a family of comparisons takes as long as many."""
SPREAD_OF_TRAINING = 0.15
"""Standard deviation between seeds of how strongly a model separates the classes."""
Found = dict[tuple[str, str], bool]


@dataclass(frozen=True)
class Study:
    """What one simulated study starts from."""

    seed: int
    patients: int
    resamples: int

    @property
    def generator(self) -> np.random.Generator:
        """Draws patients and scores."""
        return np.random.default_rng(self.seed)

    @property
    def drawing(self) -> int:
        """Seed of resamples and permutations, another stream than the data's."""
        return self.seed ^ 0x9E3779B9


@dataclass(frozen=True)
class TestSet:
    """Patient [N], target [N], and what makes an image of a patient hard for every model [N]."""

    patient: np.ndarray
    target: np.ndarray
    difficulty: np.ndarray


def main() -> None:
    arguments = _arguments()
    sizes = f"{arguments.patients} patients with about 7 images each, {arguments.resamples:,} resamples"
    print(f"False positives at a nominal {LEVEL:.0%} between equally good models. {sizes},")
    print(f"seed {arguments.seed}; ± one standard error of the simulation.\n")
    print(f"{'':<80}{'studies':>8}{'AUROC':>15}{'AUPRC':>15}")
    rows = []
    for question, simulated in QUESTIONS.items():
        studies = max(2, round(arguments.studies * STUDIES_OF[question]))
        found = _simulated(simulated, studies, arguments)
        for test in (name for name, one in TESTS.items() if one.question == question):
            judged = [study for study in found if (test, "auroc") in study]  # the others had no patient to test with
            rates = {
                metric: _rate([study[test, metric] for study in judged if (test, metric) in study])
                for metric in METRICS
            }
            shown = "".join(f"{_shown(rates[metric]):>15}" for metric in METRICS)
            print(f"{TESTS[test].name:<80}{len(judged):>8,}{shown}", flush=True)
            rows += [
                {"test": test, "metric": metric, "rate": rate[0], "error": rate[1], "studies": len(judged)}
                for metric, rate in rates.items()
                if rate is not None
            ]
    if arguments.keep:
        _keep(rows, MEASURED)
        print(f"\nKept for the captions: {MEASURED.name}")


def simulate(generator: np.random.Generator, patients: int, prevalence: float = 0.3, changed: float = 0.1) -> TestSet:
    """Draw a test set; a patient's label differs between images with probability `changed`."""
    patient = np.repeat(np.arange(patients), 1 + generator.poisson(6, size=patients))
    ill = generator.random(patients) < prevalence
    target = ill[patient] ^ (generator.random(patient.size) < changed)
    return TestSet(patient, target.astype(float), 0.7 * generator.normal(size=patients)[patient])


def scores(generator: np.random.Generator, test_set: TestSet, strength: float = 1.5) -> np.ndarray:
    """One model's scores [N], many of them tied; models of equal strength are exchangeable."""
    patients = int(test_set.patient.max()) + 1
    own = 0.5 * generator.normal(size=patients)[test_set.patient] + generator.normal(size=test_set.patient.size)
    return np.round(strength * test_set.target + test_set.difficulty + own, 2)


def between_models(study: Study) -> Found:
    """Every test of two models on one label."""
    generator = study.generator
    test_set = simulate(generator, study.patients)
    first, second = (scores(generator, test_set) for _ in range(2))
    p = _bootstraps(study, test_set, first, second) | _permutation(study, test_set, first, second)
    p["delong", "auroc"] = delong_test(test_set.target, first, second).p
    p["clustered", "auroc"] = delong_test(test_set.target, first, second, test_set.patient).p
    return _significant(p)


def of_a_rare_label(study: Study) -> Found:
    """The same where about six, or twenty, patients have the label, in all their images."""
    found: Found = {}
    for affected in (6, 20):
        test_set = simulate(study.generator, study.patients, affected / study.patients, changed=0.0)
        if np.unique(test_set.patient[test_set.target == 1]).size > 1:
            found |= _of_few(study, test_set, affected)
    return found


def _of_few(study: Study, test_set: TestSet, affected: int) -> Found:
    generator = np.random.default_rng([study.seed, affected])
    first, second = (scores(generator, test_set) for _ in range(2))
    found = _bootstraps(study, test_set, first, second) | _permutation(study, test_set, first, second)
    shown = ("patient", "permutation")
    p = {(f"{test}, {affected}", metric): value for (test, metric), value in found.items() if test in shown}
    p[f"clustered, {affected}", "auroc"] = delong_test(test_set.target, first, second, test_set.patient).p
    return _significant(p)


def over_trainings(study: Study) -> Found:
    """Two methods trained with several seeds; every model's own strength varies around the same mean."""
    generator = study.generator
    test_set = simulate(generator, study.patients)
    strengths = 1.5 + SPREAD_OF_TRAINING * generator.normal(size=(2, 5))
    models = [[scores(generator, test_set, strength) for strength in own] for own in strengths]
    values = {
        metric: [[function(test_set.target, one) for one in own] for own in models]
        for metric, function in METRICS.items()
    }
    p = {
        (f"seeds {count}", metric): paired_t_test(first[:count], second[:count]).p
        for metric, (first, second) in values.items()
        for count in (3, 5)
    }
    weights = patient_resamples(test_set.patient, study.resamples, study.drawing)
    replicates = [[_resampled(test_set, one, weights) for one in own[:3]] for own in models]
    for metric, (first, second) in values.items():
        means = [np.mean([getattr(one, metric)[:, 0] for one in own], axis=0) for own in replicates]
        p["patient, mean of seeds", metric] = paired_difference(*means, np.mean(first[:3]) - np.mean(second[:3])).p
    return _significant(p)


def of_a_family(study: Study) -> Found:
    """Thirteen methods beside one on a label; two models on fourteen labels, each drawn apart."""
    generator = study.generator
    test_set = simulate(generator, study.patients)
    weights = patient_resamples(test_set.patient, study.resamples, study.drawing)
    models = [scores(generator, test_set) for _ in range(METHODS + 1)]
    replicates = [_resampled(test_set, one, weights) for one in models]
    found: Found = {}
    for metric in METRICS:
        reference, *others = (getattr(one, metric)[:, 0] for one in replicates)
        p = [paired_difference(other, reference, 0.0).p for other in others]
        found["holm, methods", metric] = bool((holm(p) < LEVEL).any())
    by_label = []
    for _ in range(LABELS):
        own = simulate(np.random.default_rng(generator.integers(2**31)), study.patients)
        pair = (scores(generator, own) for _ in range(2))
        by_label.append(delong_test(own.target, *pair, own.patient).p)
    found["holm, labels", "auroc"] = bool((holm(by_label) < LEVEL).any())
    return found


QUESTIONS: dict[str, Callable[[Study], Found]] = {
    MODELS: between_models,
    RARE: of_a_rare_label,
    TRAINING: over_trainings,
    FAMILY: of_a_family,
}


def _bootstraps(study: Study, test_set: TestSet, first: np.ndarray, second: np.ndarray) -> dict[tuple[str, str], float]:
    """p of the bootstrap tests, and of the published t-test on their replicates."""
    by = {
        "image": image_resamples(test_set.patient.size, study.resamples, study.drawing),
        "patient": patient_resamples(test_set.patient, study.resamples, study.drawing),
    }
    p = {}
    for level, weights in by.items():
        ours, theirs = (_resampled(test_set, one, weights) for one in (first, second))
        for metric, function in METRICS.items():
            a, b = (getattr(one, metric)[:, 0] for one in (ours, theirs))
            observed = function(test_set.target, first) - function(test_set.target, second)
            p[level, metric] = paired_difference(a, b, observed).p
            p["published" if level == "image" else "published, patients", metric] = student_t_test(a, b)
    return p


def _permutation(
    study: Study, test_set: TestSet, first: np.ndarray, second: np.ndarray
) -> dict[tuple[str, str], float]:
    swaps = patient_swaps(test_set.patient, study.resamples, study.drawing)
    columns = (values[:, None] for values in (test_set.target, first, second))
    permuted = permuted_differences(*columns, swaps, threads=1)
    return {
        ("permutation", metric): permutation_p(
            getattr(permuted, metric)[:, 0],
            function(test_set.target, first) - function(test_set.target, second),
            swaps.exact,
        )
        for metric, function in METRICS.items()
    }


def _resampled(test_set: TestSet, scored: np.ndarray, weights: np.ndarray) -> Replicates:
    return bootstrap(test_set.target[:, None], scored[:, None], weights, threads=1)


def _significant(p: dict[tuple[str, str], float]) -> Found:
    return {key: bool(value < LEVEL) for key, value in p.items()}


def _simulated(simulated: Callable[[Study], Found], studies: int, arguments: argparse.Namespace) -> list[Found]:
    seeds = np.random.SeedSequence(arguments.seed).generate_state(studies)
    planned = [Study(int(seed), arguments.patients, arguments.resamples) for seed in seeds]
    with ProcessPoolExecutor(arguments.workers) as pool:
        return list(pool.map(simulated, planned, chunksize=20))


def _rate(significant: list[bool]) -> tuple[float, float] | None:
    """Share of false positives and its standard error; nothing for a test of the other metric alone."""
    if not significant:
        return None
    rate = float(np.mean(significant))
    return rate, math.sqrt(rate * (1 - rate) / len(significant))


def _shown(rate: tuple[float, float] | None) -> str:
    return "-" if rate is None else f"{rate[0]:.1%} ± {rate[1]:.1%}"


def _keep(rows: Iterable[dict[str, object]], path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as opened:
        writer = csv.DictWriter(opened, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow(row | {name: f"{row[name]:.4f}" for name in ("rate", "error")})


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--patients", type=int, default=200)
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1, help="processes at once")
    parser.add_argument("--keep", action="store_true", help="write the rates that the tables' captions quote")
    return parser.parse_args()


if __name__ == "__main__":
    main()
